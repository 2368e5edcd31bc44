"""What is told of a pool is what the pool and the server say, whatever an application does with its connections."""

import gc
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import AssertionPool, NullPool, Pool, QueuePool, SingletonThreadPool, StaticPool

from capture.scenarios import wait_until
from databases.engines import NewEngine
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument

ONE = text("SELECT 1")
SESSIONS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND backend_type = 'client backend' AND application_name <> 'assistant'"
)
POOLS = (QueuePool, NullPool, StaticPool, SingletonThreadPool, AssertionPool)
USERS = 50


@dataclass
class Watched:
    """A measured engine on PostgreSQL, and the independent witnesses."""

    engine: Engine
    gauge: Instrumentation
    assistant: Engine
    events: Counter[str]

    def sessions(self) -> int:
        """Connections that the server has, the assistant's aside."""
        with self.assistant.connect() as connection:
            return int(connection.execute(SESSIONS).scalar_one())

    def check(self, in_use: int, *, elsewhere: int = 0) -> None:
        """
        Fails unless everything told is true.

        Args:
            in_use: Connections that the test has checked out.
            elsewhere: Open connections that belong to the pool no more.
        """
        self.check_state(in_use, elsewhere=elsewhere)
        metrics = self.gauge.pool.get_metrics()
        assert metrics.total_requests == metrics.total_checkouts + metrics.total_timeouts + metrics.total_errors
        assert metrics.total_checkouts == self.events["checkout"]
        # A connection that the garbage collector brings back was not given back.
        assert metrics.total_checkins == self.events["checkin"] + self.events["detach"] - metrics.leaks
        assert metrics.create.count == self.events["connect"]

    def check_state(self, in_use: int, *, elsewhere: int = 0) -> None:
        """As `check`, for the present alone."""
        snapshot = self.gauge.pool.get_current_snapshot()
        pool: Any = self.engine.pool
        assert snapshot.active_connections == (pool.checkedout() if isinstance(pool, QueuePool) else in_use) == in_use
        expected = snapshot.active_connections + snapshot.idle_connections + elsewhere
        # A session that was closed lives on at the server for a moment; one too few would never be made up for.
        wait_until(lambda: self.sessions() <= expected)
        assert self.sessions() == expected
        assert snapshot.waiting_count == 0
        assert (snapshot.pool_class, snapshot.driver) == (type(pool).__name__, "psycopg")
        assert self.gauge.report_data().self_metrics.hook_errors == 0


Watch = Callable[..., Watched]


@pytest.fixture
def watch(new_engine: NewEngine) -> Iterator[Watch]:
    """`watch(poolclass=…, before=…)` is a measured engine; `before(engine)` runs ahead of the measuring."""
    gauges: list[Instrumentation] = []

    def made(*, before: Callable[[Engine], Any] = lambda _: None, **options: Any) -> Watched:
        engine = new_engine("psycopg", **options)
        # SQLAlchemy's first connection asks the server for its version; its checkin is no matter of the pool's.
        engine.connect().close()
        engine.dispose()
        before(engine)
        gauges.append(instrument(engine, store=None, enable_logging=False))
        events: Counter[str] = Counter()
        for name in ("checkout", "checkin", "detach", "connect"):
            event.listen(engine, name, counting(events, name))
        assistant = new_engine(
            "psycopg", url=engine.url, poolclass=NullPool, connect_args={"application_name": "assistant"}
        )
        return Watched(engine, gauges[-1], assistant, events)

    yield made
    for gauge in gauges:
        gauge.close()


def counting(events: Counter[str], name: str) -> Callable[..., None]:
    """A listener that counts."""

    def count(*_arguments: Any) -> None:
        events[name] += 1

    return count


@pytest.mark.parametrize("pool", POOLS)
def test_use(watch: Watch, pool: type[Pool]) -> None:
    """Checked out, it is in use; given back, it is idle or closed, as the pool's kind has it."""
    watched = watch(poolclass=pool)
    for _ in range(3):
        with watched.engine.connect() as connection:
            connection.execute(ONE)
            watched.check(1)
        watched.check(0)


def test_the_lock_of_its_queue(watch: Watch) -> None:
    """Whoever holds the lock of the pool's queue, as a thread that a signal has ended inside, holds up no reader."""
    watched = watch()
    mutex: threading.RLock = watched.engine.pool._pool.mutex  # type: ignore[attr-defined]
    read: list[tuple[int, int]] = []

    def look() -> None:
        snapshot = watched.gauge.pool.get_current_snapshot()
        read.append((snapshot.active_connections, snapshot.idle_connections))

    with watched.engine.connect(), watched.engine.connect() as second:
        second.close()
        with mutex:
            reader = threading.Thread(target=look, daemon=True)
            reader.start()
            reader.join(5)
            assert read == [(1, 1)]


@pytest.mark.parametrize("pool", POOLS)
def test_dispose(watch: Watch, pool: type[Pool]) -> None:
    """A disposed pool is empty, and the next one is watched as the first was."""
    watched = watch(poolclass=pool)
    for _ in range(3):
        with watched.engine.connect() as connection:
            connection.execute(ONE)
        watched.engine.dispose()
        watched.check(0)
    with watched.engine.connect() as connection:
        connection.execute(ONE)
        watched.check(1)


@pytest.mark.parametrize("pool", [QueuePool, NullPool])
def test_dispose_while_out(watch: Watch, pool: type[Pool]) -> None:
    """A connection that was out at the `dispose()` belongs to the pool no more, nor when it comes back."""
    watched = watch(poolclass=pool)
    old_pool = watched.engine.pool
    with watched.engine.connect() as old:
        old.execute(ONE)
        watched.engine.dispose()
        if pool is QueuePool:
            watched.check_state(0, elsewhere=1)
        with watched.engine.connect() as new:
            new.execute(ONE)
    watched.check(0, elsewhere=1 if pool is QueuePool else 0)
    old_pool.dispose()
    watched.check(0)


@pytest.mark.parametrize("pool", POOLS)
def test_dispose_without_closing(watch: Watch, pool: type[Pool]) -> None:
    """`dispose(close=False)`, for a forked child, leaves the old connections to the old pool."""
    watched = watch(poolclass=pool)
    old_pool = watched.engine.pool
    with watched.engine.connect() as connection:
        connection.execute(ONE)
    left = 0 if pool is NullPool else 1
    watched.engine.dispose(close=False)
    watched.check(0, elsewhere=left)
    with watched.engine.connect() as connection:
        connection.execute(ONE)
        watched.check(1, elsewhere=left)
    old_pool.dispose()
    watched.check(0)


@pytest.mark.parametrize("pool", POOLS)
def test_detach(watch: Watch, pool: type[Pool]) -> None:
    """A detached connection has left the pool."""
    watched = watch(poolclass=pool)
    with watched.engine.connect() as connection:
        connection.execute(ONE)
        connection.detach()
        watched.check(0, elsewhere=1)
        with watched.engine.connect() as another:
            another.execute(ONE)
            watched.check(1, elsewhere=1)
    watched.check(0)


@pytest.mark.parametrize("is_reused", [False, True])
@pytest.mark.parametrize("pool", POOLS)
def test_invalidate(watch: Watch, pool: type[Pool], is_reused: bool) -> None:
    """An invalidated connection is closed, and its place in the pool is free for a new one."""
    watched = watch(poolclass=pool)
    with watched.engine.connect() as connection:
        connection.execute(ONE)
        connection.invalidate()
        watched.check(0)
        if is_reused:
            connection.rollback()
            connection.execute(ONE)
            watched.check(1)
    with watched.engine.connect() as connection:
        connection.execute(ONE)
        watched.check(1)


@pytest.mark.parametrize("pool", [QueuePool, NullPool, SingletonThreadPool, AssertionPool])
def test_soft_invalidate(watch: Watch, pool: type[Pool]) -> None:
    """A connection invalidated softly is replaced when it is asked for again."""
    watched = watch(poolclass=pool)
    raw = watched.engine.raw_connection()
    raw.invalidate(soft=True)
    raw.close()
    watched.check(0)
    with watched.engine.connect() as connection:
        connection.execute(ONE)
        watched.check(1)


@pytest.mark.parametrize("pool", POOLS)
def test_recycle(watch: Watch, pool: type[Pool]) -> None:
    """A connection that is too old is replaced in its place."""
    watched = watch(poolclass=pool, pool_recycle=0)
    for _ in range(3):
        with watched.engine.connect() as connection:
            connection.execute(ONE)
            watched.check(1)
    watched.check(0)


@pytest.mark.parametrize("pool", POOLS)
def test_leak(watch: Watch, pool: type[Pool]) -> None:
    """A connection that nobody gave back is told as a leak, by the pattern it sent last, and is held no more."""
    alerts: list[str] = []
    watched = watch(poolclass=pool)
    watched.gauge.pool.add_alert_handler(lambda kind, _: alerts.append(kind))
    connection = watched.engine.connect()
    connection.execute(ONE)
    del connection
    gc.collect()
    watched.check(0)
    assert watched.gauge.pool.get_metrics().leaks == 1
    assert len(watched.gauge.pool.held) == 0
    watched.gauge.close()
    assert alerts == ["connection_leak"]


def test_overflow(watch: Watch) -> None:
    """Connections above the pool's size are overflow, and are closed when they come back."""
    watched = watch(pool_size=1, max_overflow=2)
    connections = [watched.engine.connect() for _ in range(3)]
    watched.check(3)
    snapshot = watched.gauge.pool.get_current_snapshot()
    assert (snapshot.pool_size, snapshot.overflow, snapshot.max_connections, snapshot.utilization_percent) == (
        1,
        2,
        3,
        100,
    )
    for connection in connections:
        connection.close()
    watched.check(0)
    assert watched.gauge.pool.get_metrics().peak_active == 3


def test_attached_late(watch: Watch) -> None:
    """A pool that was in use before is told as it is: idle connections, and those that are out."""
    out: list[Any] = []

    def use(engine: Engine) -> None:
        connections = [engine.connect() for _ in range(4)]
        for connection in connections[:3]:
            connection.close()
        out.append(connections[3])

    watched = watch(before=use)
    watched.check_state(1)
    out.pop().close()
    watched.check_state(0)
    with watched.engine.connect(), watched.engine.connect():
        watched.check_state(2)
    metrics = watched.gauge.pool.get_metrics()
    assert (metrics.total_checkouts, metrics.total_checkins, metrics.create.count) == (2, 2, 0)


@pytest.mark.parametrize("pool", [StaticPool, SingletonThreadPool, AssertionPool])
def test_attached_late_without_a_queue(watch: Watch, pool: type[Pool]) -> None:
    """What a pool keeps in no queue is told as it is, too, whether it was out or idle when the gauge was made."""
    out: list[Any] = []
    watched = watch(poolclass=pool, before=lambda engine: out.append(engine.connect()))
    watched.check_state(1)
    out.pop().close()
    watched.check_state(0)
    watched.gauge.close()
    with instrument(watched.engine, store=None, enable_logging=False) as watched.gauge:
        watched.check_state(0)
        with watched.engine.connect():
            watched.check_state(1)
        watched.check_state(0)
        watched.engine.dispose()
        watched.check_state(0)


def test_attached_late_to_a_pool_that_keeps_nothing(watch: Watch) -> None:
    """A pool that keeps no connection does not know of one that was out before us."""
    out: list[Any] = []
    watched = watch(poolclass=NullPool, before=lambda engine: out.append(engine.connect()))
    watched.check_state(0, elsewhere=1)
    with watched.engine.connect():
        watched.check_state(1, elsewhere=1)
    out.pop().close()
    watched.check_state(0)


@pytest.mark.parametrize("is_refused", [False, True])
def test_closed_while_one_is_obtained(watch: Watch, *, is_refused: bool) -> None:
    """Nobody will tell of the end of what is held as a gauge is closed: it is held no more, nor is what follows."""
    watched = watch()

    def close(*_: Any) -> None:
        watched.gauge.close()
        if is_refused:
            raise OSError

    with watched.engine.connect():
        event.listen(watched.engine.pool, "connect", close)
        if is_refused:
            with pytest.raises(OSError):  # noqa: PT011  # it says nothing
                watched.engine.connect()
        else:
            watched.engine.connect().close()
        snapshot, metrics = watched.gauge.pool.get_current_snapshot(), watched.gauge.pool.get_metrics()
    assert (snapshot.active_connections, snapshot.waiting_count, snapshot.holders) == (1, 0, ())
    assert (metrics.total_requests, metrics.total_checkouts, metrics.total_errors) == (1, 1, 0)
    later = watched.gauge.pool.get_metrics().demand.times_ns
    assert later[1] == metrics.demand.times_ns[1]


def test_pool_timeout(watch: Watch) -> None:
    """Whoever gives up waiting is a timeout and waits no more."""
    watched = watch(pool_size=1, max_overflow=0, pool_timeout=0.01)
    with watched.engine.connect():
        for _ in range(2):
            with pytest.raises(PoolTimeoutError):
                watched.engine.connect()
        watched.check(1)
    metrics = watched.gauge.pool.get_metrics()
    assert (metrics.total_requests, metrics.total_timeouts, metrics.total_errors) == (3, 2, 0)
    assert metrics.timeout_rate == pytest.approx(200 / 3)


def test_asserting_pool(watch: Watch) -> None:
    """What a pool refuses is an error of its own, and no checkout."""
    watched = watch(poolclass=AssertionPool)
    with watched.engine.connect() as connection:
        connection.execute(ONE)
        with pytest.raises(AssertionError):
            watched.engine.connect()
        watched.check(1)
    assert watched.gauge.pool.get_metrics().total_errors == 1


def test_thread_s_own_connection(watch: Watch) -> None:
    """A pool that gives a thread its connection again counts one checkout, and gives it back with the last."""
    watched = watch(poolclass=SingletonThreadPool)
    with watched.engine.connect() as outer, watched.engine.connect() as inner:
        assert outer.connection.dbapi_connection is inner.connection.dbapi_connection
        assert watched.gauge.pool.get_current_snapshot().active_connections == 1
    metrics = watched.gauge.pool.get_metrics()
    assert (metrics.total_requests, metrics.total_checkouts, metrics.total_checkins) == (2, 1, 1)


@pytest.mark.parametrize("pool", POOLS)
def test_failed_connect(new_engine: NewEngine, pool: type[Pool]) -> None:
    """A server that is not there is an error for each request, and nothing is in use or idle."""
    reachable = new_engine("psycopg")
    engine = new_engine("psycopg", url=reachable.url.set(host="127.0.0.1", port=1, query={}), poolclass=pool)
    with instrument(engine, store=None, enable_logging=False) as gauge:
        for _ in range(3):
            with pytest.raises(OperationalError):
                engine.connect()
        snapshot, metrics = gauge.pool.get_current_snapshot(), gauge.pool.get_metrics()
        assert (snapshot.active_connections, snapshot.idle_connections, snapshot.waiting_count) == (0, 0, 0)
        assert (metrics.total_requests, metrics.total_errors, metrics.total_checkouts) == (3, 3, 0)
        assert metrics.create.count == 0
        assert gauge.report_data().self_metrics.hook_errors == 0


@pytest.mark.parametrize("pool_size", [5, USERS])
def test_many_threads(watch: Watch, pool_size: int) -> None:
    """Fifty threads at once: every checkout has its checkin, peaks are those of the pool, and nothing drifts."""
    rounds = 20
    watched = watch(pool_size=pool_size, max_overflow=0, pool_timeout=60)
    together = threading.Barrier(USERS)
    problems: list[BaseException] = []

    def use() -> None:
        try:
            together.wait()
            for number in range(rounds):
                with watched.engine.connect() as connection:
                    connection.execute(ONE)
                    if number % 10 == 9:
                        connection.invalidate()
        except BaseException as error:  # noqa: BLE001  # shown by the main thread
            problems.append(error)

    threads = [threading.Thread(target=use) for _ in range(USERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        snapshot = watched.gauge.pool.get_current_snapshot()
        assert 0 <= snapshot.active_connections <= pool_size
        assert 0 <= snapshot.idle_connections <= pool_size
        assert 0 <= snapshot.waiting_count <= USERS
    for thread in threads:
        thread.join()
    assert problems == []
    watched.check(0)
    metrics = watched.gauge.pool.get_metrics()
    assert metrics.total_requests == metrics.wait.count == USERS * rounds
    assert metrics.peak_active <= pool_size
    if pool_size < USERS:
        assert 0 < metrics.peak_waiting <= USERS
