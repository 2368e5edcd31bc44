"""A gauge may be made or closed while SQLAlchemy tells an event of a pool, and the host does not notice."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.event import registry
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool, Pool, QueuePool

from capture.test_detach_after_dispose import listeners
from databases.engines import NewAsyncEngine, NewEngine
from querygauge import instrument, uninstrument
from querygauge.capture import listening
from querygauge.capture.listening import listen, unlisten

ONE = text("SELECT 1")


def made(engine: Engine) -> None:
    """Instruments the engine."""
    instrument(engine, store=None)


def closed(engine: Engine) -> None:
    """Ends what was begun before."""
    uninstrument(engine)


def exchanged(engine: Engine) -> None:
    """Ends it, and begins anew."""
    closed(engine)
    made(engine)


def does_within_connect(engine: Engine, change: Callable[[Engine], None]) -> None:
    """Has the host's own listener do it as the next connection is opened."""
    is_done: list[bool] = []

    def warm_up(*_: Any) -> None:
        if not is_done:
            is_done.append(True)
            change(engine)

    event.listen(engine, "connect", warm_up)


@pytest.mark.parametrize("change", [made, closed, exchanged])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("driver", ["sqlite3", "psycopg"])
def test_while_a_connection_is_opened(
    driver: str, change: Callable[[Engine], None], new_engine: NewEngine, *, is_first: bool
) -> None:
    """The host gets its connection, and finds the pool as it was once the gauge is closed."""
    engine = new_engine(driver)
    before = listeners(engine)
    if is_first and change is not made:
        made(engine)
    does_within_connect(engine, change)
    if not is_first and change is not made:
        made(engine)
    with engine.connect() as connection:
        assert connection.execute(ONE).scalar() == 1
    uninstrument(engine)
    assert listeners(engine) == {**before, "connect": before["connect"] + 1}  # the host's own


async def test_while_a_task_opens_the_first(new_async_engine: NewAsyncEngine) -> None:
    """A connection that was opened as the gauge was closed is left as it was found."""
    engine: AsyncEngine = new_async_engine("asyncpg")
    does_within_connect(engine.sync_engine, closed)
    gauge = instrument(engine, store=None)
    async with engine.connect() as connection:
        assert (await connection.execute(ONE)).scalar() == 1
        driver: Any = (await connection.get_raw_connection()).driver_connection
        assert "bind_execute" not in vars(driver._protocol)
    assert gauge.report_data().self_metrics.hook_errors == 0


def test_connections_are_known_from_the_next_on(new_engine: NewEngine) -> None:
    """What is opened after the gauge was made counts, and what was opened meanwhile does no harm."""
    engine = new_engine("sqlite3", poolclass=NullPool)
    does_within_connect(engine, made)
    with engine.connect() as meanwhile, engine.connect() as afterwards:
        gauge = instrument(engine, store=None)
        for connection in (meanwhile, afterwards):
            connection.execute(ONE)
        assert gauge.pool.get_current_snapshot().active_connections == 1
    assert gauge.pool.get_current_snapshot().idle_connections == 0
    assert gauge.report_data().self_metrics.hook_errors == 0
    gauge.close()


@pytest.mark.parametrize("is_watched", [False, True])
def test_within_the_steps_of_a_host_that_listens(
    new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch, *, is_watched: bool
) -> None:
    """A gauge that begins or ends in the midst of a host's `event.listen` or `event.remove` undoes neither."""
    engine = new_engine("sqlite3", poolclass=NullPool)
    told: list[bool] = []
    made(engine)
    closed(engine)
    before = listeners(engine)
    key: Any = registry._EventKey
    found, change = key._listen_fn.fget, [closed, made] if is_watched else [made, closed]

    def listened_with(self: Any) -> Any:
        if self.fn is host:
            change[0](engine)
            change.reverse()
        return found(self)  # which SQLAlchemy adds or removes next

    def host(*_: Any) -> None:
        told.append(True)

    if is_watched:
        made(engine)
    monkeypatch.setattr(key, "_listen_fn", property(listened_with))
    event.listen(engine.pool, "close", host)
    engine.connect().close()
    assert told == [True]
    event.remove(engine.pool, "close", host)
    engine.connect().close()
    assert told == [True]
    uninstrument(engine)
    assert listeners(engine) == before


def test_changed_as_somebody_begins_to_go_through(new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listeners that another thread changes at that moment are gone through as they are then."""
    pool = new_engine("sqlite3").pool
    listen(pool, "close", print)
    found: Any = pool.dispatch.close.listeners
    kept: list[Any] = []

    def changed(entries: Any) -> tuple[Any, ...]:
        if not kept:
            kept.append(repr)
            found.append(repr)
        return tuple(entries)

    monkeypatch.setattr(listening, "tuple", changed, raising=False)
    assert list(found) == [print, repr]


def test_a_gauge_closed_within_a_dispose(new_engine: NewEngine) -> None:
    """The pool that takes the place of the present one keeps nothing, though it was copied before."""

    class Closing(QueuePool):
        def recreate(self) -> Any:
            copy = super().recreate()
            uninstrument(engine)
            return copy

    engine = new_engine("sqlite3", poolclass=Closing)
    engine.connect().close()
    before, methods = listeners(engine), set(vars(engine.pool))
    made(engine)
    engine.dispose()
    assert listeners(engine) == before
    assert set(vars(engine.pool)) == methods


def test_what_is_gone_through_stays(new_engine: NewEngine) -> None:
    """Listeners come and go in a copy, and somebody else's stay in their order."""
    pool: Pool = new_engine("sqlite3").pool
    dispatch: Any = pool.dispatch
    event.listen(pool, "close", print)
    found = dispatch.close.listeners
    listen(pool, "close", made)
    assert (list(found), list(dispatch.close)) == ([print], [print, made])
    event.listen(pool, "close", repr)
    under_way = iter(dispatch.close.listeners)
    unlisten(pool, "close", made)
    unlisten(pool, "close", made)
    assert (list(under_way), list(dispatch.close)) == ([print, made, repr], [print, repr])
    event.remove(pool, "close", print)
    assert list(dispatch.close) == [repr]


@pytest.mark.parametrize("is_listened", [False, True])
async def test_the_first_connection_waits_as_it_would(new_async_engine: NewAsyncEngine, *, is_listened: bool) -> None:
    """An asynchronous pool gets the lock of tasks for its first connection, as from `event.listen`."""
    engine = new_async_engine("aiosqlite")
    pool: Any = engine.pool.recreate()
    pool.dispatch.close.for_modify(pool.dispatch)
    if is_listened:
        event.listen(pool, "close", print)
    else:
        listen(pool, "close", print)
    assert pool.dispatch.close._is_asyncio is pool._is_asyncio is True
