"""
What a message says, in plain text, for every channel to make its own markup of.

In goes an `AlertMessage`, out come its headline and a few labelled lines for each alert. Nothing here holds a line
break, a control character or half of a character, so that no channel has to look for them. Deliberately not here:
markup, and the limits of a service, which are those of its channel.
"""

import math
import shlex
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote

from querygauge.rendering.answers.performance_report import render_performance_report
from querygauge.rendering.answers.report_sections import headline as report_headline
from querygauge.rendering.charts import chart_row
from querygauge.rendering.formats import age, number
from querygauge.values.alerts import Alert, AlertMessage, Finding

__all__ = [
    "RUNBOOKS",
    "Line",
    "amount",
    "headline",
    "held_back",
    "lines",
    "one_line",
    "runbook_url",
    "shortened",
    "text",
    "trend",
]

RUNBOOKS: Final = "docs/runbooks/"
"""Where the pages of the rules are, beside this project's own documentation."""

_TREND: Final = 40  # the values of a chart; more are not read as one line
_PAGE: Final = 100  # characters of a line of a report
_FEW: Final = 100  # from here on a decimal says nothing
_MANY: Final = 1e15  # from here on digits say nothing
_NO_SPACE: Final = frozenset({"", "ms", "%", "/s"})
# Surrogates are halves of characters. The others are seen by nobody, and turn the text that follows around.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


class Line(NamedTuple):
    """
    One thing there is to say of an alert.

    Attributes:
        label: What it is, in a word or two.
        text: What is said.
        is_code: Whether it is to be read letter by letter: SQL, a command, a chart.
    """

    label: str
    text: str
    is_code: bool = False


def headline(message: AlertMessage) -> str:
    """What it is about in one line, such as `Slow Query Alert: 1500ms (shop)`."""
    mark = "[TEST] " if message.is_test else ""
    if message.report is not None:
        return one_line(f"{mark}{report_headline(message.report)}")
    if not message.alerts:
        return mark + _headline_without_alerts(message)
    finding = message.alerts[0].finding
    ended = "Resolved: " if message.status == "resolved" else ""
    value = "" if finding.value is None else f": {amount(finding.value, finding.unit)}"
    more = f" and {number(len(message.alerts) - 1)} more" if len(message.alerts) > 1 else ""
    service = f" ({finding.service})" if finding.service else ""
    return one_line(f"{mark}{ended}{_title(finding.rule)} Alert{value}{more}{service}")


def _headline_without_alerts(message: AlertMessage) -> str:
    count = sum(message.held_back.values())
    if not message.held_back:
        return "querygauge reaches this channel" if message.is_test else "Nothing to tell"
    return f"{number(count)} alert{'' if count == 1 else 's'} held back"


def _title(rule: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in rule.replace("_", " ").split())


def held_back(message: AlertMessage) -> list[Line]:
    """In a digest, how many alerts of each rule were held back, the most first."""
    counts = sorted(message.held_back.items(), key=lambda item: (-item[1], item[0]))
    return [Line(one_line(rule), number(count)) for rule, count in counts]


def lines(alert: Alert, runbooks: str = RUNBOOKS) -> list[Line]:
    """
    What there is to say of one alert, the most important first.

    Args:
        alert: The alert.
        runbooks: Where the pages of the rules are.
    """
    finding = alert.finding
    said = [
        Line("What", finding.sentence),
        Line("Severity", f"{finding.severity}, {_state(alert)}"),
        Line("Measured", _measured(finding)),
        Line("Where", " ".join(part for part in (finding.service, finding.target and f"@ {finding.target}") if part)),
        Line("Pool", finding.pool or ""),
        Line("Objective", finding.objective or ""),
        Line("Pattern", finding.pattern or finding.pattern_id or "", is_code=True),
        Line("Called from", finding.call_site or "", is_code=True),
        Line("Trend", trend(finding), is_code=True),
        Line("What to do", finding.advice),
        Line("Look further", _command(finding), is_code=True),
        Line("Runbook", runbook_url(finding.rule, runbooks)),
    ]
    cleaned = (line._replace(text=one_line(line.text)) for line in said)
    return [line for line in cleaned if line.text]


def text(message: AlertMessage, runbooks: str = RUNBOOKS, *, most: int | None = None, widest: int = 2_000) -> str:
    """
    All of a message, for where there is no markup.

    Args:
        message: What is sent.
        runbooks: Where the pages of the rules are.
        most: How many alerts are told in full; of the others their number is. None is all of them.
        widest: Characters that one line may have.
    """
    if message.report is not None:
        return render_performance_report(message.report, width=_PAGE) + "\n"
    shown = message.alerts[:most]
    blocks = [headline(message)]
    if message.is_test:
        blocks.append("This is a test. Nothing is wrong.")
    blocks += ["\n".join(_plain(line, widest) for line in lines(alert, runbooks)) for alert in shown]
    if len(shown) < len(message.alerts):
        blocks.append(f"And {number(len(message.alerts) - len(shown))} more alerts.")
    if message.held_back:
        counts = [_plain(line, widest) for line in held_back(message)]
        blocks.append("\n".join(["Not sent, because there were too many:", *counts]))
    return "\n\n".join(blocks) + "\n"


def _plain(line: Line, widest: int) -> str:
    return shortened(f"{line.label}: {line.text}", widest)


def _state(alert: Alert) -> str:
    since = f"since {_moment(alert.began_at)}"
    again = f", {number(alert.times)} times within an hour of having been well" if alert.times > 1 else ""
    if alert.status != "resolved":
        return f"{alert.status} {since}{again}"
    until = "" if alert.ended_at is None else f" until {_moment(alert.ended_at)}"
    return f"resolved; it was wrong {since}{until}{again}"


def _moment(moment: datetime) -> str:
    # strftime leaves out the zeros of an early year.
    return f"{moment.isoformat(sep=' ', timespec='minutes')[:16]} UTC"


def _measured(finding: Finding) -> str:
    value = None if finding.value is None else amount(finding.value, finding.unit)
    limit = None if finding.threshold is None else f"threshold {amount(finding.threshold, finding.unit)}"
    return ", ".join(part for part in (value, limit) if part is not None)


def amount(value: float, unit: str) -> str:
    """A number with its unit: `1500ms`, `12.5%`, `3.2/s`, `500 MB`."""
    if math.isfinite(value) and (abs(value) >= _FEW or value == round(value)) and abs(value) < _MANY:
        digits = f"{value:.0f}"
    else:
        digits = f"{value:.3g}"
    return f"{digits}{unit}" if unit in _NO_SPACE else f"{digits} {one_line(unit)}"


def trend(finding: Finding) -> str:
    """How the value went before, as a chart such as `▁▂▅█ from 12ms to 1500ms in 2 h 00 min`; empty without one."""
    told = finding.trend[-_TREND:]
    values = [value if value is not None and math.isfinite(value) else None for value in told]
    known = [value for value in values if value is not None]
    top = max(known, default=0.0)
    if top <= 0:
        return ""
    lowest, highest = (amount(value, finding.unit) for value in (min(known), top))
    reach = f"always {highest}" if lowest == highest else f"from {lowest} to {highest}"
    covered = f" in {age(finding.trend_s * len(told) / len(finding.trend))}" if _is_span(finding.trend_s) else ""
    return f"{_chart(values, top)} {reach}{covered}"


def _is_span(seconds: float) -> bool:
    return math.isfinite(seconds) and 0 < seconds < _MANY


def _chart(values: Sequence[float | None], top: float) -> str:
    # A share of the highest first: eight times the greatest number there is would be no number.
    shares = [None if value is None else max(0.0, value / top) for value in values]
    # A blank at the beginning would be lost, and with it where the chart begins.
    return chart_row(shares, 1.0).replace(" ", "·")


def _command(finding: Finding) -> str:
    if finding.pattern_id:
        return f"querygauge patterns show {shlex.quote(finding.pattern_id)}"
    if finding.service:
        return f"querygauge report --service {shlex.quote(finding.service)}"
    return "querygauge status"


def runbook_url(rule: str, base: str = RUNBOOKS) -> str:
    """
    The page about a rule: what it means, what to look at and what helps.

    Args:
        rule: Name of the rule.
        base: Where the pages are.
    """
    return f"{base.rstrip('/')}/{quote(one_line(rule), safe='')}.md"


def one_line(words: str) -> str:
    """The same without line breaks, control characters and halves of characters."""
    if words.isascii() and words.isprintable() and "  " not in words:
        return words.strip()
    seen = (" " if letter.isspace() else "" if unicodedata.category(letter) in _UNSEEN else letter for letter in words)
    return " ".join("".join(seen).split())


def shortened(words: str, most: int) -> str:
    """No more than so many characters of it, as services count them: one beyond the first 65,536 is two."""
    if len(words) * 2 <= most or _length(words) <= most:
        return words
    left = most - 1
    for place, letter in enumerate(words):
        left -= _length(letter)
        if left < 0:
            return words[:place].rstrip() + "…"
    return words


def _length(words: str) -> int:
    return len(words) + sum(letter > "\uffff" for letter in words)
