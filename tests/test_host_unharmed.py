"""
A statement that fails, is cancelled or times out is for the application what it would be without us.

Each scenario runs twice, on an engine that nothing watches and on one with a gauge, over databases of their own: what
the application noticed must be equal, and the exception it got must be the very object that the driver raised.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import greenlet_spawn

from capture.async_scenarios import ASYNC, AsyncScenario
from capture.scenarios import SYNC, SYNC_ONLY, Facts, Scenario
from databases.engines import ASYNC_DRIVERS, SYNC_DRIVERS, NewAsyncEngine, NewDatabase, NewEngine
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument

DIALECTS = {
    "sqlite3": "sqlite", "psycopg": "postgresql", "pymysql": "mysql",
    "aiosqlite": "sqlite", "asyncpg": "postgresql", "aiomysql": "mysql",
}  # fmt: skip
ASSISTANTS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}

# How statements of a scenario end, by dialect: outcome and code.
OUTCOMES: dict[str, dict[str, set[tuple[str, str]]]] = {
    "sql_error": {
        "sqlite": {("error", "SQLITE_ERROR")},
        "postgresql": {("error", "42P01")},
        "mysql": {("error", "1146")},
    },
    "statement_timeout": {"postgresql": {("timeout", "57014")}, "mysql": {("timeout", "1969")}},
    "lock_timeout": {
        "sqlite": {("error", "SQLITE_BUSY")},
        "postgresql": {("timeout", "55P03")},
        "mysql": {("timeout", "1205")},
    },
    "integrity_error": {
        "sqlite": {("error", "SQLITE_CONSTRAINT_NOTNULL"), ("error", "SQLITE_CONSTRAINT_PRIMARYKEY")},
        "postgresql": {("error", "23505"), ("error", "25P02")},
        "mysql": {("error", "1048"), ("error", "1062")},
    },
    "interrupted": {"postgresql": {("cancelled", "KeyboardInterrupt")}, "mysql": {("cancelled", "KeyboardInterrupt")}},
    "timed_out": {dialect: {("cancelled", "CancelledError")} for dialect in ASSISTANTS},
    "cancelled": {dialect: {("cancelled", "CancelledError")} for dialect in ASSISTANTS},
    "interrupted_sqlite": {"sqlite": {("error", "SQLITE_INTERRUPT")}},
}


def cases(drivers: tuple[str, ...], *tables: Mapping[Any, tuple[str, ...]]) -> list[Any]:
    """Every scenario on every driver for whose dialect there is such a thing."""
    return [
        pytest.param(driver, scenario, id=f"{scenario.__name__}-{driver}")
        for driver in drivers
        for table in tables
        for scenario, dialects in table.items()
        if DIALECTS[driver] in dialects
    ]


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """What the drivers' cursors raised, noted below everything that a gauge replaces."""
    errors: list[BaseException] = []

    def noting(found: Callable[..., Any]) -> Callable[..., Any]:
        def method(*arguments: Any) -> Any:
            try:
                return found(*arguments)
            except BaseException as error:
                errors.append(error)
                raise

        return method

    for kind in (DefaultDialect, *subclasses(DefaultDialect)):
        for name in ("do_execute", "do_executemany", "do_execute_no_params"):
            if name in vars(kind):
                monkeypatch.setattr(kind, name, noting(getattr(kind, name)))
    return errors


def subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    """Every class below this one."""
    one: type[Any]
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def witness(engine: Engine, raised: list[BaseException]) -> Facts:
    """Notes for every failed statement whether the exception that SQLAlchemy got is the one the driver raised."""
    facts: Facts = []

    def compare(context: Any) -> None:
        if context.execution_context is not None:
            facts.append(("the driver's own object", any(context.original_exception is error for error in raised)))

    event.listen(engine, "handle_error", compare)
    return facts


def watched(engine: Engine | AsyncEngine) -> Instrumentation:
    """A gauge that looks at every execution as closely as it can."""
    return instrument(engine, store=None, slow_query_threshold_ms=0, call_sites="all", enable_logging=False)


def endings(gauge: Instrumentation) -> set[tuple[str, str]]:
    """Outcome and code, or else the class, of what failed."""
    return {
        (query.outcome, query.error.code or query.error.error_type)
        for query in gauge.queries.get_slow_queries()
        if query.error is not None
    }


def warned(facts: Facts, caught: list[warnings.WarningMessage]) -> Facts:
    """The facts, and which warnings were given."""
    return [*facts, sorted((w.category.__name__, str(w.message).split(" at 0x")[0]) for w in caught)]


@pytest.mark.parametrize(("driver", "scenario"), cases(SYNC_DRIVERS, SYNC, SYNC_ONLY))
def test_sync(
    driver: str,
    scenario: Scenario,
    new_database: NewDatabase,
    new_engine: NewEngine,
    raised: list[BaseException],
) -> None:
    """Exceptions, connection, pool and warnings are the same with a gauge as without."""

    def run(engine: Engine) -> Facts:
        assistant = new_engine(driver, url=engine.url)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            witnessed = witness(engine, raised)
            return warned(scenario(engine, assistant) + witnessed, caught)

    name = new_database(driver)
    bare = run(new_engine(driver, url=name))
    clear(new_engine(driver, url=name))
    engine = new_engine(driver, url=name)
    with watched(engine) as gauge:
        assert run(engine) == bare
        check(gauge, scenario, driver)


@pytest.mark.parametrize(("driver", "scenario"), cases(ASYNC_DRIVERS, SYNC))
async def test_async(
    driver: str,
    scenario: Scenario,
    new_database: NewDatabase,
    new_async_engine: NewAsyncEngine,
    new_engine: NewEngine,
    raised: list[BaseException],
) -> None:
    """The same over asynchronous drivers."""
    url = new_database(driver)

    async def run(engine: AsyncEngine) -> Facts:
        assistant = assistant_of(engine, new_engine)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            witnessed = witness(engine.sync_engine, raised)
            return warned(await greenlet_spawn(scenario, engine.sync_engine, assistant) + witnessed, caught)

    bare = await run(new_async_engine(driver, url=url, poolclass=AsyncAdaptedQueuePool))
    clear(assistant_of(new_async_engine(driver, url=url), new_engine))
    engine = new_async_engine(driver, url=url, poolclass=AsyncAdaptedQueuePool)
    with watched(engine) as gauge:
        assert await run(engine) == bare
        check(gauge, scenario, driver)


@pytest.mark.parametrize(("driver", "scenario"), cases(ASYNC_DRIVERS, ASYNC))
async def test_async_only(
    driver: str,
    scenario: AsyncScenario,
    new_database: NewDatabase,
    new_async_engine: NewAsyncEngine,
    new_engine: NewEngine,
    raised: list[BaseException],
) -> None:
    """Cancellations, timeouts of the loop, streams and leaks are the same with a gauge as without."""
    url = new_database(driver)

    async def run(engine: AsyncEngine) -> Facts:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            witnessed = witness(engine.sync_engine, raised)
            return warned(await scenario(engine, assistant_of(engine, new_engine)) + witnessed, caught)

    bare = await run(new_async_engine(driver, url=url, poolclass=AsyncAdaptedQueuePool))
    engine = new_async_engine(driver, url=url, poolclass=AsyncAdaptedQueuePool)
    with watched(engine) as gauge:
        assert await run(engine) == bare
        check(gauge, scenario, driver)


def assistant_of(engine: AsyncEngine, new_engine: NewEngine) -> Engine:
    """A synchronous engine over the same database."""
    return new_engine("", url=engine.url.set(drivername=ASSISTANTS[engine.dialect.name]))


def clear(engine: Engine) -> None:
    """Drops what a scenario made."""
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS orders"))


def check(gauge: Instrumentation, scenario: Scenario | AsyncScenario, driver: str) -> None:
    """No hook failed, and what ended badly is counted as what it was."""
    assert gauge.report_data().self_metrics.hook_errors == 0
    expected = OUTCOMES.get(scenario.__name__, {}).get(DIALECTS[driver], set())
    assert endings(gauge) >= expected
