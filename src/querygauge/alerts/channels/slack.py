"""
Alerts as messages in a channel of Slack, through an incoming webhook and in blocks.

Texts are escaped as Slack asks for, so that a pattern is no link and calls nobody, and within the limits of Slack.
Deliberately not here: buttons, which would need an application that answers them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from querygauge.alerts.channels.fields import check_installed, check_runbooks, check_timeout, check_url
from querygauge.alerts.channels.posting import post
from querygauge.alerts.channels.slack_report import report_texts
from querygauge.alerts.channels.slack_text import code, escaped, size_of
from querygauge.alerts.secret import Secret
from querygauge.alerts.wording import RUNBOOKS, Line, headline, held_back, lines, one_line, shortened
from querygauge.rendering.formats import number
from querygauge.values.alerts import Alert, AlertMessage

__all__ = ["SlackChannel", "payload"]

# docs.slack.dev/reference/block-kit/blocks: 150 characters of a header and 3,000 of a section, 50 blocks in a message.
# Besides, Slack refuses a message (`msg_blocks_too_long`) whose blocks have about 13,000 characters together.
_HEADER: Final = 150
_SECTION: Final = 3_000
_ALL_ALERTS: Final = 8_000
_MOST_ALERTS: Final = 5
_FALLBACK: Final = 1_000
_MARKS: Final = {"critical": "🔴", "warning": "🟠", "info": "🔵"}
_RESOLVED: Final = "🟢"
_REPORT: Final = "📊"
# Where there is no room for all lines, the others go first.
_FIRST: Final = ("What", "Severity", "Runbook", "Look further", "Pattern")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackChannel:
    """
    Posts to the one channel of Slack that an incoming webhook is for.

    Attributes:
        url: The webhook's URL, which is a secret.
        timeout_s: Seconds for a request and its answer.
        runbooks: Where the pages of the rules are.
    """

    url: Secret
    timeout_s: float = 10.0
    runbooks: str = RUNBOOKS

    def __post_init__(self) -> None:
        check_installed("slack", "aiohttp")
        check_url("slack.url", self.url.check("slack.url"), is_encrypted=True)
        check_timeout("slack.timeout_s", self.timeout_s)
        check_runbooks("slack.runbooks", self.runbooks)

    async def send(self, message: AlertMessage) -> None:
        """
        Posts it, as one message.

        Raises:
            DeliveryError: If it did not arrive, or nobody knows.
        """
        body = json.dumps(payload(message, self.runbooks), ensure_ascii=False).encode()
        await post("slack", self.url, body, timeout_s=self.timeout_s)


def payload(message: AlertMessage, runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """What is posted: `text` is for notifications, and where blocks cannot be shown."""
    title = f"{_mark(message)} {headline(message)}"
    first = f": {one_line(message.alerts[0].finding.sentence)}" if message.alerts else ""
    texts = _sections(message, runbooks) if message.report is None else report_texts(message.report)
    return {
        "text": escaped(f"{title}{first}", _FALLBACK),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": shortened(title, _HEADER), "emoji": False}},
            *(_section(text) for text in texts),
        ],
    }


def _mark(message: AlertMessage) -> str:
    if message.report is not None:
        return _REPORT
    return _RESOLVED if message.status == "resolved" else _MARKS[message.severity]


def _section(text: str) -> dict[str, Any]:
    # Verbatim: names with @ or # in front stay what they are.
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _sections(message: AlertMessage, runbooks: str) -> Iterator[str]:
    if message.is_test:
        yield "This is a test. Nothing is wrong."
    shown = message.alerts[:_MOST_ALERTS]
    for alert in shown:
        yield _alert(alert, runbooks, min(_SECTION, _ALL_ALERTS // len(shown)))
    if len(shown) < len(message.alerts):
        yield f"And {number(len(message.alerts) - len(shown))} more alerts."
    if message.held_back:
        yield _digest(message)


def _alert(alert: Alert, runbooks: str, most: int) -> str:
    said = lines(alert, runbooks)
    rendered = {line.label: _marked_up(line, most // 4) for line in said}
    kept: set[str] = set()
    for label in sorted(rendered, key=lambda label: label not in _FIRST):
        if size_of(rendered[name] for name in (*kept, label)) <= most:
            kept.add(label)
    return "\n".join(text for label, text in rendered.items() if label in kept)


def _marked_up(line: Line, most: int) -> str:
    label = f"*{line.label}:*"
    if line.label == "Runbook" and line.text.startswith(("http://", "https://")):
        link = escaped(line.text, len(line.text) * 5)
        return f"<{link}|Runbook>" if len(link) < most else f"{label} {escaped(line.text, most)}"
    if not line.is_code:
        return f"{label} {escaped(line.text, most)}"
    # A pattern has quotes that end code, as MySQL's do, but not three of them in a row.
    if line.label == "Pattern":
        return f"{label}\n```\n{escaped(line.text.replace('```', chr(39) * 3), most)}\n```"
    return f"{label} {code(line.text, most)}"


def _digest(message: AlertMessage) -> str:
    counts = held_back(message)
    shown = ["Not sent, because there were too many:"]
    left = _SECTION - 200
    for place, line in enumerate(counts):
        text = f"{escaped(line.label, 200)}: {line.text}"
        left -= size_of([text])
        if left < 0:
            rest = sum(sorted(message.held_back.values(), reverse=True)[place:])
            shown.append(f"{number(len(counts) - place)} further rules: {number(rest)}")
            break
        shown.append(text)
    return "\n".join(shown)
