"""What requests and jobs did, from the statement to the store: exact, whoever counts and however many at once."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from databases.engines import NewEngine
from querygauge import instrument, scope
from querygauge.capture import endings
from querygauge.storage.opening import open_store
from querygauge.surfaces.cli import app
from querygauge.values import ScopeStats, by_name, by_pattern

THREADS = 8
UNITS = 60  # of each thread
TABLES = ("a", "b", "c")


@pytest.fixture
def engine(new_engine: NewEngine) -> Engine:
    """A database with three tables."""
    engine = new_engine("sqlite3")
    with engine.begin() as connection:
        for table in TABLES:
            connection.execute(text(f"CREATE TABLE {table} (x)"))
    return engine


def send(engine: Engine, *tables: str) -> None:
    """Reads tables, on one connection."""
    with engine.connect() as connection:
        for table in tables:
            connection.execute(text(f"SELECT x FROM {table}"))


def counts(scopes: list[ScopeStats]) -> dict[str | None, tuple[int, int]]:
    """Units and executions by name."""
    return {stats.scope: (stats.unit_count, stats.execution_count) for stats in scopes}


def test_threads_lose_and_repeat_nothing(engine: Engine, tmp_path: Path) -> None:
    """Units, executions and which queries each scope sent are those that eight threads sent, in memory and stored."""
    units, sent, tagged = Counter[str](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    lock = threading.Lock()

    def work(seed: int) -> None:
        chance = Random(seed)
        for _ in range(UNITS):
            name, tenant = f"GET /{chance.randrange(5)}", f"t{chance.randrange(3)}"
            tables = chance.choices(TABLES, k=chance.randrange(6))
            with scope(name, tenant=tenant):
                send(engine, *tables)
            send(engine, "a")
            with lock:
                units[name] += 1
                sent.update((name, table) for table in tables)
                tagged[name, tenant] += len(tables)

    with instrument(engine, store=tmp_path / "store", service="shop", collector="off") as gauge:
        with ThreadPoolExecutor(THREADS) as threads:

            def flush_often() -> None:
                for _ in range(20):
                    gauge.flush()

            flushing = threads.submit(flush_often)
            list(threads.map(work, range(THREADS)))
            flushing.result()
        live = gauge.queries
        in_memory = live.get_scope_stats()
        queries = {
            (name, each.tables[0]): each.execution_count for name in units for each in live.get_query_stats(scope=name)
        }
        outside = sum(each.execution_count for each in live.get_query_stats()) - sum(sent.values())
    expected = {name: (count, sum(n for (of, _), n in sent.items() if of == name)) for name, count in units.items()}
    assert counts(in_memory) == expected
    assert queries == sent
    assert outside == THREADS * UNITS
    store = open_store(tmp_path / "store")
    stored = store.scopes()
    assert counts(by_name(stored)) == expected
    assert {(stats.scope, stats.tags["tenant"]): stats.execution_count for stats in stored} == tagged
    assert {
        (name, each.tables[0]): each.execution_count for name in units for each in store.query_stats(scope=name)
    } == sent
    assert sum(stats.total_duration_ms for stats in stored) == pytest.approx(
        sum(stats.total_duration_ms for stats in in_memory)
    )
    assert max(stats.max_executions for stats in stored) == max(stats.max_executions for stats in in_memory) == 5


def test_a_snapshot_has_them(engine: Engine) -> None:
    """By name and tags, with the queries of each; all of it is JSON."""
    with instrument(engine, store=None) as gauge:
        with scope("GET /", tenant="acme"):
            send(engine, "a", "a", "b")
        send(engine, "a")
        snapshot = gauge.snapshot()
    (stats,) = snapshot.scopes
    assert (stats.scope, stats.tags, stats.unit_count, stats.execution_count, stats.repeated_count) == (
        "GET /", {"tenant": "acme"}, 1, 3, 1
    )  # fmt: skip
    apart = {(each.scope, each.tables[0]): each.execution_count for each in snapshot.queries}
    assert apart == {("GET /", "a"): 2, ("GET /", "b"): 1, (None, "a"): 1}
    assert len(by_pattern(snapshot.queries)) == 2
    assert json.loads(json.dumps(snapshot.to_dict()))["scopes"][0]["executions_per_unit"] == 3.0


def test_a_flood_of_tenants(engine: Engine, tmp_path: Path) -> None:
    """Whatever their number, the tags that are told apart are bounded, in memory and stored, and no total is off."""
    most, tenants, names = 20, 400, ("GET /orders", "GET /items")
    with instrument(engine, store=tmp_path / "store", service="shop", collector="off", max_scopes=most) as gauge:
        for tenant in range(tenants):
            for name in names:
                with scope(name, tenant=f"t{tenant}"):
                    send(engine, "a", *"b" * (tenant % 3))
            if tenant % 100 == 50:
                gauge.flush()
        in_memory, by_tag = gauge.snapshot().scopes, gauge.queries.get_tag_stats("tenant")
        names_in_memory = gauge.queries.get_scope_stats()
        folded = gauge.snapshot().self_metrics.scopes_folded
    of_each = sum(1 + tenant % 3 for tenant in range(tenants))
    store = open_store(tmp_path / "store")
    for found in (in_memory, store.scopes()):
        assert len(found) == most + len(names)
        assert counts(by_name(found)) == dict.fromkeys(names, (tenants, of_each))
    assert counts(names_in_memory) == dict.fromkeys(names, (tenants, of_each))
    assert len(by_tag) == most // len(names) + 1
    assert sum(stats.execution_count for stats in by_tag) == len(names) * of_each
    # Those that came first are told apart, whole; the others are together.
    assert {stats.tags["tenant"] for stats in by_tag} == {*(f"t{n}" for n in range(most // len(names))), "(other)"}
    assert {stats.tags["tenant"]: stats.execution_count for stats in by_tag}["t2"] == 2 * 3
    assert folded == len(names) * sum(1 + tenant % 3 for tenant in range(most // len(names), tenants))


class TestSeveralGauges:
    """A unit belongs to no engine: whoever adds up what several gauges stored finds it once."""

    def test_of_one_store(self, new_engine: NewEngine, tmp_path: Path) -> None:
        """The first gauge tells the units; when it is closed, the next one does."""
        primary, replica = new_engine("sqlite3"), new_engine("sqlite3")

        def request() -> None:
            with scope("GET /"):
                for engine in (primary, replica):
                    with engine.connect() as connection:
                        connection.execute(text("SELECT 1"))

        root = tmp_path / "store"
        with instrument(replica, name="replica", store=root, service="shop", collector="off"):
            with instrument(primary, name="primary", store=root, service="shop", collector="off"):
                request()
                request()
            request()
        request()
        (stats,) = open_store(root).scopes()
        assert (stats.unit_count, stats.execution_count) == (3, 5)

    def test_of_several_stores(self, new_engine: NewEngine, tmp_path: Path) -> None:
        """Each store has all the units, and so has each gauge that only keeps them in memory."""
        engines = [new_engine("sqlite3") for _ in range(4)]
        stores = [tmp_path / "one", tmp_path / "two", None, None]
        gauges = [
            instrument(engine, store=store, service="shop", collector="off")
            for engine, store in zip(engines, stores, strict=True)
        ]
        with scope("GET /"):
            pass
        assert [counts(gauge.queries.get_scope_stats()) for gauge in gauges] == [{"GET /": (1, 0)}] * 4
        for gauge in gauges:
            gauge.close()
        assert [counts(open_store(store).scopes()) for store in stores if store] == [{"GET /": (1, 0)}] * 2
        assert endings.ENDINGS._takers == []

    def test_a_mistake_of_ours_ends_here(self, engine: Engine) -> None:
        """The block ends as it would have, and the failure is counted by a gauge that was there, not by a later one."""
        with instrument(engine, store=None) as gauge:
            endings.ENDINGS.add("broken", lambda *_: 1 / 0)
            try:
                with scope("GET /"):
                    send(engine, "a")
            finally:
                endings.ENDINGS._set([taker for taker in endings.ENDINGS._takers if taker[0] != "broken"])
            assert gauge.snapshot().self_metrics.hook_errors == 1
            assert sum(gauge.snapshot().hook_errors.values()) == 1
        with instrument(engine, store=None) as later:
            assert later.snapshot().self_metrics.hook_errors == 0
            assert later.snapshot().hook_errors == {}


@pytest.fixture
def stored(engine: Engine, tmp_path: Path) -> Path:
    """A store with two scopes, and one execution outside of both."""
    with instrument(engine, store=tmp_path / "store", service="shop", collector="off"):
        for tenant in ("acme", "initech"):
            with scope("GET /orders/{id}", tenant=tenant):
                send(engine, *"abaaaaa")
        with scope("nightly"):
            send(engine, "c")
        send(engine, "a")
    return tmp_path / "store"


def printed(*arguments: str) -> str:
    """What a command prints."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    return result.output


def test_the_report_shows_them(stored: Path) -> None:
    """By name, and by tag, with how much is outside."""
    lines = printed("report", "--store", str(stored)).splitlines()
    row = next(line.split() for line in lines if line.endswith("GET /orders/{id}"))
    assert (row[0], row[1], row[2]) == ("2", "7", "7")
    assert "71.4 %" in " ".join(row)  # 5 of 7 repeat
    assert any(line.startswith("TOP 5 TAGS") for line in lines)
    assert any(line.endswith("tenant=acme") for line in lines)
    assert any("of all database time is of no scope" in line for line in lines)
    data = json.loads(printed("report", "--store", str(stored), "--format", "json"))
    assert {(each["scope"], each["tags"].get("tenant")): each["execution_count"] for each in data["scopes"]} == {
        ("GET /orders/{id}", "acme"): 7, ("GET /orders/{id}", "initech"): 7, ("nightly", None): 1
    }  # fmt: skip
    assert {each["tags"]["tenant"]: each["unit_count"] for each in data["tags"]} == {"acme": 1, "initech": 1}


def test_the_report_of_one_scope(stored: Path) -> None:
    """Its queries, its repetitions, and nothing of the others; a name that is not there says which are."""
    data = json.loads(printed("report", "--store", str(stored), "--scope", "GET /orders/{id}", "--format", "json"))
    assert data["overall"]["total_queries"] == 14
    assert {each["summary"]: each["execution_count"] for each in data["queries"]} == {"SELECT a": 12, "SELECT b": 2}
    assert [each["scope"] for each in data["repetitions"]] == ["GET /orders/{id}"]
    assert printed("report", "--store", str(stored), "--scope", "nightly").splitlines()[1].startswith("shop, nightly,")
    assert "SELECT b" not in printed("patterns", "list", "--store", str(stored), "--scope", "nightly")
    result = CliRunner().invoke(app, ["report", "--store", str(stored), "--scope", "GET /nowhere"])
    said, _, names = str(result.exception).partition("; it has ")
    assert said == "no scope 'GET /nowhere' in this span"
    assert sorted(names.split(", ")) == ["'GET /orders/{id}'", "'nightly'"]
