"""`querygauge collect` serves /metrics while it folds."""

import signal
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from processes.programs import environment
from querygauge.storage.spool_sink import SpoolSink
from storage.making import snapshot


def _collect(folder: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "querygauge", "collect", "--store", str(folder / "store"), *options],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_serves_until_it_is_ended(tmp_path: Path) -> None:
    """What is flushed is served at the address that it says; SIGTERM ends both."""
    SpoolSink(tmp_path / "store", 10).write(snapshot(ended=datetime.now(UTC)))
    with _collect(tmp_path, "--metrics-port", "0") as collector:
        assert collector.stdout is not None
        said = collector.stdout.readline()
        assert said.startswith("serving http://127.0.0.1:")
        with urllib.request.urlopen(said.split()[1]) as answer:
            assert b'querygauge_queries_total{operation="SELECT"' in answer.read()
        collector.send_signal(signal.SIGTERM)
        _, errors = collector.communicate(timeout=60)
    assert (collector.returncode, "Traceback" in errors) == (0, False)


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    """In one line, before anything is folded."""
    with _collect(tmp_path, "--metrics-port", "0") as collector:
        assert collector.stdout is not None
        port = collector.stdout.readline().split(":")[-1].split("/")[0]
        with _collect(tmp_path, "--metrics-port", port) as second:
            _, errors = second.communicate(timeout=60)
        collector.send_signal(signal.SIGTERM)
        collector.communicate(timeout=60)
    assert second.returncode == 2
    assert errors.startswith(
        f"querygauge: metrics-port must be one to listen at; got 127.0.0.1:{port}: Address already"
    )


def test_nothing_is_served_unless_it_is_asked_for(tmp_path: Path) -> None:
    """Nor is the library needed, nor anybody subscribed."""
    with _collect(tmp_path, "--once") as collector:
        said, errors = collector.communicate(timeout=60)
    assert (collector.returncode, said, errors) == (0, "nothing waits\n", "")
    assert not (tmp_path / "store" / "exports").exists()
