"""Minutes, hours and days: whoever reads a span gets the same, whatever is rolled up."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path

import duckdb
import pytest

from querygauge.errors import StoreError
from querygauge.histogram import Histogram
from querygauge.storage.database import SCHEMA_VERSION, open_database, statements
from querygauge.storage.election import elected
from querygauge.storage.folding import fold
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import OutcomeCounts, PhaseTimes, QueryStats, Snapshot
from storage.making import NOON, pattern, snapshot, total

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SCOPES = (None, "GET /a", "GET /b")


def _some_stats(dice: random.Random, ended: datetime, number: int) -> QueryStats:
    times = dice.randrange(1, 40)
    durations = Histogram.of([round(dice.lognormvariate(14, 1)) for _ in range(times)])
    failed = dice.randrange(times)
    label = dice.choice(SCOPES)
    return QueryStats(
        pattern(number),
        "main",
        OutcomeCounts(ok=times - failed, error=failed),
        dice.randrange(times),
        times * 3,
        times,
        durations,
        ended - timedelta(seconds=9),
        ended,
        PhaseTimes(pool_wait_ns=dice.randrange(1000), commit_ns=dice.randrange(1000)),
        {f"app/{dice.choice('xyz')}.py:1 in f": times},
        label,
        {"tenant": "a"} if label else {},
    )


def _snapshots(dice: random.Random, count: int, days: int) -> Iterator[Snapshot]:
    for _ in range(count):
        ended = NOON + timedelta(seconds=dice.randrange(days * 86_400))
        one = snapshot(ended=ended, service=dice.choice(["shop", "mail"]))
        by_place = {(s.pattern_id, s.scope): s for s in (_some_stats(dice, ended, n) for n in (1, 2, 1, 2))}
        yield replace(one, queries=tuple(by_place.values()))


def _expected(all_snapshots: list[Snapshot], since: datetime, until: datetime) -> dict[str, QueryStats]:
    """Merged by pattern, of the snapshots whose minute lies within."""
    found: dict[str, list[QueryStats]] = {}
    for one in all_snapshots:
        if since <= one.ended.replace(second=0, microsecond=0) < until:
            for each in one.queries:
                found.setdefault(each.pattern_id, []).append(each)
    return {name: reduce(QueryStats.merged, many) for name, many in found.items()}


def _same(found: list[QueryStats], expected: dict[str, QueryStats]) -> bool:
    """Whether all numbers are; buckets at the scale of what was found."""
    assert {each.pattern_id for each in found} == set(expected)
    for each in found:
        other = expected[each.pattern_id]
        assert each.durations == other.durations.coarsened(each.durations.scale)
        for name in ("outcomes", "slow_count", "rows", "rows_known_count", "first_seen", "last_seen", "phases"):
            assert getattr(each, name) == getattr(other, name), name
        assert dict(each.lines) == dict(other.lines)
    return True


def _rolled(paths: StorePaths) -> dict[str, int]:
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
            for table in ("query_stats", "query_stats_hourly", "query_stats_daily", "pending_rollups")
        }


@pytest.mark.parametrize("seed", range(3))
def test_every_span_is_the_same_whatever_is_rolled_up(paths: StorePaths, seed: int) -> None:
    """Files come in any order, some days late, with roll-ups between them; spans begin and end anywhere."""
    dice = random.Random(seed)
    written: list[Snapshot] = []
    for step in range(6):
        for one in _snapshots(dice, 25, days=4):
            SpoolSink(paths.root, 10).write(one)
            written.append(one)
        fold(paths)
        roll_up(paths, NOON + dice.choice([1, 2, 5]) * DAY, most=dice.choice([3, None]))
        store = open_store(paths)
        for _ in range(6):
            since = NOON.replace(second=0) + dice.randrange(-60, 5 * 1440) * timedelta(minutes=1)
            until = since + dice.choice([1, 10, 59, 60, 300, 1500, 5000]) * timedelta(minutes=1)
            assert _same(store.query_stats(since, until), _expected(written, since, until)), (step, since, until)
        assert _same(store.query_stats(), _expected(written, NOON - DAY, NOON + 9 * DAY))


def test_days_are_read_by_day_where_the_span_is_long(paths: StorePaths) -> None:
    """From 45 days on whole days are taken from the table of days, whose buckets are half as many."""
    dice = random.Random(7)
    written = [replace(one, ended=one.ended) for one in _snapshots(dice, 60, days=60)]
    for one in written:
        SpoolSink(paths.root, 10).write(one)
    fold(paths)
    store = open_store(paths)
    since, until = NOON.replace(second=0) - HOUR, NOON + 70 * DAY
    assert store.query_stats(since, until)[0].durations.scale == 5
    roll_up(paths, until)
    found = store.query_stats(since, until)
    assert found[0].durations.scale == 4
    assert _same(found, _expected(written, since, until))
    assert store.query_stats(since, since + 40 * DAY)[0].durations.scale == 5


def test_what_is_not_over_is_not_rolled_up(paths: StorePaths) -> None:
    """Two minutes after the end of an hour its last files have come."""
    SpoolSink(paths.root, 10).write(snapshot(3))
    assert not fold(paths).rejected
    one = NOON.replace(minute=0, second=0) + HOUR
    assert roll_up(paths, one + timedelta(seconds=119)) == 0
    assert roll_up(paths, one + timedelta(seconds=120)) == 1
    assert _rolled(paths) == {
        "query_stats": 1,
        "query_stats_hourly": 1,
        "query_stats_daily": 0,
        "pending_rollups": 1,
    }


def test_a_late_file_makes_its_hour_and_day_anew(paths: StorePaths) -> None:
    """Nothing is counted twice, before and after."""
    SpoolSink(paths.root, 10).write(snapshot(3))
    fold(paths)
    assert roll_up(paths, NOON + 2 * DAY) == 2
    SpoolSink(paths.root, 10).write(snapshot(4))
    store = open_store(paths)
    assert total(store.query_stats()) == 7
    assert roll_up(paths, NOON + 2 * DAY) == 2
    assert total(store.query_stats()) == 7
    assert _rolled(paths)["query_stats_daily"] == 1


def test_what_is_later_than_what_is_kept_goes_to_where_the_rest_is(paths: StorePaths) -> None:
    """Minutes that were dropped for their age are in an hour, hours in a day; readers add up."""
    SpoolSink(paths.root, 10).write(snapshot(3))
    fold(paths)
    roll_up(paths, NOON + 2 * DAY)
    with open_database(paths, read_only=False, timeout_s=1) as connection:
        connection.execute("UPDATE meta SET minutes_since = ?", [(NOON + DAY).replace(tzinfo=None)])
        connection.execute("DELETE FROM query_stats")
    SpoolSink(paths.root, 10).write(snapshot(4))
    store = open_store(paths)
    assert total(store.query_stats()) == 7
    since = NOON.replace(second=0)
    assert total(store.query_stats(since, since + timedelta(minutes=1))) == 7  # the whole hour is what is left
    roll_up(paths, NOON + 2 * DAY)
    with open_database(paths, read_only=False, timeout_s=1) as connection:
        connection.execute("UPDATE meta SET hours_since = minutes_since")
        connection.execute("DELETE FROM query_stats_hourly")
    SpoolSink(paths.root, 10).write(snapshot(5))
    store.fold()
    found = store.query_stats()
    assert total(found) == 12
    assert found[0].durations == Histogram.of([2_000_000] * 12).coarsened(4)


def test_who_finds_the_lock_held_rolls_up_nothing(paths: StorePaths) -> None:
    """Somebody else is at it."""
    SpoolSink(paths.root, 10).write(snapshot(3))
    fold(paths)
    with elected(paths, 0.0) as is_elected:
        assert is_elected
        assert roll_up(paths, NOON + 2 * DAY) == 0
    assert roll_up(paths, NOON + 2 * DAY) == 2


def test_macros_tell_what_python_does(paths: StorePaths) -> None:
    """Anybody's DuckDB gives the numbers of the report."""
    dice = random.Random(3)
    for one in _snapshots(dice, 80, days=3):
        SpoolSink(paths.root, 10).write(one)
    fold(paths)
    roll_up(paths, NOON + 2 * DAY)
    since, until = NOON.replace(second=0) + HOUR / 4, NOON.replace(second=0) + 2 * DAY
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        rows = connection.execute(
            "SELECT pattern_id, executions, error, total_ms, min_ms, p50_ms, p95_ms, p99_ms, max_ms "
            "FROM pattern_quantiles($since, $until)",
            {"since": since.replace(tzinfo=None), "until": until.replace(tzinfo=None)},
        ).fetchall()
        hours = connection.execute(
            "SELECT sum(executions), max(p95_ms) FROM quantiles_over_time($since, $until, service := 'shop')",
            {"since": since.replace(tzinfo=None), "until": until.replace(tzinfo=None)},
        ).fetchone()
    store = open_store(paths)
    assert rows == [
        (
            each.pattern_id,
            each.execution_count,
            each.error_count,
            pytest.approx(each.total_duration_ms),
            pytest.approx(each.min_duration_ms),
            *(pytest.approx(each.durations.quantile_ms(q)) for q in (0.5, 0.95, 0.99)),
            pytest.approx(each.max_duration_ms),
        )
        for each in store.query_stats(since, until)
    ]
    assert hours is not None
    assert hours[0] == total(store.query_stats(since, until, service="shop"))
    assert hours[1] > 0


def test_less_than_an_hour_is_told_by_minutes(paths: StorePaths) -> None:
    """Where minutes are kept, a width below an hour does not read the hours that have them too."""
    moments = [NOON + step * timedelta(minutes=20) for step in range(9)]
    for step, moment in enumerate(moments):
        SpoolSink(paths.root, 10).write(snapshot(step + 1, ended=moment))
    fold(paths)
    roll_up(paths, NOON + 2 * DAY)
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        found = connection.execute(
            """SELECT "at", executions FROM quantiles_over_time('2026-01-01', '2026-01-02', width := '10 minutes')"""
        ).fetchall()
    assert found == [(moment.replace(tzinfo=None, second=0), step + 1) for step, moment in enumerate(moments)]


def _columns(paths: StorePaths) -> list[tuple[object, ...]]:
    with duckdb.connect(str(paths.database), read_only=True) as connection:
        return connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
            "WHERE database_name = current_database() ORDER BY ALL"
        ).fetchall()


def _make_old(paths: StorePaths, version: int) -> None:
    paths.create()
    schema = (Path(__file__).parent / "schemas" / f"{version}.sql").read_text(encoding="utf-8")
    with duckdb.connect(str(paths.database), config={"storage_compatibility_version": "v1.0.0"}) as connection:
        connection.execute(schema)
        connection.execute("INSERT INTO meta (schema_version, created_at) VALUES (?, now()::TIMESTAMP)", [version])


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_a_store_of_an_older_version_is_brought_up(paths: StorePaths, tmp_path: Path, version: int) -> None:
    """Its tables are those of a new one, and what waits is folded."""
    _make_old(paths, version)
    new = StorePaths(tmp_path / "new")
    for each in (paths, new):
        SpoolSink(each.root, 10).write(snapshot(3))
        assert total(open_store(each.root).query_stats()) == 3
    assert _columns(paths) == _columns(new)
    assert roll_up(paths, NOON + 2 * DAY) == 2


def test_who_cannot_bring_an_older_store_up_says_so(paths: StorePaths) -> None:
    """As in a folder that is not theirs; somebody who may write there does it."""
    _make_old(paths, 1)
    with elected(paths, 0.0), pytest.raises(StoreError, match=r"must have schema version 2; got 1; .*collect --once"):
        open_store(paths).query_stats()
    assert open_store(paths).query_stats() == []


def test_minutes_of_an_older_store_are_rolled_up(paths: StorePaths) -> None:
    """What it holds already is pending, like what comes."""
    _make_old(paths, 1)
    values = {"minute": "make_timestamp(0)", "service": "'shop'", "pattern_id": "'1'", "executions": "7", "ok": "7"}
    with duckdb.connect(str(paths.database)) as connection:
        columns = connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'query_stats' AND NOT is_nullable"
        ).fetchall()
        empty = {"VARCHAR": "''", "BIGINT": "0", "TIMESTAMP": "make_timestamp(0)", "MAP(VARCHAR, VARCHAR)": "MAP()"}
        chosen = {name: values.get(name, empty.get(kind, "[]")) for name, kind in columns}
        connection.execute(f"INSERT INTO query_stats BY NAME SELECT {_named(chosen)}")
    fold(paths)
    assert _rolled(paths)["pending_rollups"] == 2
    assert roll_up(paths, NOON) == 2
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        assert connection.execute("SELECT ok FROM query_stats_daily").fetchall() == [(7,)]


def _named(values: dict[str, str]) -> str:
    return ", ".join(f'{value} AS "{name}"' for name, value in values.items())


def test_a_migration_that_fails_leaves_the_store_as_it_was(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it or nothing; what waits is kept."""
    _make_old(paths, 1)
    SpoolSink(paths.root, 10).write(snapshot(3))
    before = _columns(paths)
    with monkeypatch.context() as patched:
        patched.setattr(
            "querygauge.storage.creation.statements",
            lambda name: statements(name) + (" SELECT 'x'::INTEGER;" if name == "views.sql" else ""),
        )
        with pytest.raises(StoreError, match="could not be written"):
            fold(paths)
    assert _columns(paths) == before
    assert total(open_store(paths).query_stats()) == 3
