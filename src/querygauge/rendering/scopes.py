"""
What requests, jobs and tests did, by name and by tag: two sections of the report.

In go `ScopeStats`, out come lines. Deliberately not here: which queries they sent, which is the report of one scope.
"""

import textwrap
from collections.abc import Callable, Sequence
from typing import Final

from querygauge.rendering.formats import duration, number, percent
from querygauge.rendering.tables import Column, render_table
from querygauge.values import ScopeStats, by_name, by_tag

__all__ = ["render_scopes", "render_tags"]

_NAME_WIDTH: Final = 24
_NONE: Final = "-"
_TITLES: Final = ("Units", "Queries", "Most", "DB time", "Longest", "Repeated", "Total", "Share")
# Left out of a narrow page in this order.
_LEAST_TELLING: Final = ("Share", "Longest", "Repeated", "Most", "Total")
_SCOPES: Final = "TOP {} SCOPES BY DATABASE TIME (queries and DB time are those of one unit: a request, a job, a test)"
_TAGS: Final = "TOP {} TAGS BY DATABASE TIME (likewise)"


def render_scopes(scopes: Sequence[ScopeStats], total_ms: float, *, limit: int, width: int) -> list[str]:
    """
    One line per name, whatever the tags; none while there are no scopes.

    Args:
        scopes: One per name and tags.
        total_ms: Database time of everything, inside of scopes and outside.
        limit: Lines at most.
        width: Characters of a line.
    """
    found = by_name(scopes)
    if not found:
        return []
    lines = _rendered(_SCOPES, "Scope", found, lambda stats: stats.scope or "", total_ms, limit=limit, width=width)
    # Durations are added up in another order there, so that nothing may differ by a fraction.
    outside_ms = total_ms - sum(stats.total_duration_ms for stats in found)
    if outside_ms > total_ms / 1e6:
        sentence = f"{duration(outside_ms)} ({_share(outside_ms, total_ms)}) of all database time is of no scope."
        lines += textwrap.wrap(sentence, width, initial_indent="  ", subsequent_indent="  ")
    return lines


def render_tags(scopes: Sequence[ScopeStats], total_ms: float, *, limit: int, width: int) -> list[str]:
    """One line per tag, whatever the scope; none while there are no tags. Arguments as for `render_scopes`."""
    found = by_tag(scopes)
    return _rendered(_TAGS, "Tag", found, _tag, total_ms, limit=limit, width=width) if found else []


def _rendered(
    title: str,
    kind: str,
    found: Sequence[ScopeStats],
    name_of: Callable[[ScopeStats], str],
    total_ms: float,
    *,
    limit: int,
    width: int,
) -> list[str]:
    rows = [[*_cells(stats, total_ms), name_of(stats)] for stats in found[:limit]]
    columns = [*map(Column, _TITLES), Column(kind, "left", _NAME_WIDTH)]
    heading = textwrap.wrap(title.format(limit), width, subsequent_indent="  ")
    lines = [*heading, *render_table(columns, rows, width=width, least_telling=_LEAST_TELLING)]
    rest = len(found) - limit
    return [*lines, f"    and {number(rest)} more"] if rest > 0 else lines


def _cells(stats: ScopeStats, total_ms: float) -> list[str]:
    executions, spent_ms = stats.executions_per_unit, stats.duration_ms_per_unit
    return [
        number(stats.unit_count),
        _NONE if executions is None else number(round(executions, 1)),
        number(stats.max_executions),
        _NONE if spent_ms is None else duration(spent_ms),
        duration(stats.max_duration_ms),
        percent(100.0 * stats.repeated_count / stats.execution_count if stats.execution_count else 0.0),
        duration(stats.total_duration_ms),
        _share(stats.total_duration_ms, total_ms),
    ]


def _share(part_ms: float, total_ms: float) -> str:
    return percent(100.0 * part_ms / total_ms if total_ms else 0.0)


def _tag(stats: ScopeStats) -> str:
    return ", ".join(f"{key}={value}" for key, value in stats.tags.items())
