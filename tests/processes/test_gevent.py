"""A process whose threads are greenlets: patched by gevent before anything else is imported."""

from pathlib import Path

import pytest
from sqlalchemy import URL

from databases.engines import NewDatabase
from processes.programs import executions, run

_PROGRAM = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from sqlalchemy import create_engine, text
from sqlalchemy.pool import QueuePool
from querygauge import instrument

engine = create_engine(sys.argv[2], poolclass=QueuePool, pool_size=5, max_overflow=5, pool_timeout=60)
gauge = instrument(
    engine, store=sys.argv[1], slow_query_threshold_ms=0, enable_logging=False, flush_interval_s=0.05,
    max_history_size=10,
)
handled = []
gauge.queries.add_alert_handler(handled.append)

def work(number):
    for turn in range(5):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1 AS green"))
            gevent.sleep(0)
            connection.execute(text("SELECT 1 AS blue"))

gevent.joinall([gevent.spawn(work, number) for number in range(200)], raise_error=True)
metrics = gauge.pool.get_metrics()
assert metrics.total_checkouts == metrics.total_checkins == 1000, metrics
assert gauge.pool.get_current_snapshot().active_connections == 0
assert metrics.peak_waiting > 100, metrics
with gevent.Timeout(30):
    while len(handled) < 500:
        gevent.sleep(0.01)
marked = [s for s in gauge.queries.get_query_stats() if s.query_pattern.endswith(("green", "blue"))]
print(sum(stats.execution_count for stats in marked))
"""


@pytest.mark.parametrize("driver", ["sqlite3", "pymysql"])
def test_two_hundred_greenlets_are_counted_exactly(tmp_path: Path, new_database: NewDatabase, driver: str) -> None:
    """They share ten connections; every statement is counted and stored, handlers are called, the process ends."""
    url: URL = new_database(driver)
    output, errors = run(
        _PROGRAM, tmp_path / "store", url.render_as_string(hide_password=False), folder=tmp_path, is_bare=True
    )
    assert (output, errors) == ("2000\n", "")
    stored = executions(tmp_path / "store")
    assert (stored["green"], stored["blue"]) == (1000, 1000)


def test_a_fork_of_patched_processes_counts_its_own(tmp_path: Path) -> None:
    """Gevent's fork, too, leaves each process with its own numbers and its own flush greenlet."""
    program = """
    from gevent import monkey
    monkey.patch_all()
    import os, sys
    import gevent
    from sqlalchemy import create_engine, text
    from querygauge import instrument
    engine = create_engine(f"sqlite:///{sys.argv[1]}.sqlite")
    instrument(engine, store=sys.argv[1])
    def send(mark, count):
        with engine.connect() as connection:
            for _ in range(count):
                connection.execute(text(f"SELECT 1 AS {mark}"))
    send("parent", 5)
    child = os.fork()
    if child == 0:
        engine.dispose(close=False)
        gevent.joinall([gevent.spawn(send, "child", 2) for _ in range(10)], raise_error=True)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    send("parent", 1)
    """
    run(program, tmp_path / "store", folder=tmp_path, is_bare=True)
    assert executions(tmp_path / "store") == {"parent": 6, "child": 20}


def test_starting_a_process_runs_no_greenlet_of_the_parent_in_it(tmp_path: Path) -> None:
    """Gevent forks in Python to start a program; until it does, the copy must not work on the parent's connections."""
    program = """
    from gevent import monkey
    monkey.patch_all()
    import os, subprocess, sys
    import gevent
    from sqlalchemy import create_engine
    from querygauge import instrument
    gauge = instrument(create_engine("sqlite://"), store=sys.argv[1], collector="off")
    writer = os.open("pids", os.O_CREAT | os.O_APPEND | os.O_RDWR)
    is_done = False
    def work():
        while not is_done:
            os.write(writer, b"%d " % os.getpid())
            gevent.sleep(0)
    greenlets = [gevent.spawn(work) for _ in range(20)]
    gevent.sleep(0)
    for _ in range(5):
        subprocess.run(["true"], check=True)
    is_done = True
    gevent.joinall(greenlets)
    os.lseek(writer, 0, os.SEEK_SET)
    pids = set(os.fdopen(writer).read().split())
    assert pids == {str(os.getpid())}, pids
    """
    run(program, tmp_path / "store", folder=tmp_path, is_bare=True)


@pytest.mark.parametrize("is_forked", [False, True])
def test_a_process_that_is_patched_late_ends_in_silence(tmp_path: Path, *, is_forked: bool) -> None:
    """As a worker of gunicorn is, whose application was loaded before it was forked; what it counted is stored."""
    program = """
    import os, sys, threading, time
    from sqlalchemy import create_engine, text
    from querygauge import instrument
    engine = create_engine(f"sqlite:///{sys.argv[1]}.sqlite")
    instrument(engine, store=sys.argv[1], collector="off")
    if sys.argv[2] == "True" and (child := os.fork()):
        assert os.waitpid(child, 0)[1] == 0
        sys.exit(0)
    while not any(thread.name == "querygauge-flush" and thread.ident for thread in threading.enumerate()):
        time.sleep(0.001)
    from gevent import monkey
    monkey.patch_all()
    with engine.connect() as connection:
        connection.execute(text("SELECT 1 AS late"))
    """
    _, errors = run(program, tmp_path / "store", is_forked, folder=tmp_path, is_bare=True)
    assert errors == ""
    assert executions(tmp_path / "store") == {"late": 1}
