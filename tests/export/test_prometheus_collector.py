"""The collector, and /metrics for ASGI and WSGI: the numbers of every process, whichever is asked."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from querygauge.collector import tick
from querygauge.errors import SettingsError
from querygauge.export.prometheus import MetricsServer, QueryGaugeCollector, asgi_app, wsgi_app
from querygauge.export.prometheus_digest import Digest
from querygauge.export.prometheus_families import FAMILIES
from querygauge.storage import subscriptions
from querygauge.storage.folding import fold
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import Pattern, QueryErrors
from storage.making import pattern, snapshot, stats


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    """A store that does not exist yet."""
    return StorePaths(tmp_path / "store")


def _write(paths: StorePaths, executions: int = 3, *, process: str = "web:1", **members: Any) -> None:
    told = snapshot(executions, process=process, ended=datetime.now(UTC))
    SpoolSink(paths.root, 100).write(replace(told, flush_interval_s=10.0, **members))


def _registry(paths: StorePaths) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(QueryGaugeCollector(paths))
    return registry


def _samples(text: bytes) -> dict[str, float]:
    """Values of series by name and labels, as they are written."""
    lines = (line for line in text.decode().splitlines() if not line.startswith("#"))
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}


def _tick(paths: StorePaths) -> object:
    return tick(paths.root)


def _total(registry: CollectorRegistry) -> float:
    return sum(
        sample.value
        for found in registry.collect()
        for sample in found.samples
        if sample.name == "querygauge_queries_total"
    )


def test_a_store_that_is_not_there_is_empty(paths: StorePaths) -> None:
    """And is subscribed to, so that nothing is missed of what will be."""
    found = {family.name for family in text_string_to_metric_families(generate_latest(_registry(paths)).decode())}
    assert "querygauge_build_info" in found
    assert "querygauge_queries" not in found
    _write(paths)
    fold(paths)
    assert _total(_registry(paths)) == 3


def test_what_waits_and_what_was_folded_is_one(paths: StorePaths) -> None:
    """Whether a tick came in between or a reader folded makes no difference; so for each of several processes."""
    registries = [_registry(paths) for _ in range(3)]
    steps: list[Callable[[StorePaths], object]] = [fold, _tick, str, fold, _tick]
    for registry in registries:
        assert _total(registry) == 0
    for number, step in enumerate(steps):
        _write(paths, 5, process=f"web:{number}")
        step(paths)
        assert {_total(registry) for registry in registries} == {5 * (number + 1)}
    assert _total(_registry(paths)) == 25


def test_a_tick_that_was_killed_counts_nothing_twice(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be it after the totals were published and before the files in them were removed."""
    registry = _registry(paths)
    assert _total(registry) == 0
    _write(paths)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda *_, **__: None)
        tick(paths.root)
    assert _total(registry) == _total(_registry(paths)) == 3
    tick(paths.root)
    assert _total(registry) == _total(_registry(paths)) == 3


def test_scrapes_of_many_threads_agree(paths: StorePaths) -> None:
    """A collector may be asked by several at once, while ticks go on."""
    registry = _registry(paths)
    assert _total(registry) == 0
    found: list[list[float]] = [[] for _ in range(4)]
    is_over = threading.Event()

    def scrape(seen: list[float]) -> None:
        while not is_over.is_set():
            seen.append(_total(registry))
        seen.append(_total(registry))

    threads = [threading.Thread(target=scrape, args=(seen,)) for seen in found]
    for thread in threads:
        thread.start()
    for number in range(12):
        _write(paths)
        if number % 3 == 2:
            tick(paths.root)
    is_over.set()
    for thread in threads:
        thread.join()
    assert [seen == sorted(seen) for seen in found] == [True] * 4
    assert {seen[-1] for seen in found} == {36}


def test_who_is_scraped_while_nobody_ticks_keeps_little(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was added up is let go of, however many files wait; nothing is missed, and a late tick counts all of it."""
    monkeypatch.setattr(subscriptions, "_MOST_AT_ONCE", 3)
    registry = _registry(paths)
    for _ in range(5):
        _write(paths)
        _write(paths)
        scraped = _total(registry)
    gc.collect()
    assert scraped == 30
    assert sum(isinstance(each, Digest) for each in gc.get_objects()) <= 3
    tick(paths.root)
    assert (_total(registry), len(list((paths.exports / "prometheus").glob("*.ndjson")))) == (30, 0)


def test_only_so_many_patterns_have_series(paths: StorePaths) -> None:
    """The setting tells how many; the rest is `other`, and nothing is lost."""
    registry = _registry(paths)
    assert _total(registry) == 0
    _write(paths, queries=tuple(stats(number, number=number) for number in range(1, 6)))
    tick(paths.root, Limits(prometheus_patterns=2))
    found = {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        if family.name == "querygauge_pattern_queries"
        for sample in family.samples
    }
    assert len(found) == 3
    assert found["shop", "other", "ok"] + sum(v for k, v in found.items() if k[1] != "other") == 15


def test_a_name_may_hold_anything(paths: StorePaths) -> None:
    """Quotes, backslashes, line breaks and half surrogates in names of services, databases and errors."""
    awkward = 'a"b\\c\nd ü'
    error = QueryErrors(pattern(), awkward, awkward, None, 1, datetime.now(UTC), "")
    odd = Pattern("00000000000000ff", "SELECT", awkward, "SELECT", (awkward,), "sqlite")
    registry = _registry(paths)
    assert _total(registry) == 0
    queries = (stats(2, target=awkward), replace(stats(1), pattern=odd))
    _write(paths, service=awkward, queries=queries, errors=(error,))
    tick(paths.root)
    for text, parse in (
        (generate_latest(registry), text_string_to_metric_families),
        (_scraped(paths, "application/openmetrics-text; version=1.0.0"), open_metrics),
    ):
        labels = [sample.labels for family in parse(text.decode()) for sample in family.samples]
        assert {each["service"] for each in labels if "service" in each} == {awkward}
        assert {each["error_type"] for each in labels if "error_type" in each} == {awkward}
        assert awkward in {each["tables"] for each in labels if "tables" in each}


def test_a_store_may_lie_anywhere(tmp_path: Path) -> None:
    """Also where the path is no UTF-8, for which a registry would serve nothing, of its application neither."""
    paths = StorePaths(tmp_path / os.fsdecode(b"st\xffre"))
    _write(paths)
    text = generate_latest(_registry(paths)).decode()
    assert f'path="{tmp_path}/st?re"' in text


def test_a_service_without_a_name_has_an_empty_one(paths: StorePaths) -> None:
    """Which to Prometheus is a series without that label."""
    _write(paths, service="")
    assert (
        'querygauge_queries_total{operation="SELECT",service="",status="ok",target="main"} 3.0'
        in generate_latest(_registry(paths)).decode()
    )


def test_a_registry_of_ones_own_keeps_the_rest(paths: StorePaths) -> None:
    """Totals that cannot be read are logged once, and everything else of the registry is served."""
    registry = _registry(paths)
    orders = Counter("orders", "Orders.", registry=registry)
    orders.inc()
    assert _total(registry) == 0
    (paths.exports / "prometheus" / "state").write_bytes(b"nonsense")
    with capture_logs() as logs:
        for _ in range(2):
            text = generate_latest(registry).decode()
            assert "orders_total 1.0" in text
            assert "querygauge_build_info" in text
    assert [entry["event"] for entry in logs] == ["totals_not_read"]


def test_nothing_is_missed_before_the_first_scrape(paths: StorePaths) -> None:
    """Whoever will be asked is handed over what is folded until then."""
    registry = _registry(paths)
    _write(paths)
    fold(paths)
    assert _total(registry) == 3


def test_what_is_registered_twice_is_refused(paths: StorePaths) -> None:
    """As the names are the same; a registry learns them without a look into the store."""
    registry = _registry(paths)
    (paths.exports / "prometheus" / "state").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(QueryGaugeCollector(paths))


def test_a_store_that_is_switched_off_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing can be told of numbers that stay in the memory of their processes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUERYGAUGE_STORE", "none")
    with pytest.raises(SettingsError, match="store is switched off in the settings here"):
        QueryGaugeCollector()


def test_the_store_is_that_of_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As everywhere."""
    monkeypatch.chdir(tmp_path)
    _write(StorePaths(tmp_path / ".querygauge"))
    registry = CollectorRegistry()
    registry.register(QueryGaugeCollector())
    assert _total(registry) == 3


def test_the_library_is_an_extra() -> None:
    """Its absence is said with the remedy."""
    program = "import sys; sys.modules['prometheus_client'] = None; import querygauge.export.prometheus"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "querygauge.errors.MissingExtraError: the Prometheus exporter needs prometheus-client: "
        "pip install 'querygauge[prometheus]'"
    )


def test_a_scrape_loads_no_database(paths: StorePaths) -> None:
    """Nor what measures; a host that serves /metrics pays for neither, and a tick does not load the library."""
    _write(paths)
    program = (
        "import sys\n"
        "from prometheus_client import CollectorRegistry, generate_latest\n"
        "from querygauge.export.prometheus import QueryGaugeCollector\n"
        "registry = CollectorRegistry()\n"
        "registry.register(QueryGaugeCollector(sys.argv[1]))\n"
        "assert b'querygauge_queries_total' in generate_latest(registry)\n"
        "print(sorted({'duckdb', '_duckdb', 'querygauge.capture', 'querygauge.monitors'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, paths.root], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    ticked = (
        "import sys; from pathlib import Path; from querygauge.collector import tick\n"
        "tick(Path(sys.argv[1])); print('prometheus_client' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", ticked, paths.root], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_scrape_waits_for_nobody(paths: StorePaths) -> None:
    """Whoever folds holds the election lock meanwhile; a scrape does not ask for it."""
    from querygauge.storage.election import elected

    registry = _registry(paths)
    _write(paths)
    with elected(paths, 0.0) as is_elected:
        assert is_elected
        assert _total(registry) == 3


def test_nobody_scrapes_costs_nothing(paths: StorePaths) -> None:
    """A tick publishes no totals for nobody."""
    _write(paths)
    tick(paths.root)
    assert not paths.exports.exists()


def test_a_tick_tells_what_only_it_knows(paths: StorePaths) -> None:
    """Folds and how long the database was held, sizes, files that could not be used."""
    registry = _registry(paths)
    assert _total(registry) == 0
    _write(paths)
    tick(paths.root)
    (paths.spool / "0000-nonsense.ndjson").write_text("nonsense")
    tick(paths.root)
    host = socket.gethostname()
    found = _samples(generate_latest(registry))
    assert found['querygauge_folds_total{outcome="ok"}'] == 2
    assert (found["querygauge_fold_seconds_count"], found["querygauge_fold_seconds_sum"] > 0) == (1, True)
    assert found['querygauge_snapshots_dropped_total{reason="invalid"}'] == 1
    size = paths.database.stat().st_size
    assert found[f'querygauge_store_size_bytes{{host="{host}",kind="database"}}'] >= size
    assert found[f'querygauge_spool_files{{host="{host}"}}'] == 0


def test_folds_that_did_not_come_about_are_counted(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though whoever was not elected may write nothing else."""
    from querygauge.storage.election import elected

    registry = _registry(paths)
    assert _total(registry) == 0
    with elected(paths, 0.0):
        assert tick(paths.root).folded.is_busy
    tick(paths.root)
    assert _samples(generate_latest(registry))['querygauge_folds_total{outcome="busy"}'] == 1


def test_the_spool_is_as_it_is_at_the_scrape(paths: StorePaths) -> None:
    """How many files wait, and for how long."""
    ended = datetime.now(UTC) - timedelta(seconds=100)
    SpoolSink(paths.root, 100).write(snapshot(ended=ended))
    found = _samples(generate_latest(_registry(paths)))
    host = socket.gethostname()
    assert found[f'querygauge_spool_files{{host="{host}"}}'] == len(waiting_files(paths)) == 1
    assert 100 <= found[f'querygauge_spool_oldest_seconds{{host="{host}"}}'] < 200


def _scraped(paths: StorePaths, accept: str) -> bytes:
    """What a WSGI server is answered; the validator objects to whatever the protocol forbids."""
    status: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "/metrics",
        "PATH_INFO": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "QUERY_STRING": "",
        "HTTP_ACCEPT": accept,
        "wsgi.version": (1, 0),
        "wsgi.input": _Input(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.url_scheme": "http",
    }
    answer = validator(wsgi_app(paths))(environ, lambda line, *_: status.append(line))  # type: ignore[arg-type]
    body = b"".join(answer)
    answer.close()  # type: ignore[attr-defined]
    assert status == ["200 OK"]
    return body


class _Input:
    def read(self, _size: int = 0) -> bytes:
        return b""

    readline = read

    def readlines(self) -> list[bytes]:
        return []

    def __iter__(self) -> Iterator[bytes]:
        return iter([])


def test_wsgi_serves_both_formats(paths: StorePaths) -> None:
    """By the Accept header."""
    _write(paths)
    assert b"# TYPE querygauge_queries_total counter" in _scraped(paths, "text/plain; version=0.0.4")
    text = _scraped(paths, "application/openmetrics-text; version=1.0.0")
    assert b"# UNIT querygauge_query_duration_seconds seconds" in text
    assert text.endswith(b"# EOF\n")


async def test_asgi_serves_both_formats(paths: StorePaths) -> None:
    """By the Accept header, and only what was asked for by name."""
    _write(paths)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(asgi_app(paths)), base_url="http://shop") as client:
        plain = await client.get("/metrics")
        opened = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        named = await client.get("/metrics", params={"name[]": "querygauge_queries_total"})
        refused = await client.post("/metrics")
    assert (plain.status_code, plain.headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert opened.headers["content-type"].startswith("application/openmetrics-text")
    assert opened.text.endswith("# EOF\n")
    assert {family.name for family in text_string_to_metric_families(named.text)} == {"querygauge_queries"}
    assert refused.status_code == 405


async def test_a_scrape_holds_up_no_loop(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs in a thread: the loop goes on while the store is read."""
    asked, answered = threading.Event(), threading.Event()
    app = asgi_app(paths)

    def collect(_self: QueryGaugeCollector) -> list[Any]:
        asked.set()
        assert answered.wait(30)
        return []

    monkeypatch.setattr(QueryGaugeCollector, "collect", collect)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        scrape = asyncio.ensure_future(client.get("/metrics"))
        assert await asyncio.to_thread(asked.wait, 30)
        answered.set()
        assert (await scrape).status_code == 200


def test_the_server_of_the_collector(paths: StorePaths) -> None:
    """Serves at a port, is told that a port is taken, and ends."""
    _write(paths)
    server = MetricsServer(paths, "127.0.0.1", 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
            assert b"querygauge_queries_total" in answer.read()
        with pytest.raises(SettingsError, match=rf"metrics-port must be one to listen at; got 127.0.0.1:{server.port}"):
            MetricsServer(paths, "127.0.0.1", server.port)
    finally:
        server.close()


def test_what_is_described_is_what_may_be_served(paths: StorePaths) -> None:
    """A registry learns every name beforehand."""
    described = [family.name for family in QueryGaugeCollector(paths).describe()]
    assert described == [each.name.removesuffix("_total") for each in FAMILIES]
