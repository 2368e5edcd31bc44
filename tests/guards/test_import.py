"""What importing the package costs a host."""

import json
import pickle
import pkgutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import querygauge
from querygauge.storage.spool_sink import SpoolSink
from storage.making import snapshot

_LIBRARIES = {"_duckdb", "aiohttp", "asyncpg", "duckdb", "greenlet", "opentelemetry", "rich"}
_FRAMEWORKS = {"celery", "fastapi", "flask", "litestar", "starlette", "werkzeug"}
_HEAVY = _LIBRARIES | _FRAMEWORKS
_MEASURING = {"querygauge.capture", "querygauge.monitors", "querygauge.patterns", "sqlalchemy"}
_LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def loaded_by(statement: str) -> set[str]:
    """The modules that are loaded once the statement has run."""
    program = f"{statement}\n{_LOADED}"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    return set(json.loads(answer.stdout.splitlines()[-1]))


@pytest.mark.parametrize("statement", ["import querygauge", "from querygauge import *"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    """Neither the import nor the use of any public name loads the database of the store or an optional library."""
    # SQLAlchemy 2.0 loads greenlet by itself, wherever it is installed.
    assert _HEAVY & (loaded_by(statement) - loaded_by("import sqlalchemy")) == set()


@pytest.mark.parametrize("statement", ["import querygauge", "import querygauge.surfaces.stored, querygauge.collector"])
def test_what_reads_or_folds_a_store_loads_nothing_that_measures(statement: str) -> None:
    """Neither the package nor the store's side loads SQLAlchemy, the hooks, the monitors or the normaliser."""
    assert _MEASURING & loaded_by(statement) == set()


def test_each_public_name_is_loaded_when_it_is_asked_for() -> None:
    """Whichever comes first is an attribute and can be imported; what is no public name is neither."""
    one_of_each_module = {getattr(querygauge, name).__module__: name for name in querygauge.__all__}
    for name in one_of_each_module.values():
        loaded_by(
            f"import querygauge; public = querygauge.{name}; from querygauge import {name}; assert public is {name}"
        )
    assert set(querygauge.__all__) <= set(dir(querygauge))
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        _ = querygauge.absent  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'absent'"):
        from querygauge import absent  # type: ignore[attr-defined]  # noqa: F401


def test_importing_a_submodule_takes_no_public_name_away() -> None:
    """Python puts a submodule into the package under its own name, so none has that of a function or a class."""
    assert {module.name for module in pkgutil.iter_modules(querygauge.__path__)} & set(querygauge.__all__) == set()


def test_a_value_is_pickled_by_where_it_is_made() -> None:
    """A process that has loaded nothing yet reads what another one pickled."""
    pickled = pickle.dumps(
        [querygauge.Pattern("1", "SELECT ?", "SELECT", "SELECT", (), "sqlite"), querygauge.instrument]
    )
    loaded_by(f"import pickle; pattern, instrument = pickle.loads({pickled!r}); assert pattern.id == '1'")


# The rooms of a host, what each of its libraries would cost a minute, and what a fold and a look do without.
_NOT_FOR_A_TICK = _HEAVY - {"_duckdb"} | _MEASURING | {"filelock", "logging", "structlog", "subprocess", "typer"}
_TICK = "import sys; from querygauge.collector import main; sys.argv[1:] = [{store!r}]; main()"


def test_a_tick_loads_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that hosts start each minute loads neither what measures nor what people look at."""
    monkeypatch.chdir(tmp_path)
    SpoolSink(tmp_path, 10).write(snapshot(5, ended=datetime.now(UTC)))
    loaded = loaded_by(_TICK.format(store=str(tmp_path)))
    assert (tmp_path / "querygauge.duckdb").exists()
    assert "_duckdb" in loaded
    assert _NOT_FOR_A_TICK & loaded == set()


def test_collecting_once_loads_nothing_that_measures(tmp_path: Path) -> None:
    """Neither does the command for those who start it themselves, but for the names of the dialects that it knows."""
    SpoolSink(tmp_path, 10).write(snapshot(5))
    loaded = loaded_by(
        "from querygauge.surfaces.cli import app\n"
        f"app(['collect', '--once', '--store', {str(tmp_path)!r}], standalone_mode=False)"
    )
    assert {
        "querygauge.capture",
        "querygauge.monitors",
        "querygauge.patterns.normalizer",
        "sqlalchemy",
    } & loaded == set()


_WORKS = """
import sys
from sqlalchemy import create_engine, text
from querygauge import instrument
engine = create_engine("sqlite://")
gauge = instrument(engine, store=sys.argv[1], slow_query_threshold_ms=0, repetition_threshold=2)
before = set(sys.modules)
with engine.connect() as connection:
    for number in range(600):
        connection.execute(text("SELECT :number"), {"number": number}).all()
    try:
        connection.execute(text("SELECT absent"))
    except Exception:
        pass
gauge.flush()
gauge.report()
gauge.close()
late = {name for name in set(sys.modules) - before if name.split(".")[0] != "sqlalchemy"}
assert not late, late
"""


def test_a_host_loads_nothing_more_once_it_is_instrumented(tmp_path: Path) -> None:
    """Hooks and the flush thread find everything loaded: by then a host may have changed its root, user or finders."""
    subprocess.run([sys.executable, "-c", _WORKS, str(tmp_path)], check=True)
