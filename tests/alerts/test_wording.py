"""What a message says, whoever is told."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.samples import ALERT, DIGEST, MESSAGE, RESOLVED, SLOW, TEST, message_of, messages
from querygauge.alerts.wording import amount, headline, held_back, lines, one_line, runbook_url, shortened, text
from querygauge.values.alerts import AlertMessage, Finding


def test_an_alert_in_full() -> None:
    """What happened, how bad, numbers, where, the query, its line, how it went, what to do and where to read on."""
    assert text(MESSAGE) == (
        "Slow Query Alert: 1500ms (shop)\n\n"
        "What: SELECT orders took 1500 ms at the 95th percentile, over 1000 ms\n"
        "Severity: critical, firing since 2026-03-04 11:55 UTC\n"
        "Measured: 1500ms, threshold 1000ms\n"
        "Where: shop @ primary\n"
        "Pattern: SELECT id, total FROM orders WHERE customer_id = ? AND note <> ? & 1\n"
        "Called from: shop/orders.py:31 in latest\n"
        "Trend: ▂▂·▅█ from 200ms to 1500ms in 25 min 00 s\n"
        "What to do: Look at its plan, and at what it filters by.\n"
        "Look further: querygauge patterns show 00c0ffee00c0ffee\n"
        "Runbook: docs/runbooks/slow_query.md\n"
    )


def test_what_nobody_knows_is_not_said() -> None:
    """A finding about a service has no line for a pattern, a pool or a trend."""
    found = Finding("error_rate", "warning", "12 % failed", "Look at the errors.", "shop")
    said = lines(replace(ALERT, finding=found))
    assert [line.label for line in said] == ["What", "Severity", "Where", "What to do", "Look further", "Runbook"]


@pytest.mark.parametrize(
    ("finding", "command"),
    [
        (SLOW, "querygauge patterns show 00c0ffee00c0ffee"),
        (replace(SLOW, pattern_id=None, service="the shop"), "querygauge report --service 'the shop'"),
        (Finding("disk_low", "warning", "", ""), "querygauge status"),
    ],
)
def test_how_to_look_further(finding: Finding, command: str) -> None:
    """A command that may be pasted, about the pattern, the service or the store."""
    assert [line.text for line in lines(replace(ALERT, finding=finding)) if line.label == "Look further"] == [command]


def test_an_end_says_since_when_and_until_when() -> None:
    """And that it came again, if it did."""
    assert headline(RESOLVED) == "Resolved: Slow Query Alert: 1500ms (shop)"
    again = replace(RESOLVED.alerts[0], times=3)
    (state,) = (line.text for line in lines(again) if line.label == "Severity")
    assert state == (
        "critical, resolved; it was wrong since 2026-03-04 11:55 UTC until 2026-03-04 12:55 UTC, "
        "3 times within an hour of having been well"
    )


def test_several_alerts_are_one_message() -> None:
    """Each of them in full, or as many as asked for and the number of the others."""
    message = message_of(SLOW, replace(SLOW, pattern="SELECT 2"), replace(SLOW, pattern="SELECT 3"))
    assert headline(message) == "Slow Query Alert: 1500ms and 2 more (shop)"
    assert "Pattern: SELECT 3" in text(message)
    short = text(message, most=1)
    assert "SELECT 2" not in short
    assert short.endswith("And 2 more alerts.\n")


def test_a_digest_accounts_for_every_alert() -> None:
    """By rule, the most first."""
    assert text(DIGEST) == (
        "13 alerts held back\n\nNot sent, because there were too many:\nslow_query: 12\nerror_rate: 1\n"
    )
    assert headline(AlertMessage("k", MESSAGE.made_at, held_back={"slow_query": 1})) == "1 alert held back"


def test_a_test_says_that_it_is_one() -> None:
    """With or without an alert in it."""
    assert text(TEST) == "[TEST] querygauge reaches this channel\n\nThis is a test. Nothing is wrong.\n"
    marked = text(replace(MESSAGE, is_test=True))
    assert marked.startswith("[TEST] Slow Query Alert: 1500ms (shop)\n\nThis is a test. Nothing is wrong.\n\nWhat: ")


@pytest.mark.parametrize(
    ("trend", "chart"),
    [
        ((1.0, float("nan"), None, float("inf"), 2.0), ["▄···█ from 1ms to 2ms in 2 h 00 min"]),
        ((-1.0, 1.0), ["·█ from -1ms to 1ms in 2 h 00 min"]),
        ((3.0, 3.0), ["██ always 3ms in 2 h 00 min"]),
        (tuple(range(1, 101)), ["▅" * 2 + "▆" * 13 + "▇" * 12 + "█" * 13 + " from 61ms to 100ms in 48 min 00 s"]),
        ((0.0, 0.0), []),
        ((float("nan"),), []),
        ((None, None), []),
    ],
)
def test_a_trend_is_a_small_chart(trend: tuple[float | None, ...], chart: list[str]) -> None:
    """Of its last forty values, from the lowest to the highest; what is not known is a gap, and nothing is no chart."""
    said = lines(replace(ALERT, finding=replace(SLOW, trend=trend, trend_s=7_200.0)))
    assert [line.text for line in said if line.label == "Trend"] == chart


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_a_trend_of_an_unknown_span(seconds: float) -> None:
    """Is drawn all the same."""
    said = lines(replace(ALERT, finding=replace(SLOW, trend=(1.0, 2.0), trend_s=seconds)))
    assert [line.text for line in said if line.label == "Trend"] == ["▄█ from 1ms to 2ms"]


def test_runbooks_may_be_elsewhere() -> None:
    """The name of a rule is one part of an address, whatever is in it."""
    assert runbook_url("slow_query") == "docs/runbooks/slow_query.md"
    assert runbook_url("a/../b c", "https://wiki.example/alerts") == "https://wiki.example/alerts/a%2F..%2Fb%20c.md"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1500.0, "ms", "1500ms"),
        (12.5, "%", "12.5%"),
        (3.25, "/s", "3.25/s"),
        (512.0, "MB", "512 MB"),
        (7.0, "", "7"),
        (1e300, "ms", "1e+300ms"),
        (float("nan"), "ms", "nanms"),
    ],
)
def test_amounts(value: float, unit: str, shown: str) -> None:
    """As short as they are of use."""
    assert amount(value, unit) == shown


@given(st.text(st.characters(codec=None)), st.integers(1, 40))
def test_a_line_is_one_line(words: str, most: int) -> None:
    """Nothing in it breaks a line, is half of a character or turns text around, and it is as short as asked for."""
    line = shortened(one_line(words), most)
    line.encode()
    assert len(line.encode("utf-16-le")) // 2 <= most
    assert not any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in line)
    assert one_line(one_line(words)) == one_line(words)


def test_what_is_short_enough_stays_as_it_is() -> None:
    """And of what is not, the end is missing and seen to be."""
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"
    assert shortened("😀😀", 4) == "😀😀"
    assert shortened("😀😀", 3) == "😀…"


@given(messages)
@settings(max_examples=50, deadline=None)
def test_any_message_has_words(message: AlertMessage) -> None:
    """For any alerts: a headline in one line, lines without breaks, and every alert held back counted."""
    assert "\n" not in headline(message)
    assert text(message, most=3).encode()
    assert sum(int(line.text.replace(",", "")) for line in held_back(message)) == sum(message.held_back.values())
    for alert in message.alerts[:3]:
        assert all("\n" not in line.text and line.text for line in lines(alert))
