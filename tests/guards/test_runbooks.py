"""
The runbooks agree with the rules, and what they tell to type works.

Commands run on one small store, SQL on the servers of the tests; what cannot run there is `text`.
"""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import typer.main
from sqlalchemy import URL, create_engine, text
from typer.testing import CliRunner

from guards.snippets import blocks_of
from project import ROOT
from querygauge import instrument
from querygauge.alerts import rules
from querygauge.alerts.rules import PATIENCE, RULES
from querygauge.alerts.thresholds import NUMBERS, Thresholds
from querygauge.surfaces.cli import app

_FOLDER = ROOT / "docs" / "runbooks"
_INDEX = _FOLDER / "index.md"
_PAGES = sorted(path for path in _FOLDER.glob("*.md") if path != _INDEX)
_HEADINGS = ["What it means", "No reason to worry", "Look at first", "What helps", "Threshold and silence"]
_SHORTEST, _LONGEST = 25, 60  # lines: what is read by night
# What the pages ask of the extension pg_stat_statements, which a server has to load at its start.
_EXTENSION = """
CREATE TEMPORARY TABLE pg_stat_statements (
    query text, calls bigint, total_exec_time double precision, mean_exec_time double precision,
    stddev_exec_time double precision, rows bigint, shared_blks_read bigint
)
"""
_CODE = re.compile(r"`(querygauge [^`\n]+)`")
_FINDS_SOMETHING = 1  # the exit status of commands that look whether all is well

each_page = pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)


def test_every_rule_has_its_page() -> None:
    """And no page is about a rule that there is not."""
    assert [page.stem for page in _PAGES] == sorted(RULES)


@pytest.mark.parametrize("table", [_INDEX, ROOT / "docs" / "alerting.md"], ids=lambda table: table.name)
def test_every_rule_is_a_row_of_the_tables(table: Path) -> None:
    """Each with a link to its page, and with how long it lasts before it is told."""
    folder = "" if table == _INDEX else "runbooks/"
    found = re.findall(
        rf"^\| \[`(\w+)`\]\({folder}(\w+)\.md\) \|.*\| ([^|]+) \|$", table.read_text("utf-8"), re.MULTILINE
    )
    assert sorted(found) == [(rule, rule, _lasts(rule)) for rule in RULES]


@each_page
def test_pages_are_built_alike_and_short(page: Path) -> None:
    """Whoever knows one finds their way in another."""
    found = page.read_text("utf-8")
    assert found.startswith(f"# `{page.stem}`\n")
    assert re.findall(r"^## (.+)$", found, re.MULTILINE) == _HEADINGS
    assert _SHORTEST <= found.count("\n") <= _LONGEST


@each_page
def test_a_page_names_the_thresholds_of_its_rule(page: Path) -> None:
    """Those that the rule compares with, no others, each with its default; and how to silence it."""
    section = page.read_text("utf-8").partition(f"## {_HEADINGS[-1]}\n")[2]
    named: dict[str, Any] = {}
    for settings in re.findall(r"^```toml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
        named |= tomllib.loads(settings)["alerts"]["thresholds"]
    defaults = asdict(Thresholds())
    assert named == {name: defaults[name] for name in _COMPARED[page.stem]}
    assert f"querygauge alerts silence --rule {page.stem} " in section


@each_page
def test_the_commands_of_a_page_run(page: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand there, on a store that has the service, the pool and the pattern they name."""
    monkeypatch.chdir(store)
    for block in blocks_of(page):
        for command in block.commands:
            result = CliRunner().invoke(app, shlex.split(command)[1:])
            looks = shlex.split(command)[1] in {"status", "doctor"}
            assert result.exit_code in ({0, _FINDS_SOMETHING} if looks else {0}), f"{command}\n{result.output}"


@pytest.mark.parametrize("page", [*_PAGES, _INDEX], ids=lambda page: page.stem)
def test_commands_within_sentences_exist(page: Path) -> None:
    """With the options they are named with."""
    for command in _CODE.findall(page.read_text("utf-8")):
        found: Any = typer.main.get_command(app)
        words = shlex.split(command)[1:]
        while words and hasattr(found, "commands"):
            found = found.commands[words.pop(0)]
        known = {option for parameter in found.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, command


def test_sql_for_postgresql_is_understood(postgres_url: URL) -> None:
    """By a server."""
    with psycopg.connect(postgres_url.render_as_string(hide_password=False)) as connection:
        connection.execute(_EXTENSION)
        for where, statement in _sql("PostgreSQL"):
            try:
                connection.execute(statement.encode())
            except psycopg.Error as error:
                raise AssertionError(f"{where}: {error}\n{statement}") from error


def test_sql_for_mariadb_is_understood(mysql_url: URL) -> None:
    """By a server."""
    connection = pymysql.connect(
        host=mysql_url.host or "127.0.0.1",
        port=mysql_url.port or 3306,
        user=mysql_url.username,
        password=str(mysql_url.password or ""),
        database=mysql_url.database,
    )
    with closing(connection), connection.cursor() as cursor:
        for where, statement in _sql("MariaDB"):
            try:
                cursor.execute(statement)
            except pymysql.MySQLError as error:
                raise AssertionError(f"{where}: {error}\n{statement}") from error


def test_every_sql_block_says_whose_it_is() -> None:
    """In its first line, as nobody can tell by looks whether MariaDB understands it."""
    servers = {server for server in ("PostgreSQL", "MariaDB") for _ in _sql(server)}
    assert servers == {"PostgreSQL", "MariaDB"}
    blocks = [block for page in _PAGES for block in blocks_of(page) if block.language == "sql"]
    assert len(blocks) == sum(1 for server in servers for _ in _sql(server))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a store that has what the pages name."""
    directory = tmp_path_factory.mktemp("runbooks")
    engine = create_engine(f"sqlite:///{directory}/shop.db")
    gauge = instrument(engine, name="primary", service="shop", store=directory / ".querygauge", collector="off")
    with gauge, engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT)"))
        connection.execute(text("SELECT id FROM orders WHERE customer = :name"), {"name": "ann"}).all()
    engine.dispose()
    return directory


def _sql(server: str) -> Iterator[tuple[str, str]]:
    """Where a statement for a server is, and the statement."""
    for page in _PAGES:
        for block in blocks_of(page):
            if block.language == "sql" and re.match(rf"-- {server}\b", block.text):
                yield f"{page.name}:{block.line}", block.text.strip().removesuffix(";")


def _lasts(rule: str) -> str:
    minutes = PATIENCE[rule].lasting.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes else "at once"


def _compared() -> dict[str, set[str]]:
    """
    The thresholds that each rule compares with, read from its source.

    Those of functions that are given `limits` count as well, but not those of another rule: it is asked for what it
    tells of, and has its own page.
    """
    functions: dict[str, ast.FunctionDef] = {}
    for path in Path(rules.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        functions |= {f"{path.stem}.{node.name}": node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {name.partition(".")[2]: _read_by(name, functions) for name in functions if name.partition(".")[2] in RULES}


def _read_by(name: str, functions: dict[str, ast.FunctionDef]) -> set[str]:
    module = name.partition(".")[0]
    read: set[str] = set()
    replaced: set[str] = set()
    for node in ast.walk(functions[name]):
        match node:
            case ast.Attribute(value=ast.Name(id="limits"), attr=threshold):
                read.add(threshold.removesuffix("_of"))  # of one statement it may differ; the default does not
            case ast.Call(func=ast.Name(id="replace"), args=[ast.Name(id="limits")], keywords=keywords):
                replaced |= {keyword.arg for keyword in keywords if keyword.arg}
            case ast.Call(func=ast.Name(id=called)) if called not in RULES and f"{module}.{called}" in functions:
                read |= _read_by(f"{module}.{called}", functions)
    return read.intersection(NUMBERS) - replaced


_COMPARED = _compared()
