"""Patterns that have series of their own: how many, which, and that no series ever falls."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querygauge.clock import microseconds_of
from querygauge.export.prometheus_digest import EXECUTIONS, Digest, PatternPart
from querygauge.export.prometheus_families import BOUNDS
from querygauge.export.prometheus_patterns import PatternTotals
from querygauge.export.prometheus_state import decoded, encoded
from querygauge.export.prometheus_totals import Totals
from querygauge.histogram import Histogram

_NOON_US = microseconds_of(datetime(2026, 1, 1, 12, tzinfo=UTC))
_MINUTE_US = 60_000_000
_MS = 1_000_000


def _digest(executions: Mapping[str, int], at_us: int = _NOON_US, *, ms: int = 2) -> Digest:
    """So many executions of each pattern, each of 2 ms."""
    parts = {}
    for name, count in executions.items():
        durations = Histogram.of([ms * _MS] * count)
        numbers = [count, 0, 0, 0, 0, 0, 0, *[0] * (len(BOUNDS) + 1), durations.total_ns]
        parts[name] = PatternPart(numbers, (f"SELECT {name}", "SELECT", name), durations)
    return Digest("shop", "web:1", "a.1", at_us, 10.0, patterns=parts)


def _counts(patterns: PatternTotals, now_us: int = _NOON_US) -> dict[str, int]:
    """Executions by series."""
    own = {key[1]: sum(patterns.numbers[key][EXECUTIONS]) for key in patterns.shown(now_us)}
    return own | {"other": sum(numbers[0] for numbers in patterns.other.values())}


def _kept(patterns: PatternTotals, *digests: Digest, most: int, now_us: int) -> PatternTotals:
    """What a tick makes of it that takes these in."""
    for digest in digests:
        patterns.add(digest, decides=True)
    patterns.decide(now_us, most)
    return decoded(encoded(Totals(patterns))).patterns


def test_so_many_have_series_and_the_rest_is_other() -> None:
    """Whoever comes first has one while there is room."""
    patterns = _kept(PatternTotals.empty(2), _digest({"a": 1, "b": 2, "c": 4}), most=2, now_us=_NOON_US)
    assert _counts(patterns) == {"a": 1, "b": 2, "other": 4}


def test_what_nobody_decided_about_waits_for_the_next_tick() -> None:
    """It may have a series then, or be other; nobody can take back what was served."""
    patterns = PatternTotals.empty(2)
    patterns.add(_digest({"a": 1}))
    assert _counts(patterns) == {"other": 0}
    kept = _kept(PatternTotals.empty(2), _digest({"a": 1}), most=2, now_us=_NOON_US)
    kept.add(_digest({"a": 1, "b": 1}))
    assert _counts(kept) == {"a": 2, "other": 0}


def test_without_room_it_is_other_at_once() -> None:
    """And stays that."""
    patterns = _kept(PatternTotals.empty(1), _digest({"a": 1}), most=1, now_us=_NOON_US)
    patterns.add(_digest({"b": 3}))
    assert _counts(patterns) == {"a": 1, "other": 3}


def test_who_takes_much_more_time_comes_to_the_top_later() -> None:
    """What ended before the moment that was given notice of is booked as before, whenever it is read."""
    patterns = _kept(PatternTotals.empty(1), _digest({"a": 1, "b": 9}), most=1, now_us=_NOON_US)
    assert _counts(patterns) == {"a": 1, "other": 9}
    patterns.add(_digest({"a": 1, "b": 9}, _NOON_US + 1))
    assert _counts(patterns) == {"a": 2, "other": 18}
    later = _NOON_US + _MINUTE_US
    patterns.add(_digest({"a": 1, "b": 9}, later))
    assert _counts(patterns, later) == {"b": 9, "other": 19}


def test_who_takes_a_little_more_time_does_not() -> None:
    """Two that are alike must not take turns."""
    patterns = _kept(PatternTotals.empty(1), _digest({"a": 10, "b": 11}), most=1, now_us=_NOON_US)
    assert _counts(patterns, _NOON_US + _MINUTE_US) == {"a": 10, "other": 11}


def test_who_comes_back_goes_on_where_it_was() -> None:
    """Its series rises from the value that it had."""
    patterns = _kept(PatternTotals.empty(1), _digest({"a": 5}), most=1, now_us=_NOON_US)
    at_us = _NOON_US
    for name in ("b", "a"):
        at_us += _MINUTE_US
        patterns = _kept(patterns, _digest({name: 1_000}, at_us), most=1, now_us=at_us)
        at_us += _MINUTE_US
    # The hour in between halves what was long ago; the newest is at the top again.
    patterns = _kept(patterns, _digest({"a": 9_000}, at_us), most=1, now_us=at_us)
    assert _counts(patterns, at_us + _MINUTE_US)["a"] >= 5


@pytest.mark.parametrize("most", [1, 3])
def test_another_limit_applies_later(most: int) -> None:
    """It is given notice of as well."""
    patterns = _kept(PatternTotals.empty(2), _digest({"a": 8, "b": 4, "c": 1}), most=most, now_us=_NOON_US)
    assert patterns.shown(_NOON_US) == {("shop", "a"), ("shop", "b")}
    later = patterns.generations[-1]
    assert (later.most, later.since_us > _NOON_US, len(later.keys)) == (most, True, most)


def test_what_is_remembered_is_bounded() -> None:
    """However many patterns there are."""
    patterns = PatternTotals.empty(2)
    for number in range(100):
        digest = _digest({f"p{number}-{each}": 1 + number for each in range(5)}, _NOON_US + number * _MINUTE_US)
        patterns = _kept(patterns, digest, most=2, now_us=_NOON_US + number * _MINUTE_US)
    assert (len(patterns.numbers) <= 20, len(patterns.scores), len(patterns.generations)) == (True, 20, 3)
    assert len(patterns.windows) <= 7


def test_durations_are_bounded_where_no_tick_comes() -> None:
    """Whoever is scraped meanwhile adds up and decides nothing."""
    patterns = PatternTotals.empty(2)
    patterns.add(_digest({"a": 1}, _NOON_US), decides=True)
    for minute in range(100):
        patterns.add(_digest({"a": 1}, _NOON_US + minute * _MINUTE_US))
    assert len(patterns.windows) <= 10
    assert patterns.lately(_NOON_US + 99 * _MINUTE_US)["shop", "a"].count == 5


def test_quantiles_are_those_of_five_minutes() -> None:
    """From merged buckets; what is older counts no more."""
    patterns = PatternTotals.empty(2)
    for minute, ms in ((0, 900), (6, 10), (7, 20), (8, 30)):
        patterns.add(_digest({"a": 1}, _NOON_US + minute * _MINUTE_US, ms=ms), decides=True)
    lately = patterns.lately(_NOON_US + 9 * _MINUTE_US)["shop", "a"]
    assert (lately.count, lately.max_ms) == (3, 30.0)
    assert lately.quantile_ms(0.5) == pytest.approx(20.0, rel=0.0109)


_DIGESTS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 50), min_size=1, max_size=5), st.integers(0, 90)
    ),
    min_size=1,
    max_size=25,
)


@given(_DIGESTS, st.data())
@settings(deadline=None)
def test_no_series_ever_falls(digests: list[tuple[dict[str, int], int]], data: st.DataObject) -> None:
    """Whatever files a reader has seen and whenever ticks take in which; and all of it is in some series."""
    state, unread, now_us, executed = None, [], _NOON_US, 0
    shown: dict[str, int] = {}
    for executions, pause_s in digests:
        now_us += pause_s * 1_000_000
        unread.append(_digest(executions, now_us))
        executed += sum(executions.values())
        if data.draw(st.booleans()):
            taken = data.draw(st.integers(0, len(unread)))
            totals = decoded(state, 3)
            for digest in unread[:taken]:
                totals.patterns.add(digest, decides=True)
            totals.patterns.decide(now_us, 3)
            state, unread = encoded(totals), unread[taken:]
        reader = decoded(state, 3).patterns
        for digest in unread:
            reader.add(digest)
        counts = _counts(reader, now_us)
        assert {name: count for name, count in counts.items() if count < shown.get(name, 0)} == {}
        assert len(counts) <= 4
        shown |= counts
    totals = decoded(state, 3)
    for digest in unread:
        totals.patterns.add(digest, decides=True)
    own = sum(numbers[0] for numbers in totals.patterns.numbers.values())
    assert own + _counts(totals.patterns)["other"] == executed
