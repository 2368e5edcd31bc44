"""Counts equal an independent count taken at the database driver's cursor, whatever runs at the same time."""

import asyncio
import gc
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Sequence,
    String,
    Table,
    create_engine,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection, AsyncAdapt_asyncpg_cursor
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection, AsyncAdapt_aiosqlite_cursor
from sqlalchemy.exc import DBAPIError

from databases.engines import NewAsyncEngine, NewDatabase, NewEngine
from querygauge.instrumenting import instrument
from querygauge.patterns.cache import PatternCache
from querygauge.values import QueryStats

THREADS = 8
ROUNDS = 130  # times 8 threads times 10 statements: more than 10,000

metadata = MetaData()
people = Table(
    "people",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(40)),
    Column("age", Integer, nullable=False),
)


class Ledger:
    """Executions, errors and rows by pattern id, as the cursor itself saw them."""

    def __init__(self, dialect: str) -> None:
        self.executions: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self._patterns = PatternCache(dialect)
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Begins at nothing."""
        for counts in (self.executions, self.errors, self.rows):
            counts.clear()

    def note(self, statement: str, rows: int, *, failed: bool) -> None:
        """One call of the cursor."""
        pattern = self._patterns.pattern_for(statement).id
        with self._lock:
            self.executions[pattern] += 1
            self.errors[pattern] += failed
            self.rows[pattern] += max(rows, 0)


def counting(base: type, ledger: Ledger) -> type:
    """A cursor class that writes every call into the ledger."""

    class CountingCursor(base):  # type: ignore[misc]
        def execute(self, statement: Any, *arguments: Any, **keywords: Any) -> Any:
            return self._counted(super().execute, statement, arguments, keywords)

        def executemany(self, statement: Any, *arguments: Any, **keywords: Any) -> Any:
            return self._counted(super().executemany, statement, arguments, keywords)

        def _counted(self, call: Callable[..., Any], statement: Any, arguments: Any, keywords: Any) -> Any:
            try:
                result = call(statement, *arguments, **keywords)
            except BaseException:
                ledger.note(str(statement), -1, failed=True)
                raise
            ledger.note(str(statement), self.rowcount, failed=False)
            return result

    return CountingCursor


def compare(stats: list[QueryStats], ledger: Ledger, *, with_rows: bool) -> None:
    """Fails unless both counted the same."""
    assert Counter({s.pattern_id: s.execution_count for s in stats}) == ledger.executions
    assert +Counter({s.pattern_id: s.error_count for s in stats}) == +ledger.errors
    if with_rows:
        assert +Counter({s.pattern_id: s.rows for s in stats}) == +ledger.rows
    for s in stats:
        assert sum(s.durations.buckets.values()) == s.execution_count


def mixed_work(connection: Connection, key: int) -> None:
    """Ten statements: reads of every shape, writes, batches, errors of two kinds."""
    with connection.begin():
        connection.execute(insert(people), {"id": key, "name": f"n{key}", "age": 1})
        connection.execute(insert(people), [{"id": key + i, "name": "x", "age": i} for i in range(1, 4)])
        connection.execute(select(people.c.name).where(people.c.id.in_(range(key, key + 1 + key % 4)))).all()
        connection.execute(update(people).where(people.c.id == key).values(age=2))
        connection.execute(text(f"SELECT age FROM people WHERE id = {key}")).all()
        connection.exec_driver_sql("SELECT count(*) FROM people WHERE age < 3").all()
        connection.execute(delete(people).where(people.c.id == key + 3))
        connection.execute(select(people).limit(5)).all()
    for statement in ("SELECT nothing FROM nowhere", f"INSERT INTO people (id, name) VALUES ({key}, 'dup')"):
        with pytest.raises(DBAPIError):
            connection.execute(text(statement))
        connection.rollback()


def run_in_threads(work: Callable[[int], None], meanwhile: Callable[[], None]) -> None:
    """Runs `work(0) … work(7)` at once, and `meanwhile` over and over until they are done."""
    problems: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001  # shown by the main thread
            problems.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        meanwhile()
    for thread in threads:
        thread.join()
    assert not problems, problems


def check_threads(engine: Engine, ledger: Ledger, *, with_rows: bool) -> None:
    """Eight threads on one engine, while another reads and drains."""
    # SQLAlchemy asks a new server for its version and settings through the bare cursor; that is over by now.
    metadata.create_all(engine)
    ledger.clear()
    # Flushes come at full multiples of their interval since 1970: those of an hour on the hour, in the midst of this.
    with instrument(
        engine, store=None, flush_interval_s=315_360_000, slow_query_threshold_ms=5, enable_logging=False
    ) as gauge:
        drained: Counter[str] = Counter()

        def work(thread: int) -> None:
            with engine.connect() as connection:
                for number in range(ROUNDS):
                    mixed_work(connection, 1_000_000 * (thread + 1) + 10 * number)

        def read_and_drain() -> None:
            gauge.queries.get_query_stats()
            gauge.report()
            for stats in gauge.queries.drain().queries:
                drained[stats.pattern_id] += stats.execution_count

        run_in_threads(work, read_and_drain)
        read_and_drain()
        assert ledger.executions.total() >= 10_000
        compare(gauge.queries.get_query_stats(), ledger, with_rows=with_rows)
        assert drained == ledger.executions
    engine.dispose()


def test_threads_on_postgresql(new_database: NewDatabase) -> None:
    """Ten thousand statements from eight threads, errors among them, drained all the while: none lost, none twice."""
    ledger = Ledger("postgresql")
    cursor = counting(psycopg.Cursor, ledger)
    engine = create_engine(new_database("psycopg"), connect_args={"cursor_factory": cursor}, pool_size=THREADS)
    check_threads(engine, ledger, with_rows=True)


def test_threads_on_sqlite(new_database: NewDatabase) -> None:
    """The same on SQLite, whose driver tells rows of writes only."""
    ledger = Ledger("sqlite")
    cursor_class = counting(sqlite3.Cursor, ledger)

    class CountingConnection(sqlite3.Connection):
        def cursor(self, factory: Any = cursor_class) -> Any:
            return super().cursor(factory)

    engine = create_engine(
        new_database("sqlite3"), connect_args={"factory": CountingConnection, "timeout": 60}, pool_size=THREADS
    )
    check_threads(engine, ledger, with_rows=False)


ASYNC_CURSORS = {
    "asyncpg": ("postgresql", AsyncAdapt_asyncpg_connection, AsyncAdapt_asyncpg_cursor),
    "aiosqlite": ("sqlite", AsyncAdapt_aiosqlite_connection, AsyncAdapt_aiosqlite_cursor),
}


@pytest.fixture
def no_collection() -> Iterator[None]:
    """
    The garbage collector is off.

    SQLAlchemy 2.0 leaves it aiosqlite's cursor of a failed statement. Freed on the loop's thread, the cursor waits for
    the statement that its connection runs, which waits for a lock, whose owner waits for the loop.
    """
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("driver", ASYNC_CURSORS)
async def test_tasks(driver: str, new_async_engine: NewAsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand statements from concurrent tasks of an AsyncEngine, drained all the while."""
    dialect, connection_class, cursor_class = ASYNC_CURSORS[driver]
    ledger = Ledger(dialect)
    counting_class = counting(cursor_class, ledger)

    def cursor(connection: Any) -> Any:
        return counting_class(connection)

    monkeypatch.setattr(connection_class, "cursor", cursor)
    engine = new_async_engine(driver, **({"connect_args": {"timeout": 60}} if driver == "aiosqlite" else {}))
    tasks = 4

    async def work(task: int) -> None:
        async with engine.connect() as connection:
            for number in range(1_000 // tasks):
                await connection.run_sync(mixed_work, 1_000_000 * (task + 1) + 10 * number)

    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    ledger.clear()
    # The gauge flushes too, into nothing here, and would take windows that this test adds up.
    with instrument(engine, store=None, flush_interval_s=315_360_000, enable_logging=False) as gauge:
        running = [asyncio.create_task(work(task)) for task in range(tasks)]
        drained: Counter[str] = Counter()
        pending = set(running)
        while pending:
            _, pending = await asyncio.wait(running, timeout=0.05)
            for stats in gauge.queries.drain().queries:
                drained[stats.pattern_id] += stats.execution_count
        await asyncio.gather(*running)
        assert ledger.executions.total() >= 10_000
        compare(gauge.queries.get_query_stats(), ledger, with_rows=driver == "asyncpg")
        assert drained == ledger.executions


def test_defaults_and_sequences_are_their_own(new_engine: NewEngine) -> None:
    """A sequence that SQLAlchemy asks before an INSERT is a pattern of its own, though it has the INSERT's context."""
    engine = new_engine("psycopg")
    key = Column("id", Integer, Sequence("numbers"), primary_key=True)
    numbered = Table("numbered", MetaData(), key, Column("name", String(9)), implicit_returning=False)
    numbered.metadata.create_all(engine)
    with instrument(engine, store=None) as gauge, engine.begin() as connection:
        for _ in range(3):
            connection.execute(insert(numbered), {"name": "x"})
        counts = {s.operation: s.execution_count for s in gauge.queries.get_query_stats()}
    assert counts == {"INSERT": 3, "SELECT": 3}


def test_insertmanyvalues_is_one_operation(new_engine: NewEngine) -> None:
    """An INSERT of 2,500 rows that reaches the cursor in batches is one execution with all its rows."""
    engine = new_engine("psycopg")
    metadata.create_all(engine)
    with instrument(engine, store=None) as gauge, engine.begin() as connection:
        connection.execute(
            insert(people).returning(people.c.id), [{"id": i, "name": "x", "age": 1} for i in range(2_500)]
        )
        connection.execute(insert(people).returning(people.c.id), [{"id": i, "name": "x", "age": 1} for i in (-1, -2)])
        (stats,) = [s for s in gauge.queries.get_query_stats() if s.operation == "INSERT"]
    assert (stats.execution_count, stats.rows) == (2, 2_502)


def test_failing_batch_is_one_error(new_engine: NewEngine) -> None:
    """When the second batch fails, the operation is one error, and its time is that of both batches."""
    engine = new_engine("psycopg")
    metadata.create_all(engine)
    rows: list[dict[str, Any]] = [{"id": i, "name": "x", "age": 1} for i in range(1_500)]
    rows[1_200]["age"] = None
    with instrument(engine, store=None) as gauge:
        with engine.begin() as connection, pytest.raises(DBAPIError):
            connection.execute(insert(people).returning(people.c.id), rows)
        (stats,) = [s for s in gauge.queries.get_query_stats() if s.operation == "INSERT"]
    assert (stats.outcomes.error, stats.execution_count) == (1, 1)
