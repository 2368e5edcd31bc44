"""A fold plans the SQL of the kinds of rows that its files have, and of no other."""

from dataclasses import replace

import pytest

from querygauge.storage.database import open_database, statements
from querygauge.storage.folding import fold
from querygauge.storage.kinds import kinds_in, statements_for, tables_of
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import read_spool_file, waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import (
    Failure,
    OutcomeCounts,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
    QueryErrors,
    Repetition,
    RunningState,
    ScopeStats,
    SlowQuery,
    Snapshot,
)
from storage.making import NOON, pattern, running, snapshot

_SQL = ("load.sql", "check.sql", "merge.sql")
_POOL = PoolWindow("main", PoolSnapshot(NOON, 5, 1, 4, 0, 0, 5, 0.1), PoolMetrics(1, 1, 1))
_SLOW = SlowQuery("SELECT 1", pattern().id, "SELECT t1", "main", 9.0, NOON, error=Failure("Error", None, ""))
ONE_OF_EACH = {
    "scope": (replace(snapshot(), scopes=(ScopeStats("GET /", {}, 1, 2.0, OutcomeCounts(ok=1)),)), "scope_stats"),
    "slow": (replace(snapshot(), slow_queries=(_SLOW,)), "slow_queries"),
    "failed": (
        replace(snapshot(), errors=(QueryErrors(pattern(), "main", "Error", None, 1, NOON, "no"),)),
        "query_errors",
    ),
    "pool": (replace(snapshot(), pools=(_POOL,)), "pool_stats"),
    "repetition": (
        replace(snapshot(), repetitions=(Repetition(pattern(), "main", None, "GET /", 1, 3, 3, 1.0),)),
        "repetitions",
    ),
    "running": (replace(snapshot(), running=(RunningState("main", 1, 5_000.0, (running(),)),)), "running"),
}


@pytest.mark.parametrize("kind", ONE_OF_EACH)
def test_a_kind_is_folded_without_the_others(paths: StorePaths, kind: str) -> None:
    """Only its SQL is planned, its row is stored, and the other tables get none."""
    one, table = ONE_OF_EACH[kind]
    assert kinds_in([_content(paths, one)]) == {kind}
    assert fold(paths).rejected == ()
    tables = {table for _, table in ONE_OF_EACH.values()}
    with open_database(paths, read_only=True, timeout_s=1.0) as connection:
        counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in tables}
    assert counts == {**dict.fromkeys(tables, 0), table: 1}


def test_queries_alone_are_no_kind_of_their_own(paths: StorePaths) -> None:
    """Whatever their texts say; to merge them takes five statements."""
    speaking = snapshot()
    (stats,) = speaking.queries
    text = 'SELECT ? AS "pool":{"slow":{'
    content = _content(paths, replace(speaking, queries=(replace(stats, pattern=replace(pattern(), text=text)),)))
    assert kinds_in([content]) == frozenset()
    assert statements_for("merge.sql", ()).count("CREATE OR REPLACE TABLE") == 5
    assert "pool." not in statements_for("check.sql", ())
    assert tables_of(()) == ["query_stats", "process_stats"]


@pytest.mark.parametrize("name", _SQL)
def test_nothing_is_left_out_where_all_kinds_are_there(name: str) -> None:
    """But the marks."""
    lines = [line.partition("-- only ")[0].rstrip() for line in statements(name).splitlines()]
    kept = [line.partition("-- only ")[0].rstrip() for line in statements_for(name, ONE_OF_EACH).splitlines()]
    assert kept == [line for line, whole in zip(lines, statements(name).splitlines(), strict=True) if _is_sql(whole)]


def _is_sql(line: str) -> bool:
    return not line.strip().startswith("-- only ") and line.strip() != "-- end"


def _content(paths: StorePaths, one: Snapshot) -> bytes:
    SpoolSink(paths.root, 10).write(one)
    (path,) = waiting_files(paths)
    return read_spool_file(path)[1]
