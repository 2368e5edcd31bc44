"""
Whose statements an alert is about: in go alerts that somebody is told of, out come the same with their tags.

Deliberately not here: where tags are read, and who is told by them, which routes say.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from querygauge.values.alerts import MOST_TAGS, Alert

__all__ = ["ReadTags", "with_tags"]

ReadTags = Callable[[Sequence[str]], Mapping[tuple[str, str], Sequence[str]]]
"""Gives the tags of patterns by service and pattern."""


def with_tags(alerts: Iterable[Alert], read: ReadTags) -> tuple[Alert, ...]:
    """
    The same alerts; those about a pattern have the tags under which it was executed, if they have none yet.

    Args:
        alerts: What somebody is told of.
        read: Reads tags; it is asked once, or never if nobody needs any.
    """
    told = tuple(alerts)
    wanted = sorted({alert.finding.pattern_id for alert in told if alert.finding.pattern_id and not alert.finding.tags})
    found = read(wanted) if wanted else {}
    return tuple(_with_tags(alert, found) for alert in told)


def _with_tags(alert: Alert, found: Mapping[tuple[str, str], Sequence[str]]) -> Alert:
    finding = alert.finding
    tags = found.get((finding.service, finding.pattern_id or ""))
    if finding.tags or not tags:
        return alert
    return replace(alert, finding=replace(finding, tags=tuple(tags[:MOST_TAGS])))
