"""A real gunicorn with four forked workers: the store holds the sum of what they executed, and nothing twice."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from processes.programs import environment, executions

_WORKERS = 4
_REQUESTS = 40
_DEADLINE_S = 30

# Each request sends as many statements as it says, under a mark of its worker, and answers with the worker's number.
_APPLICATION = """
import os
from urllib.parse import parse_qs
from sqlalchemy import create_engine, text
from querygauge import instrument

folder = os.environ["FOLDER"]
engine = create_engine(f"sqlite:///{folder}/data.sqlite")
gauge = instrument(engine, store=f"{folder}/store", service="shop")
loaded_in = os.getpid()
# In letters, since numbers at the end of a name are taken out of a pattern.
in_letters = str.maketrans("0123456789", "abcdefghij")
with engine.connect() as connection:
    for _ in range(5):
        connection.execute(text("SELECT 1 AS at_load"))

def application(environ, start_response):
    asked = parse_qs(environ["QUERY_STRING"])
    mark = "worker_" + str(os.getpid()).translate(in_letters)
    with engine.connect() as connection:
        for _ in range(int(asked["statements"][0])):
            connection.execute(text(f"SELECT 1 AS {mark}"))
    if "flush" in asked:
        gauge.finish()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [f"{os.getpid()} {loaded_in}".encode()]
"""


@pytest.mark.parametrize("options", [["--preload"], []], ids=["preloaded", "loaded in each worker"])
def test_all_workers_add_up(tmp_path: Path, options: list[str]) -> None:
    """After a graceful stop the store holds exactly what each worker executed, and the master's own once."""
    sent: Counter[str] = Counter()
    with _gunicorn(tmp_path, *options) as (server, get):
        loaders = _ask_until_all_have_answered(get, sent)
        server.send_signal(signal.SIGTERM)
        assert server.wait(_DEADLINE_S) == 0
    # With --preload the application was loaded once, by the master; else by every worker.
    assert len(loaders) == (1 if options else _WORKERS)
    assert executions(tmp_path / "store") == sent + Counter(at_load=5 * len(loaders))


def test_a_killed_worker_is_complete_up_to_its_last_flush(tmp_path: Path) -> None:
    """SIGKILL costs the worker what came after its last flush; the others and its successor lose nothing."""
    sent: Counter[str] = Counter()
    with _gunicorn(tmp_path, "--preload") as (server, get):
        _ask_until_all_have_answered(get, sent)
        victim, _ = get("statements=17&flush=1")
        sent[_mark(victim)] += 17
        os.kill(victim, signal.SIGKILL)
        _ask_until_all_have_answered(get, sent, but=victim)
        server.send_signal(signal.SIGTERM)
        assert server.wait(_DEADLINE_S) == 0
    assert executions(tmp_path / "store") == sent + Counter(at_load=5)


def _mark(worker: int) -> str:
    return "worker_" + str(worker).translate(str.maketrans("0123456789", "abcdefghij"))


Get = Callable[[str], tuple[int, int]]


def _ask_until_all_have_answered(get: Get, sent: "Counter[str]", *, but: int = 0) -> set[int]:
    """Sends requests until each of four workers has had some; the processes that loaded the application."""
    answered: Counter[int] = Counter()
    loaders: set[int] = set()
    deadline = time.monotonic() + _DEADLINE_S
    number = 0
    while number < _REQUESTS or len(answered) < _WORKERS:
        assert time.monotonic() < deadline, f"only {answered} answered"
        number += 1
        worker, loader = get(f"statements={number % 7}")
        assert worker != but
        sent[_mark(worker)] += number % 7
        answered[worker] += 1
        loaders.add(loader)
    return loaders


@contextmanager
def _gunicorn(folder: Path, *options: str) -> "Iterator[tuple[subprocess.Popen[str], Get]]":
    (folder / "shop.py").write_text(_APPLICATION, encoding="utf-8")
    # Bound by us and handed over, so that no other process takes the port in between.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = ["gunicorn", "shop:application", "--workers", str(_WORKERS), "--bind", f"fd://{listener.fileno()}"]
        server = subprocess.Popen(
            [sys.executable, "-m", *command, "--no-control-socket", *options],
            cwd=folder,
            env=environment(FOLDER=str(folder)),
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
    with server:
        try:
            yield server, lambda query: _get(port, query)
        finally:
            if server.poll() is None:
                server.kill()
            assert server.stderr is not None
            print(server.stderr.read())


def _get(port: int, query: str) -> tuple[int, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_DEADLINE_S)
    try:
        connection.request("GET", f"/?{query}")
        response = connection.getresponse()
        assert response.status == 200
        worker, loader = response.read().split()
        return int(worker), int(loader)
    finally:
        connection.close()
