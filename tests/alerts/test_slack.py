"""Messages in Slack."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from alerts.receivers import web_receiver
from alerts.samples import DIGEST, MESSAGE, RESOLVED, SLOW, TEST, message_of, messages
from querygauge.alerts.channels.slack import SlackChannel, payload
from querygauge.alerts.secret import Secret
from querygauge.errors import DeliveryError, SettingsError
from querygauge.values.alerts import AlertMessage, AlertSeverity
from report_cases import REPORT, long_report

SECRET = Secret(environment="SLACK_URL")
PATH = "/services/T00000000/B00000000/hunter2hunter2"


def texts_of(message: AlertMessage) -> list[str]:
    """What the sections say."""
    return [block["text"]["text"] for block in payload(message)["blocks"][1:]]


async def test_a_message_is_posted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As blocks, with a text for where they cannot be shown."""
    async with web_receiver() as receiver:
        monkeypatch.setenv("SLACK_URL", receiver.url + PATH)
        await SlackChannel(url=SECRET).send(MESSAGE)
    [received] = receiver.received
    assert (received.method, received.path) == ("POST", PATH)
    assert json.loads(received.body) == {
        "text": "🔴 Slow Query Alert: 1500ms (shop): " + SLOW.sentence,
        "blocks": [
            {
                "type": "header",
                "text": {"type": "plain_text", "text": "🔴 Slow Query Alert: 1500ms (shop)", "emoji": False},
            },
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "verbatim": True,
                    "text": (
                        f"*What:* {SLOW.sentence}\n"
                        "*Severity:* critical, firing since 2026-03-04 11:55 UTC\n"
                        "*Measured:* 1500ms, threshold 1000ms\n"
                        "*Where:* shop @ primary\n"
                        "*Pattern:*\n```\n"
                        "SELECT id, total FROM orders WHERE customer_id = ? AND note &lt;&gt; ? &amp; 1\n```\n"
                        "*Called from:* `shop/orders.py:31 in latest`\n"
                        "*Trend:* `▂▂·▅█ from 200ms to 1500ms in 25 min 00 s`\n"
                        "*What to do:* Look at its plan, and at what it filters by.\n"
                        "*Look further:* `querygauge patterns show 00c0ffee00c0ffee`\n"
                        "*Runbook:* docs/runbooks/slow_query.md"
                    ),
                },
            },
        ],
    }


def test_a_runbook_on_the_web_is_a_link() -> None:
    """Its name is no address."""
    blocks = payload(MESSAGE, "https://wiki.example/?a=1&b=")["blocks"]
    assert "<https://wiki.example/?a=1&amp;b=/slow_query.md|Runbook>" in blocks[1]["text"]["text"]


@pytest.mark.parametrize(("severity", "mark"), [("critical", "🔴"), ("warning", "🟠"), ("info", "🔵")])
def test_a_colour_for_each_severity(severity: AlertSeverity, mark: str) -> None:
    """And one for an end."""
    title = payload(message_of(replace(SLOW, severity=severity)))["blocks"][0]["text"]["text"]
    assert title.startswith(f"{mark} Slow Query")
    assert payload(RESOLVED)["blocks"][0]["text"]["text"].startswith("🟢 Resolved: Slow Query")


def test_quotes_of_a_database_do_not_end_code() -> None:
    """Nor do three in a row."""
    [text] = texts_of(message_of(replace(SLOW, pattern="SELECT `a` FROM ```b```", call_site="a`b.py:1")))
    assert "*Pattern:*\n```\nSELECT `a` FROM '''b'''\n```" in text
    assert "*Called from:* `a'b.py:1`" in text


def test_nobody_is_called() -> None:
    """Whatever a pattern or a service is named."""
    body = json.dumps(payload(message_of(replace(SLOW, sentence="<!channel> & <@U1> <https://evil|ok>"))))
    assert "&lt;!channel&gt; &amp; &lt;@U1&gt;" in body
    assert "<" not in body


def test_many_alerts() -> None:
    """Five in full, and how many more there are."""
    assert len(texts_of(message_of(*[SLOW] * 5))) == 5
    texts = texts_of(message_of(*[SLOW] * 12))
    assert len(texts) == 6
    assert texts[-1] == "And 7 more alerts."


def test_a_digest_and_a_test() -> None:
    """Every alert held back is accounted for, and a test says that it is one."""
    assert texts_of(DIGEST) == ["Not sent, because there were too many:\nslow_query: 12\nerror_rate: 1"]
    assert texts_of(TEST) == ["This is a test. Nothing is wrong."]
    many = AlertMessage("k", MESSAGE.made_at, held_back={f"{'rule' * 40}_{place}": 10 for place in range(100)})
    [text] = texts_of(many)
    *shown, rest = text.splitlines()[1:]
    found = re.fullmatch(r"(\d+) further rules: ([\d,]+)", rest)
    assert found is not None
    assert len(shown) + int(found[1]) == 100
    assert len(shown) * 10 + int(found[2]) == 1_000


async def test_slack_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a word of its own, which is in the error; the address is not."""
    async with web_receiver(status=404, body=b"no_service") as receiver:
        monkeypatch.setenv("SLACK_URL", receiver.url + PATH)
        with pytest.raises(DeliveryError) as caught:
            await SlackChannel(url=SECRET).send(MESSAGE)
    assert str(caught.value) == f"slack: {receiver.url} answers 404: no_service"
    assert caught.value.is_final


@pytest.mark.parametrize(
    ("url", "options", "fault"),
    [
        (None, {}, r"slack\.url: environment variable SLACK_URL must hold the secret; it is not set"),
        ("http://hooks.example/hunter2", {}, r"slack\.url must begin with https://; got http://"),
        ("hunter2", {}, r"slack\.url must be a URL"),
        ("https://hooks.example/hunter2", {"timeout_s": -1}, r"slack\.timeout_s must be > 0 and <= 300; got -1"),
        ("https://hooks.example/hunter2", {"runbooks": ""}, r"slack\.runbooks must be an address such as .*; got ''"),
    ],
)
def test_what_cannot_be_posted_to_is_said_at_once(
    url: str | None, options: dict[str, Any], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the URL, which is a secret."""
    monkeypatch.delenv("SLACK_URL", raising=False)
    if url is not None:
        monkeypatch.setenv("SLACK_URL", url)
    with pytest.raises(SettingsError, match=rf"^{fault}") as caught:
        SlackChannel(url=SECRET, **options)
    assert "hunter2" not in str(caught.value)


def characters(text: str) -> int:
    """As many as there are if one beyond the first 65,536 is two."""
    return len(text.encode("utf-16-le")) // 2


@given(messages)
@settings(max_examples=50, deadline=None)
def test_any_message_is_within_the_limits(message: AlertMessage) -> None:
    """For any alerts: blocks and characters as Slack takes them, every text escaped, every alert told or counted."""
    sent = payload(message, "https://wiki.example/")
    header, *sections = sent["blocks"]
    assert len(sent["blocks"]) <= 50
    assert 1 <= characters(header["text"]["text"]) <= 150
    assert 1 <= characters(sent["text"]) <= 1_000
    assert sum(characters(section["text"]["text"]) for section in sections) <= 12_000
    for section in sections:
        text = section["text"]["text"]
        assert 1 <= characters(text) <= 3_000
        plain = re.sub(r"<https://wiki\.example/[^<>|]*\|Runbook>", "", text)
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", plain)
        if "*Severity:*" in text:
            assert "/wiki.example/" in text
    json.dumps(sent, ensure_ascii=False).encode()


def test_a_report() -> None:
    """Its sentence first, the numbers in columns, then each list."""
    sent = payload(AlertMessage("k", MESSAGE.made_at, report=REPORT))
    title = "📊 Daily performance report: Wednesday 2026-03-04"
    assert (sent["text"], sent["blocks"][0]["text"]["text"]) == (title, title)
    first, numbers, slower, *_, further = (block["text"]["text"] for block in sent["blocks"][1:])
    assert first.startswith("100 queries; 95 % took up to 300 ms; 10.0 % failed.")
    assert "P95               300 ms       150 ms  +100.0 %" in numbers
    assert slower == (
        "*Slower than the week before, by more than chance*\n"
        "• *00c0ffee SELECT orders*: total 12.5 s, share 40.0 %, executions 100, p50 20.0 ms, p95 300 ms, p99 900 ms, "
        "before 150 ms, change +100.0 %, failed 10\n"
        "     worse p95, errors\n"
        "     p95 `·▄█ 150 ms to 300 ms`\n"
        "     in blog, shop\n"
        "     from `shop/orders.py:31 in latest`\n"
        "     sql `SELECT id, total FROM orders WHERE customer_id = ? AND note &lt;&gt; ? &amp; 1`"
    )
    assert "`querygauge patterns show ID`" in further


@pytest.mark.parametrize("text", ["SELECT a_long_name " * 300, "<!channel> & `b` *c* " * 200, "😀" * 3_000])
def test_the_longest_report_is_within_the_limits(text: str) -> None:
    """Of 500 patterns with long names: blocks, characters of each and of all; what has no room is counted."""
    sent = payload(AlertMessage("k", MESSAGE.made_at, report=long_report(500, text)))
    sections = [block["text"]["text"] for block in sent["blocks"][1:]]
    assert len(sent["blocks"]) <= 50
    assert characters(sent["blocks"][0]["text"]["text"]) <= 150
    assert all(1 <= characters(section) <= 3_000 for section in sections)
    assert sum(map(characters, sections)) <= 11_500
    assert not any(re.search(r"[<>]|&(?!amp;|lt;|gt;)", section) for section in sections)
    assert sum("and 4" in section.splitlines()[-1] for section in sections) == 7
