"""An application of several processes under `querygauge run`: one store, one line, nothing twice and nothing lost."""

import http.client
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

_DEADLINE_S = 60
_WORKERS = 2

# Each request sends as many statements as its query says, under a mark of its worker, and is answered with the mark.
_WORK = """
import os
from sqlalchemy import create_engine, text

engine = create_engine(f"sqlite:///{os.environ['FOLDER']}/data.sqlite")

def work(count):
    # In letters, since numbers at the end of a name are taken out of a pattern.
    mark = "worker_" + str(os.getpid()).translate(str.maketrans("0123456789", "abcdefghij"))
    with engine.connect() as connection:
        for _ in range(count):
            connection.execute(text(f"SELECT 1 AS {mark}"))
    return mark.encode()
"""
_WSGI = f"""{_WORK}
def application(environ, start_response):
    answer = work(int(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [answer]
"""
_ASGI = f"""{_WORK}
async def application(scope, receive, send):
    assert scope["type"] == "http"
    answer = work(int(scope["query_string"]))
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]}})
    await send({{"type": "http.response.body", "body": answer}})
"""

Get = Callable[[int], str]


@contextmanager
def served(folder: Path, *command: str, **variables: str) -> "Iterator[tuple[subprocess.Popen[str], Get]]":
    """A server under `querygauge run` that listens on the descriptor that `{}` in its command stands for."""
    ours = [sys.executable, "-m", "querygauge", "run"]
    # Bound by us and handed over, so that no other process takes the port in between.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        path = f"{Path(sys.executable).parent}:{environment()['PATH']}"
        server = subprocess.Popen(
            [*ours, *(word.format(listener.fileno()) for word in command)],
            cwd=folder,
            env=environment(FOLDER=str(folder), PATH=path, **variables),
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
    with server:
        try:
            yield server, lambda count: _get(port, count)
        finally:
            if server.poll() is None:
                server.kill()


def _get(port: int, count: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_DEADLINE_S)
    try:
        connection.request("GET", f"/?{count}")
        response = connection.getresponse()
        assert response.status == 200
        return response.read().decode()
    finally:
        connection.close()


def ask(get: Get) -> Counter[str]:
    """What was sent, by mark, once every worker has had some."""
    sent: Counter[str] = Counter()
    deadline = time.monotonic() + _DEADLINE_S
    number = 0
    while number < 20 or len(sent) < _WORKERS:
        assert time.monotonic() < deadline, f"only {sent} answered"
        number += 1
        sent[get(number % 5 + 1)] += number % 5 + 1
    return sent


def ended(server: "subprocess.Popen[str]") -> str:
    """The line of ours, once the server has ended well after SIGTERM."""
    server.send_signal(signal.SIGTERM)
    _, errors = server.communicate(timeout=_DEADLINE_S)
    assert server.returncode == 0, errors
    lines = [line for line in errors.splitlines() if line.startswith("querygauge: ")]
    assert len(lines) == 1, errors
    return lines[0]


@pytest.mark.parametrize("options", [["--preload"], []], ids=["preloaded", "loaded in each worker"])
def test_gunicorn(tmp_path: Path, options: list[str]) -> None:
    """A console script whose workers are forked: the store and the line have the sum of what the workers sent."""
    (tmp_path / "shop.py").write_text(_WSGI, encoding="utf-8")
    command = ["gunicorn", "shop:application", "--workers", str(_WORKERS), "--bind", "fd://{}", "--no-control-socket"]
    with served(tmp_path, *command, *options) as (server, get):
        sent = ask(get)
        line = ended(server)
    assert executions(tmp_path / ".querygauge") == sent
    expected = f"querygauge: {sent.total():,} statements, {len(sent)} patterns, 1 target (data.sqlite), "
    assert line.startswith(f"{expected}{len(sent)} processes; to see more: ")


def test_uvicorn(tmp_path: Path) -> None:
    """A module whose workers are spawned; each ends by the SIGTERM that it was sent, and by then all of it is there."""
    (tmp_path / "shop.py").write_text(_ASGI, encoding="utf-8")
    command = ["--module", "uvicorn", "shop:application", "--workers", str(_WORKERS), "--fd", "{}", "--lifespan", "off"]
    with served(tmp_path, *command) as (server, get):
        sent = ask(get)
        line = ended(server)
    assert executions(tmp_path / ".querygauge") == sent
    assert line.startswith(f"querygauge: {sent.total():,} statements, {len(sent)} patterns, 1 target (data.sqlite), ")


def test_uvicorn_alone(tmp_path: Path) -> None:
    """Without workers it is the process that was started which ends so, with the status of without us."""
    (tmp_path / "shop.py").write_text(_ASGI, encoding="utf-8")
    with served(tmp_path, "--module", "uvicorn", "shop:application", "--fd", "{}", "--lifespan", "off") as (
        server,
        get,
    ):
        get(7)
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=_DEADLINE_S)
    assert server.returncode == -signal.SIGTERM
    assert executions(tmp_path / ".querygauge").total() == 7
    assert errors.count("querygauge: 7 statements, 1 pattern, 1 target (data.sqlite), 1 process; to see more: ") == 1


_PROGRAM = """
import multiprocessing, os, subprocess, sys

def send(mark, count):
    from sqlalchemy import create_engine, text
    with create_engine("sqlite://").connect() as connection:
        for _ in range(count):
            connection.execute(text(f"SELECT 1 AS {mark}"))

def main():
    send("parent", 3)
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        workers = [context.Process(target=send, args=(method, count)) for count in (5, 7)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0, (method, worker.exitcode)
    code = "import runpy, sys; runpy.run_path(sys.argv[1])['send']('elsewhere', 11)"
    # In a directory of its own, whose store it must not be.
    subprocess.run([sys.executable, "-c", code, os.path.abspath(__file__)], cwd="/", check=True)
    alone = "import sys; assert '_querygauge_run' not in sys.modules; "
    subprocess.run([sys.executable, "-I", "-c", alone + code, os.path.abspath(__file__)], check=True)
    subprocess.run([sys.executable, "-c", alone + code, os.path.abspath(__file__)], check=True, env={})

if __name__ == "__main__":
    main()
"""


def test_processes_that_the_application_starts(tmp_path: Path) -> None:
    """Forked, spawned, of a fork server, or started by hand: all in one store but those that get no environment."""
    (tmp_path / "app.py").write_text(_PROGRAM, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "querygauge", "run", "app.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=2 * _DEADLINE_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    expected = {"parent": 3, "fork": 12, "spawn": 12, "forkserver": 12, "elsewhere": 11}
    assert executions(tmp_path / ".querygauge") == expected
    assert ended.stderr.startswith("querygauge: 50 statements, 5 patterns, 1 target (:memory:), 8 processes; ")
    assert ended.stderr.count("\n") == 1


def test_the_collector_is_no_part_of_the_application(tmp_path: Path) -> None:
    """The process that folds does not begin to measure, and is in no tally."""
    program = """
import os
from pathlib import Path
from querygauge.ticks import start_child
assert start_child(Path("kept")).wait() == 0
print(len(os.listdir(os.environ["_QUERYGAUGE_RUN"].splitlines()[1])))
"""
    (tmp_path / "app.py").write_text(program, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "querygauge", "run", "app.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=True,
    )
    assert ended.stdout == "1\n"
