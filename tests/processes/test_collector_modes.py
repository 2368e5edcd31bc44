"""Who folds: the four values of `collector`, in processes that are no test run."""

import textwrap
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from processes.programs import executions, run
from querygauge.instrumenting import instrument
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.ticks import claim_tick

# Engines, a gauge, and a way to wait for a condition; a flush is asked for and not waited for.
_BEGIN = """
import time
def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
def children():
    own = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            own.append((int(stat.parent.name), fields[0]))
    return own
engine = create_engine("sqlite://")
database = STORE / "querygauge.duckdb"
"""


def test_a_tick_is_a_child_that_folds_and_is_reaped(tmp_path: Path) -> None:
    """The first flush that is due starts it; it folds, ends, and leaves no zombie, while the program works on."""
    program = """
    gauge = instrument(engine, store=STORE, flush_interval_s=0.05)
    send(engine, "mark", 5)
    until(children)
    [(child, _)] = children()
    command = Path(f"/proc/{child}/cmdline").read_bytes().split(bytes(1))
    assert command[1:3] == [b"-m", b"querygauge.collector"], command
    assert os.getsid(child) == child != os.getsid(0)
    until(lambda: not children())
    assert database.exists()
    assert not {"_duckdb", "duckdb"} & set(sys.modules)
    send(engine, "mark", 2)
    """
    assert run(_BEGIN + textwrap.dedent(program), tmp_path / "store", folder=tmp_path) == ("", "")
    assert executions(tmp_path / "store") == {"mark": 7}


def test_processes_share_one_tick_an_interval(tmp_path: Path) -> None:
    """Six processes flush all the time; one child is started, by whichever came first."""
    program = """
    import multiprocessing
    def work(number):
        gauge = instrument(engine, store=STORE, collector="auto")
        tick = None
        for _ in range(20):
            send(engine, "mark", 1)
            gauge.flush()
            tick = tick or next(iter(gauge._ticks._children), None)  # the next flush reaps it, if it has ended
        os.write(1, b"ticks\\n" if tick else b"waits\\n")
        if tick:
            assert tick.wait() == 0
    if __name__ == "__main__":
        processes = [multiprocessing.Process(target=work, args=(number,)) for number in range(6)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
    """
    output, errors = run(_BEGIN + textwrap.dedent(program), tmp_path / "store", folder=tmp_path)
    assert (sorted(output.split()), errors) == (["ticks"] + ["waits"] * 5, "")
    assert executions(tmp_path / "store") == {"mark": 120}


def test_inline_folds_in_the_flush_thread(tmp_path: Path) -> None:
    """No process is started; the store is folded all the same."""
    program = """
    import subprocess
    def refuse(*arguments, **keywords):
        raise AssertionError("a process was started")
    subprocess.Popen = refuse
    gauge = instrument(engine, store=STORE, flush_interval_s=0.05, collector="inline")
    send(engine, "mark", 5)
    until(lambda: database.exists() and not list((STORE / "spool").glob("*.ndjson")))
    assert not children()
    """
    assert run(_BEGIN + textwrap.dedent(program), tmp_path / "store", folder=tmp_path) == ("", "")
    assert executions(tmp_path / "store") == {"mark": 5}


@pytest.mark.parametrize("mode", ["external", "off"])
def test_external_and_off_start_nothing(tmp_path: Path, mode: str) -> None:
    """They only write their files, however long ago the last fold was."""
    program = """
    import subprocess
    def refuse(*arguments, **keywords):
        raise AssertionError("a process was started")
    subprocess.Popen = refuse
    gauge = instrument(engine, store=STORE, collector=sys.argv[2])
    for _ in range(5):
        send(engine, "mark", 1)
        gauge.flush()
    assert not database.exists()
    assert not {"_duckdb", "duckdb"} & set(sys.modules)
    """
    assert run(_BEGIN + textwrap.dedent(program), tmp_path / "store", mode, folder=tmp_path) == ("", "")
    paths = StorePaths(tmp_path / "store")
    assert not paths.tick_stamp.exists()
    assert len(waiting_files(paths)) == 5
    assert executions(tmp_path / "store") == {"mark": 5}


def test_a_test_run_starts_nothing(tmp_path: Path) -> None:
    """Under pytest `auto` is `off`: this very process."""
    engine = create_engine("sqlite://")
    with instrument(engine, store=tmp_path / "store", collector="auto") as gauge:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1 AS mark"))
        gauge.flush()
    assert claim_tick(tmp_path / "store", 60, 1_767_225_600_000_000)
    assert executions(tmp_path / "store") == {"mark": 1}


_TELL_WARNINGS = """
import structlog
structlog.configure(
    processors=[structlog.processors.JSONRenderer()],
    logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    wrapper_class=structlog.make_filtering_bound_logger(30),
)
"""


def test_a_host_that_is_no_python_is_told_once(tmp_path: Path) -> None:
    """A server that embeds Python is not started a second time: one warning says what to do, and the host goes on."""
    program = """
    sys.executable = "/usr/sbin/uwsgi"
    gauge = instrument(engine, store=STORE, tick_interval_s=0.000001)
    for _ in range(5):
        send(engine, "mark", 1)
        gauge.flush()
    assert not children()
    """
    _, errors = run(_BEGIN + _TELL_WARNINGS + textwrap.dedent(program), tmp_path / "store", folder=tmp_path)
    assert errors.count("\n") == 1
    assert "sys.executable is '/usr/sbin/uwsgi'; set collector to 'external' or 'inline'" in errors
    assert executions(tmp_path / "store") == {"mark": 5}


@pytest.mark.parametrize("mode", ["auto", "inline"])
def test_a_tick_that_fails_is_told_once(tmp_path: Path, mode: str) -> None:
    """A database of somebody else stands in the place of ours: one warning, the file is untouched, flushes go on."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "querygauge.duckdb").write_bytes(b"not a database of ours")
    program = """
    gauge = instrument(engine, store=STORE, collector=sys.argv[2], tick_interval_s=0.000001)
    for _ in range(3):
        send(engine, "mark", 1)
        gauge.flush()
        until(lambda: gauge._ticks.reap() or not gauge._ticks._children)
    """
    _, errors = run(_BEGIN + _TELL_WARNINGS + textwrap.dedent(program), tmp_path / "store", mode, folder=tmp_path)
    assert errors.count('"event": "tick_failed"') == errors.count("\n") == 1
    assert (tmp_path / "store" / "querygauge.duckdb").read_bytes() == b"not a database of ours"
    assert len(waiting_files(StorePaths(tmp_path / "store"))) == 3


def test_a_fork_leaves_the_tick_to_the_parent(tmp_path: Path) -> None:
    """A child forked while a tick runs neither waits for it nor complains about it."""
    program = """
    gauge = instrument(engine, store=STORE)
    send(engine, "mark", 1)
    gauge.flush()
    (tick,) = gauge._ticks._children
    assert tick is not None
    child = os.fork()
    if child == 0:
        send(engine, "mark", 1)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert tick.wait() == 0
    """
    assert run(_BEGIN + textwrap.dedent(program), tmp_path / "store", folder=tmp_path) == ("", "")
    assert executions(tmp_path / "store") == {"mark": 2}
