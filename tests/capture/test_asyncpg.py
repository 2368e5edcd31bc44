"""Raw asyncpg: every statement and every checkout is counted once, and a pool or connection stays what it was."""

import asyncio
import gc
import inspect
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar
from weakref import ref

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import pytest

from databases.engines import NewDatabase
from querygauge import instrument, instrument_all, scope, uninstrument
from querygauge.errors import SettingsError
from querygauge.gauge import Instrumentation

NewPool = Callable[..., Awaitable[Any]]


@pytest.fixture
def dsn(new_database: NewDatabase) -> str:
    """An empty database, as asyncpg wants it named."""
    return new_database("asyncpg").set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Any]:
    """A connection that belongs to no pool, with a table `t` of four rows."""
    made = await asyncpg.connect(dsn)
    await made.execute("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, 'x'), (3, 'x'), (4, 'x')")
    yield made
    uninstrument(made)
    await made.close()


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Any]:
    """A pool of at most two connections, one of them open."""
    made = await asyncpg.create_pool(dsn, min_size=1, max_size=2)
    yield made
    uninstrument(made)
    made.terminate()


def watch(target: Any, **settings: Any) -> Instrumentation:
    """`instrument` without a store."""
    return instrument(target, **{"store": None, **settings})


def counted(gauge: Instrumentation, category: str = "query") -> dict[str, tuple[int, int | None]]:
    """By pattern, executions and rows so far; None where no rows are known."""
    return {
        stats.query_pattern: (stats.execution_count, stats.rows if stats.rows_known_count else None)
        for stats in gauge.queries.get_query_stats()
        if stats.pattern.category == category
    }


async def _execute(connection: Any) -> None:
    await connection.execute("INSERT INTO t VALUES (9, 'ann')")


async def _execute_a_select(connection: Any) -> None:
    await connection.execute("SELECT a FROM t")


async def _execute_with_arguments(connection: Any) -> None:
    await connection.execute("INSERT INTO t VALUES ($1, $2)", 9, "ann")


async def _executemany(connection: Any) -> None:
    await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(8, "ann"), (9, "bob")])


async def _fetch(connection: Any) -> None:
    assert len(await connection.fetch("SELECT a FROM t WHERE a > $1", 1)) == 3


async def _fetch_nothing(connection: Any) -> None:
    assert await connection.fetch("SELECT a FROM t WHERE a > $1", 99) == []


async def _fetchrow(connection: Any) -> None:
    await connection.fetchrow("SELECT a, b FROM t")


async def _fetchval(connection: Any) -> None:
    assert await connection.fetchval("SELECT count(*) FROM t") == 4


async def _prepared(connection: Any) -> None:
    statement = await connection.prepare("SELECT a FROM t WHERE a = $1")
    await statement.fetch(1)
    await statement.fetchrow(2)


async def _prepared_many(connection: Any) -> None:
    statement = await connection.prepare("UPDATE t SET b = $1 WHERE a = $2")
    await statement.executemany([("y", 1), ("z", 2)])


async def _cursor(connection: Any) -> None:
    async with connection.transaction():
        assert [row["a"] async for row in connection.cursor("SELECT a FROM t ORDER BY a", prefetch=3)] == [1, 2, 3, 4]


async def _cursor_left_open(connection: Any) -> None:
    async with connection.transaction():
        cursor = await connection.cursor("SELECT a FROM t ORDER BY a")
        assert (await cursor.fetchrow())["a"] == 1
        assert await cursor.forward(1) == 1
        assert [row["a"] for row in await cursor.fetch(1)] == [3]


async def _copy_records(connection: Any) -> None:
    await connection.copy_records_to_table("t", records=[(8, "ann"), (9, "bob")])


async def _copy_to(connection: Any) -> None:
    await connection.copy_to_table("t", source=io.BytesIO(b"8\tann\n9\tbob\n"))


async def _copy_from(connection: Any) -> None:
    await connection.copy_from_query("SELECT a FROM t WHERE b = $1", "x", output=io.BytesIO())


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (_execute, {"INSERT INTO t VALUES (?)": (1, 1)}),
        (_execute_a_select, {"SELECT a FROM t": (1, 4)}),
        (_execute_with_arguments, {"INSERT INTO t VALUES (?)": (1, 1)}),
        (_executemany, {"INSERT INTO t VALUES (?)": (1, None)}),
        (_fetch, {"SELECT a FROM t WHERE a > ?": (1, 3)}),
        (_fetch_nothing, {"SELECT a FROM t WHERE a > ?": (1, 0)}),
        (_fetchrow, {"SELECT a, b FROM t": (1, 1)}),
        (_fetchval, {"SELECT count(*) FROM t": (1, 1)}),
        (_prepared, {"SELECT a FROM t WHERE a = ?": (2, 2)}),
        (_prepared_many, {"UPDATE t SET b = ? WHERE a = ?": (1, None)}),
        (_cursor, {"SELECT a FROM t ORDER BY a": (1, 4)}),
        (_cursor_left_open, {"SELECT a FROM t ORDER BY a": (1, 2)}),
        (_copy_records, {'COPY "t" FROM STDIN (FORMAT binary)': (1, 2)}),
        (_copy_to, {'COPY "t" FROM STDIN': (1, 2)}),
        (_copy_from, {"COPY (SELECT a FROM t WHERE b = ?) TO STDOUT": (1, 4)}),
    ],
)
async def test_every_way_to_send_a_statement_is_one_execution(
    connection: Any, work: Callable[[Any], Awaitable[None]], expected: dict[str, tuple[int, int | None]]
) -> None:
    """With the rows it returned or wrote, where asyncpg tells them; a cursor is one, whatever it fetches."""
    gauge = watch(connection)
    await work(connection)
    assert counted(gauge) == expected
    # As a repetition it is looked at, and in more than one way.
    for _ in range(8):
        await work(connection)
    assert [executions for executions, _ in counted(gauge).values()] == [
        9 * executions for executions, _ in expected.values()
    ]
    assert gauge.report_data().self_metrics.hook_errors == 0


async def test_a_statement_that_asyncpg_sends_again_is_counted_each_time(connection: Any) -> None:
    """A table that was changed makes PostgreSQL refuse what was prepared, and asyncpg prepare it anew."""
    gauge = watch(connection)
    for column in ("c", "d"):
        assert len(await connection.fetch("SELECT * FROM t")) == 4
        await connection.execute(f"ALTER TABLE t ADD COLUMN {column} int")
        assert len(await connection.fetch("SELECT * FROM t")) == 4
    (stats,) = [stats for stats in gauge.queries.get_query_stats() if stats.operation == "SELECT"]
    assert (stats.outcomes.ok, stats.outcomes.error, stats.rows) == (4, 2, 16)
    assert gauge.report_data().self_metrics.hook_errors == 0


async def test_what_returns_nothing_is_counted_whatever_asyncpg_has_forgotten(connection: Any) -> None:
    """Once it has forgotten the types of a database, it cannot say what a statement that was prepared returns."""
    await connection.execute("CREATE TYPE mood AS (a int); CREATE TABLE moods (m mood)")
    gauge = watch(connection)
    statement = await connection.prepare("SELECT m FROM moods")
    await connection.reload_schema_state()
    assert await statement.fetch() == []
    assert counted(gauge) == {"SELECT m FROM moods": (1, 0)}
    assert gauge.report_data().self_metrics.hook_errors == 0


async def test_what_was_prepared_before_is_seen(connection: Any) -> None:
    """A statement that an application prepared at its start is counted from the moment on that somebody watches."""
    statement = await connection.prepare("SELECT a FROM t")
    gauge = watch(connection)
    await statement.fetch()
    assert counted(gauge) == {"SELECT a FROM t": (1, 4)}


async def test_transactions_and_the_driver_s_own_statements_are_no_queries(connection: Any) -> None:
    """BEGIN, COMMIT and what asyncpg asks for itself are classed as such."""
    gauge = watch(connection)
    async with connection.transaction():
        await connection.execute("SELECT 1")
    await connection.reset()
    assert counted(gauge) == {"SELECT ?": (1, 1)}
    assert {"BEGIN", "COMMIT"} <= counted(gauge, "transaction").keys()
    assert len(counted(gauge, "session")) == 1


async def test_failures_are_told_apart(connection: Any) -> None:
    """An error with its SQLSTATE, a timeout, a cancellation; the application sees what it would have seen."""
    gauge = watch(connection)
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.fetch("SELECT a FROM nowhere")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await connection.fetch("SELECT 1 / (a - a) FROM t")
    with pytest.raises(TimeoutError):
        await connection.fetch("SELECT pg_sleep(60)", timeout=0.05)
    sleeping = asyncio.create_task(connection.fetch("SELECT pg_sleep(60), 1"))
    await asyncio.sleep(0.05)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    outcomes = {stats.query_pattern: stats.outcomes for stats in gauge.queries.get_query_stats()}
    assert outcomes["SELECT a FROM nowhere"].error == 1
    assert outcomes["SELECT ? / (a - a) FROM t"].error == 1
    assert outcomes["SELECT pg_sleep(?)"].timeout == 1
    assert outcomes["SELECT pg_sleep(?), ?"].cancelled == 1
    assert await connection.fetchval("SELECT 1") == 1


async def test_a_cursor_that_fails_is_one_failed_execution(connection: Any) -> None:
    """What it fetched before belongs to it."""
    gauge = watch(connection)

    async def read() -> None:
        async with connection.transaction():
            async for _ in connection.cursor("SELECT 1 / (3 - a) FROM t ORDER BY a", prefetch=1):
                pass

    with pytest.raises(asyncpg.DivisionByZeroError):
        await read()
    (stats,) = [stats for stats in gauge.queries.get_query_stats() if stats.pattern.category == "query"]
    assert (stats.execution_count, stats.outcomes.error) == (1, 1)


async def test_the_sending_line_and_the_scope_are_known(connection: Any) -> None:
    """Of a slow execution, wherever in the application's tasks it was sent."""
    gauge = watch(connection, slow_query_threshold_ms=0)

    async def handle() -> None:
        await connection.fetch("SELECT 1")

    with scope("GET /things"):
        await asyncio.gather(handle())
    (slow,) = gauge.queries.get_slow_queries()
    assert "test_asyncpg.py:" in str(slow.call_site)
    assert slow.scope == "GET /things"


async def test_a_loop_is_a_repetition(pool: Any) -> None:
    """From one line, on one connection or within one scope."""
    gauge = watch(pool)
    async with pool.acquire() as connection:
        for number in range(6):
            await connection.fetch("SELECT $1::int", number)
    with scope("GET /things"):
        for number in range(7):
            await pool.fetch("SELECT $1::int + 1", number)
    found = {one.pattern.text: one.max_per_scope for one in gauge.queries.get_repetitions()}
    assert found == {"SELECT ?": 6, "SELECT ? + ?": 7}


async def test_a_connection_stays_what_it_was(connection: Any) -> None:
    """Attached and detached, its protocol has what it had; a closed gauge counts no more."""
    before = dict(vars(connection._protocol))
    gauge = watch(connection)
    assert watch(connection) is gauge
    gauge.close()
    assert vars(connection._protocol) == before
    await connection.fetch("SELECT 1")
    assert counted(gauge) == {}


@pytest.mark.filterwarnings("ignore:unclosed connection:ResourceWarning")
@pytest.mark.parametrize("is_watched", [False, True])
async def test_a_dropped_connection_needs_no_garbage_collector(dsn: str, is_watched: bool) -> None:
    """A connection that nobody closed goes with its last reference, and so does its protocol."""
    gc.disable()
    try:
        made = await asyncpg.connect(dsn)
        gauge = watch(made) if is_watched else None
        await made.fetch("SELECT 1")
        parts = [ref(made), ref(made._protocol)]
        del made
        await asyncio.sleep(0)  # the transport lets go of the protocol in the loop's next round
        assert [part() for part in parts] == [None, None]
    finally:
        gc.enable()
    if gauge is not None:
        gauge.close()


async def test_a_pool_stays_what_it_was(pool: Any) -> None:
    """The same object, of a class that looks the same, and of its own class again in the end."""
    before = type(pool), pool._connect
    own = next(holder._con for holder in pool._holders if holder._con is not None)
    listeners = set(own._termination_listeners)
    gauge = watch(pool)
    assert isinstance(pool, asyncpg.Pool)
    assert repr(type(pool)) == repr(asyncpg.Pool)
    assert watch(pool) is gauge
    gauge.close()
    assert (type(pool), pool._connect) == before
    assert own._termination_listeners == listeners
    assert await pool.fetchval("SELECT 1") == 1
    assert counted(gauge) == {}


class OwnPool(asyncpg.Pool):  # type: ignore[misc]  # of no known type
    """An application's own, with less to hand on than asyncpg's, and something to do in the end."""

    __slots__ = ()
    told: ClassVar[list[str]] = []

    async def release(self, connection: Any) -> str:
        """Takes no timeout."""
        await super().release(connection)
        return "released"

    def __del__(self) -> None:
        """Tells that it is gone."""
        self.told.append("gone")


async def test_a_class_of_the_application_s_own_stays_in_charge(dsn: str) -> None:
    """What it overrides is called as it was written, gives what it gives, and its finalizer runs."""
    OwnPool.told.clear()
    pool: Any = OwnPool(
        dsn,
        min_size=1,
        max_size=1,
        max_queries=50,
        max_inactive_connection_lifetime=300,
        loop=None,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
    )
    gauge = watch(pool)
    await pool
    assert inspect.signature(pool.release) == inspect.signature(OwnPool.release.__get__(pool))
    async with pool.acquire() as connection:
        await connection.fetchval("SELECT 1")
    assert await pool.release(await pool.acquire()) == "released"
    assert await pool.release(connection=await pool.acquire()) == "released"
    metrics = gauge.pool.get_metrics()
    assert (metrics.total_checkouts, metrics.total_checkins) == (3, 3)
    await pool.close()
    del pool, connection
    while not OwnPool.told:
        await asyncio.sleep(0)
        gc.collect()
    assert OwnPool.told == ["gone"]
    gauge.close()


async def test_what_a_task_is_about_to_do_outlives_the_gauge(pool: Any) -> None:
    """It was given a method of the pool as it was watched, and calls it once the pool is as it was found."""
    with watch(pool):
        obtaining = asyncio.create_task(acquired(pool))
        also = asyncio.create_task(pool._acquire(None))
    held = await obtaining, await also
    with watch(pool):
        releasing = [asyncio.create_task(pool.release(connection)) for connection in held]
    await asyncio.gather(*releasing)
    assert pool.get_idle_size() == 2


async def acquired(pool: Any) -> Any:
    """A connection of the pool."""
    return await pool.acquire()


async def test_a_pool_is_told_of_truly(pool: Any) -> None:
    """Checkouts, waiting, timeouts, what is in use and idle, and what opening a connection cost."""
    gauge = watch(pool)
    first, second = await pool.acquire(), await pool.acquire()
    waiting = asyncio.create_task(acquired(pool))
    await asyncio.sleep(0.02)
    state = gauge.pool.get_current_snapshot()
    assert (state.active_connections, state.idle_connections, state.waiting_count) == (2, 0, 1)
    assert state.max_connections == 2
    with pytest.raises(TimeoutError):
        await pool.acquire(timeout=0.02)
    await pool.release(first)
    third = await waiting
    await pool.release(second)
    await pool.release(third)
    metrics, state = gauge.pool.get_metrics(), gauge.pool.get_current_snapshot()
    assert (metrics.total_requests, metrics.total_checkouts, metrics.total_checkins) == (4, 3, 3)
    assert (metrics.total_timeouts, metrics.peak_active, metrics.peak_waiting) == (1, 2, 2)
    assert (metrics.create.count, metrics.wait.count, metrics.use.count) == (1, 3, 3)
    assert (state.active_connections, state.idle_connections, state.waiting_count) == (0, 2, 0)
    assert (state.pool_class, state.driver) == ("Pool", "asyncpg")


async def test_opening_a_connection_is_no_waiting(dsn: str) -> None:
    """What asyncpg spends on opening one, while a caller waits for it, is told apart."""

    async def slowly(*arguments: Any, **keywords: Any) -> Any:
        await asyncio.sleep(0.1)
        return await asyncpg.connect(*arguments, **keywords)

    async with asyncpg.create_pool(dsn, min_size=0, max_size=1, connect=slowly) as pool:
        gauge = watch(pool)
        assert await pool.fetchval("SELECT 1", timeout=10) == 1
        metrics = gauge.pool.get_metrics()
        assert metrics.create.max_ns >= 100_000_000
        assert metrics.wait.max_ns < 50_000_000
        gauge.close()


async def test_a_pool_may_be_watched_before_it_is_made(dsn: str) -> None:
    """`create_pool` gives one that opens its connections when it is awaited."""
    pool = asyncpg.create_pool(dsn, min_size=1, max_size=2)
    gauge = watch(pool)
    async with pool:
        assert await pool.fetchval("SELECT 1") == 1
        assert counted(gauge) == {"SELECT ?": (1, 1)}
        assert gauge.pool.get_metrics().create.count == 1
        gauge.close()


async def test_a_pool_that_was_not_made_yet_stays_what_it_was(dsn: str) -> None:
    """However often it was watched before it opens a connection, nothing of that is left, and nothing counts."""
    pool = asyncpg.create_pool(dsn, min_size=1, max_size=2)
    before = type(pool), pool._connect
    gauges = []
    for _ in range(3):
        gauges.append(watch(pool))
        uninstrument(pool)
    assert (type(pool), pool._connect) == before
    async with pool:
        assert (type(pool), pool._connect) == before
        await stays_unwatched(pool, gauges)


async def test_all_of_it_may_end_before_a_pool_is_made(dsn: str) -> None:
    """As with a gauge of its own."""
    before = asyncpg.Pool.__init__
    with instrument_all(store=None) as gauge:
        pool = asyncpg.create_pool(dsn, min_size=1, max_size=2)
        assert type(pool) is not asyncpg.Pool
    assert asyncpg.Pool.__init__ is before
    async with pool:
        assert type(pool) is asyncpg.Pool
        await stays_unwatched(pool, [gauge])


@pytest.mark.parametrize("last", [1, 2, 3])
async def test_a_gauge_may_be_closed_while_a_pool_is_made(dsn: str, last: int) -> None:
    """What is opened then and later is left alone, and so is what was opened before, from then on."""
    asked: list[bool] = []
    opened: list[Any] = []

    async def connect(*arguments: Any, **keywords: Any) -> Any:
        asked.append(True)
        if len(asked) == last:
            gauge.close()
        opened.append(await asyncpg.connect(*arguments, **keywords))
        return opened[-1]

    pool = asyncpg.create_pool(dsn, min_size=3, max_size=3, connect=connect)
    gauge = watch(pool)
    async with pool:
        assert (type(pool), pool._connect) == (asyncpg.Pool, connect)
        assert not any("bind_execute" in vars(each._protocol) for each in opened)
        await stays_unwatched(pool, [gauge])


class Gate:
    """A pool's own way to connect, which opens the first `free` connections and the others once it is let to."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.waiting = asyncio.Semaphore(0)
        self.is_open = asyncio.Event()

    async def connect(self, *arguments: Any, **keywords: Any) -> Any:
        """Opens one."""
        made = await asyncpg.connect(*arguments, **keywords)
        self.free -= 1
        if self.free < 0:
            self.waiting.release()
            await self.is_open.wait()
        return made


@pytest.mark.parametrize("opened", [0, 1])
async def test_a_pool_may_be_watched_while_it_is_made(dsn: str, opened: int) -> None:
    """Whatever was open by then, statements on all of its connections count, and the pool is then watched as any."""
    gate = Gate(opened)
    pool = asyncpg.create_pool(dsn, min_size=3, max_size=4, connect=gate.connect)
    making = asyncio.ensure_future(pool)
    await gate.waiting.acquire()
    gauge = watch(pool)
    gate.is_open.set()
    await making
    await asyncio.gather(*(pool.fetchval("SELECT pg_sleep(0.05)") for _ in range(4)))
    assert counted(gauge) == {"SELECT pg_sleep(?)": (4, 4)}
    assert gauge.pool.get_current_snapshot().idle_connections == 4
    assert type(pool).__mro__[1:] == asyncpg.Pool.__mro__
    gauge.close()
    assert (type(pool), pool._connect) == (asyncpg.Pool, gate.connect)
    await stays_unwatched(pool, [])
    await pool.close()


async def test_a_pool_may_be_watched_while_somebody_gets_a_new_connection(dsn: str) -> None:
    """Whoever gets that connection next is seen, and the pool is then watched as any."""
    gate = Gate(1)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=3, connect=gate.connect) as pool:
        async with pool.acquire():
            growing = asyncio.create_task(acquired(pool))
            await gate.waiting.acquire()
            gauge = watch(pool)
            assert type(pool).__mro__[2:] == asyncpg.Pool.__mro__
            gate.is_open.set()
            await pool.release(await growing)
            async with pool.acquire() as connection:
                assert await connection.fetchval("SELECT 1") == 1
        assert counted(gauge) == {"SELECT ?": (1, 1)}
        assert type(pool).__mro__[1:] == asyncpg.Pool.__mro__
        gauge.close()
        await stays_unwatched(pool, [])


async def stays_unwatched(pool: Any, gauges: list[Instrumentation]) -> None:
    """Fails if anything of these gauges, which are closed, notices a statement."""
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT 1") == 1
        assert not connection._con._termination_listeners
    for gauge in gauges:
        assert counted(gauge) == {}
        assert gauge.report_data().self_metrics.hook_errors == 0


@pytest.mark.parametrize("is_made", [False, True])
async def test_a_pool_that_nobody_has_any_more_is_let_go(dsn: str, *, is_made: bool) -> None:
    """Being watched keeps no pool."""
    pool = asyncpg.create_pool(dsn, min_size=1, max_size=1)
    gauge = watch(pool)
    if is_made:
        await pool
        await pool.close()
    assert not gauge._watched.are_gone()
    del pool
    while not gauge._watched.are_gone():  # the loop lets go of a connection that was closed when it comes to it
        await asyncio.sleep(0)
        gc.collect()
    gauge.close()


async def test_a_connection_that_is_terminated_is_held_no_more(pool: Any) -> None:
    """By whoever had it, by the server, or because it was closed."""
    gauge = watch(pool)
    first, second = await pool.acquire(), await pool.acquire()
    pid = second.get_server_pid()
    first.terminate()
    await pool.fetchval("SELECT pg_terminate_backend($1)", pid)
    await asyncio.sleep(0.1)
    assert gauge.pool.get_current_snapshot().active_connections == 0
    assert len(gauge.pool.held) == 0
    await pool.release(first)
    await pool.release(second)
    assert await pool.fetchval("SELECT 1") == 1
    assert gauge.pool.get_metrics().use.count == 4


async def test_who_gets_the_id_of_a_lost_connection_holds_it(pool: Any) -> None:
    """That a connection was lost is told late: by then another one may have its id, and be in use."""
    gauge = watch(pool)
    lost, other = await pool.acquire(), await pool.acquire()
    held: Any = gauge.pool.held
    key, of_other = id(lost._con), held.pop(id(other._con))
    lost.terminate()
    held[key] = of_other
    await asyncio.sleep(0)
    assert held.pop(key) is of_other
    held[id(other._con)] = of_other
    await pool.release(other)
    metrics = gauge.pool.get_metrics()
    assert (metrics.total_checkouts, metrics.total_checkins) == (2, 1)


async def test_what_a_lost_connection_was_held_for_ends_when_its_id_is_another_s(pool: Any) -> None:
    """Somebody who gets a connection holds it since then, whatever stands under its id, and no use is left out."""
    gauge = watch(pool)
    lost = await pool.acquire()
    held: Any = gauge.pool.held
    [of_lost] = held.values()
    another = await pool.acquire()
    own = another._con
    await pool.release(another)
    held[id(own)] = held.pop(id(lost._con))
    lost.terminate()
    another = await pool.acquire()
    assert another._con is own
    assert of_lost not in held.values()
    assert len(held) == 1
    await pool.release(another)
    metrics = gauge.pool.get_metrics()
    assert (metrics.total_checkouts, metrics.total_checkins) == (3, 3)


@pytest.mark.parametrize("is_served", [True, False])
async def test_who_waits_as_the_gauge_is_closed_holds_nothing(pool: Any, *, is_served: bool) -> None:
    """Nobody will tell of the end of what is held by then, nor of what is got later: it is neither held nor counted."""
    gauge = watch(pool)
    held = [await pool.acquire(), await pool.acquire()]
    waiting = asyncio.ensure_future(pool.acquire(timeout=None if is_served else 0.01))
    await asyncio.sleep(0)
    assert gauge.pool.get_current_snapshot().waiting_count == 1
    gauge.close()
    if is_served:
        await pool.release(held.pop())
        held.append(await waiting)
    else:
        with pytest.raises(TimeoutError):
            await waiting
    snapshot, metrics = gauge.pool.get_current_snapshot(), gauge.pool.get_metrics()
    assert (snapshot.holders, snapshot.waiting_count) == ((), 0)
    assert (metrics.total_requests, metrics.total_checkouts, metrics.total_timeouts) == (2, 2, 0)
    wanted_ns = {level: spent for level, spent in metrics.demand.times_ns.items() if level}
    later = gauge.pool.get_metrics().demand.times_ns
    assert {level: spent for level, spent in later.items() if level} == wanted_ns
    for connection in held:
        await pool.release(connection)


async def test_fifty_tasks_share_a_pool(pool: Any) -> None:
    """Everything is counted, and nothing is in use in the end."""
    gauge = watch(pool)

    async def work(number: int) -> None:
        for _ in range(10):
            async with pool.acquire() as connection:
                await connection.fetchval("SELECT $1::int", number)

    await asyncio.gather(*(work(number) for number in range(50)))
    assert counted(gauge) == {"SELECT ?": (500, 500)}
    state, metrics = gauge.pool.get_current_snapshot(), gauge.pool.get_metrics()
    assert (state.active_connections, state.waiting_count) == (0, 0)
    assert (metrics.total_requests, metrics.total_checkouts, metrics.total_checkins) == (500, 500, 500)
    assert metrics.peak_active == 2


async def test_a_failed_connect_is_an_error_of_the_pool(dsn: str) -> None:
    """Told with its class, and the application sees asyncpg's own exception."""
    pool = asyncpg.create_pool(dsn.replace("/querygauge_", "/no_such_"), min_size=0, max_size=1)
    async with pool:
        gauge = watch(pool)
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await pool.acquire()
        metrics = gauge.pool.get_metrics()
        assert (metrics.total_errors, metrics.total_checkouts) == (1, 0)
        gauge.close()


async def test_what_is_no_connection_is_left_to_asyncpg(dsn: str) -> None:
    """A pool whose own way to connect gives something else is told so by asyncpg, and no hook of ours stumbles."""

    async def wrongly(*arguments: Any, **keywords: Any) -> int:
        return 1

    pool = asyncpg.create_pool(dsn, min_size=1, max_size=1, connect=wrongly)
    gauge = watch(pool)
    with pytest.raises(asyncpg.InterfaceError, match="expected pool connect callback to return"):
        await pool
    assert gauge.report_data().self_metrics.hook_errors == 0
    gauge.close()


async def test_a_connection_of_a_pool_is_refused(pool: Any) -> None:
    """The pool is what to name; a connection that it handed out is gone soon."""
    async with pool.acquire() as connection:
        with pytest.raises(SettingsError, match="or the pool"):
            watch(connection)


async def test_names_hold_no_password(dsn: str, connection: Any) -> None:
    """Host, port and database, of a pool that was never opened too."""
    gauge = watch(connection)
    assert gauge.targets[0].endswith(dsn.rpartition("/")[2].partition("?")[0])
    assert gauge.pools == {}
    gauge.close()
    pool = asyncpg.create_pool("postgresql://ann:secret@db.example:6000/shop")
    gauge = watch(pool)
    assert gauge.targets == ["db.example:6000/shop"]
    gauge.close()
