"""What holds for every channel that asks a web server, whatever it sends."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from alerts.receivers import raw_receiver, web_receiver
from alerts.samples import DIGEST, MESSAGE, RESOLVED, TEST
from querygauge.alerts.channels.alertmanager import AlertmanagerChannel
from querygauge.alerts.channels.pagerduty import PagerDutyChannel
from querygauge.alerts.channels.slack import SlackChannel
from querygauge.alerts.channels.webhook import WebhookChannel
from querygauge.alerts.secret import Secret
from querygauge.errors import DeliveryError
from querygauge.protocols import AlertChannel
from querygauge.values.alerts import AlertMessage
from report_cases import REPORT

Make = Callable[[str, float], AlertChannel]
TOKEN = "hunter2hunter2hunter2hunter2hunt"


@pytest.fixture(params=["webhook", "slack", "pagerduty", "alertmanager"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes one for a URL, with so many seconds to wait."""
    monkeypatch.setenv("SHOP_SECRET", TOKEN)
    secret, secret_url = Secret(environment="SHOP_SECRET"), Secret(environment="SHOP_URL")

    def slack(url: str, timeout_s: float) -> AlertChannel:
        monkeypatch.setenv("SHOP_URL", f"{url}/{TOKEN}")
        return SlackChannel(url=secret_url, timeout_s=timeout_s)

    makers: dict[str, Make] = {
        "webhook": lambda url, timeout_s: WebhookChannel(url=url, bearer=secret, timeout_s=timeout_s),
        "slack": slack,
        "pagerduty": lambda url, timeout_s: PagerDutyChannel(url=url, routing_key=secret, timeout_s=timeout_s),
        "alertmanager": lambda url, timeout_s: AlertmanagerChannel(url=url, bearer=secret, timeout_s=timeout_s),
    }
    return makers[request.param]


async def failure(channel: AlertChannel) -> DeliveryError:
    """What comes of sending; nothing of a secret is in it, or behind it."""
    with pytest.raises(DeliveryError) as caught:
        await channel.send(MESSAGE)
    assert "hunter2" not in f"{caught.value} {caught.value!r} {channel!r}"
    assert caught.value.__context__ is None
    return caught.value


async def test_every_kind_of_message_arrives(make: Make) -> None:
    """With something to read for people in each."""
    async with web_receiver(status=202) as receiver:
        channel = make(receiver.url, 30)
        for message in (MESSAGE, DIGEST, TEST):
            before = len(receiver.received)
            await channel.send(message)
            assert len(receiver.received) > before
        assert b"1500" in receiver.received[0].body
        assert b"held back" in b"".join(received.body for received in receiver.received)
        assert b"[TEST]" in b"".join(received.body for received in receiver.received)
        await channel.send(RESOLVED)


async def test_nothing_is_sent_twice(make: Make) -> None:
    """One message about one alert is one request, whatever is answered."""
    for status in (200, 302, 404, 429, 500):
        async with web_receiver(status=status) as receiver:
            channel = make(receiver.url, 30)
            if status == 200:
                await channel.send(MESSAGE)
            else:
                await failure(channel)
            assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("status", "headers", "is_final", "retry_after_s"),
    [
        (400, {}, True, None),
        (429, {"Retry-After": "7"}, False, 7.0),
        (
            429,
            {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:49 GMT"},
            False,
            10.0,
        ),
        (500, {}, False, None),
        (307, {"Location": "http://192.0.2.1/"}, True, None),
    ],
)
async def test_statuses(
    make: Make, status: int, headers: dict[str, str], is_final: bool, retry_after_s: float | None
) -> None:
    """Say whether to try again, and when; what quotes the request is not repeated."""
    async with web_receiver(status=status, headers=headers, body=f"no {TOKEN} here".encode()) as receiver:
        error = await failure(make(receiver.url, 30))
    assert (error.is_final, error.retry_after_s) == (is_final, retry_after_s)
    assert ("192.0.2.1, a private address" in str(error)) is (status == 307)


async def _hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _cuts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def _speaks_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x00\x01\x02 nonsense\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("does", [_hangs, _cuts, _speaks_nonsense], ids=lambda does: does.__name__)
async def test_what_is_no_answer(
    make: Make, does: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> None:
    """Is worth another try."""
    async with raw_receiver(does) as port:
        error = await failure(make(f"http://127.0.0.1:{port}", 0.3 if does is _hangs else 30))
    assert not error.is_final


async def test_reports(make: Make) -> None:
    """Arrive where there is a place for them; elsewhere nothing is sent, and nobody tries again."""
    report = AlertMessage("k", MESSAGE.made_at, report=REPORT)
    async with web_receiver(status=202) as receiver:
        channel = make(receiver.url, 30)
        if isinstance(channel, SlackChannel | WebhookChannel):
            await channel.send(report)
            assert b"SELECT orders" in receiver.received[0].body
        else:
            with pytest.raises(DeliveryError, match="must be sent alerts; got a report") as caught:
                await channel.send(report)
            assert caught.value.is_final
            assert receiver.received == []
