"""What is to be sent: exact, bounded, and the same after it was kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.making import MS, busy, errors, of, pool, stats
from querygauge.clock import microseconds_of
from querygauge.export.accumulation import Accumulation
from querygauge.export.backlog import Backlog
from querygauge.histogram import EMPTY, Histogram
from querygauge.values import Snapshot

_HOUR = 60
_MANY = 100
_EXECUTED = st.lists(st.tuples(st.integers(1, 6), st.lists(st.integers(1, 10**12), min_size=1, max_size=3)), max_size=6)


def _busy(executed: list[tuple[int, list[int]]], process: int, minutes: int) -> Snapshot:
    queries = [stats(durations, of(number)) for number, durations in executed]
    failed = [errors(1, of(number)) for number, _ in executed]
    pools = [pool(f"p{number}", timeouts=number) for number, _ in executed]
    return busy(*queries, process=f"web:{process}", minutes=minutes, failed=failed, pools=pools)


_SNAPSHOTS = st.lists(st.builds(_busy, _EXECUTED, st.integers(1, 3), st.integers(0, 300)), max_size=6)


def _durations(accumulations: tuple[Accumulation, ...]) -> Histogram:
    together = EMPTY
    for accumulation in accumulations:
        for operations in accumulation.operations.values():
            together = together.merged(operations.durations)
    return together


def _all_of(found: list[Snapshot]) -> Histogram:
    together = EMPTY
    for snapshot in found:
        for each in snapshot.queries:
            together = together.merged(each.durations)
    return together


@given(_SNAPSHOTS, st.booleans())
def test_what_is_kept_is_what_was(found: list[Snapshot], is_delta: bool) -> None:
    """To the last bucket."""
    backlog, _ = Backlog(is_delta).with_snapshots(found, 3).ready()
    assert Backlog.of(backlog.kept(), is_delta=is_delta) == backlog


@given(_SNAPSHOTS, st.sets(st.integers(0, 5)), st.integers(1, 4))
def test_deltas_add_up_to_everything(found: list[Snapshot], failing: set[int], most: int) -> None:
    """Whenever some are not delivered, and however few series are told apart."""
    backlog, delivered = Backlog(is_delta=True), list[Accumulation]()
    for number, snapshot in enumerate(found):
        backlog, batch = backlog.with_snapshots([snapshot], most).ready()
        if number not in failing:
            backlog = backlog.delivered(batch)
            delivered += batch
    for _ in range(2):  # what was held up, and what came meanwhile
        backlog, batch = backlog.ready()
        backlog = backlog.delivered(batch)
        delivered += batch
    assert _durations(tuple(delivered)) == _all_of(found)
    assert backlog.ready()[1] == ()


@given(_SNAPSHOTS, st.integers(1, 4))
def test_totals_have_everything(found: list[Snapshot], most: int) -> None:
    """However few series are told apart."""
    _, batch = Backlog(is_delta=False).with_snapshots(found, most).ready()
    assert _durations(batch) == _all_of(found)


@given(_SNAPSHOTS, st.integers(1, 4))
def test_no_more_is_told_apart_than_is_allowed(found: list[Snapshot], most: int) -> None:
    """And what is told together is one series more."""
    _, batch = Backlog(is_delta=False).with_snapshots(found, most).ready()
    for each in batch:
        assert max(len(each.operations), len(each.failures), len(each.pools)) <= most + 1


def test_what_is_being_sent_stays_as_it_is() -> None:
    """So that it can be sent again with the same numbers and times; what comes meanwhile waits behind it."""
    backlog, first = Backlog(is_delta=True).with_snapshots([busy(stats([MS]), minutes=1)], _MANY).ready()
    backlog = Backlog.of(backlog.kept(), is_delta=True).with_snapshots([busy(stats([MS, MS]), minutes=2)], _MANY)
    backlog, again = backlog.ready()
    assert again == first
    backlog, second = backlog.delivered(again).ready()
    assert (_durations(second).count, second[0].started_us) == (2, first[0].ended_us)


def test_of_what_was_delivered_in_part_the_rest_is_sent() -> None:
    """Process by process."""
    found = [busy(stats([MS]), process="web:1"), busy(stats([MS]), process="web:2")]
    backlog, batch = Backlog(is_delta=True).with_snapshots(found, _MANY).ready()
    _, rest = backlog.delivered(batch[:1]).ready()
    assert rest == batch[1:]


def test_totals_that_were_not_delivered_are_in_the_next() -> None:
    """And a process without news is not told of twice."""
    backlog, _ = Backlog(is_delta=False).with_snapshots([busy(stats([MS]), minutes=1)], _MANY).ready()
    backlog, batch = backlog.with_snapshots([busy(stats([MS]), minutes=2)], _MANY).ready()
    assert _durations(batch).count == 2
    assert backlog.delivered(batch).ready()[1] == ()


def test_several_gauges_of_a_process_are_one() -> None:
    """Each has snapshots of its own; a pool that one of them does not tell of is there."""
    first = busy(stats([MS]), pools=[pool("a")], minutes=1)
    second = busy(stats([MS]), pools=[pool("b")], minutes=1.01)
    third = busy(stats([MS]), pools=[pool("a")], minutes=2)
    _, (accumulation,) = Backlog(is_delta=False).with_snapshots([first, second, third], _MANY).ready()
    assert _durations((accumulation,)).count == 3
    assert [accumulation.has(totals) for totals in accumulation.pools.values()] == [True, True]


def test_a_pool_that_is_gone_has_no_state() -> None:
    """What it did stays in the totals."""
    found = [busy(pools=[pool("a", timeouts=2)], minutes=1), busy(pools=[pool("b")], minutes=9)]
    _, (accumulation,) = Backlog(is_delta=False).with_snapshots(found, _MANY).ready()
    assert [(totals.timeouts, accumulation.has(totals)) for totals in accumulation.pools.values()] == [
        (2, False),
        (0, True),
    ]
    assert len(accumulation.emptied().pools) == 1


def test_a_series_without_news_makes_room() -> None:
    """After an hour, once it was delivered; if it comes back, it begins anew."""
    backlog, batch = Backlog(is_delta=False).with_snapshots([busy(stats([MS], of(1)))], 1).ready()
    later = busy(stats([MS], of(2)), minutes=2 * _HOUR)
    _, ((unsent),) = backlog.with_snapshots([later], 1).ready()
    assert [dict(series).get("db.query.summary") for series in unsent.operations] == ["SELECT t1", None]
    backlog = backlog.delivered(batch)
    # What ended an hour before the last snapshot is the last that may go.
    backlog = backlog.with_snapshots([busy(minutes=2 * _HOUR), later], 1)
    _, (sent,) = backlog.ready()
    ((series, operations),) = sent.operations.items()
    assert dict(series)["db.query.summary"] == "SELECT t2"
    assert operations.since_us == microseconds_of(later.started)


def test_failures_of_what_is_told_together_are_told_by_the_error() -> None:
    """A statement that is not told apart is not told apart by how it fails either."""
    found = busy(stats([9 * MS], of(1)), stats([5 * MS], of(2)), stats([MS], of(3)), failed=[errors(4, of(3))])
    _, (accumulation,) = Backlog(is_delta=False).with_snapshots([found], 2).ready()
    ((series, count),) = accumulation.failures.items()
    assert count == 4
    assert dict(series) == {
        "otel.metric.overflow": True,
        "error.type": "UniqueViolation",
        "db.response.status_code": "23505",
    }


def test_time_moves_on_though_the_clock_was_set_back() -> None:
    """A point whose time does not is refused by receivers."""
    backlog, first = Backlog(is_delta=True).with_snapshots([busy(stats([MS]), minutes=60)], _MANY).ready()
    _, second = backlog.delivered(first).with_snapshots([busy(stats([MS]), minutes=1)], _MANY).ready()
    assert _durations(second).count == 1
    assert first[0].ended_us == second[0].started_us < second[0].ended_us


def test_processes_that_are_over_are_forgotten() -> None:
    """A quarter of an hour after they were told of, and not before."""
    noon = busy(stats([MS]))
    now_us = microseconds_of(noon.ended) + 16 * 60_000_000
    for is_delta in (False, True):
        backlog, batch = Backlog(is_delta).with_snapshots([noon], _MANY).ready()
        assert len(backlog.without_gone(now_us).processes) == 1
        assert backlog.delivered(batch).without_gone(now_us) == Backlog(is_delta)


def test_too_many_processes_are_given_up_and_counted() -> None:
    """The longest silent first."""
    found = [busy(stats([MS]), minutes=number, process=f"web:{number}") for number in range(503)]
    backlog = Backlog(is_delta=False).with_snapshots(found, _MANY).without_gone(0)
    assert (len(backlog.processes), backlog.dropped) == (500, 3)
    assert ("shop", "web:2") not in backlog.processes


def test_deltas_become_totals() -> None:
    """With everything that was not delivered."""
    backlog, _ = Backlog(is_delta=True).with_snapshots([busy(stats([MS]), minutes=1)], _MANY).ready()
    backlog = backlog.with_snapshots([busy(stats([MS]), minutes=2)], _MANY)
    turned = Backlog.of(backlog.kept(), is_delta=False)
    assert (turned.is_delta, _durations(turned.ready()[1]).count) == (False, 2)


def test_totals_become_deltas() -> None:
    """Of what comes from then on, as the others have the rest."""
    backlog, batch = Backlog(is_delta=False).with_snapshots([busy(stats([MS]), minutes=1)], _MANY).ready()
    turned = Backlog.of(backlog.delivered(batch).kept(), is_delta=True)
    assert turned.ready()[1] == ()
    _, batch = turned.with_snapshots([busy(stats([MS]), minutes=2)], _MANY).ready()
    assert _durations(batch).count == 1


@pytest.mark.parametrize("kept", [b"", b"[]", b"{}", b'{"processes": [1], "batch": []}', b"\xff"])
def test_what_somebody_else_kept_is_refused(kept: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(ValueError, match="what is kept to be sent must be as it was written"):
        Backlog.of(kept, is_delta=False)
