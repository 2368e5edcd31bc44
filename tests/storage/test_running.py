"""What runs, as a store knows it: as of each process's last snapshot, and no longer than that may be believed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from querygauge.storage.folding import fold
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from querygauge.storage.store import Store
from querygauge.values import RunningQuery, RunningState, Snapshot
from storage.making import NOON, running, snapshot

TEN_SECONDS = timedelta(seconds=10)


def seen(at: datetime, *queries: RunningQuery, count: int = 0, target: str = "main", **members: str) -> Snapshot:
    """A snapshot that sees these run, and more that are young."""
    states = (RunningState(target, len(queries) + count, 5_000.0, queries),)
    return replace(snapshot(ended=at, **members), running=states, flush_interval_s=10.0)  # type: ignore[arg-type]


def stored(paths: StorePaths, *given: Snapshot) -> Store:
    """A store into which they were folded one after the other."""
    sink = SpoolSink(paths.root, 10)
    for one in given:
        sink.write(one)
        fold(paths)
    return open_store(paths)


def found(store: Store, at: datetime = NOON) -> list[tuple[str, int, list[str]]]:
    """Processes, how many executions each has under way, and the patterns of the slow ones."""
    return [
        (process.process, process.count, [query.summary for query in process.queries]) for process in store.running(at)
    ]


def test_the_last_snapshot_of_a_process_counts(paths: StorePaths) -> None:
    """What it does not tell of any more has ended."""
    long, later = running(number=1), running(number=2)
    assert found(stored(paths, seen(NOON - TEN_SECONDS, long, later), seen(NOON, later, count=3))) == [
        ("web:1", 4, ["SELECT t2"])
    ]
    assert found(stored(paths, seen(NOON + TEN_SECONDS)), NOON + TEN_SECONDS) == []


def test_the_last_of_several_that_are_folded_at_once_counts(paths: StorePaths) -> None:
    """However long nobody folded."""
    sink = SpoolSink(paths.root, 10)
    for seconds in (2, 0, 1):
        sink.write(seen(NOON + timedelta(seconds=seconds), running(number=seconds + 1)))
    assert found(open_store(paths)) == [("web:1", 1, ["SELECT t3"])]


def test_a_late_file_says_nothing_about_now(paths: StorePaths) -> None:
    """A query that has ended does not come back because an older file was found."""
    assert found(stored(paths, seen(NOON), seen(NOON - timedelta(seconds=1), running()))) == []


def test_processes_and_targets_are_kept_apart(paths: StorePaths) -> None:
    """Each says what it has; those of one process are told together."""
    store = stored(
        paths,
        seen(NOON, running(1_000.0, number=1)),
        seen(NOON, running(9_000.0, number=2), target="replica"),
        seen(NOON, running(number=3), process="web:2"),
        seen(NOON, running(number=4), service="jobs"),
    )
    assert found(store) == [
        ("web:1", 1, ["SELECT t4"]),
        ("web:1", 2, ["SELECT t2", "SELECT t1"]),
        ("web:2", 1, ["SELECT t3"]),
    ]
    assert [process.service for process in store.running(NOON, "jobs")] == ["jobs"]


@pytest.mark.parametrize(("seconds", "is_believed"), [(30, True), (31, False)])
def test_who_does_not_report_any_more_runs_nothing(paths: StorePaths, seconds: int, is_believed: bool) -> None:
    """A process that was killed cannot say that its queries have ended; two flushes and ten seconds are waited for."""
    assert bool(found(stored(paths, seen(NOON, running())), NOON + timedelta(seconds=seconds))) is is_believed


def test_a_store_does_not_grow_while_something_runs(paths: StorePaths) -> None:
    """One row takes the place of another, flush after flush."""
    sizes = []
    for seconds in range(24):
        stored(paths, seen(NOON + timedelta(seconds=seconds), running()))
        sizes.append(paths.database.stat().st_size)
    assert max(sizes[12:]) <= max(sizes[:12])


@pytest.mark.parametrize(
    "state",
    [
        RunningState("main", -1),
        RunningState("main", 1, -1.0),
        RunningState(None, 1),  # type: ignore[arg-type]  # what is not a name
        RunningState("main", 1, 1.0, (running(-1.0),)),
        RunningState("main", 1, 1.0, (replace(running(), started=datetime(1960, 1, 1, tzinfo=UTC)),)),
    ],
)
def test_what_cannot_run_is_set_aside(paths: StorePaths, state: RunningState) -> None:
    """A file that says so was damaged, and nothing of it is stored."""
    SpoolSink(paths.root, 10).write(replace(snapshot(), running=(state,)))
    assert len(fold(paths).rejected) == 1
    assert found(open_store(paths)) == []


def test_a_pattern_that_never_ended_is_known(paths: StorePaths) -> None:
    """Its id can be looked up, though no statistics have it yet."""
    query = running(number=7, call_site="shop.py:5 in work", scope="GET /", reason="listens")
    store = stored(paths, seen(NOON, query))
    (process,) = store.running(NOON)
    assert process.queries == (query,)
    assert process.seen == NOON
    history = store.pattern(query.pattern_id)
    assert (history.pattern, history.first_seen, history.targets) == (query.pattern, query.started, ())
