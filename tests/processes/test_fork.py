"""Forked and spawned children: each counts its own, flushes it at its end, and no inherited lock stops it."""

import faulthandler
import os
import textwrap
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text

from processes.programs import executions, run
from querygauge.flush import flush_thread
from querygauge.instrumenting import instrument
from querygauge.patterns.cache import PatternCache
from querygauge.registry import registry as registry_of_instrument

_LOCKS = (type(threading.Lock()), type(threading.RLock()), threading.Condition)
_ENGINE = """
engine = create_engine(f"sqlite:///{STORE.parent}/data.sqlite")
gauge = instrument(engine, store=STORE, service="forks")
"""


def test_a_forked_child_counts_only_its_own(tmp_path: Path) -> None:
    """The parent's statements, flushed or not, are the parent's; the child's reach the store when it ends."""
    program = """
    send(engine, "parent", 5)
    child = os.fork()
    if child == 0:
        engine.dispose(close=False)
        assert gauge.queries.get_query_stats() == [], gauge.queries.get_query_stats()
        send(engine, "child", 11)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    send(engine, "parent", 2)
    """
    run(_with_engine(program), tmp_path / "store", folder=tmp_path)
    assert executions(tmp_path / "store") == {"parent": 7, "child": 11}


def test_a_child_of_a_child_counts_only_its_own(tmp_path: Path) -> None:
    """Generations do not add up."""
    program = """
    send(engine, "first", 3)
    for generation in ("second", "third"):
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            break
        engine.dispose(close=False)
        send(engine, generation, 4)
    """
    run(_with_engine(program), tmp_path / "store", folder=tmp_path)
    assert executions(tmp_path / "store") == {"first": 3, "second": 4, "third": 4}


def test_the_thread_of_a_child_flushes_while_it_runs(tmp_path: Path) -> None:
    """A child has a flush thread of its own: it needs no end for its numbers to be written."""
    program = """
    from querygauge.storage.spool import waiting_files
    from querygauge.storage.paths import StorePaths
    import time
    engine = create_engine(f"sqlite:///{STORE.parent}/data.sqlite")
    gauge = instrument(engine, store=STORE, service="forks", flush_interval_s=0.05)
    child = os.fork()
    if child == 0:
        engine.dispose(close=False)
        send(engine, "child", 11)
        deadline = time.monotonic() + 30
        while not any(str(os.getpid()) in path.name for path in waiting_files(StorePaths(STORE))):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    """
    run(program, tmp_path / "store", folder=tmp_path)
    assert executions(tmp_path / "store") == {"child": 11}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("instrumented_in", ["parent", "child"])
def test_every_process_of_multiprocessing_flushes_at_its_end(tmp_path: Path, method: str, instrumented_in: str) -> None:
    """Its children run no exit functions, whether they came with a gauge or made one."""
    program = """
    import multiprocessing
    engine = gauge = None
    def begin():
        global engine, gauge
        engine = create_engine(f"sqlite:///{STORE.parent}/data.sqlite")
        gauge = instrument(engine, store=STORE, service="forks")
    def work(number):
        if engine is None:
            begin()
        engine.dispose(close=False)
        send(engine, f"worker_{number}", 10 + number)
    if __name__ == "__main__":
        method, instrumented_in = sys.argv[2:]
        if instrumented_in == "parent":
            begin()
            send(engine, "parent", 5)
        processes = [multiprocessing.get_context(method).Process(target=work, args=(n,)) for n in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
    """
    run(program, tmp_path / "store", method, instrumented_in, folder=tmp_path)
    expected = {"worker_0": 10, "worker_1": 11, "worker_2": 12}
    if instrumented_in == "parent":
        expected["parent"] = 5
    assert executions(tmp_path / "store") == expected


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_every_worker_of_a_process_pool_flushes_at_its_end(tmp_path: Path, method: str) -> None:
    """The usual way: an initializer makes each worker's engine; the sum over all workers is what was sent."""
    program = """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    engine = None
    def begin():
        global engine
        engine = create_engine(f"sqlite:///{STORE.parent}/data.sqlite")
        instrument(engine, store=STORE, service="forks")
    def work(number):
        send(engine, "work", number)
        return number
    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[2])
        with ProcessPoolExecutor(3, mp_context=context, initializer=begin) as pool:
            assert sum(pool.map(work, range(40))) == 780
    """
    run(program, tmp_path / "store", method, folder=tmp_path)
    assert executions(tmp_path / "store") == {"work": 780}


def test_no_child_of_a_busy_process_hangs(tmp_path: Path) -> None:
    """
    Sixty forks while four threads record, two meet new statements and one flushes, polls and reports all the time.

    Every child ends by itself before an alarm would end it, with its own numbers; the parent's are complete too. The
    driver is plain Python, as SQLite's own locks do not survive the fork of a busy process.
    """
    program = """
    import faulthandler, itertools, threading
    class Cursor:
        description, rowcount = None, 0
        def execute(self, statement, parameters=()): pass
        def fetchall(self): return []
        def fetchone(self): return (0,)
        def close(self): pass
    class Connection:
        isolation_level = ""
        def cursor(self): return Cursor()
        def create_function(self, *arguments, **keywords): pass
        def commit(self): pass
        rollback = close = commit
    from sqlalchemy.pool import QueuePool
    engine = create_engine("sqlite://", creator=Connection, poolclass=QueuePool, pool_size=20)
    gauge = instrument(
        engine, store=STORE, service="forks", flush_interval_s=0.001, slow_query_threshold_ms=0, enable_logging=False
    )
    gauge.queries.add_alert_handler(lambda alert: None)
    stop, sent = threading.Event(), []
    def record():
        count = 0
        while not stop.is_set():
            send(engine, "busy", 10)
            count += 10
        sent.append(count)
    def miss():
        for number in itertools.count():
            if stop.is_set():
                return
            gauge.queries.record(f"SELECT 1 AS other_{number}", 1.0)
            with engine.connect() as connection:
                connection.exec_driver_sql(f"SELECT 1 AS driver_{number}")
    def read():
        while not stop.is_set():
            gauge.finish()
            gauge.poll()
            gauge.report()
    threads = [threading.Thread(target=target, daemon=True) for target in (record,) * 4 + (miss, miss, read)]
    for thread in threads:
        thread.start()
    for number in range(60):
        child = os.fork()
        if child == 0:
            faulthandler.dump_traceback_later(30, exit=True)
            engine.dispose(close=False)
            send(engine, "child", 3)
            with engine.connect() as connection:
                connection.exec_driver_sql(f"SELECT 1 AS child_{number}")
            gauge.poll()
            gauge.report()
            gauge.close()
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status == 0, f"child {number} ended with {status}"
    stop.set()
    for thread in threads:
        thread.join()
    print(sum(sent))
    """
    output, _ = run(program, tmp_path / "store", folder=tmp_path)
    stored = executions(tmp_path / "store")
    assert stored["child"] == 180
    assert stored["busy"] == int(output)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_lock_that_another_thread_holds_at_the_fork_stops_no_child() -> None:
    """Each of our locks on a child's way is held by another thread at the fork; the child works, reads and closes."""
    engine = create_engine("sqlite://")
    gauge = instrument(engine, store=None)
    held, release = threading.Event(), threading.Event()
    holder = threading.Thread(target=_hold, args=(_locks_of(gauge), held, release))
    holder.start()
    held.wait()

    def work() -> None:
        gauge.queries.record("SELECT 1 AS fresh", 1.0)
        assert gauge.queries.get_query_stats()[0].execution_count == 1
        with create_engine("sqlite://").connect() as connection:
            gauge.pool.get_current_snapshot()
            instrument(connection.engine, store=None).close()
        gauge.report()
        gauge.poll()
        gauge.close()

    try:
        assert _fork(work) == 0
    finally:
        release.set()
        holder.join()
        gauge.close()


def test_a_child_does_not_report_failures_of_its_parent() -> None:
    """What failed in a hook of the parent is told by the parent alone."""
    gauge = instrument(create_engine("sqlite://"), store=None)
    guard = gauge._watched.attached()[0].guard
    guard.caught("statement", ValueError("one"))
    instance = gauge.snapshot().instance

    def work() -> None:
        snapshot = gauge.snapshot()
        assert (snapshot.self_metrics.hook_errors, snapshot.hook_errors) == (0, {})
        assert snapshot.instance.split(".")[0] != instance.split(".")[0]

    try:
        assert _fork(work) == 0
        snapshot = gauge.snapshot()
        assert (snapshot.self_metrics.hook_errors, snapshot.hook_errors) == (1, {"statement": 1})
        assert snapshot.instance == instance
    finally:
        gauge.close()


def test_a_child_does_not_report_what_its_parent_read() -> None:
    """What is remembered is as true in the child; that it had to be read was counted by the parent."""
    engine = create_engine("sqlite://")
    gauge = instrument(engine, store=None)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))

    def work() -> None:
        assert gauge.snapshot().pattern_cache == {"miss": 0, "evicted": 0}
        with engine.connect() as connection:
            connection.execute(text("SELECT 1 AS other"))
        assert gauge.snapshot().pattern_cache == {"miss": 1, "evicted": 0}

    try:
        assert _fork(work) == 0
        assert gauge.snapshot().pattern_cache == {"miss": 1, "evicted": 0}
    finally:
        gauge.close()


def test_the_pattern_cache_of_a_child_learns(tmp_path: Path) -> None:
    """Another thread was writing the map at the fork; the child still finds the pattern of a new statement."""
    cache = PatternCache("sqlite")
    known = cache.pattern_for("SELECT 1")
    held, release = threading.Event(), threading.Event()
    holder = threading.Thread(target=_hold, args=([cache._lock], held, release))
    holder.start()
    held.wait()

    def work() -> None:
        assert cache.pattern_for("SELECT 1") is known
        assert cache.pattern_for("SELECT a FROM b").tables == ("b",)

    try:
        assert _fork(work) == 0
    finally:
        release.set()
        holder.join()


def test_nothing_runs_in_a_child_that_ran_in_its_parent(tmp_path: Path, postgres_url: URL) -> None:
    """A statement that is under way during a fork goes on in the parent alone, whatever the child was told of it."""
    program = """
    import asyncio, asyncpg, threading
    started, may_end = threading.Event(), threading.Event()
    def hold():
        started.set()
        may_end.wait()
    engine = create_engine("sqlite://")
    gauge = instrument(engine, store=None)
    def work():
        with engine.connect() as connection:
            connection.connection.driver_connection.create_function("hold", 0, hold)
            connection.execute(text("SELECT hold()"))
    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(60)
    async def main():
        connection = await asyncpg.connect(sys.argv[1])
        with instrument(connection, store=None) as single:
            sleeping = asyncio.create_task(connection.fetch("SELECT pg_sleep(600)"))
            while not single.running(0):
                await asyncio.sleep(0)
            assert len(gauge.running(0)) == 1
            child = os.fork()
            if child == 0:
                found = gauge.running(0) + single.running(0)
                os._exit(1 if found else 0)
            assert os.waitpid(child, 0)[1] == 0
            assert len(gauge.running(0)) == len(single.running(0)) == 1
            connection.terminate()
            await asyncio.wait([sleeping])
            assert single.running(0) == () and sleeping.exception() is not None
    asyncio.run(main())
    may_end.set()
    thread.join()
    assert gauge.running(0) == ()
    """
    run(program, postgres_url.set(drivername="postgresql").render_as_string(hide_password=False), folder=tmp_path)


def _hold(locks: list[Any], held: threading.Event, release: threading.Event) -> None:
    while not held.is_set():
        with ExitStack() as stack:
            # All or none: the flush thread takes some of them too, and in another order.
            if all(_is_taken(lock, stack) for lock in locks):
                held.set()
                release.wait()


def _is_taken(lock: Any, stack: ExitStack) -> bool:
    if not lock.acquire(timeout=0.01):
        return False
    stack.callback(lock.release)
    return True


def _locks_of(root: object) -> list[Any]:
    """Every lock that can be reached from `root` through objects of this package."""
    found: list[Any] = [registry_of_instrument.lock]
    seen: set[int] = set()
    waiting: list[object] = [root, flush_thread()]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, _LOCKS):
            found.append(thing)
        elif isinstance(thing, threading.Event):
            found.append(thing._cond)  # type: ignore[attr-defined]
        elif isinstance(thing, dict):
            waiting.extend(thing.values())
        elif isinstance(thing, list | tuple):
            waiting.extend(thing)
        elif type(thing).__module__.startswith("querygauge"):
            waiting.extend(getattr(thing, "__dict__", {}).values())
            waiting.extend(getattr(thing, slot, None) for slot in getattr(type(thing), "__slots__", ()))
    return found


def _with_engine(program: str) -> str:
    return _ENGINE + textwrap.dedent(program)


def _fork(work: Callable[[], None]) -> int:
    """The exit status of a child that does `work`, or the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            faulthandler.dump_traceback_later(10, exit=True)
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
