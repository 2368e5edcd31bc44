"""
Applications that pass through every hook, once each: what they are given and what they are raised, as values.

Each is run without a gauge and with one, over and over, so it leaves behind what it found. Deliberately not here: what
fails in them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from io import BytesIO
from typing import Any

from sqlalchemy import Engine, insert, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from capture.scenarios import Facts, state, told
from faults.scenarios import noticed
from querygauge import ASGIMiddleware, WSGIMiddleware, scope

__all__ = ["Look", "over_asgi", "over_asyncpg", "over_connection", "over_engine", "over_pool", "over_wsgi", "tables"]

Look = Callable[[], object]
"""Looks at the numbers while something is under way."""

# Its end is not far: a server that has not begun a statement yet ignores that it is to be cancelled.
SLEEP = "SELECT pg_sleep(0.2)"
SERIES = "SELECT n FROM generate_series(1, 9) AS n"
FAILS_LATE = "SELECT 1 / (6 - n) FROM generate_series(1, 9) AS n"


class Base(DeclarativeBase):
    """The application's tables."""


class Order(Base):
    """One table."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    age: Mapped[int]


def over_engine(engine: Engine, look: Look) -> Facts:
    """A synchronous engine with a pool of one connection."""
    facts: Facts = []
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with scope("import", tenant="acme"), engine.begin() as connection:
        facts += _inserted(connection)
        connection.execute(text("INSERT INTO orders VALUES (:id, 1)"), [{"id": 8}, {"id": 9}])
        ages = text("SELECT age FROM orders WHERE id = :id")
        facts += [connection.execute(ages, {"id": number}).all() for number in range(7)]
        facts.append(connection.exec_driver_sql("SELECT count(*) FROM orders").scalar())
        look()
    with engine.connect() as connection:
        facts += [connection.execute(ages, {"id": number}).all() for number in range(3)]
        for statement, rows in _FAILING:
            try:
                connection.execute(text(statement), rows)
            except DBAPIError as error:
                facts += [told(error), state(connection)]
            connection.rollback()
        try:
            engine.connect()
        except PoolTimeoutError as error:
            facts.append(told(error))
        connection.invalidate()
    with engine.connect() as connection:
        connection.detach()
    leaked = engine.connect()
    del leaked
    engine.dispose()
    with engine.connect() as connection:
        facts += [connection.execute(text("SELECT 1")).scalar(), state(connection)]
    return facts


_FAILING: tuple[tuple[str, Any], ...] = (
    ("SELECT * FROM nowhere", {}),
    ("INSERT INTO orders VALUES (1, 1)", {}),
    ("INSERT INTO orders VALUES (:id, 1)", [{"id": 1}, {"id": 1}]),
)


def _inserted(connection: Any) -> Facts:
    """Rows in the table, one and several, by SQLAlchemy's own batches."""
    connection.execute(insert(Order), {"id": 1, "age": 1})
    connection.execute(insert(Order), [{"id": number, "age": 1} for number in range(2, 5)])
    returned = connection.execute(insert(Order).returning(Order.id), [{"id": n, "age": 1} for n in range(5, 8)])
    facts: Facts = [sorted(returned.scalars())]
    with suppress(DBAPIError), connection.begin_nested():
        connection.execute(insert(Order).returning(Order.id), [{"id": n, "age": 1} for n in range(5, 8)])
    return facts


async def tables(engine: AsyncEngine) -> None:
    """Makes the tables of `over_asyncpg`, which leaves them empty."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


async def over_asyncpg(engine: AsyncEngine, look: Look) -> Facts:
    """An asynchronous engine with a pool of one connection, and the driver's connection beneath it; has `tables`."""
    facts: Facts = []
    with scope("import"):
        async with engine.connect() as connection:
            facts += await connection.run_sync(_inserted)
            ages = text("SELECT age FROM orders WHERE id = :id")
            facts += [(await connection.execute(ages, {"id": number})).all() for number in range(3)]
            look()
            await connection.rollback()
            facts.append(await connection.scalar(text("SELECT 1")))
            await connection.commit()
    async with engine.connect() as connection:
        streaming = await connection.execution_options(yield_per=2)
        facts.append([tuple(row) async for row in await streaming.stream(text(SERIES))])
        for statement, rows in _FAILING:
            facts.append(await noticed(connection.execute(text(statement), rows)))
            await connection.rollback()
        driver: Any = (await connection.get_raw_connection()).driver_connection
        facts += [await driver.fetchval("SELECT $1::int", number) for number in range(3)]
        facts.append(await noticed(driver.fetch("SELECT * FROM nowhere")))
        facts.append(await noticed(engine.connect().start()))
    async with engine.connect() as connection:
        facts.append(await _cancelled(connection.execute(text(SLEEP))))
        facts.append(await noticed(connection.rollback()))
    async with engine.connect() as connection:
        facts.append(await connection.scalar(text("SELECT 1")))
    return facts


async def _cancelled(work: Awaitable[Any]) -> Facts:
    """What a statement that is under way ends with when its task is cancelled."""
    task = asyncio.ensure_future(work)
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    return await noticed(task)


async def over_connection(connection: Any, look: Look) -> Facts:
    """An asyncpg connection, in every way to send something through it."""
    facts: Facts = [await connection.execute("SELECT 1; SELECT 2")]
    with scope("import", tenant="acme"):
        await connection.execute("CREATE TEMP TABLE orders (id int PRIMARY KEY)")
        await connection.executemany("INSERT INTO orders VALUES ($1)", [(1,), (2,)])
        facts += [await connection.fetchval("SELECT $1::int", number) for number in range(7)]
        prepared = await connection.prepare("SELECT $1::int + 1")
        facts += [await prepared.fetch(number) for number in range(3)]
        await connection.copy_records_to_table("orders", records=[(3,)])
        facts.append(await connection.copy_from_query(SERIES, output=BytesIO()))
    facts += [await connection.execute("UPDATE orders SET id = id + $1", 10), *await _cursors(connection)]
    for statement in ("SELECT * FROM nowhere", "INSERT INTO orders VALUES (11)", "SELECT 1 / 0"):
        facts += [await noticed(connection.execute(statement)), await noticed(connection.fetch(statement))]
    facts.append(await noticed(connection.executemany("INSERT INTO orders VALUES ($1)", [(1,), (1,)])))
    facts.append(await noticed(connection.copy_records_to_table("orders", records=[(11,)])))
    dividing = await connection.prepare("SELECT 6 / $1::int")
    facts += [await noticed(dividing.fetch(number)) for number in (1, 2, 0)]
    sleeping = await connection.prepare(SLEEP)
    facts += [await _cancelled(sleeping.fetch()), await _cancelled(connection.fetch(SLEEP))]
    look()
    return [*facts, await connection.execute("DROP TABLE orders")]


async def _cursors(connection: Any) -> Facts:
    facts: Facts = []
    async with connection.transaction():
        cursor = await connection.cursor(SERIES)
        facts += [await cursor.fetch(2), await cursor.forward(2), await cursor.fetch(10)]
        await (await connection.cursor(SERIES)).fetch(1)  # goes with its transaction
    async with connection.transaction():
        facts.append([row async for row in connection.cursor(SERIES, prefetch=4)])

    async def late() -> None:
        async with connection.transaction():
            async for _ in connection.cursor(FAILS_LATE, prefetch=2):
                pass

    return [*facts, await noticed(late())]


async def over_pool(pool: Any, refusals: list[Exception], look: Look) -> Facts:
    """An asyncpg pool of one connection, whose `setup` raises the refusals there are."""
    facts: Facts = []
    async with pool.acquire() as connection:
        facts += [await connection.fetchval("SELECT $1::int", number) for number in range(3)]
        facts.append(await noticed(pool.acquire(timeout=0.001)))
        facts.append(await _cancelled(pool.acquire()))
        look()
    facts.append(await noticed(pool.fetch("SELECT * FROM nowhere")))
    async with pool.acquire() as connection:
        facts.append(await _cancelled(connection.fetch(SLEEP)))
        connection.terminate()
    refusals.append(LookupError("the application's own"))
    facts += [await noticed(pool.fetchval("SELECT 1")), await pool.fetchval("SELECT 1")]
    await pool.expire_connections()
    return [*facts, await pool.fetchval("SELECT 1")]


async def over_asgi(engine: Engine, look: Look) -> Facts:
    """ASGI applications behind the middleware: one that answers, one whose tags cannot be told, and one that raises."""
    facts: Facts = []

    async def answers(connection: Any, receive: Any, send: Any) -> None:
        connection["path_template"] = "/orders/{id:int}"
        facts.append(_age(engine))
        look()
        await send({"type": "http.response.start", "path": connection["path"]})

    async def raises(connection: Any, receive: Any, send: Any) -> None:
        raise LookupError("the application's own")

    async def send(message: Any) -> None:
        facts.append(message)

    for app, kind in ((answers, "http"), (answers, "websocket"), (raises, "http"), (answers, "lifespan")):
        request = {"type": kind, "method": "GET", "path": "/orders/7"}
        middleware = ASGIMiddleware(app, tags=lambda connection: {"host": connection["path"]})
        facts.append(await noticed(middleware(request, None, send)))
    return facts


def over_wsgi(engine: Engine, look: Look) -> Facts:
    """WSGI applications behind the middleware: with a whole answer, one in parts, and none."""
    facts: Facts = []

    class Route:
        """As Werkzeug keeps it."""

        rule = "/orders/<int:id>"

    class Request:
        """As Werkzeug keeps it."""

        url_rule = Route()

    def whole(environ: Any, start_response: Any) -> list[bytes]:
        environ["werkzeug.request"] = Request()
        start_response("200 OK", [])
        facts.append(_age(engine))
        return [b"yes"]

    def parts(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(2):
            facts.append(_age(engine))
            look()
            yield b"yes"

    def raises(environ: Any, start_response: Any) -> list[bytes]:
        raise LookupError("the application's own")

    for app in (whole, parts, raises):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/orders/7"}
        middleware = WSGIMiddleware(app, tags=lambda environ: {"host": environ["PATH_INFO"]})
        try:
            response = middleware(environ, lambda *told: facts.append(told))
            facts.append(list(response))
            getattr(response, "close", lambda: None)()
        except LookupError as error:
            facts.append(told(error))
    return facts


def _age(engine: Engine) -> Any:
    with engine.connect() as connection:
        return connection.execute(text("SELECT 1")).scalar()
