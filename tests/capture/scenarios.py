"""
What goes wrong between an application and its database, each as a function that an application might be.

A scenario takes an engine over a database of its own and an assistant, an engine over the same database that nothing
watches. It returns what the application noticed, in values that can be compared: of exceptions, connections and pools.
The synchronous ones run under an `AsyncEngine` too, in the greenlet that SQLAlchemy itself would run them in.
"""

import gc
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

__all__ = ["SLOW", "SYNC", "SYNC_ONLY", "Facts", "Scenario", "begun", "kill", "own_id", "state", "told", "wait_until"]

Facts = list[Any]
Scenario = Callable[[Engine, Engine], Facts]

# Long enough that a test which waits for it fails by its own time limit.
SLOW = {"postgresql": "SELECT pg_sleep(600)", "mysql": "SELECT SLEEP(600)"}
_RUNNING = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '{}%' "
    "AND datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE info LIKE '{}%' AND db = database() "
    "AND id <> connection_id()",
}
_OWN_ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
_KILL = {"postgresql": "SELECT pg_terminate_backend({}, 10000)", "mysql": "KILL {}"}
_ADDRESS = re.compile(r"0x[0-9a-f]+")


def told(error: BaseException) -> Facts:
    """What an exception says of itself: classes, arguments, and those of its causes."""
    facts: Facts = []
    seen: BaseException | None = error
    while seen is not None:
        facts.append((f"{type(seen).__module__}.{type(seen).__name__}", _ADDRESS.sub("0x", str(seen.args))))
        for name in ("sqlstate", "sqlite_errorname", "connection_invalidated", "statement", "params", "code"):
            if hasattr(seen, name):
                facts.append((name, str(getattr(seen, name))))
        if isinstance(seen, DBAPIError):
            facts.append(("the cause is orig", seen.__cause__ is seen.orig))
        seen = seen.__cause__ or seen.__context__
    return facts


def state(connection: Connection) -> Facts:
    """What a connection says of itself, and its pool of all of them."""
    return [
        ("in_transaction", connection.in_transaction()),
        ("in_nested_transaction", connection.in_nested_transaction()),
        ("invalidated", connection.invalidated),
        ("closed", connection.closed),
        ("checkedout", connection.engine.pool.checkedout()),  # type: ignore[attr-defined]  # a queue pool
    ]


def failing(connection: Connection, work: Callable[[], Any]) -> Facts:
    """What `work` raises, what the connection is then, and whether it works again after a rollback."""
    try:
        work()
    except BaseException as error:  # noqa: BLE001  # whatever it is, both engines must raise the same
        facts: Facts = [told(error), state(connection)]
    else:
        return ["nothing was raised", state(connection)]
    try:
        connection.rollback()
        facts.append(connection.execute(text("SELECT 1")).scalar())
        connection.rollback()
    except SQLAlchemyError as error:
        facts.append(told(error))
    return [*facts, state(connection)]


def wait_until(condition: Callable[[], Any]) -> Any:
    """The first true answer of a server that is asked over and over."""
    while True:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.01)


def begun(assistant: Engine, beginning: str) -> int:
    """The server's id of the session in which a statement that begins like this runs; waits until there is one."""
    query = text(_RUNNING[assistant.dialect.name].format(beginning))
    # Within a transaction PostgreSQL would give the same answer over and over.
    with assistant.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return int(wait_until(lambda: connection.execute(query).scalar()))


def own_id(connection: Connection) -> int:
    """The server's id of this session."""
    return int(connection.execute(text(_OWN_ID[connection.dialect.name])).scalar_one())


def kill(assistant: Engine, session: int) -> None:
    """Ends a session from the server's side, and waits until it is gone."""
    with assistant.connect() as connection:
        connection.execute(text(_KILL[assistant.dialect.name].format(session)))
        if assistant.dialect.name == "mysql":
            gone = text("SELECT count(*) = 0 FROM information_schema.processlist WHERE id = :id")
            wait_until(lambda: connection.execute(gone, {"id": session}).scalar())


def sql_error(engine: Engine, assistant: Engine) -> Facts:
    """A table that is not there."""
    with engine.connect() as connection:
        facts = failing(connection, lambda: connection.execute(text("SELECT * FROM nowhere")))
    return [*facts, engine.pool.checkedout()]  # type: ignore[attr-defined]


def driver_error(engine: Engine, assistant: Engine) -> Facts:
    """Parameters that the driver cannot send, and raw statements with too few of them."""
    with engine.connect() as connection:
        return [
            failing(connection, lambda: connection.execute(text("SELECT :value"), {"value": object})),
            failing(connection, lambda: connection.exec_driver_sql("SELECT FROM FROM")),
        ]


def integrity_error(engine: Engine, assistant: Engine) -> Facts:
    """A duplicate key within a transaction; the statement after it, the rollback, and what is left in the table."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY, email VARCHAR(40) NOT NULL)"))
    insert = text("INSERT INTO orders (id, email) VALUES (:id, :email)")
    facts: Facts = []
    with engine.connect() as connection:
        connection.execute(insert, {"id": 1, "email": "a"})
        for rows in ({"id": 1, "email": "b"}, {"id": 2, "email": None}, [{"id": 3, "email": "c"}] * 2):
            try:
                connection.execute(insert, rows)
            except DBAPIError as error:
                facts += [told(error), state(connection)]
        facts.append(failing(connection, lambda: connection.execute(insert, {"id": 1, "email": "d"})))
        facts.append(connection.execute(text("SELECT count(*) FROM orders")).scalar())
    return facts


def statement_timeout(engine: Engine, assistant: Engine) -> Facts:
    """A statement that takes longer than the server allows."""
    limit = {"postgresql": "SET statement_timeout = 30", "mysql": "SET max_statement_time = 0.03"}
    with engine.connect() as connection:
        connection.execute(text(limit[engine.dialect.name]))
        connection.commit()
        return failing(connection, lambda: connection.execute(text(SLOW[engine.dialect.name])))


def lock_timeout(engine: Engine, assistant: Engine) -> Facts:
    """A row that somebody else holds."""
    with assistant.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY, age INTEGER)"))
        connection.execute(text("INSERT INTO orders VALUES (1, 1)"))
    limit = {"postgresql": "SET lock_timeout = 30", "mysql": "SET innodb_lock_wait_timeout = 0"}
    update = text("UPDATE orders SET age = age + 1 WHERE id = 1")
    with engine.connect() as connection, assistant.begin() as other:
        connection.execute(text(limit.get(engine.dialect.name, "PRAGMA busy_timeout = 0")))
        connection.commit()
        other.execute(update)
        return failing(connection, lambda: connection.execute(update))


def killed_idle(engine: Engine, assistant: Engine) -> Facts:
    """The server ends a session in the middle of its transaction; the pool heals itself."""
    with engine.connect() as connection:
        kill(assistant, own_id(connection))
        return failing(connection, lambda: connection.execute(text("SELECT 1")))


def killed_running(engine: Engine, assistant: Engine) -> Facts:
    """The server ends a session while it runs a statement."""
    slow = SLOW[engine.dialect.name]
    killer = threading.Thread(target=lambda: kill(assistant, begun(assistant, slow)))
    with engine.connect() as connection:
        killer.start()
        facts = failing(connection, lambda: connection.execute(text(slow)))
        killer.join()
        return facts


def pre_ping(engine: Engine, assistant: Engine) -> Facts:
    """A session that the server ended while it was idle in a pool that pings first."""
    engine.pool._pre_ping = True
    with engine.connect() as connection:
        session = own_id(connection)
    kill(assistant, session)
    with engine.connect() as connection:
        new = own_id(connection)
        return [new != session, state(connection)]


def pool_timeout(engine: Engine, assistant: Engine) -> Facts:
    """More callers than connections."""
    engine.pool._pool.maxsize, engine.pool._overflow = 1, -1  # type: ignore[attr-defined]
    engine.pool._max_overflow, engine.pool._timeout = 0, 0.02  # type: ignore[attr-defined]
    with engine.connect() as connection:
        try:
            engine.connect()
        except SQLAlchemyError as error:
            return [told(error), state(connection)]
    return ["nothing was raised"]


def savepoints(engine: Engine, assistant: Engine) -> Facts:
    """A failure inside a nested savepoint leaves the outer ones usable."""
    facts: Facts = []
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
    with engine.connect() as connection, connection.begin():
        connection.execute(text("INSERT INTO orders VALUES (1)"))
        with connection.begin_nested() as outer:
            connection.execute(text("INSERT INTO orders VALUES (2)"))
            try:
                with connection.begin_nested():
                    connection.execute(text("INSERT INTO orders VALUES (2)"))
            except DBAPIError as error:
                facts += [told(error), state(connection)]
            connection.execute(text("INSERT INTO orders VALUES (3)"))
            facts.append(state(connection))
            outer.rollback()
        facts.append(state(connection))
        connection.execute(text("INSERT INTO orders VALUES (4)"))
    with engine.connect() as connection:
        facts.append(list(connection.execute(text("SELECT id FROM orders ORDER BY id")).scalars()))
    return facts


def disposed_while_out(engine: Engine, assistant: Engine) -> Facts:
    """`dispose()` while a connection is out; that one still works, and so does the new pool."""
    old_pool = engine.pool
    with engine.connect() as connection:
        engine.dispose()
        facts = [connection.execute(text("SELECT 1")).scalar(), state(connection)]
        with engine.connect() as another:
            facts += [another.execute(text("SELECT 1")).scalar(), state(another)]
    old_pool.dispose()
    return [*facts, engine.pool.checkedout(), engine.pool.checkedin()]  # type: ignore[attr-defined]


def abandoned_result(engine: Engine, assistant: Engine) -> Facts:
    """A generator over rows that nobody reads to its end."""

    def rows() -> Iterator[Any]:
        with engine.connect() as connection:
            yield from connection.execution_options(yield_per=2).execute(text("SELECT 1 UNION ALL SELECT 2"))

    reading = rows()
    facts = [tuple(next(reading)), engine.pool.checkedout()]  # type: ignore[attr-defined]
    del reading
    gc.collect()
    return [*facts, engine.pool.checkedout()]  # type: ignore[attr-defined]


def listener_raises(engine: Engine, assistant: Engine) -> Facts:
    """An application's own listener that raises another exception instead of the driver's."""

    def replace_error(context: Any) -> None:
        raise LookupError("the application's own") from context.original_exception

    event.listen(engine, "handle_error", replace_error)
    with engine.connect() as connection:
        return failing(connection, lambda: connection.execute(text("SELECT * FROM nowhere")))


def interrupted(engine: Engine, assistant: Engine) -> Facts:
    """Ctrl-C while the driver waits for the server."""
    slow = SLOW[engine.dialect.name]

    def interrupt() -> None:
        begun(assistant, slow)
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    with engine.connect() as connection:
        with _python_interrupts():
            interrupter.start()
            facts = failing(connection, lambda: connection.execute(text(slow)))
        interrupter.join()
        return facts


def interrupted_sqlite(engine: Engine, assistant: Engine) -> Facts:
    """The application's progress handler stops a statement, and then raises in one."""
    facts: Facts = []

    def interrupt() -> int:
        raise KeyboardInterrupt

    counting = text("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n")
    for handler in (lambda: 1, interrupt):
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.set_progress_handler(handler, 1_000)
            try:
                connection.execute(counting)
            except BaseException as error:  # noqa: BLE001  # whatever it is, both engines must raise the same
                facts += [told(error), state(connection)]
            driver.set_progress_handler(None, 0)
    return facts


@contextmanager
def _python_interrupts() -> Iterator[None]:
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, found)


# With the dialects for which there is such a thing.
SYNC: dict[Scenario, tuple[str, ...]] = {
    sql_error: ("sqlite", "postgresql", "mysql"),
    driver_error: ("sqlite", "postgresql", "mysql"),
    integrity_error: ("sqlite", "postgresql", "mysql"),
    statement_timeout: ("postgresql", "mysql"),
    lock_timeout: ("sqlite", "postgresql", "mysql"),
    killed_idle: ("postgresql", "mysql"),
    killed_running: ("postgresql", "mysql"),
    pre_ping: ("postgresql", "mysql"),
    pool_timeout: ("sqlite", "postgresql", "mysql"),
    savepoints: ("sqlite", "postgresql", "mysql"),
    disposed_while_out: ("sqlite", "postgresql", "mysql"),
    listener_raises: ("sqlite", "postgresql", "mysql"),
}
SYNC_ONLY: dict[Scenario, tuple[str, ...]] = {
    abandoned_result: ("sqlite", "postgresql", "mysql"),
    interrupted: ("postgresql", "mysql"),
    interrupted_sqlite: ("sqlite",),
}
