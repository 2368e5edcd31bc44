"""
A real application, watched: Optuna's relational storage runs a study, and the report shows what it sent.

Comes in: a database, or none for a SQLite file that is gone afterwards; goes out: the statistics in a store. What the
demo makes in a database it removes, and what it did not make it does not touch. Deliberately not here: printing,
which is the command's part.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import URL, Engine, MetaData, create_engine, inspect, make_url, text
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.exc import SQLAlchemyError

import querygauge
from querygauge.errors import MissingExtraError, SettingsError

__all__ = ["DEMO_SERVICE", "DEMO_TARGET", "run_study"]

DEMO_SERVICE: Final = "optuna-demo"
DEMO_TARGET: Final = "optuna"

_STEPS: Final = 5  # intermediate values a trial reports before it ends
_SEED: Final = 1  # the same study each time, so that two runs can be compared
# Packages of drivers whose modules have another name.
_PACKAGES: Final = {"MySQLdb": "mysqlclient", "mysql": "mysql-connector-python", "psycopg2": "psycopg2-binary"}
# Drivers the demo is tested with, by the database of a URL.
_TESTED_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}


def run_study(*, store: Path, database: str | None, trials: int, advance: Callable[[], None]) -> float:
    """
    Runs an Optuna study with its engine instrumented, and leaves the numbers in `store`.

    Args:
        store: Directory of the store.
        database: URL of the database; None is a SQLite file in a temporary directory.
        trials: Trials of the study.
        advance: Called after each trial.

    Returns:
        The slow threshold that was in force, in milliseconds.

    Raises:
        MissingExtraError: If Optuna, or the driver the URL names, is not installed.
        SettingsError: If the database cannot be used.
    """
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with TemporaryDirectory(prefix="querygauge-demo-") as scratch:
        own = f"sqlite:///{Path(scratch) / 'study.db'}"
        with _storage(optuna, database or own, Path(scratch)) as storage:
            return _watched_study(optuna, storage, store, trials, advance)


def _optuna() -> ModuleType:
    try:
        return import_module("optuna")
    except ImportError as error:
        raise MissingExtraError("the demo needs optuna: pip install 'querygauge[demo]'") from error


def _watched_study(optuna: ModuleType, storage: Any, store: Path, trials: int, advance: Callable[[], None]) -> float:
    name = f"querygauge-demo-{uuid4().hex[:8]}"
    try:
        with querygauge.instrument(
            storage.engine,
            name=DEMO_TARGET,
            service=DEMO_SERVICE,
            store=store,
            enabled=True,
            collector="off",
            # Optuna is the application here, although it is an installed package.
            app_root=Path(str(optuna.__file__)).parent,
        ) as gauge:
            _study(optuna, storage, name, trials, advance)
            return gauge.settings.slow_query_threshold_ms
    finally:
        # The tables may be somebody's own Optuna storage; the study in it is ours.
        if name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)


def _study(optuna: ModuleType, storage: Any, name: str, trials: int, advance: Callable[[], None]) -> None:
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        sampler=optuna.samplers.TPESampler(seed=_SEED),
        pruner=optuna.pruners.MedianPruner(),
    )
    for _ in range(trials):
        with querygauge.scope("trial"):
            trial = study.ask()
            value = _objective(trial)
            study.tell(trial, value, state=None if value is not None else optuna.trial.TrialState.PRUNED)
        advance()


def _objective(trial: Any) -> float | None:
    """A curve with a known minimum, approached in steps; None if the trial was pruned on the way."""
    x = trial.suggest_float("x", -5.0, 5.0)
    layers = trial.suggest_int("layers", 1, 8)
    penalty = {"sgd": 1.0, "adam": 0.5}[trial.suggest_categorical("optimizer", ["sgd", "adam"])]
    loss = (x - 1.0) ** 2 + 0.1 * layers + penalty
    for step in range(_STEPS):
        trial.report(loss + 1.0 / (step + 1), step)
        if trial.should_prune():
            return None
    trial.set_user_attr("penalty", penalty)
    return float(loss)


@contextmanager
def _storage(optuna: ModuleType, url: str, scratch: Path) -> Iterator[Any]:
    """Optuna's storage in a database; afterwards the database holds what it held before."""
    with _clear_errors(url), ExitStack() as stack:
        names = _table_names_of(optuna, scratch)
        engine = create_engine(url)
        stack.callback(engine.dispose)
        tables, enums = _tables(engine), _enums(engine)
        _refuse_strangers(names, tables)
        stack.callback(_drop, engine, names - tables, enums)
        storage = optuna.storages.RDBStorage(url)
        # Called in reverse: no connection of the storage may hold a lock on the tables when they are dropped.
        stack.callback(storage.engine.dispose)
        stack.callback(storage.remove_session)
        yield storage


@contextmanager
def _clear_errors(url: str) -> Iterator[None]:
    """What is wrong with a URL or its database, in one line and without its password."""
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        # The text is not repeated: what cannot be parsed may hold a password anywhere.
        raise SettingsError(
            "--database must be an SQLAlchemy URL, such as postgresql+psycopg://user@host/name"
        ) from None
    shown = parsed.render_as_string(hide_password=True)
    try:
        yield
    except ModuleNotFoundError as error:
        advice = _driver_advice(parsed, str(error.name))
        raise MissingExtraError(f"{shown} needs the driver {error.name}: {advice}") from error
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise SettingsError(f"--database {shown} could not be used: {reason}") from error


def _driver_advice(url: URL, missing: str) -> str:
    """How to go on without a driver: with one that is there, or with the package that has it."""
    database = url.get_backend_name()
    tested = _TESTED_DRIVERS.get(database)
    if tested is not None and tested != url.get_driver_name() and find_spec(tested) is not None:
        return f"write {database}+{tested}://, whose driver is installed"
    return f"pip install {_PACKAGES.get(missing, missing)}"


def _table_names_of(optuna: ModuleType, scratch: Path) -> set[str]:
    """The tables this version of Optuna makes, found by letting it make them in a file of our own."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{scratch / 'names.db'}")
    try:
        return _tables(storage.engine)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _refuse_strangers(names: set[str], tables: set[str]) -> None:
    """Optuna would write into tables of these names, whoever they belong to."""
    there = names & tables
    if there and there != names:
        raise SettingsError(
            f"--database must hold all of Optuna's tables or none of them; got {', '.join(sorted(there))}"
            " of something else; give the demo a database of its own"
        )


def _tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def _enums(engine: Engine) -> set[str]:
    """Names of PostgreSQL's enumeration types, which outlive the tables they were made for."""
    if engine.dialect.name != "postgresql":
        return set()
    return {enum["name"] for enum in inspect(engine).get_enums()}  # type: ignore[attr-defined]  # PGInspector


def _drop(engine: Engine, made: set[str], enums_before: set[str]) -> None:
    present = made & _tables(engine)
    if not present:
        return
    metadata = MetaData()
    metadata.reflect(engine, only=sorted(present), resolve_fks=False)
    used = {
        str(column.type.name)
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, ENUM)
    }
    metadata.drop_all(engine)
    quote = engine.dialect.identifier_preparer.quote
    with engine.begin() as connection:
        for name in sorted((used & _enums(engine)) - enums_before):
            connection.execute(text(f"DROP TYPE {quote(name)}"))
