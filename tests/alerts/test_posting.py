"""What becomes of a request, for every answer that a server may give; seen through the webhook."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from alerts.receivers import raw_receiver, web_receiver
from alerts.samples import MESSAGE
from querygauge.alerts.channels.fields import is_private
from querygauge.alerts.channels.posting import _retry_after
from querygauge.alerts.channels.webhook import WebhookChannel
from querygauge.alerts.secret import Secret
from querygauge.errors import DeliveryError

HEAD = b"HTTP/1.1 200 OK\r\n"


async def failure(url: str | Secret, **options: Any) -> DeliveryError:
    """What comes of sending there."""
    with pytest.raises(DeliveryError) as caught:
        await WebhookChannel(url=url, **options).send(MESSAGE)
    # Whatever is behind an error is written to logs with it.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_2xx_is_good(status: int) -> None:
    """Whatever else is in the answer."""
    async with web_receiver(status=status, body=b"" if status == 204 else b"x" * 100_000) as receiver:
        await WebhookChannel(url=receiver.url).send(MESSAGE)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("status", "is_final"),
    [
        *((status, True) for status in (400, 401, 403, 404, 410, 413)),
        *((status, False) for status in (408, 425, 429, 500, 502, 503)),
    ],
)
async def test_other_statuses(status: int, is_final: bool) -> None:
    """What is wrong with the request is final; what is wrong with the server is not. The answer says why."""
    async with web_receiver(status=status, body=b"no\nsuch team") as receiver:
        error = await failure(receiver.url + "/hooks/1")
        assert str(error) == f"webhook: {receiver.url} answers {status}: no such team"
    assert (error.is_final, error.retry_after_s) == (is_final, None)
    assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_retry_after_in_seconds(status: int) -> None:
    """As asked for."""
    async with web_receiver(status=status, headers={"Retry-After": "37"}) as receiver:
        error = await failure(receiver.url)
    assert (error.retry_after_s, error.is_final) == (37.0, False)


async def test_retry_after_as_a_date() -> None:
    """By the clock of the server, which may be wrong."""
    now = datetime(1999, 12, 31, 23, 59, tzinfo=UTC)
    dates = {"Date": format_datetime(now, usegmt=True), "Retry-After": format_datetime(now + timedelta(seconds=90))}
    async with web_receiver(status=429, headers=dates) as receiver:
        error = await failure(receiver.url)
    assert error.retry_after_s == 90.0


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        *((nonsense, None) for nonsense in ("", "soon", "-5", "1.5", "²")),
        ("0", 0.0),
        ("9" * 400, 86_400.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
    ],
)
def test_retry_after_is_within_reason(asked: str, seconds: float | None) -> None:
    """Nonsense is nothing, what is over is now, and a day is the most."""
    assert _retry_after({"Retry-After": asked}) == seconds


@given(st.text(), st.text())
def test_any_retry_after_is_read(asked: str, date: str) -> None:
    """For any two headers: nothing, or seconds of a day."""
    seconds = _retry_after({"Retry-After": asked, "Date": date})
    assert seconds is None or 0 <= seconds <= 86_400


async def _hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _hangs_in_its_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Length: 100\r\n\r\nhalf")
    await asyncio.Event().wait()


async def _cuts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def _cuts_its_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + b"Content-Length: 100\r\n\r\nhalf")
    await writer.drain()


async def _resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def _speaks_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"220 mail.example ESMTP\r\n\r\n\x00\xff\r\n")
    await writer.drain()


async def _never_ends_its_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + b"X-Long: ")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


@pytest.mark.parametrize(
    ("does", "what"),
    [
        (_hangs, "gave no answer within 0.3 s"),
        (_hangs_in_its_answer, "gave no answer within 0.3 s"),
        (_cuts, "cut the connection before it answered"),
        (_cuts_its_answer, "cut its answer off"),
        (_resets, "cut the connection before it answered"),
        (_speaks_nonsense, "answered with something that is not HTTP"),
        (_never_ends_its_headers, "answered with something that is not HTTP"),
    ],
)
async def test_what_is_no_answer_is_worth_another_try(
    does: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], what: str
) -> None:
    """Nobody knows whether it arrived."""
    timeout_s = 0.3 if "within" in what else 30.0
    async with raw_receiver(does) as port:
        error = await failure(f"http://127.0.0.1:{port}/a", timeout_s=timeout_s)
    assert str(error) == f"webhook: http://127.0.0.1:{port} {what}"
    assert not error.is_final


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    """Sixteen kilobytes are enough to know that it is good."""

    async def answers_without_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()

    async with raw_receiver(answers_without_end) as port:
        await WebhookChannel(url=f"http://127.0.0.1:{port}", timeout_s=30).send(MESSAGE)


async def test_an_answer_is_not_unpacked() -> None:
    """A few bytes could become any number of them; the status says enough."""
    async with web_receiver(headers={"Content-Encoding": "gzip"}, body=b"not packed") as receiver:
        await WebhookChannel(url=receiver.url).send(MESSAGE)
    assert len(receiver.received) == 1


async def test_nobody_there() -> None:
    """Somebody may come back."""
    async with raw_receiver(_cuts) as port:
        pass
    error = await failure(f"http://127.0.0.1:{port}")
    assert str(error) == f"webhook: http://127.0.0.1:{port} cannot be reached: Connection refused"
    assert not error.is_final


async def test_no_such_host() -> None:
    """It may be the name server."""
    error = await failure("http://host.invalid/secret-path", timeout_s=100)
    assert str(error).startswith("webhook: http://host.invalid cannot be reached: its name is not known")
    assert not error.is_final


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("http://192.0.2.7/latest/meta-data/", "to http://192.0.2.7, a private address;"),
        ("http://[::1]:99/", "to http://[::1]:99, a private address;"),
        ("http://localhost/", "to http://localhost, a private address;"),
        ("https://user:word@elsewhere.example/x?token=1", "to https://elsewhere.example;"),
        ("file:///etc/passwd", "elsewhere;"),
        ("http://[", "elsewhere;"),
    ],
)
async def test_no_redirect_is_followed(status: int, location: str, where: str) -> None:
    """Least of all to a private address; the error says where it leads, and it is final."""
    async with web_receiver(status=status, headers={"Location": location}) as receiver:
        error = await failure(receiver.url)
        assert str(error).startswith(f"webhook: {receiver.url} answers {status} and leads {where} redirects are not")
    assert error.is_final
    assert len(receiver.received) == 1


async def test_a_redirect_to_the_same_server_is_not_followed() -> None:
    """It would be another address than the one that was configured."""
    async with web_receiver(status=307, headers={"Location": "/other"}) as receiver:
        error = await failure(receiver.url)
    assert "leads to http://127.0.0.1" in str(error)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("host", "private"),
    [("127.0.0.1", True), ("localhost", True), ("192.0.2.1", True), ("fe80::1", True), ("example.com", False)],
)
def test_private_addresses(host: str, private: bool) -> None:
    """By name and number alone."""
    assert is_private(host) is private


SECRET = "xoxb-hunter2-hunter2"


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("quoted", [f"no hook /T0/{SECRET} here", SECRET[:10], f"header {SECRET[5:]} is bad"])
async def test_an_answer_that_quotes_a_secret_is_not_repeated(
    status: int, quoted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is the smallest piece of it."""
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    secret = Secret(environment="SHOP_SECRET")
    for options in ({"bearer": secret}, {"signing_key": secret}, {"headers": {"X-Api-Key": secret}}):
        async with web_receiver(status=status, body=quoted.encode()) as receiver:
            error = await failure(receiver.url, **options)
            assert str(error) == f"webhook: {receiver.url} answers {status}"


@pytest.mark.parametrize(
    "does", [_hangs, _cuts, _cuts_its_answer, _resets, _speaks_nonsense], ids=lambda does: does.__name__
)
async def test_a_secret_address_is_in_no_error(
    does: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of aiohttp quote it."""
    async with raw_receiver(does) as port:
        monkeypatch.setenv("SHOP_SECRET", f"http://127.0.0.1:{port}/{SECRET}?token={SECRET}")
        channel = WebhookChannel(url=Secret(environment="SHOP_SECRET"), timeout_s=0.3)
        with pytest.raises(DeliveryError) as caught:
            await channel.send(MESSAGE)
    assert "hunter2" not in f"{caught.value!r} {caught.value} {channel!r} {channel}"
    assert caught.value.__context__ is None


async def test_a_secret_that_became_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not sent to, and not shown."""
    monkeypatch.setenv("SHOP_SECRET", "https://hooks.example/x")
    channel = WebhookChannel(url=Secret(environment="SHOP_SECRET"))
    monkeypatch.setenv("SHOP_SECRET", "no-url-hunter2")
    with pytest.raises(DeliveryError, match="it became something else") as caught:
        await channel.send(MESSAGE)
    assert "hunter2" not in str(caught.value)


def _authority(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS, and the file of who vouches for it."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return tls, file


async def test_a_server_is_trusted_if_somebody_vouches_for_it(tmp_path: Path) -> None:
    """Those of the system do not; a file of certificates may."""
    tls, file = _authority(tmp_path)
    async with web_receiver(tls) as receiver:
        error = await failure(receiver.url)
        assert str(error) == f"webhook: {receiver.url} has a certificate that nobody vouches for"
        assert not error.is_final
        assert receiver.received == []
        await WebhookChannel(url=receiver.url, ca_file=file).send(MESSAGE)
    assert len(receiver.received) == 1


async def test_certificates_that_are_gone(tmp_path: Path) -> None:
    """Somebody may be replacing them."""
    _, file = _authority(tmp_path)
    channel = WebhookChannel(url="https://localhost", ca_file=file)
    file.unlink()
    with pytest.raises(DeliveryError, match=r"^webhook\.ca_file must be a file of PEM certificates") as caught:
        await channel.send(MESSAGE)
    assert not caught.value.is_final


async def test_a_server_without_tls_is_not_spoken_to() -> None:
    """There is no falling back."""
    async with web_receiver() as receiver:
        error = await failure(receiver.url.replace("http:", "https:"))
    assert str(error).endswith("does not speak TLS as it should")
    assert receiver.received == []
