"""What makes asyncpg's pools and connections, however the application came by it: each is measured once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import pytest
from asyncpg import connect, create_pool  # before anything of ours stands there
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from databases.engines import NewDatabase
from processes.programs import run
from querygauge import instrument_all, uninstrument
from querygauge.gauge import Instrumentation

MARK = "SELECT 1 AS mark"


@pytest.fixture
def dsn(new_database: NewDatabase) -> str:
    """An empty database, as asyncpg wants it named."""
    return new_database("asyncpg").set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def everything() -> Iterator[Callable[[], Instrumentation]]:
    """`instrument_all` without a store, closed again after the test."""
    gauges: list[Instrumentation] = []

    def begin() -> Instrumentation:
        gauges.append(instrument_all(store=None, enable_logging=False))
        return gauges[-1]

    yield begin
    for gauge in gauges:
        gauge.close()


def marks(gauge: Instrumentation) -> dict[str, int]:
    """Executions of `MARK` by database."""
    stats = gauge.queries.get_query_stats()
    return {each.target: each.execution_count for each in stats if each.query_pattern == "SELECT ? AS mark"}


class OwnPool(asyncpg.Pool):  # type: ignore[misc]  # asyncpg has no stubs
    """An application's own."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.purpose = "shop"


def by_its_class(dsn: str) -> Any:
    """A pool made by a class of the application's."""
    return OwnPool(
        dsn, min_size=1, max_size=2, max_queries=50, max_inactive_connection_lifetime=0, loop=None,
        connection_class=asyncpg.Connection, record_class=asyncpg.Record,
    )  # fmt: skip


MAKERS = pytest.mark.parametrize(
    "make", [lambda dsn: create_pool(dsn, min_size=1, max_size=2), by_its_class], ids=["create_pool", "own class"]
)


async def use(dsn: str, gauge: Instrumentation, unopened: Any, opened: Any) -> None:
    """Uses two pools, and looks whether each use was counted once."""
    kinds = [kind for pool in (unopened, opened) for kind in type(pool).__mro__ if "_querygauge" not in vars(kind)]
    async with unopened as first, opened as second:
        for pool in (first, second):
            await pool.fetch(MARK)
            async with pool.acquire(timeout=30) as connection:
                await connection.fetch(MARK)
    assert list(marks(gauge).values()) == [4]
    checkouts = [pool.get_metrics().total_checkouts for name, pool in gauge.pools.items() if dsn_name(dsn) in name]
    assert checkouts == [2, 2]
    gauge.close()
    assert [kind for pool in (unopened, opened) for kind in type(pool).__mro__] == kinds


@MAKERS
async def test_pools_made_later(make: Any, dsn: str, everything: Callable[[], Instrumentation]) -> None:
    """Statements and checkouts count once from the first on, and the pool is again of its own class in the end."""
    gauge = everything()
    await use(dsn, gauge, make(dsn), await make(dsn))


@MAKERS
async def test_pools_made_before(make: Any, dsn: str, everything: Callable[[], Instrumentation]) -> None:
    """One that is open, and one that is not yet."""
    unopened, opened = make(dsn), await make(dsn)
    await use(dsn, everything(), unopened, opened)


def dsn_name(dsn: str) -> str:
    """The database of a dsn."""
    return dsn.partition("?")[0].rpartition("/")[2]


async def test_connections_of_their_own(dsn: str, everything: Callable[[], Instrumentation]) -> None:
    """Before and later, by `connect` however it was imported: one target for all of them, and no pool."""
    before = await connect(dsn)
    gauge = everything()
    later = [await connect(dsn), await asyncpg.connect(dsn, timeout=30)]
    for connection in (before, *later):
        await connection.fetch(MARK)
    pools = [name for name in gauge.pools if dsn_name(dsn) in name]
    assert (list(marks(gauge).values()), pools) == ([3], [])
    uninstrument(later[0])
    await later[0].fetch(MARK)
    assert list(marks(gauge).values()) == [3]
    gauge.close()
    assert "query" not in vars(later[1]._protocol)
    for connection in (before, *later):
        await connection.close()


async def test_connections_of_sqlalchemy_count_once(dsn: str, everything: Callable[[], Instrumentation]) -> None:
    """SQLAlchemy's statements are seen at its engine; not again at the driver, whichever came first."""
    url = "postgresql+asyncpg" + dsn.removeprefix("postgresql")
    before = create_async_engine(url)
    async with before.connect() as held:
        await held.execute(text(MARK))
        gauge = everything()
        later = create_async_engine(url)
        for engine in (before, later):
            async with engine.connect() as connection:
                await connection.execute(text(MARK))
        await held.execute(text(MARK))
    assert list(marks(gauge).values()) == [3]
    for engine in (before, later):
        await engine.dispose()


async def test_an_engine_left_out_is_not_seen_at_its_driver(
    dsn: str, everything: Callable[[], Instrumentation]
) -> None:
    """A connection that SQLAlchemy or a pool opens is theirs, measured or not."""
    gauge = everything()
    engine = create_async_engine("postgresql+asyncpg" + dsn.removeprefix("postgresql"))
    pool = create_pool(dsn, min_size=0, max_size=1)
    uninstrument(engine)
    uninstrument(pool)
    async with engine.connect() as connection, pool:
        await connection.execute(text(MARK))
        await pool.fetch(MARK)
    await engine.dispose()
    assert marks(gauge) == {}


async def test_closing_puts_the_makers_back(dsn: str, everything: Callable[[], Instrumentation]) -> None:
    """The constructor of pools and the function behind `connect` are the very ones they were."""
    from asyncpg import connect_utils

    found = vars(asyncpg.Pool)["__init__"], connect_utils._connect
    gauge = everything()
    assert vars(asyncpg.Pool)["__init__"] is not found[0]
    gauge.close()
    assert (vars(asyncpg.Pool)["__init__"], connect_utils._connect) == found


async def test_a_refused_connection_arrives_as_it_is(everything: Callable[[], Instrumentation]) -> None:
    """The application's exception is the driver's own."""
    everything()
    with pytest.raises(ConnectionRefusedError):
        await connect("postgresql://ann@127.0.0.1:1/shop")


def test_asyncpg_imported_later(dsn: str, tmp_path: Path) -> None:
    """It is looked after once the application imports it, and its own exceptions are untouched."""
    program = """
    from querygauge import instrument_all
    gauge = instrument_all(store=None)
    assert "asyncpg" not in sys.modules
    import asyncio, asyncpg
    async def main():
        connection = await asyncpg.connect(sys.argv[1])
        await connection.fetch("SELECT 1 AS mark")
        await connection.close()
        async with asyncpg.create_pool(sys.argv[1], min_size=1, max_size=1) as pool:
            await pool.fetch("SELECT 1 AS mark")
    asyncio.run(main())
    print({stats.query_pattern: stats.execution_count for stats in gauge.queries.get_query_stats()}["SELECT ? AS mark"])
    """
    assert run(program, dsn, folder=tmp_path) == ("2\n", "")
