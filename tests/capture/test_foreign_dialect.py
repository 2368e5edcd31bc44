"""A dialect from elsewhere may lack what SQLAlchemy's own have, and is watched like those."""

import sqlite3
from types import ModuleType

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from querygauge.instrumenting import instrument


class WithoutDriver(SQLiteDialect):
    """Names no driver."""

    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """The driver that it does not name."""
        return sqlite3


def test_a_dialect_that_names_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be instrumented, and its statements are counted."""
    monkeypatch.setitem(registry.impls, "sqlite.unnamed", lambda: WithoutDriver)
    engine = create_engine("sqlite+unnamed:///:memory:")
    assert not hasattr(engine.dialect, "driver")
    with instrument(engine, store=None) as gauge, engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        assert [stats.execution_count for stats in gauge.queries.get_query_stats()] == [1]
    engine.dispose()
