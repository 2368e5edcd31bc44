"""A real Prometheus scrapes a running application with several workers behind one port, and answers for each family."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import URL, create_engine, text
from sqlalchemy.pool import NullPool

from missing import skip_or_fail
from processes.programs import environment
from querygauge.export.prometheus_families import FAMILIES
from querygauge.storage.opening import open_store

_DEADLINE_S = 60
_WORKERS = 3
_ITEMS = 6  # statements of one kind that each request sends

# Each request sends statements that repeat, are slow, fail, and find no connection, blocks an event loop, and has tags
# that cannot be told.
_APPLICATION = """
import asyncio, os, time
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from querygauge import WSGIMiddleware, instrument, scope
from querygauge.export.prometheus import wsgi_app

folder, url = os.environ["FOLDER"], os.environ["DATABASE"]
engine = create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.05)
loops = create_async_engine(url.replace("+psycopg", "+asyncpg"), poolclass=NullPool)
absent = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/absent")
gauge = instrument(
    engine, loops, absent, service="shop", store=f"{folder}/store", flush_interval_s=1, tick_interval_s=2,
    slow_query_threshold_ms=30, health_check=True, health_check_interval=1,
)
metrics = wsgi_app(f"{folder}/store")

def tags(environ):
    raise LookupError(environ["PATH_INFO"])

def answer(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        return metrics(environ, start_response)
    with scope("GET /items"), engine.connect() as connection:
        for number in range(int(environ["QUERY_STRING"])):
            connection.execute(text("SELECT * FROM items WHERE id = :id"), {"id": number})
        connection.execute(text("SELECT pg_sleep(0.04)"))
        try:
            connection.execute(text("SELECT * FROM no_such_table"))
        except DBAPIError:
            connection.rollback()
        try:
            engine.connect()
        except TimeoutError:
            pass
    try:
        absent.connect()
    except DBAPIError:
        pass
    asyncio.run(block())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]

async def block():
    async with loops.connect() as connection:
        sleeping = asyncio.ensure_future(connection.execute(text("SELECT pg_sleep(0.02)")))
        for _ in range(5):
            await asyncio.sleep(0)
        time.sleep(0.08)
        await sleeping

application = WSGIMiddleware(answer, tags=tags)
"""


@pytest.mark.timeout(300)  # two servers are started, and several workers
def test_a_real_one_answers_for_every_family(tmp_path: Path, postgres_url: URL) -> None:
    """
    Whichever worker it reaches, while they flush, ticks publish, readers fold and a worker is killed.

    No counter is ever lower than before, and in the end each has exactly what was executed.
    """
    sent = Counter[str]()
    with _application(tmp_path, postgres_url) as port, _prometheus(tmp_path, port) as ask:
        seen = _Counters(port)
        _until(lambda: ask("querygauge_folds_total") and seen.look(), "a tick publishes")
        workers = set[int]()
        for number in range(12):
            workers.add(_work(port, sent))
            seen.look()
            if number == 3:
                _command(tmp_path, "report")
            if number == 8:
                _until(lambda: _flushed(tmp_path, sent), "everything is flushed")
                os.kill(workers.pop(), signal.SIGKILL)
        _command(tmp_path, "store", "backup")
        _command(tmp_path, "store", "prune")
        _until(lambda: seen.look() and _flushed(tmp_path, sent), "everything is flushed")
        _until(lambda: _value(ask(_ITEMS_SENT)) == sent["items"], f"Prometheus knows of {sent['items']} statements")
        _until(lambda: ask("querygauge_alert_messages_total > 0") and seen.look(), "an alert is sent")
        _until(lambda: not _without_answer(ask), lambda: f"Prometheus has nothing for {_without_answer(ask)}")
        executed = open_store(tmp_path / "store").status().executions.total
        _until(lambda: _value(ask("sum(querygauge_queries_total)")) >= executed, "all is scraped")
        seen.look()
        assert ask('resets({__name__=~"querygauge_.*(_total|_bucket|_count|_sum)"}[10m]) > 0') == []
        assert _value(ask("count(count by (process) (querygauge_flush_age_seconds))")) >= len(workers)
        assert _value(ask("max(querygauge_alerts_firing{rule='pool_timeout',severity='critical'})")) == 1
        slow = ask(
            'querygauge_pattern_percentile_seconds{percentile="0.95"} * on(service, pattern_id) '
            'group_left(summary) querygauge_pattern_info{summary="SELECT items"}'
        )
        assert 0 < _value(slow) < 1
        assert _faults(port) == ""


_ITEMS_SENT = (
    'sum(querygauge_pattern_queries_total{status="ok"} * on(service, pattern_id) group_left(summary) '
    'querygauge_pattern_info{summary="SELECT items"})'
)

Ask = Callable[[str], list[Any]]


class _Counters:
    """The counters of the application, none of which may fall from one look to the next."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._known: dict[tuple[str, ...], float] = {}

    def look(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics") as answer:
            families = text_string_to_metric_families(answer.read().decode())
        now = {
            (sample.name, *(f"{name}={value}" for name, value in sample.labels.items())): sample.value
            for family in families
            if family.type in {"counter", "histogram"}
            for sample in family.samples
        }
        assert {key: value for key, value in self._known.items() if now.get(key, value) < value} == {}
        self._known |= now
        return True


def _faults(port: int) -> str:
    """What Prometheus' own linter objects to."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        exposition = answer.read()
    checked = subprocess.run(["promtool", "check", "metrics"], input=exposition, capture_output=True, check=False)
    return f"{checked.stdout.decode()}{checked.stderr.decode()}"


def _without_answer(ask: Ask) -> list[str]:
    return [each.name for each in FAMILIES if not ask(f"{each.name}_bucket" if each.kind == "histogram" else each.name)]


def _value(found: list[Any]) -> float:
    return float(found[0]["value"][1]) if found else -1.0


def _until(is_so: Callable[[], Any], what: str | Callable[[], str]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(0.1)


def _flushed(folder: Path, sent: Counter[str]) -> bool:
    stats = open_store(folder / "store").execution_statistics("1h")
    return True if stats is None else _items_in(folder) == sent["items"]


def _items_in(folder: Path) -> int:
    answer = _command(folder, "report", "--format", "json")
    return sum(each["execution_count"] for each in json.loads(answer)["queries"] if each["summary"] == "SELECT items")


def _command(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "querygauge", *arguments, "--store", str(folder / "store")],
        cwd=folder,
        env=environment(),
        capture_output=True,
        check=True,
        text=True,
    ).stdout


def _work(port: int, sent: Counter[str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_DEADLINE_S)
    try:
        connection.request("GET", f"/items?{_ITEMS}")
        response = connection.getresponse()
        assert response.status == 200
        sent["items"] += _ITEMS
        return int(response.read())
    finally:
        connection.close()


@contextmanager
def _application(folder: Path, database: URL) -> Iterator[int]:
    """Several workers behind one port."""
    database = database.set(drivername="postgresql+psycopg")
    engine = create_engine(database, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE items (id integer)"))
    (folder / "shop.py").write_text(_APPLICATION, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gunicorn",
                "shop:application",
                "--no-control-socket",
                "--workers",
                str(_WORKERS),
                "--bind",
                f"fd://{listener.fileno()}",
            ],
            cwd=folder,
            env=environment(FOLDER=str(folder), DATABASE=database.render_as_string(hide_password=False)),
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
    with _ended(server):
        yield port


@contextmanager
def _prometheus(folder: Path, scraped: int) -> Iterator[Ask]:
    """A real one that scrapes a port of this machine each second; gives what answers a query with its vector."""
    program = shutil.which("prometheus")
    if program is None:
        skip_or_fail("Prometheus is not installed: apt-get install prometheus")
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['127.0.0.1:{scraped}']}}]}}]\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )

    def ask(query: str) -> list[Any]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
            ) as answer:
                found: list[Any] = json.load(answer)["data"]["result"]
                return found
        except OSError:
            assert server.poll() is None, "Prometheus ended"
            return []

    with _ended(server):
        yield ask


@contextmanager
def _ended(server: "subprocess.Popen[str]") -> Iterator[None]:
    with server:
        try:
            yield
        finally:
            server.terminate()
            try:
                _, told = server.communicate(timeout=_DEADLINE_S)
            except subprocess.TimeoutExpired:
                server.kill()
                _, told = server.communicate()
            print(told)
