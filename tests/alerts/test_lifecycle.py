"""How an alert begins, lasts and ends, look by look."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querygauge.alerts.lifecycle import Look, Patience, look, messages
from querygauge.values.alerts import Alert, AlertSeverity, Finding, Silence

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PATIENCE = {"leak": Patience(timedelta(0), 10 * MINUTE, tells_end=False)}
WARNING = Finding("error_rate", "warning", "12 % failed", "look at the errors", "shop", value=12.0)
CRITICAL = replace(WARNING, severity="critical", sentence="30 % failed", value=30.0)
LEAK = Finding("leak", "warning", "a connection leaked", "look at the line", "shop", pool="main")


class Watch:
    """Looks once a minute, and remembers what is known as a store would."""

    def __init__(self, *, silences: Iterable[Silence] = ()) -> None:
        self.now = NOON
        self.known: dict[str, Alert] = {}
        self.silences = tuple(silences)

    def look(self, *findings: Finding, after: timedelta = MINUTE) -> Look:
        """After so long, with so much found."""
        self.now += after
        seen = look(self.known.values(), findings, self.now, patience=PATIENCE, silences=self.silences)
        self.known |= {alert.id: alert for alert in seen.alerts}
        for alert in seen.dropped:
            del self.known[alert.id]
        return seen

    def minutes(self, count: int, *findings: Finding) -> list[tuple[int, str, AlertSeverity]]:
        """So many looks: in which minute what was told."""
        told: list[tuple[int, str, AlertSeverity]] = []
        for minute in range(count):
            told += [(minute, alert.status, alert.finding.severity) for alert in self.look(*findings).told]
        return told


def test_what_lasts_is_told_once() -> None:
    """After its five minutes, and not again before twelve hours."""
    watch = Watch()
    assert watch.minutes(10, WARNING) == [(5, "firing", "warning")]
    assert watch.minutes(12 * 60, WARNING) == [(12 * 60 - 5, "firing", "warning")]


def test_what_has_no_end_to_tell_is_closed_where_it_is_kept_open() -> None:
    """Nobody is told of it, and nothing stays open for ever; what nobody was told of has nothing to close."""
    watch = Watch()
    (leak,) = watch.look(LEAK).told
    for _ in range(9):
        assert watch.look() == ((), (), (), ())
    seen = watch.look()
    assert (seen.told, [(alert.id, alert.status) for alert in seen.closed]) == ((), [(leak.id, "resolved")])
    silenced = Watch(silences=[Silence("a", NOON, NOON + 60 * MINUTE)])
    assert silenced.minutes(1, LEAK) == []
    assert [look.closed for look in (silenced.look() for _ in range(20))] == [()] * 20


def test_what_is_over_at_once_was_no_alert() -> None:
    """Nor does it begin where it left off."""
    watch = Watch()
    for _ in range(3):
        assert watch.minutes(4, WARNING) == []
        assert [alert.status for alert in watch.look().dropped] == ["pending"]
    assert watch.known == {}


def test_the_end_is_told() -> None:
    """Once it has been well for five minutes; a single look in between is not the end."""
    watch = Watch()
    watch.minutes(6, WARNING)
    assert watch.minutes(4) == []
    assert watch.minutes(2, WARNING) == []
    assert watch.minutes(10) == [(4, "resolved", "warning")]
    (alert,) = watch.known.values()
    assert alert.ended_at == watch.now - 5 * MINUTE


def test_what_becomes_worse_is_told_at_once() -> None:
    """And what becomes a little better again is not."""
    watch = Watch()
    watch.minutes(6, WARNING)
    assert watch.minutes(1, CRITICAL) == [(0, "firing", "critical")]
    assert watch.minutes(5, WARNING) == []
    (alert,) = watch.known.values()
    assert (alert.finding.severity, alert.finding.value) == ("critical", 12.0)


def test_what_happens_once_has_no_end_to_tell() -> None:
    """It is told at once, and more of it within ten minutes is the same."""
    watch = Watch()
    assert watch.minutes(3, LEAK) == [(0, "firing", "warning")]
    assert watch.minutes(20) == []
    assert [alert.status for alert in watch.known.values()] == ["resolved"]


def test_what_comes_and_goes_is_told_less_and_less() -> None:
    """Each further time it must be gone for twice as long."""
    watch = Watch()
    told = []
    for _ in range(20):
        told += watch.minutes(6, WARNING)
        told += watch.minutes(6)
    # 4 hours of six minutes on, six minutes off: twenty times would be forty messages.
    assert len(told) == 3
    assert [status for _, status, _ in told] == ["firing", "resolved", "firing"]
    assert max(alert.times for alert in watch.known.values()) == 2


def test_critical_hides_a_warning_about_the_same_thing() -> None:
    """Not one about another; when the worse is over, the warning is told."""
    watch = Watch()
    same = replace(WARNING, rule="success_rate")
    other = replace(same, service="blog")
    watch.minutes(5, CRITICAL, same, other)
    told = watch.look(CRITICAL, same, other).told
    assert {(alert.finding.rule, alert.finding.service) for alert in told} == {
        ("error_rate", "shop"),
        ("success_rate", "blog"),
    }
    told_later = [alert for _ in range(10) for alert in watch.look(same, other).told]
    assert [(alert.finding.rule, alert.status) for alert in told_later] == [
        ("error_rate", "resolved"),
        ("success_rate", "firing"),
    ]


def test_what_everybody_was_told_of_is_for_everybody_to_the_end() -> None:
    """Tags that come later would keep its end from those who have no such tags."""
    watch = Watch()
    watch.look(LEAK)
    watch.look(replace(LEAK, tags=("team=search",)))
    assert {alert.finding.tags for alert in watch.known.values()} == {()}
    others = Watch()
    others.look(replace(LEAK, tags=("team=search",)))
    others.look(replace(LEAK, tags=("team=payments",)))
    assert {alert.finding.tags for alert in others.known.values()} == {("team=search", "team=payments")}


def test_nobody_is_told_in_a_silence() -> None:
    """What still lasts when it ends is told then; the end of what was told before is told in any case."""
    silence = Silence("0" * 8, NOON, NOON + 30 * MINUTE, rule="error_*", service="shop")
    watch = Watch(silences=[silence])
    assert watch.minutes(40, WARNING) == [(29, "firing", "warning")]
    watch.silences = (replace(silence, until=watch.now + 60 * MINUTE),)
    assert watch.minutes(10) == [(4, "resolved", "warning")]


@pytest.mark.parametrize(
    ("silence", "covers"),
    [
        ({}, True),
        ({"rule": "leak"}, True),
        ({"rule": "error_rate"}, False),
        ({"service": "sh*"}, True),
        ({"service": "blog"}, False),
        ({"subject": "main"}, True),
        ({"subject": "replica"}, False),
        ({"rule": "leak", "service": "shop", "subject": "other"}, False),
    ],
)
def test_a_silence_covers_what_it_names(silence: dict[str, str], covers: bool) -> None:
    """All of what it names, and until it ends."""
    made = Silence("0" * 8, NOON, NOON + MINUTE, **silence)
    assert made.covers(LEAK, NOON) is covers
    assert not made.covers(LEAK, NOON + MINUTE)


def test_what_nobody_saw_did_not_last() -> None:
    """Two looks an hour apart say nothing of the hour."""
    watch = Watch()
    watch.look(WARNING)
    assert watch.look(WARNING, after=60 * MINUTE).told == ()
    assert watch.minutes(6, WARNING) == [(4, "firing", "warning")]


@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=365)])
def test_a_clock_set_back_holds_up_nothing(back: timedelta) -> None:
    """What began in the future begins now, and ends."""
    watch = Watch()
    watch.minutes(7, WARNING)
    watch.now -= back
    watch.minutes(6, replace(WARNING, service="blog"), WARNING)
    told = watch.minutes(10)
    assert sorted(status for _, status, _ in told) == ["resolved", "resolved"]


def test_what_comes_for_weeks_is_looked_at_all_the_same() -> None:
    """However often it has come: a span that doubles each time would be longer than any there is."""
    watch = Watch()
    for _ in range(100):
        assert watch.look(LEAK, after=timedelta(minutes=1)).told
        watch.look(after=timedelta(minutes=61))
    assert max(alert.times for alert in watch.known.values()) == 100


def test_one_that_ended_under_a_clock_that_was_ahead_hides_none_that_is_open() -> None:
    """Else each look would begin another one about the same thing."""
    watch = Watch()
    watch.minutes(6, WARNING)
    watch.minutes(6)
    watch.now -= timedelta(days=1)
    told = watch.minutes(10, WARNING)
    assert told == [(5, "firing", "warning")]
    assert len([alert for alert in watch.known.values() if alert.status == "firing"]) == 1


def test_of_two_findings_about_one_thing_the_worse_counts() -> None:
    """Whatever their order."""
    for both in ((WARNING, CRITICAL), (CRITICAL, WARNING)):
        assert [alert.finding.severity for alert in Watch().look(*both).alerts] == ["critical"]


def test_alerts_of_one_rule_are_one_message() -> None:
    """The worst first; what began and what ended are two."""
    watch = Watch()
    pools = [replace(LEAK, pool=name) for name in ("a", "b")]
    worse = replace(LEAK, pool="c", severity="critical")
    made = list(messages(watch.look(*pools, worse, replace(LEAK, service="blog")).told, watch.now))
    assert [[alert.finding.pool for alert in message.alerts] for message in made] == [["c", "a", "b"], ["main"]]
    assert len({message.key for message in made}) == 2


_findings = st.lists(st.sampled_from([WARNING, CRITICAL, LEAK, replace(WARNING, service="blog")]), max_size=3)


@given(st.lists(st.tuples(_findings, st.sampled_from([0, 1, 2, 10, 120])), max_size=60))
def test_nothing_ends_that_did_not_begin(looks: list[tuple[list[Finding], int]]) -> None:
    """For any history: what is told to end was told to begin, and each alert begins and ends once at most."""
    watch = Watch()
    begun: set[str] = set()
    ended: set[str] = set()
    for findings, minutes in looks:
        for alert in watch.look(*findings, after=minutes * MINUTE).told:
            if alert.status == "resolved":
                assert alert.id in begun
                assert alert.id not in ended
                ended.add(alert.id)
            else:
                assert alert.id not in ended
                begun.add(alert.id)
    open_keys = [alert.finding.key for alert in watch.known.values() if alert.status != "resolved"]
    assert len(open_keys) == len(set(open_keys))
