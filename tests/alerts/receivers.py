"""Servers on this machine that take what channels send: web servers that answer or do as told, and one for mail."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

__all__ = ["KeptReceiver", "Mailbox", "Received", "WebReceiver", "mail_server", "raw_receiver", "web_receiver"]


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


class KeptReceiver:
    """A web server in a thread that keeps each request and its key, and answers with a status and headers."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.bodies: list[bytes] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.came = threading.Semaphore(0)
        self.hangs_until = threading.Event()
        self.hangs_until.set()
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator["KeptReceiver"]:
        """The server, on a port of its own."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.keys.append(self.headers["Idempotency-Key"])
                receiver.came.release()
                receiver.hangs_until.wait(20)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing is logged."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self.hangs_until.set()
            server.shutdown()
            thread.join()
            server.server_close()


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


@dataclass
class Mailbox:
    """
    What a mail server answers, and what came.

    Attributes:
        port: Where it listens.
        refuses: Answers by recipient.
        answer: To the mail itself.
        envelopes: What came.
        was_encrypted: Whether each of them was.
        logins: Names and passwords that came.
    """

    port: int = 0
    refuses: dict[str, str] = field(default_factory=dict)
    answer: str = "250 OK"
    envelopes: list[Envelope] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name, as those of the arguments
        self,
        server: SMTP,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],  # noqa: ARG002
    ) -> str:
        """Refuses those that it was told to."""
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        """Keeps a mail."""
        self.envelopes.append(envelope)
        self.was_encrypted.append(session.ssl is not None)
        return self.answer

    def authenticate(self, *about: object) -> AuthResult:
        """Takes one name and password."""
        data = about[-1]
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data == LoginPassword(b"shop", b"hunter2-hunter2"), handled=False)

    def only_mail(self) -> EmailMessage:
        """The one that came."""
        [envelope] = self.envelopes
        content = envelope.original_content
        assert content is not None
        parsed = message_from_bytes(content, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed


@asynccontextmanager
async def mail_server(box: Mailbox | None = None, **options: Any) -> AsyncIterator[Mailbox]:
    """A mail server on this loop."""
    box = box or Mailbox()
    loop = asyncio.get_running_loop()
    tls = options.pop("ssl_context", None)
    server = await loop.create_server(
        lambda: SMTP(box, hostname="localhost", loop=loop, enable_SMTPUTF8=True, **options), "127.0.0.1", 0, ssl=tls
    )
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()
