"""Whether a backslash escapes a quote is the server's word, and patterns follow it."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from querygauge import instrument

NewEngine = Callable[..., Engine]


def _patterns(engine: Engine, statement: str) -> list[str]:
    with instrument(engine, store=None) as gauge, engine.connect() as connection:
        connection.exec_driver_sql(statement).all()
        return [stats.query_pattern for stats in gauge.queries.get_query_stats()]


@pytest.mark.parametrize(
    ("driver", "connect_args"),
    [
        ("psycopg", {}),
        ("pymysql", {"init_command": "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'"}),
    ],
)
def test_a_backslash_is_a_character(new_engine: NewEngine, driver: str, connect_args: dict[str, str]) -> None:
    """Where it escapes nothing, the quote after it ends the literal."""
    engine = new_engine(driver, connect_args=connect_args)
    assert "SELECT ? AS a, ? AS b" in _patterns(engine, r"SELECT 'C:\' AS a, ' swordfish ' AS b")


@pytest.mark.parametrize(
    ("driver", "connect_args"),
    [
        ("psycopg", {"options": "-c standard_conforming_strings=off -c escape_string_warning=off"}),
        ("pymysql", {}),
    ],
)
def test_a_backslash_escapes(new_engine: NewEngine, driver: str, connect_args: dict[str, str]) -> None:
    """Where it escapes, the quote after it belongs to the literal."""
    engine = new_engine(driver, connect_args=connect_args)
    assert "SELECT ? AS a, ? AS b" in _patterns(engine, r"SELECT 'it\' swordfish ' AS a, 'x' AS b")
