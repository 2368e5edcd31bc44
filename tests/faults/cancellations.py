"""
Cancellations in every phase of the use of a connection, as functions that an application might be.

Deliberately not here: what else may go wrong.
"""

import asyncio
from typing import Any

from capture.scenarios import Facts
from faults.applications import Application
from faults.scenarios import MANY_ROWS, SLEEP, TASKS, Case, Faults, noticed, rest_of, struck, used, works

__all__ = ["CANCELLATIONS"]


async def cancelled_while_waiting(application: Application, faults: Faults) -> Facts:
    """A task is cancelled while it waits for a connection; the one after it gets it."""
    facts: Facts = []
    async with used(application, facts):
        async with used(application, facts):
            waiting = asyncio.ensure_future(application.acquire())
            after = asyncio.ensure_future(works(application))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            waiting.cancel()
            facts += await noticed(waiting)
        facts += await after
    return facts + await works(application)


async def cancelled_while_connecting(application: Application, faults: Faults) -> Facts:
    """A task is cancelled while a connection is opened for it."""
    faults.proxy.freeze()
    opening = asyncio.ensure_future(application.acquire())
    facts = await struck(opening, faults.until_held(), opening.cancel)
    faults.proxy.thaw()
    return facts + await works(application)


async def cancelled_while_executing(application: Application, faults: Faults) -> Facts:
    """A task is cancelled while the server executes its statement."""
    facts: Facts = []
    async with used(application, facts) as connection:
        executing = asyncio.ensure_future(application.run(connection, SLEEP))
        facts += await struck(executing, faults.until_runs(SLEEP), executing.cancel)
    await faults.terminate()  # the driver's own request to the server may come too late to be heard
    return facts + await works(application)


async def timed_out_while_executing(application: Application, faults: Faults) -> Facts:
    """`asyncio.timeout` ends while the server executes a statement."""
    facts: Facts = []
    timeout = asyncio.timeout(None)

    async def work() -> Any:
        async with timeout:
            return await application.run(connection, SLEEP)

    def end() -> None:
        timeout.reschedule(asyncio.get_running_loop().time())

    async with used(application, facts) as connection:
        facts += await struck(work(), faults.until_runs(SLEEP), end)
    await faults.terminate()
    return facts + await works(application)


async def cancelled_while_fetching(application: Application, faults: Faults) -> Facts:
    """A task is cancelled while more rows of its result are under way."""
    facts: Facts = []
    async with used(application, facts) as connection:
        fetch = await application.read(connection, MANY_ROWS)
        facts += [await fetch()]
        faults.proxy.freeze()
        fetching = asyncio.ensure_future(rest_of(fetch))
        facts += await struck(fetching, faults.until_held(), fetching.cancel, faults.proxy.thaw)
        del fetch
    await faults.terminate()
    return facts + await works(application)


async def cancelled_while_committing(application: Application, faults: Faults) -> Facts:
    """A task is cancelled while the server commits its transaction."""
    await faults.execute(_SLOW_COMMIT)
    facts: Facts = []
    async with used(application, facts) as connection:
        await application.begin(connection)
        await application.run(connection, "INSERT INTO orders VALUES (1) RETURNING id")
        committing = asyncio.ensure_future(application.commit(connection))
        facts += await struck(committing, faults.until_runs("COMMIT"), committing.cancel)
    await faults.terminate()
    await faults.execute("DROP TABLE orders")
    return facts + await works(application)


# The trigger runs when the transaction commits, and takes until the statement is cancelled.
_SLOW_COMMIT = """
CREATE TABLE orders (id integer);
CREATE OR REPLACE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON orders
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slowly();
"""


async def cancelled_while_giving_back(application: Application, faults: Faults) -> Facts:
    """A task is cancelled while its connection is made ready for the next one."""
    connection = await application.acquire()
    facts: Facts = [await application.run(connection, "SELECT 1")]
    faults.proxy.freeze()
    returning = asyncio.ensure_future(application.release(connection))
    facts += await struck(returning, faults.until_held(), returning.cancel, faults.proxy.thaw)
    return facts + await works(application)


CANCELLATIONS = {
    "waiting": Case(cancelled_while_waiting, {"abandoned": 1}, kinds=TASKS),
    "connecting": Case(cancelled_while_connecting, {"abandoned": 1}, kinds=TASKS),
    # asyncpg alone goes on with the connection; over SQLAlchemy it is thrown away.
    "executing": Case(
        cancelled_while_executing, {"lost": 1}, {"cancelled": 1}, of_pool=({}, {"cancelled": 1}), kinds=TASKS
    ),
    "executing, by a timeout": Case(
        timed_out_while_executing, {"lost": 1}, {"cancelled": 1}, of_pool=({}, {"cancelled": 1}), kinds=TASKS
    ),
    "fetching": Case(cancelled_while_fetching, {"lost": 1}, of_pool=({}, {"cancelled": 1}), kinds=TASKS),
    "committing": Case(cancelled_while_committing, {"lost": 1}, of_pool=({}, {}), kinds=TASKS),
    # asyncpg's own pool goes on giving back, whoever is cancelled meanwhile.
    "giving back": Case(cancelled_while_giving_back, {"lost": 1}, of_pool=({}, {}), kinds=TASKS),
}
