"""What statements are for: told by hand, and by what SQLAlchemy and drivers really send of their own accord."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.oracle import dictionary
from sqlalchemy.ext.asyncio import AsyncEngine

from databases.engines import NewEngine
from querygauge.patterns.cache import pattern_of


@pytest.mark.parametrize(
    ("statement", "dialect", "category"),
    [
        ("SELECT a FROM t", "postgresql", "query"),
        ("SELECT 1", "postgresql", "query"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", "postgresql", "transaction"),
        ("start transaction", "mysql", "transaction"),
        ("SAVEPOINT sa_savepoint_1", "sqlite", "transaction"),
        ("RELEASE SAVEPOINT sa_savepoint_1", "sqlite", "transaction"),
        ("ROLLBACK TO SAVEPOINT sa_savepoint_1", "mysql", "transaction"),
        ("COMMIT", "sqlite", "transaction"),
        ("PREPARE TRANSACTION 'x'", "postgresql", "transaction"),
        ("SET search_path TO x", "postgresql", "session"),
        ("show standard_conforming_strings", "postgresql", "session"),
        ("PRAGMA foreign_keys=ON", "sqlite", "session"),
        ("select pg_catalog.version()", "postgresql", "session"),
        ("select current_schema()", "postgresql", "session"),
        ("SELECT @@sql_mode", "mysql", "session"),
        ("SELECT DATABASE()", "mysql", "session"),
        ("SHOW FULL TABLES FROM `test`", "mysql", "session"),
        ("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;", "postgresql", "session"),
        ("SELECT name FROM sqlite_master WHERE type='table'", "sqlite", "catalog"),
        ("SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_namespace n ON n.oid = c.x", "postgresql", "catalog"),
        ("SELECT table_name FROM information_schema.tables", "mysql", "catalog"),
        ("SELECT a FROM t JOIN pg_class ON true", "postgresql", "query"),
        ("SELECT a FROM pg_notes", "postgresql", "query"),
        ("SELECT a FROM pg_class, pg_notes", "postgresql", "query"),
        ("INSERT INTO pg_notes (a) VALUES (1)", "postgresql", "query"),
        ("SELECT a FROM public.pg_notes", "postgresql", "query"),
        ("SELECT a FROM shop.pg_catalog.pg_class", "postgresql", "catalog"),
        ("SELECT gid FROM pg_prepared_xacts", "postgresql", "catalog"),
        ("TABLE pg_settings", "postgresql", "catalog"),
        ("SELECT current_database(), version()", "postgresql", "session"),
        ("SELECT current_database(), total(1)", "postgresql", "query"),
        ("SELECT a FROM pg_class", "duckdb", "catalog"),
        ("SELECT a FROM sqlite_notes", "duckdb", "query"),
        ("SELECT a FROM sqlite_stat1", "sqlite", "catalog"),
        ("DESCRIBE `shop`.`orders`", "mysql", "catalog"),
        ("BEGIN; UPDATE t SET a = 1; COMMIT", "postgresql", "query"),
        ("COMMIT; SELECT 1 FROM t", "postgresql", "query"),
        ("SET LOCAL x = 1; SELECT a FROM t", "postgresql", "query"),
        ("SET STATEMENT max_statement_time=1 FOR SELECT a FROM t", "mysql", "query"),
        ("SET STATEMENT max_statement_time=1 FOR SELECT a FROM information_schema.tables", "mysql", "catalog"),
        ("SET NOCOUNT ON INSERT INTO t (a) VALUES (1)", "mssql", "query"),
        ("BEGIN pkg.do_work(:1, :2); END;", "oracle", "query"),
        ("BEGIN TRY UPDATE t SET a = 1 END TRY", "mssql", "query"),
        ("BEGIN IMMEDIATE", "sqlite", "transaction"),
        ("SAVE TRANSACTION sa_savepoint_1", "mssql", "transaction"),
        ("IF @@TRANCOUNT = 0 BEGIN TRANSACTION", "mssql", "transaction"),
        ("SELECT scope_identity() AS lastrowid", "mssql", "session"),
        ("select schema_name()", "mssql", "session"),
        ("SELECT CAST(SERVERPROPERTY('ProductVersion') AS VARCHAR)", "mssql", "session"),
        ("SELECT sys_context('userenv', 'current_schema') FROM dual", "oracle", "session"),
        ("SELECT a FROM dba_orders", "oracle", "query"),
        ("SELECT a FROM user_orders JOIN all_tables ON 1 = 1", "oracle", "query"),
        ("SELECT table_name FROM ALL_TABLES", "oracle", "catalog"),
        ("SELECT value FROM v$parameter WHERE name = 'compatible'", "oracle", "catalog"),
        ("SELECT a FROM sys.all_objects", "oracle", "catalog"),
        ("SELECT a FROM dual", "oracle", "query"),
        ("SELECT a FROM master..orders", "mssql", "query"),
        ("SELECT a FROM shop.sys.tables", "mssql", "catalog"),
    ],
)
def test_category(statement: str, dialect: str, category: str) -> None:
    """Transaction control, settings of a session and reads of the catalogue are told from queries."""
    assert pattern_of(statement, dialect).category == category


def _noted(engine: sa.Engine) -> list[str]:
    """What is sent from now on."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        sent.append(text)

    sa.event.listen(engine, "before_cursor_execute", note)
    return sent


def _make_a_schema(connection: sa.Connection) -> None:
    metadata = sa.MetaData()
    sa.Table(
        "orders",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True, comment="a number"),
        sa.Column("state", sa.Enum("new", "paid", name="state")),
        sa.Column("total", sa.Integer, sa.CheckConstraint("total > 0"), index=True, server_default="7"),
        comment="what was bought",
    )
    sa.Table(
        "lines",
        metadata,
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("order_id", sa.ForeignKey("orders.id"), unique=True),
    )
    metadata.create_all(connection)
    connection.execute(sa.text("CREATE VIEW paid AS SELECT id FROM orders WHERE state = 'paid'"))


def _reflect(connection: sa.Connection) -> None:
    """Asks for everything that SQLAlchemy can ask."""
    sa.MetaData().reflect(connection, views=True)
    inspector = sa.inspect(connection)
    inspector.get_schema_names()
    inspector.get_view_names()
    inspector.get_temp_table_names() if connection.dialect.name == "sqlite" else None
    inspector.get_view_definition("paid")
    inspector.get_sequence_names() if connection.dialect.supports_sequences else None
    inspector.has_table("orders")
    inspector.has_table("nothing")
    inspector.get_check_constraints("orders")
    inspector.get_unique_constraints("lines")
    inspector.get_table_options("orders")
    if connection.dialect.name == "postgresql":
        postgresql: Any = inspector
        postgresql.get_enums()
        postgresql.get_domains()
        postgresql.get_foreign_table_names()
        inspector.get_materialized_view_names()
    if connection.dialect.name != "sqlite":
        inspector.get_table_comment("orders")


def _uncategorized(sent: list[str], dialect: str) -> list[str]:
    return [statement for statement in sent if pattern_of(statement, dialect).category not in {"catalog", "session"}]


def test_reflection_asks_the_catalog(sync_engine: sa.Engine) -> None:
    """Nothing that SQLAlchemy asks to know a schema is taken for a query of the application's."""
    with sync_engine.begin() as connection:
        _make_a_schema(connection)
    sent = _noted(sync_engine)
    with sync_engine.connect() as connection:
        _reflect(connection)
    assert sent
    assert _uncategorized(sent, sync_engine.dialect.name) == []


async def test_asynchronous_reflection_asks_the_catalog(async_engine: AsyncEngine) -> None:
    """The same over asynchronous drivers."""
    async with async_engine.begin() as connection:
        await connection.run_sync(_make_a_schema)
    sent = _noted(async_engine.sync_engine)
    async with async_engine.connect() as connection:
        await connection.run_sync(_reflect)
    assert sent
    assert _uncategorized(sent, async_engine.dialect.name) == []


def test_the_names_of_postgresql_are_all_of_its_catalog(new_engine: NewEngine) -> None:
    """Every table and view of `pg_catalog` is known without its schema, in the version that runs the tests."""
    with new_engine("psycopg").connect() as connection:
        names = connection.scalars(
            sa.text(
                "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')"
            )
        ).all()
    assert len(names) > 100
    assert [name for name in names if pattern_of(f"SELECT a FROM {name}", "postgresql").category != "catalog"] == []


def test_the_views_of_oracle_that_reflection_reads_are_known() -> None:
    """Every one that SQLAlchemy has a table for, without the link to another database that it may add."""
    names = [name.partition("__$")[0] for name in dictionary.dictionary_meta.tables]
    assert "all_tables" in names
    assert [name for name in names if pattern_of(f"SELECT a FROM {name}", "oracle").category != "catalog"] == []
