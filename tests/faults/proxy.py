"""
A network that fails when it is told to: a TCP proxy on the loopback, in a thread, in front of a PostgreSQL server.

It passes everything on until somebody has it delay, freeze, cut or refuse. Every order is carried out when its method
returns, so a test needs to wait for nothing but what its application does.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL

__all__ = ["TcpProxy", "tcp_proxy"]

_HOST = "127.0.0.1"
_PORT = 5432
_CHUNK = 65_536
_GOODBYE = b"X"  # what a client says that closes its connection, which nobody waits for
_AT_ONCE = struct.pack("ii", 1, 0)  # closing a socket that lingers for no time resets its connection


class TcpProxy:
    """
    Passes connections to one port on to a server.

    Attributes:
        port: Where it listens on 127.0.0.1, and refuses once it is told to; the same all the time.
    """

    def __init__(self, server: URL) -> None:
        self._server = server
        # Bound and never listening: nobody else gets the port, and who connects while nothing listens is refused.
        self._reserved = _bound(0)
        self.port: int = self._reserved.getsockname()[1]
        self._delay_s = 0.0
        self._held = threading.Event()
        self._links: dict[asyncio.StreamWriter, asyncio.StreamWriter | None] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listening: asyncio.Server | None = None

    def url(self, drivername: str) -> URL:
        """The server's URL by way of this proxy."""
        return self._server.set(drivername=drivername, host=_HOST, port=self.port, query={})

    def delay(self, seconds: float) -> None:
        """From now on everything arrives so much later, either way."""
        self._delay_s = seconds

    def freeze(self) -> None:
        """From now on nothing arrives, and nobody is told; new connections are accepted and then hear nothing."""
        self._held.clear()
        self._order(self._freeze)

    def wait_until_held(self) -> None:
        """Returns as soon as a client waits for an answer, since everything is frozen."""
        assert self._held.wait(30), "nobody sent anything"

    def thaw(self) -> None:
        """What was held arrives, and everything passes again."""
        self._order(self._thaw)

    def cut(self, *, is_reset: bool) -> None:
        """Ends the connections there are, for both sides: with a reset, or as if the other side had closed."""
        self._order(lambda: self._cut(is_reset=is_reset))

    def refuse(self) -> None:
        """Refuses new connections; those there are go on."""
        self._order(self._refuse)

    def accept(self) -> None:
        """Accepts new connections again."""
        self._order(self._accept)

    def _order(self, order: Callable[[], Awaitable[None]]) -> None:
        async def obey() -> None:
            await order()

        asyncio.run_coroutine_threadsafe(obey(), self._loop).result(30)

    def run(self, is_ready: threading.Event) -> None:
        """Runs until `stop`; what the thread does."""

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._stopped = asyncio.Event()
            self._passing = asyncio.Event()
            self._passing.set()
            await self._accept()
            is_ready.set()
            await self._stopped.wait()
            await self._refuse()
            await self._cut(is_reset=True)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run(serve())
        self._reserved.close()

    def stop(self) -> None:
        """Ends every connection and the thread."""
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def _freeze(self) -> None:
        self._passing.clear()

    async def _thaw(self) -> None:
        self._passing.set()

    async def _cut(self, *, is_reset: bool) -> None:
        for client, server in self._links.items():
            if is_reset:
                client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                client.transport.abort()
            else:
                client.write_eof()  # closing it would be a reset if the client has sent anything more
            if server is not None:
                server.transport.abort()
        self._links.clear()

    async def _refuse(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    async def _accept(self) -> None:
        self._listening = await asyncio.start_server(self._link, sock=_bound(self.port))

    async def _link(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._links[to_client] = None
        to_server = None
        try:
            from_server, to_server = await self._connected()
            if to_client in self._links:  # else it was cut meanwhile
                self._links[to_client] = to_server
                await asyncio.gather(
                    self._pump(from_client, to_server, is_client=True), self._pump(from_server, to_client)
                )
        except (OSError, asyncio.CancelledError):
            pass  # the server is not there, one side is gone, or the proxy ends
        finally:
            self._links.pop(to_client, None)
            for writer in (to_client, to_server):
                if writer is not None:
                    writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = self._server.host or str(self._server.query.get("host", _HOST))
        port = self._server.port or _PORT
        if host.startswith("/"):
            return await asyncio.open_unix_connection(Path(host) / f".s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_client: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                await asyncio.sleep(self._delay_s)
                if is_client and data[:1] != _GOODBYE and not self._passing.is_set():
                    self._held.set()
                await self._passing.wait()
                sink.write(data)
                await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((_HOST, port))
    return bound


@contextmanager
def tcp_proxy(server: URL) -> Iterator[TcpProxy]:
    """A proxy in front of `server`, as long as the block lasts."""
    proxy, is_ready = TcpProxy(server), threading.Event()
    thread = threading.Thread(target=proxy.run, args=(is_ready,), name="proxy")
    thread.start()
    assert is_ready.wait(30)
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(30)
