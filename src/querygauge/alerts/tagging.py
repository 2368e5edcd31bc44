"""
Whose statements an alert is about: in go alerts that somebody is told of, out come the same with their tags.

Deliberately not here: where tags are read, and who is told by them, which routes say.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace

from querygauge.values.alerts import MOST_TAGS, Alert

__all__ = ["ReadTags", "with_tags"]

ReadTags = Callable[[Sequence[str]], Mapping[tuple[str, str], Sequence[str]]]
"""Gives the tags of patterns by service and pattern."""


def with_tags(alerts: Iterable[Alert], read: ReadTags, *, told_before: Container[str] = ()) -> tuple[Alert, ...]:
    """
    The same alerts; those about a pattern have the tags under which it was executed, if they have none yet.

    Args:
        alerts: What somebody is told of.
        read: Reads tags; it is asked once, or never if nobody needs any.
        told_before: Ids of alerts that stay as they are: who is told of the end is who was told of the beginning.
    """
    told = tuple(alerts)
    without = [alert for alert in told if not alert.finding.tags and alert.id not in told_before]
    wanted = sorted({alert.finding.pattern_id for alert in without if alert.finding.pattern_id})
    found = read(wanted) if wanted else {}
    tagged = {alert.id: _with_tags(alert, found) for alert in without}
    return tuple(tagged.get(alert.id, alert) for alert in told)


def _with_tags(alert: Alert, found: Mapping[tuple[str, str], Sequence[str]]) -> Alert:
    finding = alert.finding
    tags = found.get((finding.service, finding.pattern_id or ""))
    if not tags:
        return alert
    return replace(alert, finding=replace(finding, tags=tuple(tags[:MOST_TAGS])))
