"""A value that an application sends is found nowhere in what we show, log, tell or keep."""

import json
import logging
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, NoReturn

import duckdb
import pytest
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn
from typer.testing import CliRunner

import querygauge
from databases.engines import NewEngine
from marked_work import FRAGMENTS, MARK, NUMBER, do_marked_work
from querygauge.gauge import Instrumentation
from querygauge.storage.paths import StorePaths
from querygauge.surfaces.cli import app


@pytest.fixture
def told() -> Iterator[list[Any]]:
    """What alert handlers and the log are told, log levels aside."""
    told: list[Any] = []

    def keep(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> NoReturn:
        told.append(dict(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[structlog.processors.format_exc_info, keep])
    yield told
    structlog.configure(**before)


def watched(engine: Engine | AsyncEngine, store: Path, told: list[Any], **settings: Any) -> Instrumentation:
    """A gauge that keeps every execution and tells of each."""
    gauge = querygauge.instrument(
        engine, name="shop", store=store, collector="off", slow_query_threshold_ms=0, call_sites="all", **settings
    )
    gauge.queries.add_alert_handler(lambda alert: told.append((repr(alert), alert.to_dict())))
    gauge.pool.add_alert_handler(lambda kind, data: told.append((kind, data)))
    return gauge


def shown(gauge: Instrumentation) -> Iterator[tuple[str, str]]:
    """Everything a live gauge shows, by what it is."""
    queries, pool = gauge.queries, gauge.pool
    yield "report", gauge.report()
    yield "monitor's report", queries.generate_report()
    yield "report data", repr(gauge.report_data())
    yield "snapshot", json.dumps(gauge.snapshot().to_dict()) + repr(gauge.snapshot())
    yield "statistics", json.dumps([stats.to_dict() for stats in queries.get_query_stats()])
    yield (
        "slow queries",
        repr(queries.get_slow_queries()) + json.dumps([q.to_dict() for q in queries.get_slow_queries()]),
    )
    yield "frequent", repr(queries.get_most_frequent_queries(None)) + repr(queries.get_repetitions())
    yield "dashboard", pool.generate_dashboard() + repr(pool.get_current_snapshot()) + repr(pool.get_metrics())
    yield "reprs", f"{gauge!r} {queries!r} {pool!r} {gauge.settings!r}"


def kept(store: Path) -> Iterator[tuple[str, str]]:
    """Every file of a store as bytes, and every table of its database as text."""
    for path in store.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(store)), str(path) + path.read_bytes().decode("latin-1")
    database = StorePaths(store).database
    if database.exists():
        with duckdb.connect(str(database), read_only=True) as connection:
            tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
            for (table,) in tables:
                yield f"table {table}", repr(connection.execute(f'FROM "{table}"').fetchall())


def printed(store: Path, ids: list[str]) -> Iterator[tuple[str, str]]:
    """What the commands print of a store."""
    commands = [["report", "--format", name, "--limit", "500"] for name in ("text", "json", "csv")]
    commands += [["report", "--since", "1h", "--limit", "500", "--format", "html"]]
    commands += [["collect", "--once"], ["top", "--once"], ["patterns", "list"]]
    commands += [["patterns", "show", pattern_id] for pattern_id in ids]
    for command in commands:
        result = CliRunner().invoke(app, [*command, "--store", str(store)])
        assert result.exit_code == 0, (command, result.output)
        yield " ".join(command[:3]), result.output


def check(places: Iterator[tuple[str, str]]) -> None:
    """Fails with the place and what stands around the value."""
    for place, found in places:
        for fragment in FRAGMENTS:
            at = found.find(fragment)
            assert at < 0, f"{fragment} in {place}: {found[max(0, at - 200) : at + 100]}"


def check_everything(
    gauge: Instrumentation,
    store: Path,
    told: list[Any],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Looks for the value in every place there is."""
    stats = gauge.queries.get_query_stats()
    assert gauge.report_data().self_metrics.hook_errors == 0
    check(shown(gauge))
    gauge.close()
    assert list(StorePaths(store).spool.glob("*.ndjson"))
    check(kept(store))
    check(printed(store, [entry.pattern_id for entry in stats[:25]]))
    assert not list(StorePaths(store).spool.glob("*.ndjson"))
    check(kept(store))
    assert any(isinstance(one, tuple) for one in told)
    assert any(isinstance(one, dict) and one["event"] == "slow_query" for one in told)
    check((f"told {type(one).__name__}", repr(one)) for one in told)
    check(iter([("log", caplog.text)]))
    check((name, text) for name, text in zip(("stdout", "stderr"), capfd.readouterr(), strict=True))


def test_sync(
    sync_engine: Engine,
    tmp_path: Path,
    told: list[Any],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Through every way to send it, and every error it may cause, on synchronous drivers."""
    caplog.set_level(logging.WARNING)
    store = tmp_path / "store"
    gauge = watched(sync_engine, store, told)
    assert do_marked_work(sync_engine) > 20
    check_everything(gauge, store, told, caplog, capfd)


# SQLAlchemy before 2.0.20 lets aiomysql warn of what a statement met; it is not ours to show or to hide.
@pytest.mark.filterwarnings("ignore::pymysql.err.Warning")
async def test_async(
    async_engine: AsyncEngine,
    tmp_path: Path,
    told: list[Any],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The same on asynchronous drivers."""
    caplog.set_level(logging.WARNING)
    store = tmp_path / "store"
    gauge = watched(async_engine, store, told)
    assert await greenlet_spawn(do_marked_work, async_engine.sync_engine) > 20
    check_everything(gauge, store, told, caplog, capfd)


def test_refused_login(new_engine: NewEngine, tmp_path: Path, told: list[Any]) -> None:
    """Names and passwords of a connection that was refused are not shown, though the server's message has them."""
    engine = new_engine("pymysql")
    refused = new_engine("pymysql", url=engine.url.set(username="7f3a9c", password=MARK))
    gauge = querygauge.instrument(refused, store=tmp_path / "store", collector="off")
    with pytest.raises(SQLAlchemyError, match="7f3a9c"):
        refused.connect()
    check(shown(gauge))
    gauge.close()
    check(kept(tmp_path / "store"))
    check((f"told {type(one).__name__}", repr(one)) for one in told)


def test_wanted_literals_are_kept(sync_engine: Engine, tmp_path: Path, told: list[Any]) -> None:
    """With `keep_literals` they are there, so that the tests above can fail."""
    store = tmp_path / "store"
    with watched(sync_engine, store, told, keep_literals=True) as gauge:
        do_marked_work(sync_engine)
        slow = repr(gauge.queries.get_slow_queries())
    assert MARK in slow
    assert str(NUMBER) in slow
    assert any(MARK in content for _, content in kept(store))
    assert any(MARK in repr(one) for one in told)
