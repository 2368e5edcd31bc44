"""Messages for the tests of what is sent: one of each kind, and arbitrary ones."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from querygauge.values.alerts import ALERT_SEVERITIES, Alert, AlertMessage, Finding

__all__ = ["ALERT", "DIGEST", "MESSAGE", "NOON", "RESOLVED", "SLOW", "TEST", "message_of", "messages"]

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SLOW = Finding(
    rule="slow_query",
    severity="critical",
    sentence="SELECT orders took 1500 ms at the 95th percentile, over 1000 ms",
    advice="Look at its plan, and at what it filters by.",
    service="shop",
    target="primary",
    pattern_id="00c0ffee00c0ffee",
    pattern="SELECT id, total FROM orders WHERE customer_id = ? AND note <> ? & 1",
    call_site="shop/orders.py:31 in latest",
    value=1500.0,
    threshold=1000.0,
    unit="ms",
    trend=(200.0, 210.0, None, 900.0, 1500.0),
    trend_s=1500.0,
)
ALERT = Alert("0123456789abcdef", SLOW, "firing", NOON - timedelta(minutes=5), NOON, NOON, told_at=NOON)
MESSAGE = AlertMessage("5ca1ab1e5ca1ab1e", NOON, (ALERT,))
RESOLVED = AlertMessage(
    "deadbeefdeadbeef",
    NOON + timedelta(hours=1),
    (replace(ALERT, status="resolved", ended_at=NOON + timedelta(minutes=55)),),
)
DIGEST = AlertMessage("fee1deadfee1dead", NOON, held_back={"slow_query": 12, "error_rate": 1})
TEST = AlertMessage("0000000000000000", NOON, is_test=True)


def message_of(*findings: Finding) -> AlertMessage:
    """A message about an alert for each of them."""
    alerts = (replace(ALERT, id=f"{place:016x}", finding=finding) for place, finding in enumerate(findings))
    return replace(MESSAGE, alerts=tuple(alerts))


# Characters that mean something to somebody, surrogates and controls among them.
_letters = st.one_of(
    st.sampled_from("<>&`*_~|\"'\\\r\n\t\0\x1b%{}[]():@#=?,;- é漢😀\u202e\u2028\ud800"),
    st.characters(codec=None),
)
_words = st.text(_letters, max_size=30)
# Thirty characters from hypothesis, and more than any service takes of them by repeating.
_long_words = st.builds(lambda words, times: words * times, _words, st.sampled_from([1, 1, 1, 7, 120]))
_numbers = st.none() | st.floats()
_moments = st.datetimes(timezones=st.just(UTC))

_findings = st.builds(
    Finding,
    rule=_words,
    severity=st.sampled_from(ALERT_SEVERITIES),
    sentence=_long_words,
    advice=_long_words,
    service=_long_words,
    target=_words,
    pattern_id=st.none() | _words,
    pool=st.none() | _long_words,
    pattern=st.none() | _long_words,
    call_site=st.none() | _long_words,
    value=_numbers,
    threshold=_numbers,
    unit=st.sampled_from(["ms", "%", "/s", "MB", ""]) | _words,
    trend=st.lists(st.none() | st.floats(), max_size=8).map(tuple),
    trend_s=st.floats(),
)
_alerts: Any = st.builds(
    Alert,
    id=st.text("0123456789abcdef", min_size=16, max_size=16),
    finding=_findings,
    status=st.sampled_from(["firing", "resolved"]),
    began_at=_moments,
    seen_at=_moments,
    fired_at=st.none() | _moments,
    ended_at=st.none() | _moments,
    times=st.integers(1, 9),
)
_many = st.lists(_alerts, max_size=3) | st.builds(
    lambda alert, times: [alert] * times, _alerts, st.sampled_from([9, 99])
)

messages = st.builds(
    AlertMessage,
    key=_words,
    made_at=_moments,
    alerts=_many.map(tuple),
    held_back=st.dictionaries(_words, st.integers(1, 10**9), max_size=4)
    | st.integers(50, 300).map(lambda count: {f"rule_{place}": place for place in range(1, count)}),
    is_test=st.booleans(),
)
"""Whatever anybody could ask a channel to send."""
