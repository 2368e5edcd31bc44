"""Alerts and silences as a page and as rows, for whoever asks; what is sent is laid out by its channel."""

import textwrap
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from querygauge.alerts.wording import lines, one_line
from querygauge.rendering.formats import age, number
from querygauge.values.alerts import Alert, Alerts, Silence

__all__ = ["ALERT_COLUMNS", "SILENCE_COLUMNS", "alert_rows", "render_alerts", "render_silences", "silence_rows"]

ALERT_COLUMNS: Final = (
    "alert_id",
    "status",
    "severity",
    "rule",
    "service",
    "target",
    "subject",
    "fired_at",
    "ended_at",
    "told_at",
    "times",
    "value",
    "threshold",
    "unit",
    "sentence",
    "call_site",
    "is_silenced",
)
SILENCE_COLUMNS: Final = ("silence_id", "until", "rule", "service", "subject", "note", "made_at")
# What the first line of an entry has already.
_SAID: Final = frozenset({"Severity", "Where", "Runbook"})
_LABEL: Final = 12


def render_alerts(alerts: Alerts, *, now: datetime, limit: int, width: int, nothing: str) -> str:
    """
    One entry for each: how bad, what, since when, and what to do.

    Args:
        alerts: What there is.
        now: UTC.
        limit: Entries at most.
        width: In characters.
        nothing: What is said if there are none.
    """
    if not alerts.alerts:
        return nothing
    shown = alerts.alerts[:limit]
    blocks = ["\n".join(_entry(alert, alerts, now, width)) for alert in shown]
    if len(shown) < len(alerts.alerts):
        blocks.append(f"and {number(len(alerts.alerts) - len(shown))} more; --limit shows them")
    return "\n\n".join(blocks)


def _entry(alert: Alert, alerts: Alerts, now: datetime, width: int) -> Iterator[str]:
    finding = alert.finding
    about = " ".join(
        part for part in (finding.service, finding.target and f"@ {finding.target}", finding.subject) if part
    )
    yield one_line(f"{finding.severity.upper()} {finding.rule}  {about or 'store'}")
    yield from _wrapped("State", _state(alert, alerts, now), width)
    for line in lines(alert):
        if line.label not in _SAID:
            yield from _wrapped(line.label, line.text, width)


def _state(alert: Alert, alerts: Alerts, now: datetime) -> str:
    begun = f"since {alert.began_at:%Y-%m-%d %H:%M} UTC"
    if alert.ended_at is not None:
        lasted = (alert.ended_at - alert.began_at).total_seconds()
        state = f"resolved after {age(lasted)}, {begun}"
    else:
        state = f"firing for {age((now - alert.began_at).total_seconds())}, {begun}"
    if alert.times > 1:
        state += f"; {number(alert.times)} times within an hour of having been well"
    if _is_silenced(alert, alerts, now):
        return f"{state}; nobody is told, as it is silenced"
    if alert.told_at is not None:
        return f"{state}; told {alert.told_at:%H:%M} UTC"
    return f"{state}; not told beside what is critical about the same" if alert.ended_at is None else state


def _is_silenced(alert: Alert, alerts: Alerts, now: datetime) -> bool:
    return alert.ended_at is None and any(silence.covers(alert.finding, now) for silence in alerts.silences)


def alert_rows(alerts: Alerts, now: datetime) -> Iterator[dict[str, Any]]:
    """One per alert."""
    for alert in alerts.alerts:
        told = {**alert.finding.to_dict(), **alert.to_dict()}
        told |= {
            "alert_id": alert.id,
            "subject": alert.finding.subject,
            "is_silenced": _is_silenced(alert, alerts, now),
        }
        yield {name: told[name] for name in ALERT_COLUMNS}


def render_silences(alerts: Alerts, *, width: int) -> str:
    """One entry for each: its id, what it covers, until when, and why."""
    if not alerts.silences:
        return "nothing is silenced; querygauge alerts silence --until 2h --rule NAME silences a rule"
    return "\n".join(line for silence in alerts.silences for line in _silence(silence, width))


def _silence(silence: Silence, width: int) -> Iterator[str]:
    named = {"rule": silence.rule, "service": silence.service, "subject": silence.subject}
    covers = ", ".join(f"{name} {wanted}" for name, wanted in named.items() if wanted is not None) or "everything"
    yield f"{silence.id}  until {silence.until:%Y-%m-%d %H:%M} UTC  {one_line(covers)}"
    if silence.note:
        yield from _wrapped("", silence.note, width)


def silence_rows(alerts: Alerts) -> Iterator[dict[str, Any]]:
    """One per silence."""
    for silence in alerts.silences:
        yield {"silence_id": silence.id, **{name: silence.to_dict()[name] for name in SILENCE_COLUMNS[1:]}}


def _wrapped(label: str, text: str, width: int) -> list[str]:
    first = f"  {label:<{_LABEL}} "
    return textwrap.wrap(one_line(text), width, initial_indent=first, subsequent_indent=" " * len(first))
