"""Everything a store knows about one pattern: in goes the beginning of its id, out comes its history."""

import re
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from querygauge.errors import StoreError
from querygauge.storage import queries
from querygauge.storage.asking import asked, microseconds, span_parameters
from querygauge.storage.database import Connection
from querygauge.storage.rows import pattern_of, query_stats_of, repetition_of, slow_query_of, utc
from querygauge.values import Pattern, QueryStats, Repetition, SlowQuery

__all__ = ["PatternHistory", "PatternHour", "one_pattern", "pattern_history"]


@dataclass(frozen=True, slots=True)
class PatternHour:
    """One pattern in one hour, all targets and services together; `stats.target` is empty."""

    hour: datetime
    stats: QueryStats


@dataclass(frozen=True, slots=True)
class PatternHistory:
    """
    Everything a store knows about one pattern.

    Attributes:
        pattern: The pattern.
        first_seen: Start of its first execution.
        last_seen: Start of its last execution.
        services: Names of the applications that sent it.
        targets: One per target, over the whole span asked for.
        hours: One per hour in which it was executed, oldest first.
        slow_queries: Executions kept one by one, newest first.
        repetitions: Lines that repeated it.
    """

    pattern: Pattern
    first_seen: datetime
    last_seen: datetime
    services: tuple[str, ...]
    targets: tuple[QueryStats, ...]
    hours: tuple[PatternHour, ...]
    slow_queries: tuple[SlowQuery, ...]
    repetitions: tuple[Repetition, ...]


def pattern_history(connection: Connection, prefix: str, since: datetime | None) -> PatternHistory:
    """
    The history of the one pattern whose id begins with `prefix`.

    Raises:
        StoreError: If no pattern's id begins so, or several do; the message names them.
    """
    row = one_pattern(connection, prefix)
    pattern_id = row["pattern_id"]
    chosen = {"since": microseconds(since), "service": None, "pattern_id": pattern_id, "scope": None}
    merged = {**chosen, **span_parameters(since, None), "target": None}
    services = asked(connection, queries.PATTERN_SERVICES, {"pattern_id": pattern_id})
    return PatternHistory(
        pattern_of(row),
        utc(row["first_seen"]),
        utc(row["last_seen"]),
        tuple(service["service"] for service in services),
        tuple(query_stats_of(r) for r in asked(connection, queries.QUERY_STATS, {**merged, "hourly": False})),
        _hours(asked(connection, queries.QUERY_STATS, {**merged, "hourly": True})),
        tuple(slow_query_of(r) for r in asked(connection, queries.SLOW_QUERIES, {**chosen, "limit": None})),
        tuple(repetition_of(r) for r in asked(connection, queries.REPETITIONS, {**chosen, "until": None})),
    )


def one_pattern(connection: Connection, prefix: str) -> dict[str, Any]:
    """The row of the one pattern whose id begins with `prefix`; raises as `pattern_history` does."""
    if not re.fullmatch(r"[0-9a-fA-F]{1,16}", prefix):
        raise StoreError(f"a pattern id must be 1 to 16 hex digits; got {prefix!r}; a report shows them")
    found = asked(connection, queries.PATTERNS, {"prefix": prefix.lower()})
    if not found:
        raise StoreError(f"no pattern's id begins with {prefix!r} in this store; a report shows the ids")
    if len(found) > 1:
        ids = ", ".join(row["pattern_id"] for row in found)
        raise StoreError(f"a pattern id must name one pattern; {prefix!r} begins {ids}; give more digits")
    return found[0]


def _hours(rows: list[dict[str, Any]]) -> tuple[PatternHour, ...]:
    hours = []
    for hour, group in groupby(rows, key=lambda row: row["hour"]):
        first, *others = [query_stats_of({**row, "target": ""}) for row in group]
        for other in others:
            first = first.merged(other)
        hours.append(PatternHour(utc(hour), first))
    return tuple(hours)
