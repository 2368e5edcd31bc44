"""
A repetition in words: in go the counts of its evidence, out comes what happens, and what was seen that shows it.

Deliberately not here: what to change, which the value itself knows.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from querygauge.rendering.formats import number
from querygauge.values import Repetition
from querygauge.values.repetitions import CONFIDENCES

__all__ = ["by_line", "seen", "told"]

_TOLD_OF_LOADS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "lazy": "lazy load of {}, parent by parent",
        "immediate": "immediateload() of {}, parent by parent",
        "expired": "{} objects that were expired, loaded again one by one",
        "refreshed": "refresh() of {} objects, one by one",
        "deferred": "deferred column {}, loaded object by object",
        "partial": "columns that {} objects came without, loaded object by object",
    }
)
_TOLD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "loop": "loop: one query for each value",
        "repeat-same-parameters": "the same query with the same parameters",
        "fan-out": "fan-out: many at the same time",
        "write-loop": "loop that writes row by row",
    }
)


def by_line(findings: Iterable[Repetition]) -> list[list[Repetition]]:
    """Those of one line together, one for each scope: what is merely possible last, else the most time first."""
    lines: dict[tuple[str, str, str | None], list[Repetition]] = {}
    for found in sorted(findings, key=_weight):
        lines.setdefault((found.pattern.id, found.target, found.call_site), []).append(found)
    return list(lines.values())


def _weight(found: Repetition) -> tuple[bool, float, str, str]:
    return found.confidence == CONFIDENCES[-1], -found.total_duration_ms, found.pattern.id, found.scope or ""


def told(found: Repetition) -> str:
    """What happens, and how sure it is, such as `lazy load of User.posts, parent by parent (certain)`."""
    template = _TOLD[found.kind] if found.cause is None else _TOLD_OF_LOADS[found.cause]
    return f"{template.format(found.attribute or 'mapped')} ({found.confidence})"


def seen(found: Repetition) -> str:
    """What shows it, such as `7 sets of parameters for 7 objects in 7 executions compared`; empty if nobody looked."""
    if not found.compared_count:
        return ""
    parts = [_counted(found.parameters_count, "set of parameters", "sets of parameters")]
    if found.parents_count:
        parts.append(f"for {_counted(found.parents_count, 'object', 'objects')}")
    parts.append(f"in {_counted(found.compared_count, 'execution', 'executions')} compared")
    if found.overlap_count:
        parts.append(f"({number(found.tasks_count)} tasks or threads at once)")
    return " ".join(parts)


def _counted(count: int, one: str, many: str) -> str:
    return f"{number(count)} {one if count == 1 else many}"
