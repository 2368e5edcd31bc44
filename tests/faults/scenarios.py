"""
What scenarios are made of: an application, what can make it fail, and what is to be told of it afterwards.

A scenario returns what its application noticed. Faults strike when the server, the proxy or the pool says that the
moment has come, so nothing here depends on timing. At the end of each the network is as it was, and every connection
is given back. Deliberately not here: the scenarios.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, text

from capture.scenarios import Facts, begun, told
from databases.postgres import OwnServer
from faults.applications import Application
from faults.proxy import TcpProxy

__all__ = ["MANY_ROWS", "SLEEP", "TASKS", "Case", "Faults", "Scenario", "noticed", "rest_of", "struck", "used", "works"]

SLEEP = "SELECT pg_sleep(600)"
MANY_ROWS = "SELECT n, repeat('x', 1000) FROM generate_series(1, 5000) AS n"  # more than any buffer on the way
TASKS = ("asyncpg", "asyncpg pool")  # the shapes of application that can be cancelled


@dataclass(frozen=True)
class Faults:
    """
    What makes an application fail.

    Attributes:
        proxy: The network.
        assistant: An engine over the same database that goes past the proxy.
        server: The server itself, where the test has one of its own.
    """

    proxy: TcpProxy
    assistant: Engine
    server: OwnServer | None = None

    async def until_runs(self, statement: str) -> None:
        """Returns when the server executes a statement that begins like this."""
        await asyncio.to_thread(begun, self.assistant, statement)

    async def until_held(self) -> None:
        """Returns when the frozen network has something to carry."""
        await asyncio.to_thread(self.proxy.wait_until_held)

    async def terminate(self) -> None:
        """Has the server end every session that executes a statement, but for the assistant's."""
        await self.execute(_TERMINATE)

    async def cancel_statements(self) -> None:
        """Has the server cancel every statement that it executes, but for the assistant's."""
        await self.execute(_CANCEL)

    async def execute(self, statement: str) -> None:
        """Has the assistant execute something."""

        def work() -> None:
            with self.assistant.begin() as connection:
                connection.execute(text(statement))

        await asyncio.to_thread(work)


_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'"
_TERMINATE = f"SELECT pg_terminate_backend(pid, 10000) {_OTHERS}"
_CANCEL = f"SELECT pg_cancel_backend(pid) {_OTHERS}"

Scenario = Callable[[Application, Faults], Awaitable[Facts]]


@dataclass(frozen=True)
class Case:
    """
    One scenario, and what is to be told of it.

    Attributes:
        scenario: What happens.
        counts: Of the pool's counters, those that are not 0; `abandoned` are requests that ended in a cancellation.
        outcomes: How the application's own statements end, those that are not `ok`.
        of_pool: Where the same is told otherwise of asyncpg's own pool, its counts and outcomes.
        options: For the application's pool.
        kinds: The shapes of application for which there is such a thing.
    """

    scenario: Scenario
    counts: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    of_pool: tuple[dict[str, int], dict[str, int]] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = ("psycopg", "asyncpg", "asyncpg pool")

    def told_of(self, kind: str) -> tuple[dict[str, int], dict[str, int]]:
        """The counts and outcomes of one shape of application."""
        return self.of_pool if self.of_pool is not None and kind == "asyncpg pool" else (self.counts, self.outcomes)


async def noticed(work: Awaitable[Any]) -> Facts:
    """What `work` gives, or what it raises."""
    try:
        return [await work]
    except BaseException as error:  # noqa: BLE001  # whatever it is, both applications must see the same
        return told(error)


@asynccontextmanager
async def used(application: Application, facts: Facts) -> AsyncIterator[Any]:
    """A connection that is given back in the end, whatever state it is in; `facts` tell whether that went well."""
    connection = await application.acquire()
    yield connection
    facts.append(await noticed(application.release(connection)))


async def works(application: Application) -> Facts:
    """Whether the application's pool works again."""
    facts: Facts = []
    async with used(application, facts) as connection:
        facts.append(await noticed(application.run(connection, "SELECT 'works'")))
    return facts


async def struck(work: Awaitable[Any], until: Awaitable[None], *strikes: Callable[[], Any]) -> Facts:
    """What `work` ends with if `strikes` happen at a certain moment of it."""
    task = asyncio.ensure_future(work)
    await until
    for strike in strikes:
        done = strike()
        if asyncio.iscoroutine(done):
            await done
    return await noticed(task)


async def rest_of(fetch: Callable[[], Any]) -> None:
    """Reads a result to its end."""
    while await fetch():
        pass
