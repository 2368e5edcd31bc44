"""
What may go wrong with the network, the server and the pool, as functions that an application might be.

Deliberately not here: cancellations.
"""

import asyncio

from capture.scenarios import Facts
from faults.applications import Application
from faults.scenarios import MANY_ROWS, SLEEP, TASKS, Case, Faults, Scenario, noticed, rest_of, struck, used, works

__all__ = ["FAULTS", "OUTAGES"]


def cut_while_executing(*, is_reset: bool) -> Scenario:
    """The network ends while the server executes a statement."""

    async def scenario(application: Application, faults: Faults) -> Facts:
        facts: Facts = []
        async with used(application, facts) as connection:
            executing = application.run(connection, SLEEP)
            facts += await struck(executing, faults.until_runs(SLEEP), lambda: faults.proxy.cut(is_reset=is_reset))
            facts += await noticed(application.run(connection, "SELECT 1"))
        await faults.terminate()
        return facts + await works(application)

    return scenario


def cut_while_fetching(*, is_reset: bool) -> Scenario:
    """The network ends between two fetches of one result."""

    async def scenario(application: Application, faults: Faults) -> Facts:
        facts: Facts = []
        async with used(application, facts) as connection:
            fetch = await application.read(connection, MANY_ROWS)
            facts += [await fetch()]
            faults.proxy.cut(is_reset=is_reset)
            facts += await noticed(rest_of(fetch))
            del fetch
        return facts + await works(application)

    return scenario


def cut_while_idle(*, is_reset: bool) -> Scenario:
    """The network ends while a connection waits in the pool."""

    async def scenario(application: Application, faults: Faults) -> Facts:
        facts = await works(application)
        faults.proxy.cut(is_reset=is_reset)
        return facts + await works(application) + await works(application)

    return scenario


async def cut_while_connecting(application: Application, faults: Faults) -> Facts:
    """The network ends before the server has said that the connection may be used."""
    proxy = faults.proxy
    proxy.freeze()
    # libpq tries again, in another way.
    facts = await struck(application.acquire(), faults.until_held(), proxy.refuse, lambda: proxy.cut(is_reset=True))
    proxy.thaw()
    proxy.accept()
    return facts + await works(application)


async def frozen_while_executing(application: Application, faults: Faults) -> Facts:
    """The network swallows a statement, and ends only later."""
    facts: Facts = []
    async with used(application, facts) as connection:
        await application.run(connection, "SELECT 1")
        faults.proxy.freeze()
        executing = application.run(connection, "SELECT 2")
        facts += await struck(executing, faults.until_held(), lambda: faults.proxy.cut(is_reset=True))
        faults.proxy.thaw()
    return facts + await works(application)


async def terminated_while_executing(application: Application, faults: Faults) -> Facts:
    """An administrator ends the session while it executes a statement."""
    facts: Facts = []
    async with used(application, facts) as connection:
        executing = application.run(connection, SLEEP)
        facts += await struck(executing, faults.until_runs(SLEEP), faults.terminate)
        facts += await noticed(application.run(connection, "SELECT 1"))
    return facts + await works(application)


async def cancelled_by_the_server(application: Application, faults: Faults) -> Facts:
    """An administrator cancels the statement, and the session goes on."""
    facts: Facts = []
    async with used(application, facts) as connection:
        executing = application.run(connection, SLEEP)
        facts += await struck(executing, faults.until_runs(SLEEP), faults.cancel_statements)
    return facts + await works(application)


async def statement_timeout(application: Application, faults: Faults) -> Facts:
    """A statement takes longer than the server allows."""
    facts: Facts = []
    async with used(application, facts) as connection:
        await application.begin(connection)
        await application.run(connection, "SELECT * FROM set_config('statement_timeout', '30', true)")
        facts += await noticed(application.run(connection, SLEEP))
    return facts + await works(application)


async def refused(application: Application, faults: Faults) -> Facts:
    """Nothing listens where the server was."""
    faults.proxy.refuse()
    facts = await noticed(application.acquire()) + await noticed(application.acquire())
    faults.proxy.accept()
    return facts + await works(application)


async def refused_while_in_use(application: Application, faults: Faults) -> Facts:
    """The network ends, and has not come back when the application asks for more."""
    facts: Facts = []
    async with used(application, facts) as connection:
        await application.run(connection, "SELECT 1")
        faults.proxy.refuse()
        faults.proxy.cut(is_reset=True)
        facts += await noticed(application.run(connection, "SELECT 1"))
        facts += await noticed(application.acquire())
        faults.proxy.accept()
    return facts + await works(application)


async def slow_connect(application: Application, faults: Faults) -> Facts:
    """The network takes its time."""
    faults.proxy.delay(0.02)
    facts = await works(application)
    faults.proxy.delay(0)
    return facts


async def frozen_connect(application: Application, faults: Faults) -> Facts:
    """The server's machine takes the connection and then says nothing, for longer than the driver waits."""
    faults.proxy.freeze()
    facts = await noticed(application.acquire())
    faults.proxy.cut(is_reset=True)
    faults.proxy.thaw()
    return facts + await works(application)


async def exhausted(application: Application, faults: Faults) -> Facts:
    """More is asked for than the pool has, for longer than the application waits."""
    facts: Facts = []
    async with used(application, facts), used(application, facts):
        application.patience_s = 0.02
        facts += [await noticed(application.acquire()) for _ in range(3)]
        application.patience_s = 30
    return facts + await works(application)


async def killed_while_executing(application: Application, faults: Faults) -> Facts:
    """The server goes down at once, and comes back."""
    assert faults.server is not None
    facts: Facts = []
    async with used(application, facts) as connection:
        executing = application.run(connection, SLEEP)
        facts += await struck(executing, faults.until_runs(SLEEP), faults.proxy.refuse, faults.server.kill)
        facts += await noticed(application.run(connection, "SELECT 1"))
        facts += await noticed(application.acquire())
    await asyncio.to_thread(faults.server.start)
    faults.proxy.accept()
    return facts + await works(application)


FAULTS = {
    "cut by a reset while executing": Case(cut_while_executing(is_reset=True), {}, {"error": 1}),
    "cut while executing": Case(cut_while_executing(is_reset=False), {}, {"error": 1}),
    # What SQLAlchemy fetches after a statement, nobody tells of; asyncpg's cursor is one execution to its end.
    "cut by a reset while fetching": Case(cut_while_fetching(is_reset=True), of_pool=({}, {"error": 1})),
    "cut while fetching": Case(cut_while_fetching(is_reset=False), of_pool=({}, {"error": 1})),
    "cut by a reset while idle": Case(cut_while_idle(is_reset=True), {}, {"error": 1}),
    "cut while idle": Case(cut_while_idle(is_reset=False), {}, {"error": 1}),
    "cut while idle, with a ping": Case(
        cut_while_idle(is_reset=True), options={"pool_pre_ping": True}, kinds=("psycopg", "asyncpg")
    ),
    "cut while connecting": Case(cut_while_connecting, {"errors": 1}),
    "frozen while executing": Case(frozen_while_executing, {}, {"error": 1}),
    "terminated while executing": Case(terminated_while_executing, {}, {"error": 1}),
    "cancelled by the server": Case(cancelled_by_the_server, {}, {"timeout": 1}),
    "statement timeout": Case(statement_timeout, {}, {"timeout": 1}),
    "refused": Case(refused, {"errors": 2}),
    "refused while in use": Case(refused_while_in_use, {"errors": 1}, {"error": 1}),
    "slow connect": Case(slow_connect),
    # psycopg waits for two seconds or more.
    "frozen connect": Case(frozen_connect, {"errors": 1}, options={"connect_timeout_s": 0.1}, kinds=TASKS),
    "exhausted": Case(exhausted, {"timeouts": 3}),
}

OUTAGES = {"killed while executing": Case(killed_while_executing, {"errors": 1}, {"error": 1})}
