"""Web servers on this machine that take what channels send: one that answers as told, and one that does as told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web

__all__ = ["Received", "WebReceiver", "raw_receiver", "web_receiver"]


class Received(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class WebReceiver:
    """
    What it answers, and what came.

    Attributes:
        url: Where it is.
        status: What it answers with.
        headers: Likewise.
        body: Likewise.
        received: What came so far.
    """

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    received: list[Received] = field(default_factory=list)
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait_for(self, count: int) -> list[Received]:
        """The first so many requests, as soon as they have come."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.received) >= count)
        return self.received[:count]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Keeps a request, and answers."""
        body = await request.read()
        async with self._came:
            self.received.append(Received(request.method, request.path_qs, dict(request.headers), body))
            self._came.notify_all()
        return web.Response(status=self.status, headers=self.headers, body=self.body)


@asynccontextmanager
async def web_receiver(tls: ssl.SSLContext | None = None, **answer: Any) -> AsyncIterator[WebReceiver]:
    """A server that answers everything alike."""
    receiver = WebReceiver(**answer)
    runner = web.ServerRunner(web.Server(receiver.handle))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        receiver.url = f"http{'s' if tls else ''}://{'localhost' if tls else '127.0.0.1'}:{port}"
        yield receiver
    finally:
        await runner.cleanup()


Does = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_receiver(does: Does) -> AsyncIterator[int]:
    """A server that does with each connection whatever it is told, and then closes it; gives its port."""
    open_now: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_now.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await does(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        open_now.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for task in tuple(open_now):
            task.cancel()
        server.close()
        await server.wait_closed()
        await asyncio.gather(*open_now, return_exceptions=True)
