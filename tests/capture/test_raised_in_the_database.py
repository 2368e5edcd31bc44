"""What an application raises inside the database may say anything, so nothing of it is kept."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from databases.engines import NewEngine
from querygauge import instrument

RAISED = {
    "sqlite3": [
        "CREATE TABLE t (a)",
        "CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'no such table: zanzibar'); END",
        "INSERT INTO t VALUES (1)",
    ],
    "psycopg": ["DO $$ BEGIN RAISE 'table % already exists', 'zanzibar'; END $$"],
    "pymysql": ["SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Unknown column ''zanzibar'' in ''field list'''"],
}


@pytest.mark.parametrize("driver", RAISED)
def test_nothing_of_it_is_kept(new_engine: NewEngine, driver: str) -> None:
    """Not even where the message is word for word one of the database's own."""
    engine = new_engine(driver)
    with instrument(engine, store=None, history_threshold_ms=0) as gauge:
        with engine.connect() as connection:
            *prepared, last = RAISED[driver]
            for statement in prepared:
                connection.execute(text(statement))
            with pytest.raises(DBAPIError, match="zanzibar"):
                connection.execute(text(last))
        failed = [slow.error for slow in gauge.queries.get_slow_queries(threshold_ms=0) if slow.error]
        assert [str(error).endswith("raised by the application inside the database") for error in failed] == [True]
        assert "zanzibar" not in str(gauge.snapshot().to_dict())
