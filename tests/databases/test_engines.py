"""The fixtures themselves: a real database behind each driver, empty, and a test's own."""

from sqlalchemy import Engine, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from databases.engines import NewEngine


def test_a_synchronous_engine_reaches_an_empty_database(sync_engine: Engine) -> None:
    """Every synchronous driver talks to a database without tables, in which a test may make some."""
    assert inspect(sync_engine).get_table_names() == []
    with sync_engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
    assert inspect(sync_engine).get_table_names() == ["orders"]


async def test_an_asynchronous_engine_reaches_an_empty_database(async_engine: AsyncEngine) -> None:
    """Every asynchronous driver talks to a database without tables, in which a test may make some."""
    async with async_engine.begin() as connection:
        assert await connection.run_sync(lambda c: inspect(c).get_table_names()) == []
        await connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
        assert await connection.run_sync(lambda c: inspect(c).get_table_names()) == ["orders"]


def test_two_engines_of_one_test_are_two_databases(new_engine: NewEngine) -> None:
    """What is made through one engine is not seen through another, unless they are given the same URL."""
    first, second = new_engine("psycopg"), new_engine("psycopg")
    with first.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
    assert inspect(second).get_table_names() == []
    assert inspect(new_engine("psycopg", url=first.url)).get_table_names() == ["orders"]
