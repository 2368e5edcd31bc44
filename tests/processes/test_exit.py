"""The end of a process: what was counted reaches the store, whatever way it ends."""

import signal
import textwrap
from pathlib import Path

import pytest

from processes.programs import executions, run, start
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files

_BEGIN = """
engine = create_engine("sqlite://")
instrument(engine, store=STORE)
send(engine, "before", 7)
"""


def test_a_program_that_ends_needs_to_do_nothing(tmp_path: Path) -> None:
    """Three lines, no close: everything is in the store, and nothing was said."""
    assert run(_BEGIN, tmp_path / "store", folder=tmp_path) == ("", "")
    assert executions(tmp_path / "store") == {"before": 7}


def test_the_process_that_ends_starts_no_other(tmp_path: Path) -> None:
    """A fold is due, and is left to whoever reads: the last flush only writes its file."""
    run(_BEGIN, tmp_path / "store", folder=tmp_path)
    paths = StorePaths(tmp_path / "store")
    assert not paths.tick_stamp.exists()
    assert len(waiting_files(paths)) == 1


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("sys.exit(3)", 3),
        ("raise ValueError('unhandled')", 1),
        ("import threading\nt = threading.Thread(target=sys.exit)\nt.start(); t.join()", 0),
        (
            # Who started the tests may have had it ignored, as a shell does with what it starts in the background.
            "signal = __import__('signal')\nsignal.signal(2, signal.default_int_handler)\nos.kill(os.getpid(), 2)",
            -signal.SIGINT,
        ),
        ("signal = __import__('signal')\nsignal.signal(15, lambda *_: sys.exit(4))\nos.kill(os.getpid(), 15)", 4),
    ],
    ids=["exit", "exception", "exit in a thread", "Ctrl-C", "handled SIGTERM"],
)
def test_every_orderly_end_flushes(tmp_path: Path, end: str, status: int) -> None:
    """Python runs its exit functions then, and so ours."""
    run(_BEGIN + end, tmp_path / "store", folder=tmp_path, status=status)
    assert executions(tmp_path / "store") == {"before": 7}


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 15)", "os.kill(os.getpid(), 9)", "os._exit(5)"])
def test_a_sudden_end_costs_what_was_not_flushed(tmp_path: Path, end: str) -> None:
    """Nothing runs any more, so the numbers since the last flush are gone; what was flushed is whole."""
    program = _BEGIN.replace("instrument(", "gauge = instrument(") + "gauge.finish()\nsend(engine, 'after', 5)\n" + end
    status = -int(end[-3:-1].strip(" ,")) if "kill" in end else 5
    run(program, tmp_path / "store", folder=tmp_path, status=status)
    assert executions(tmp_path / "store") == {"before": 7}


def test_a_statement_under_way_in_a_daemon_thread_holds_nothing_up(tmp_path: Path) -> None:
    """The process ends in the middle of it; everything that had ended before is stored."""
    end = """
    import threading
    from sqlalchemy import event
    entered = threading.Event()
    def wait_for_ever():
        entered.set()
        threading.Event().wait()
    @event.listens_for(engine, "connect")
    def add_function(connection, record):
        connection.create_function("wait_for_ever", 0, wait_for_ever)
    def sleep():
        with engine.connect() as connection:
            connection.execute(text("SELECT wait_for_ever()"))
    engine.dispose()
    threading.Thread(target=sleep, daemon=True).start()
    entered.wait()
    """
    run(_BEGIN + textwrap.dedent(end), tmp_path / "store", folder=tmp_path)
    assert executions(tmp_path / "store") == {"before": 7}


def test_threads_that_end_after_the_program_are_counted(tmp_path: Path) -> None:
    """Python waits for threads that are no daemons before it runs exit functions."""
    end = """
    import threading
    threads = [threading.Thread(target=send, args=(engine, "late", 50)) for _ in range(4)]
    for thread in threads:
        thread.start()
    """
    run(_BEGIN + textwrap.dedent(end), tmp_path / "store", folder=tmp_path)
    assert executions(tmp_path / "store") == {"before": 7, "late": 200}


def test_the_last_slow_query_is_logged_and_handled(tmp_path: Path) -> None:
    """What was slow a moment before the end is still told to the log and to the handlers."""
    program = """
    import structlog
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    engine = create_engine("sqlite://")
    gauge = instrument(engine, store=None, slow_query_threshold_ms=0)
    gauge.queries.add_alert_handler(lambda alert: print("handled", alert.query, flush=True))
    send(engine, "slow", 1)
    """
    output, errors = run(program, folder=tmp_path)
    assert output == "handled SELECT ? AS slow\n"
    assert errors.count("slow_query ") == 1


def test_a_killed_process_leaves_a_store_that_reads(tmp_path: Path) -> None:
    """SIGKILL while it flushes as fast as it can: every file is whole or not there, and what was told is stored."""
    program = """
    engine = create_engine("sqlite://")
    gauge = instrument(engine, store=STORE)
    flushed = 0
    while True:
        send(engine, "mark", 3)
        gauge.finish()
        flushed += 3
        print(flushed, flush=True)
    """
    process = start(program, tmp_path / "store", folder=tmp_path)
    with process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.kill()
        told = [int(line) for line in process.stdout.read().split()]
    stored = executions(tmp_path / "store")["mark"]
    least = told[-1] if told else 60
    # One more flush may have ended that could not be told any more.
    assert least <= stored <= least + 3


# The signal arrives while the 257th execution is folded, and its handler wants the numbers that are being counted.
_IN_A_FOLD = """
import signal
engine = create_engine("sqlite://")
gauge = instrument(engine, store=STORE, flush_interval_s=315_360_000)
def handler(*_):
{body}
signal.signal(signal.SIGUSR1, handler)
table = gauge.queries._recorder._fold.table
opened = table.open
def interrupted(*arguments):
    counters = opened(*arguments)
    table.open = opened
    signal.raise_signal(signal.SIGUSR1)
    return counters
table.open = interrupted
send(engine, "before", 300)
"""


@pytest.mark.parametrize(
    "body",
    [
        "gauge.close()",
        "gauge.close()\nsys.exit(0)",
        "gauge.flush()",
        "gauge.report()\ngauge.snapshot()\ngauge.pool.generate_dashboard()",
        "gauge.queries.clear_history()",
    ],
)
def test_a_signal_handler_that_interrupts_the_counting_waits_for_nothing(tmp_path: Path, body: str) -> None:
    """Whatever it asks of a gauge, it ends, the host goes on, and what was sent until then reaches the store once."""
    said = run(_IN_A_FOLD.format(body=textwrap.indent(body, "    ")), tmp_path / "store", folder=tmp_path)
    stored = executions(tmp_path / "store")["before"]
    # A gauge that is closed while the 257th is counted has no more; one that a handler never let count it has it not.
    assert stored == (256 if "exit" in body else 257 if "close" in body else 300)
    assert "flush" in body or said == ("", "")
