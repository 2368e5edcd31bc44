"""Mail, to real servers on this machine."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given, settings

from alerts.receivers import Mailbox, mail_server, raw_receiver
from alerts.samples import DIGEST, MESSAGE, RESOLVED, SLOW, TEST, message_of, messages
from querygauge.alerts.channels.email import EmailChannel, mail_of
from querygauge.alerts.secret import Secret
from querygauge.errors import DeliveryError, SettingsError
from querygauge.values.alerts import AlertMessage

PASSWORD = Secret(environment="MAIL_PASSWORD")
FROM_TO: dict[str, Any] = {"sender": "alerts@shop.example", "recipients": ("ops@shop.example", "dba@shop.example")}


@pytest.fixture
def authority() -> trustme.CA:
    """Who vouches for the servers of a test."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """What a server encrypts with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The file of who vouches for it."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right one."""
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2-hunter2")


def plain_channel(box: Mailbox, **options: Any) -> EmailChannel:
    """One that sends in the clear to this machine."""
    return EmailChannel(**{"host": "127.0.0.1", "port": box.port, "security": "none", **FROM_TO, **options})


async def failure(channel: EmailChannel) -> DeliveryError:
    """What comes of sending."""
    with pytest.raises(DeliveryError) as caught:
        await channel.send(MESSAGE)
    assert "hunter2" not in f"{caught.value} {caught.value!r} {channel!r}"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


async def test_a_mail_to_this_machine() -> None:
    """With a subject, an id made of the key, and the same in text and in HTML."""
    async with mail_server() as box:
        await plain_channel(box).send(MESSAGE)
    mail = box.only_mail()
    assert mail["Subject"] == "Slow Query Alert: 1500ms (shop)"
    assert mail["From"] == "alerts@shop.example"
    assert mail["To"] == "ops@shop.example, dba@shop.example"
    assert mail["Message-ID"] == "<5ca1ab1e5ca1ab1e.querygauge@shop.example>"
    assert mail["Date"] == "Wed, 04 Mar 2026 12:00:00 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    text, page = bodies(mail)
    assert "Measured: 1500ms, threshold 1000ms" in text
    assert "Severity: critical, firing" in text
    assert "note &lt;&gt; ? &amp; 1" in page
    assert '<table style="border-left: 6px solid #c62828' in page
    assert box.envelopes[0].rcpt_tos == ["ops@shop.example", "dba@shop.example"]


def bodies(mail: EmailMessage) -> tuple[str, str]:
    """Its text and its HTML."""
    text, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert page is not None
    return text.get_content(), page.get_content()


async def test_starttls_and_login(tls: ssl.SSLContext, ca_file: Path) -> None:
    """Nothing but the greeting is in the clear."""
    box = Mailbox()
    options = {"require_starttls": True, "auth_required": True, "authenticator": box.authenticate}
    async with mail_server(box, tls_context=tls, **options):
        await EmailChannel(
            host="localhost", port=box.port, username="shop", password=PASSWORD, ca_file=ca_file, **FROM_TO
        ).send(MESSAGE)
    assert box.was_encrypted == [True]
    assert box.logins == [(b"shop", b"hunter2-hunter2")]


async def test_tls_from_the_start(tls: ssl.SSLContext, ca_file: Path) -> None:
    """As on port 465."""
    box = Mailbox()
    options = {"auth_require_tls": False, "authenticator": box.authenticate}
    async with mail_server(box, ssl_context=tls, **options):
        channel = EmailChannel(
            host="localhost",
            port=box.port,
            security="tls",
            username="shop",
            password=PASSWORD,
            ca_file=ca_file,
            **FROM_TO,
        )
        await channel.send(MESSAGE)
    assert len(box.envelopes) == 1
    assert len(box.logins) == 1


async def test_a_wrong_password(tls: ssl.SSLContext, ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is final: it does not become right by itself."""
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2-wrong")
    box = Mailbox()
    async with mail_server(box, tls_context=tls, authenticator=box.authenticate):
        error = await failure(
            EmailChannel(
                host="localhost", port=box.port, username="shop", password=PASSWORD, ca_file=ca_file, **FROM_TO
            )
        )
    assert str(error) == f"email: localhost:{box.port} refuses the login: 535 5.7.8 Authentication credentials invalid"
    assert error.is_final
    assert box.envelopes == []


async def test_a_server_without_starttls() -> None:
    """Gets nothing, and least of all the password."""
    box = Mailbox()
    async with mail_server(box, authenticator=box.authenticate, auth_require_tls=False):
        error = await failure(
            EmailChannel(host="127.0.0.1", port=box.port, username="shop", password=PASSWORD, **FROM_TO)
        )
    assert str(error).endswith("does not offer STARTTLS, and nothing is sent in the clear")
    assert error.is_final
    assert (box.envelopes, box.logins) == ([], [])


async def test_a_server_without_a_login() -> None:
    """Whoever configured one wants it."""
    async with mail_server() as box:
        error = await failure(plain_channel(box, username="shop", password=PASSWORD))
    assert str(error).endswith("does not offer a login")
    assert error.is_final


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_server_that_nobody_vouches_for(tls: ssl.SSLContext, security: Any) -> None:
    """Gets nothing; its certificate may be renewed."""
    box = Mailbox()
    options = {"ssl_context": tls} if security == "tls" else {"tls_context": tls}
    async with mail_server(box, authenticator=box.authenticate, auth_require_tls=False, **options):
        error = await failure(
            EmailChannel(
                host="localhost", port=box.port, security=security, username="shop", password=PASSWORD, **FROM_TO
            )
        )
    assert str(error) == f"email: localhost:{box.port} has a certificate that nobody vouches for"
    assert not error.is_final
    assert (box.envelopes, box.logins) == ([], [])


async def test_certificates_that_are_gone(ca_file: Path) -> None:
    """Somebody may be replacing them."""
    channel = EmailChannel(host="localhost", ca_file=ca_file, **FROM_TO)
    ca_file.unlink()  # noqa: ASYNC240  # nothing else runs on this loop
    with pytest.raises(DeliveryError, match=r"^email\.ca_file must be a file of PEM certificates") as caught:
        await channel.send(MESSAGE)
    assert not caught.value.is_final


async def test_a_login_beyond_ascii(monkeypatch: pytest.MonkeyPatch, tls: ssl.SSLContext, ca_file: Path) -> None:
    """Is sent as UTF-8."""
    monkeypatch.setenv("MAIL_PASSWORD", "pässword-漢")
    box = Mailbox()
    async with mail_server(box, tls_context=tls, authenticator=box.authenticate):
        error = await failure(
            EmailChannel(
                host="localhost", port=box.port, username="shöp", password=PASSWORD, ca_file=ca_file, **FROM_TO
            )
        )
    assert "refuses the login: 535" in str(error)
    assert box.logins[0] == ("shöp".encode(), "pässword-漢".encode())


async def test_a_certificate_of_another_name(authority: trustme.CA, ca_file: Path) -> None:
    """Is as good as none."""
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mail.example").configure_cert(other)
    async with mail_server(tls_context=other) as box:
        error = await failure(EmailChannel(host="localhost", port=box.port, ca_file=ca_file, **FROM_TO))
    assert str(error).endswith("has a certificate that nobody vouches for")


@pytest.mark.parametrize(
    ("answer", "is_final"),
    [("451 4.3.0 try later", False), ("552 5.2.2 too large", True), ("421 4.3.2 shutting down", False)],
)
async def test_a_mail_that_is_refused(answer: str, is_final: bool) -> None:
    """By the server's own word."""
    async with mail_server(Mailbox(answer=answer)) as box:
        error = await failure(plain_channel(box))
    assert str(error) == f"email: 127.0.0.1:{box.port} refuses: {answer}"
    assert error.is_final is is_final


@pytest.mark.parametrize(("second", "is_final"), [("550 5.1.1 unknown", True), ("450 4.2.0 greylisted", False)])
async def test_recipients_that_are_all_refused(second: str, is_final: bool) -> None:
    """Is final if each of them is."""
    refuses = {"ops@shop.example": "550 5.1.1 unknown", "dba@shop.example": second}
    async with mail_server(Mailbox(refuses=refuses)) as box:
        error = await failure(plain_channel(box))
    assert str(error).endswith("refuses every recipient: 550 5.1.1 unknown")
    assert error.is_final is is_final


async def test_a_recipient_that_is_refused(plain_log: pytest.LogCaptureFixture) -> None:
    """Is written to the log; the others got it, and would get it again if it was sent again."""
    async with mail_server(Mailbox(refuses={"ops@shop.example": "550 unknown"})) as box:
        with plain_log.at_level(logging.WARNING):
            await plain_channel(box).send(MESSAGE)
    assert box.envelopes[0].rcpt_tos == ["dba@shop.example"]
    assert [record.getMessage() for record in plain_log.records] == [
        "alert_recipient_refused recipient='ops@shop.example' code=550"
    ]


@pytest.mark.parametrize("quoted", ["hunter2-hunter2", "AHNob3AAaHVudGVyMi1odW50ZXIy", "aHVudGVyMi1odW50ZXIy"])
async def test_an_answer_that_quotes_the_password(tls: ssl.SSLContext, ca_file: Path, quoted: str) -> None:
    """Is not repeated, as it was or as it was sent."""
    box = Mailbox(answer=f"554 no {quoted} here")
    async with mail_server(box, tls_context=tls, authenticator=box.authenticate):
        error = await failure(
            EmailChannel(
                host="localhost", port=box.port, username="shop", password=PASSWORD, ca_file=ca_file, **FROM_TO
            )
        )
    assert str(error) == f"email: localhost:{box.port} refuses: 554"


async def _hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _hangs_after_its_greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 localhost\r\n")
    await asyncio.Event().wait()


async def _cuts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 localhost\r\n")
    await reader.readline()


async def _speaks_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await reader.readline()


async def _refuses_everybody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"554 no mail here\r\n")
    await reader.readline()


async def _refuses_starttls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 localhost\r\n")
    await reader.readline()
    writer.write(b"250-localhost\r\n250 STARTTLS\r\n")
    await reader.readline()
    writer.write(b"454 4.7.0 no TLS now\r\n")
    await reader.readline()


async def _speaks_no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 localhost\r\n")
    await reader.readline()
    writer.write(b"250-localhost\r\n250 STARTTLS\r\n")
    await reader.readline()
    writer.write(b"220 go on\r\n")
    await reader.read(1)
    writer.write(b"nonsense, and more nonsense\r\n" * 10)
    await reader.read(100_000)


async def _takes_it_and_hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 localhost\r\n")
    while True:
        command = await reader.readline()
        if command.lower().startswith(b"quit"):
            await asyncio.Event().wait()
        if command.lower().startswith(b"data"):
            writer.write(b"354 go on\r\n")
            await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 OK\r\n")


@pytest.mark.parametrize(
    ("does", "security", "what", "is_final"),
    [
        (_hangs, "none", "gave no answer within 0.3 s", False),
        (_hangs, "tls", "gave no answer within 0.3 s", False),
        (_hangs_after_its_greeting, "starttls", "gave no answer within 0.3 s", False),
        (_cuts, "starttls", "cut the connection before it took the message", False),
        (_speaks_nonsense, "none", "answered with something that is not SMTP", False),
        (_refuses_everybody, "none", "refuses: 554 no mail here", True),
        (_refuses_starttls, "starttls", "refuses: 454 4.7.0 no TLS now", False),
        (_speaks_no_tls, "starttls", "does not speak TLS as it should", False),
    ],
)
async def test_servers_that_do_not_take_it(
    does: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    security: Any,
    what: str,
    is_final: bool,
) -> None:
    """Each in its way."""
    timeout_s = 0.3 if "within" in what else 30.0
    async with raw_receiver(does) as port:
        error = await failure(
            EmailChannel(host="127.0.0.1", port=port, security=security, timeout_s=timeout_s, **FROM_TO)
        )
    assert str(error) == f"email: 127.0.0.1:{port} {what}"
    assert error.is_final is is_final


@pytest.mark.timeout(60)
async def test_what_was_taken_is_not_sent_again() -> None:
    """Whatever becomes of the goodbye, which is not waited for either."""
    async with raw_receiver(_takes_it_and_hangs) as port:
        await EmailChannel(host="127.0.0.1", port=port, security="none", timeout_s=300, **FROM_TO).send(MESSAGE)


async def test_a_server_that_is_slow_again_and_again() -> None:
    """Has so many seconds for all of it, not for each of its answers."""

    async def _is_slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = b"220 localhost\r\n"
        while True:
            await asyncio.sleep(0.2)
            writer.write(answer)
            await reader.readline()
            answer = b"250 OK\r\n"

    async with raw_receiver(_is_slow) as port:
        error = await failure(EmailChannel(host="127.0.0.1", port=port, security="none", timeout_s=0.5, **FROM_TO))
    assert str(error).endswith("gave no answer within 0.5 s")


async def test_nobody_there() -> None:
    """Somebody may come back."""
    async with raw_receiver(_cuts) as port:
        pass
    error = await failure(EmailChannel(host="127.0.0.1", port=port, **FROM_TO))
    assert str(error) == f"email: 127.0.0.1:{port} cannot be reached: Connection refused"
    assert not error.is_final


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"host": "mail example"}, r"email\.host must be the name of a server; got 'mail example'"),
        ({"sender": "shop"}, r"email\.sender must be an address such as alerts@shop\.example; got 'shop'"),
        ({"sender": "a@b\r\nBcc: c@d"}, r"email\.sender must be an address"),
        ({"recipients": ("a@b", "a b@c")}, r"email\.recipients must be an address .*; got 'a b@c'"),
        ({"recipients": ()}, r"email\.recipients must be a tuple of one address or more"),
        ({"recipients": "a@b"}, r"email\.recipients must be a tuple of one address or more"),
        ({"security": "ssl"}, r"email\.security must be starttls, tls or none; got 'ssl'"),
        ({"security": "none"}, r"email\.security must be starttls or tls unless host is localhost; got 'none' for"),
        ({"port": 0}, r"email\.port must be from 1 to 65535; got 0"),
        ({"username": "shop"}, r"email\.username and email\.password must both be given or neither"),
        (
            {"username": "shop", "password": Secret(environment="NO_SUCH_SECRET")},
            r"email\.password: environment variable NO_SUCH_SECRET must hold the secret",
        ),
        ({"timeout_s": 0}, r"email\.timeout_s must be > 0 and <= 300; got 0"),
        ({"ca_file": Path("/no/such/file")}, r"email\.ca_file must be a file of PEM certificates"),
        ({"runbooks": "a b"}, r"email\.runbooks must be an address such as"),
    ],
)
def test_what_cannot_be_sent_through_is_said_at_once(options: dict[str, Any], fault: str) -> None:
    """The field, the rule and the value."""
    with pytest.raises(SettingsError, match=rf"^{fault}"):
        EmailChannel(**{"host": "mail.example", **FROM_TO, **options})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_this_machine_may_be_sent_to_in_the_clear(host: str) -> None:
    """And no other."""
    assert EmailChannel(host=host, security="none", **FROM_TO).port is None


def test_the_kinds_of_a_mail() -> None:
    """An end, a digest, a test, and several alerts."""
    kinds = [mail_of(message, **FROM_TO) for message in (RESOLVED, DIGEST, TEST, message_of(*[SLOW] * 60))]
    assert [mail["Subject"] for mail in kinds] == [
        "Resolved: Slow Query Alert: 1500ms (shop)",
        "13 alerts held back",
        "[TEST] querygauge reaches this channel",
        "Slow Query Alert: 1500ms and 59 more (shop)",
    ]
    assert "#2e7d32" in bodies(kinds[0])[1]
    assert all(part in bodies(kinds[1])[1] for part in (">slow_query</th><td>12<", ">error_rate</th><td>1<"))
    assert all("This is a test. Nothing is wrong." in body for body in bodies(kinds[2]))
    assert all("And 10 more alerts." in body for body in bodies(kinds[3]))
    link = bodies(mail_of(MESSAGE, **FROM_TO, runbooks="https://wiki.example"))[1]
    assert '<a href="https://wiki.example/slow_query.md">' in link


class _Page(HTMLParser):
    """What a page consists of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes it, and its attributes."""
        self.tags |= {tag, *(f"{tag} {name}" for name, _ in attrs)}


OURS = {"html", "head", "meta", "meta charset", "body", "body style", "h2", "p", "table", "table style", "tr", "th"}
OURS |= {"th style", "td", "code", "code style"}


@given(messages)
@settings(max_examples=50, deadline=None)
def test_any_message_is_a_mail(message: AlertMessage) -> None:
    """For any alerts: no header but ours, lines that every server takes, no tag but ours, a bounded size."""
    sent = mail_of(message, **FROM_TO)
    raw = sent.as_bytes()
    assert len(raw) < 4_000_000
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert raw.isascii()
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    assert sorted(mail.keys()) == sorted(
        ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
    )
    assert mail["To"] == ", ".join(FROM_TO["recipients"])
    page = _Page()
    page.feed(bodies(mail)[1])
    assert page.tags <= OURS


def test_a_subject_in_disguise() -> None:
    """Is not unmasked: what the library would read as a line break is letters."""
    disguised = message_of(replace(SLOW, service="=?utf-8?q?a=0D=0ABcc:_x?="))
    mail = message_from_bytes(mail_of(disguised, **FROM_TO).as_bytes(), policy=default)
    assert mail["Bcc"] is None
    assert "= ?utf-8?q?a=0D=0ABcc:_x?=" in mail["Subject"]
