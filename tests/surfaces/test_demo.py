"""The demo shows what Optuna really sent, and leaves a database as it found it."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from sqlalchemy import URL, Engine, MetaData, create_engine, inspect, select, text

from databases.engines import NewDatabase
from querygauge.errors import MissingExtraError
from querygauge.surfaces.demo import run_study

Command = Callable[..., subprocess.CompletedProcess[str]]

SERVERS = ("psycopg", "pymysql")


def plain(url: URL) -> str:
    """A URL as people type it."""
    return url.render_as_string(hide_password=False)


def everything(url: URL) -> tuple[dict[str, list[tuple[object, ...]]], set[str]]:
    """All rows of all tables, and on PostgreSQL the types that somebody made."""
    engine = create_engine(url)
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        rows: dict[str, list[tuple[object, ...]]] = {
            name: [tuple(row) for row in connection.execute(select(table))] for name, table in metadata.tables.items()
        }
    types = types_of(engine)
    engine.dispose()
    return rows, types


def types_of(engine: Engine) -> set[str]:
    """Names of PostgreSQL's enumeration types."""
    if engine.dialect.name != "postgresql":
        return set()
    return {enum["name"] for enum in inspect(engine).get_enums()}  # type: ignore[attr-defined]  # PGInspector


def test_what_it_shows_is_what_was_sent(run: Command, tmp_path: Path) -> None:
    """A study of 7 trials inserts 7 trials with 3 parameters each: the report counts just these."""
    store = tmp_path / "store"
    result = run("demo", "--trials", 7, "--store", store)
    assert (result.returncode, result.stderr) == (0, "")
    report = json.loads(run("report", "--store", store, "--format", "json").stdout)
    counts = {query["summary"]: query["execution_count"] for query in report["queries"]}
    assert (counts["INSERT trials"], counts["INSERT trial_params"], counts["INSERT studies"]) == (7, 21, 1)
    assert report["overall"]["errors"] == 0
    assert report["service"] == "optuna-demo"
    most = max(
        (query for query in report["queries"] if query["category"] == "query"),
        key=lambda query: (query["execution_count"], query["total_duration_ms"]),
    )
    shown = f"most frequent   {most['pattern_id'][:8]}  {most['summary']}: {most['execution_count']:,} executions"
    assert shown in result.stdout


def test_its_repetitions_name_lines_of_optuna(run: Command, tmp_path: Path) -> None:
    """Call sites are lines of the application that was watched, and they exist."""
    store = tmp_path / "store"
    run("demo", "--trials", 5, "--store", store)
    report = json.loads(run("report", "--store", store, "--format", "json").stdout)
    sites = [repetition["call_site"] for repetition in report["repetitions"]]
    assert sites
    for site in sites:
        path, _, rest = site.partition(":")
        line, _, function = rest.partition(" in ")
        package = Path(str(optuna.__file__)).parent
        source = (package.parent / path).read_text(encoding="utf-8").splitlines()
        assert 0 < int(line) <= len(source)
        assert any(f"def {function}(" in part for part in source)


def test_it_says_how_to_look_further(run: Command, environment: dict[str, str], tmp_path: Path) -> None:
    """Every command it prints works in a shell as it is printed, and piped text has no escape codes."""
    printed = run("demo", "--trials", 2, "--store", tmp_path / "store").stdout
    assert "\x1b" not in printed
    assert "\nQUERY PERFORMANCE REPORT\n" in printed
    commands = printed.partition("HOW TO LOOK FURTHER\n")[2].splitlines()
    assert len(commands) == 5
    for command in commands:
        result = subprocess.run(command, shell=True, env=environment, capture_output=True, check=False)
        assert (result.returncode, bool(result.stdout)) == (0, True)


@pytest.mark.parametrize("driver", SERVERS)
def test_it_removes_what_it_made(run: Command, new_database: NewDatabase, tmp_path: Path, driver: str) -> None:
    """Tables and types of the demo are gone afterwards, and what was there before is as it was."""
    url = new_database(driver)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER)"))
        connection.execute(text("INSERT INTO orders VALUES (7)"))
    engine.dispose()
    before = everything(url)
    result = run("demo", "--trials", 2, "--database", plain(url), "--store", tmp_path / "store")
    assert (result.returncode, result.stderr) == (0, "")
    assert everything(url) == before == ({"orders": [(7,)]}, set())


@pytest.mark.parametrize("driver", SERVERS)
def test_it_shares_somebodys_optuna_storage(
    run: Command, new_database: NewDatabase, tmp_path: Path, driver: str
) -> None:
    """Where Optuna's tables are in use already, only the demo's own study goes."""
    url = new_database(driver)
    storage = optuna.storages.RDBStorage(plain(url))
    storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "somebody's")
    storage.remove_session()
    storage.engine.dispose()
    before = everything(url)
    result = run("demo", "--trials", 2, "--database", plain(url), "--store", tmp_path / "store")
    assert (result.returncode, result.stderr) == (0, "")
    assert everything(url) == before


def test_it_keeps_off_tables_of_the_same_name(run: Command, new_database: NewDatabase, tmp_path: Path) -> None:
    """A table `trials` that is not Optuna's is refused before anything is written."""
    url = new_database("sqlite3")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE trials (patient INTEGER)"))
    engine.dispose()
    result = run("demo", "--database", plain(url), "--store", tmp_path / "store")
    assert result.returncode == 2
    assert "trials of something else" in result.stderr
    assert everything(url) == ({"trials": []}, set())


def test_an_unreachable_database_is_one_line(run: Command, tmp_path: Path) -> None:
    """The database is named, its password is not."""
    url = "postgresql+psycopg://ann:secret-7@127.0.0.1:1/shop"
    result = run("demo", "--database", url, "--store", tmp_path / "store")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "postgresql+psycopg://ann:***@127.0.0.1:1/shop could not be used" in result.stderr
    assert "secret-7" not in result.stderr


def test_a_terminated_demo_cleans_up(new_database: NewDatabase, environment: dict[str, str], tmp_path: Path) -> None:
    """SIGTERM in the middle of the study: its tables are gone from the server all the same."""
    url = new_database("psycopg")
    command = [sys.executable, "-m", "querygauge", "demo", "--trials", "100000", "--database", plain(url)]
    engine = create_engine(url)
    with subprocess.Popen([*command, "--store", str(tmp_path / "store")], env=environment) as process:
        while "trials" not in inspect(engine).get_table_names():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    engine.dispose()
    assert everything(url) == ({}, set())


def test_a_missing_optuna_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who installed querygauge without its demo learns how to get it."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'querygauge\[demo\]'"):
        run_study(store=tmp_path, database=None, trials=1, advance=lambda: None)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("mysql://ann:secret-7@shop/orders", "needs the driver MySQLdb: write mysql+pymysql://"),
        ("postgresql+psycopg2://ann:secret-7@shop/orders", "needs the driver psycopg2: write postgresql+psycopg://"),
    ],
)
def test_a_missing_driver_names_one_that_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, advice: str
) -> None:
    """A URL that names no driver, or one that is not installed, works with another beginning."""
    for module in ("MySQLdb", "psycopg2"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=re.escape(advice)) as raised:
        run_study(store=tmp_path, database=url, trials=1, advance=lambda: None)
    assert "secret-7" not in str(raised.value)


def test_a_missing_driver_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Packages are not always called as their modules; without any driver, the one to install is named."""
    for module in ("MySQLdb", "pymysql"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"MySQLdb: pip install mysqlclient$"):
        run_study(store=tmp_path, database="mysql://shop/orders", trials=1, advance=lambda: None)
    with pytest.raises(MissingExtraError, match=r"pymysql: pip install pymysql$"):
        run_study(store=tmp_path, database="mysql+pymysql://shop/orders", trials=1, advance=lambda: None)
