"""
What was found in SQL files and logs, as values, and its forms for machines.

In goes a `NormalizedData`, out come JSON types or CSV. A query has the members it has in the report; in JSON its whole
pattern besides. What a log does not tell is left empty, and is never 0. Deliberately not here: reading, and the text
for people.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from querygauge.histogram import Histogram
from querygauge.rendering.interchange import CSV_COLUMNS
from querygauge.rendering.ranking import ranked
from querygauge.values import OutcomeCounts, QueryStats

__all__ = ["NEVER", "NormalizedData", "Source", "normalized_to_csv", "normalized_to_dict"]

NEVER: Final = datetime.min.replace(tzinfo=UTC)
"""When a pattern was seen of which nothing tells the time."""

_DURATIONS: Final = tuple(column for column in CSV_COLUMNS if column.endswith("_ms"))
_MOMENTS: Final = ("first_seen", "last_seen")
_NO_TIME: Final = Histogram.of([0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """
    One text that was read.

    Attributes:
        name: The file, or `standard input`.
        format: What it was read as: `sql`, `postgresql-log (csvlog)`, `mysql-slow-log`.
        dialect: Name of the dialect it was read in.
        execution_count: Statements found in it.
    """

    name: str
    format: str
    dialect: str
    execution_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizedData:
    """
    Everything that was found.

    Attributes:
        sources: What was read, in this order.
        stats: One per pattern, without target, in the order in which they were found; their durations are of the
            executions that have one.
        notes: What could not be read, or was left out, one sentence each.
    """

    sources: tuple[Source, ...]
    stats: tuple[QueryStats, ...]
    notes: tuple[str, ...] = ()

    @property
    def outcomes(self) -> OutcomeCounts:
        """All executions by how they ended."""
        total = OutcomeCounts()
        for entry in self.stats:
            total = total.merged(entry.outcomes)
        return total

    @property
    def timed_count(self) -> int:
        """Executions of which the duration is known."""
        return sum(entry.durations.count for entry in self.stats)

    @property
    def total_duration_ms(self) -> float:
        """Their time together."""
        return sum(entry.total_duration_ms for entry in self.stats)

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """From the first execution to the last; None if nothing tells the time."""
        seen = [entry for entry in self.stats if entry.first_seen != NEVER]
        return (min(e.first_seen for e in seen), max(e.last_seen for e in seen)) if seen else None

    @property
    def order(self) -> str:
        """What to order by if nobody says: total time, or frequency where no duration is known."""
        return "total_duration" if self.timed_count else "execution_count"

    def ranked(self, order_by: str | None, limit: int | None) -> list[QueryStats]:
        """
        The first `limit` statistics in an order; those without any duration come last where it is of durations.

        What is as frequent as another, and took as long, keeps its place in `stats`.

        Raises:
            SettingsError: If the order is unknown or the limit is below 1.
        """
        order = order_by or self.order
        if order in {"error_rate", "rows"}:
            return ranked(self.stats, order, limit)
        is_of_durations = order != "execution_count"
        timed = ranked((entry for entry in self.stats if entry.durations.count and is_of_durations), order, limit)
        others = [entry for entry in self.stats if not (entry.durations.count and is_of_durations)]
        others.sort(key=lambda entry: (-entry.execution_count, -entry.total_duration_ms))
        return [*timed, *others][:limit]


def normalized_to_dict(
    data: NormalizedData, *, order_by: str | None = None, limit: int | None = None
) -> dict[str, Any]:
    """
    Everything as JSON types; the overall numbers are always of everything.

    Args:
        data: What to turn.
        order_by: Order of `queries`, one of `ranking.ORDERS`; None is by total time, or by frequency without one.
        limit: How many `queries` at most; None is all.

    Raises:
        SettingsError: If the order is unknown or the limit is below 1.
    """
    queries = [{**_row(entry), "pattern": entry.pattern.to_dict()} for entry in data.ranked(order_by, limit)]
    outcomes = data.outcomes
    first_seen, last_seen = data.span or (None, None)
    return {
        "sources": [
            {
                "name": source.name,
                "format": source.format,
                "dialect": source.dialect,
                "execution_count": source.execution_count,
            }
            for source in data.sources
        ],
        "overall": {
            "total_queries": outcomes.total,
            "errors": outcomes.failed,
            "error_rate": outcomes.error_rate,
            "outcomes": outcomes.to_dict(),
            "unique_patterns": len(data.stats),
            "timed_count": data.timed_count,
            "total_duration_ms": data.total_duration_ms if data.timed_count else None,
            "first_seen": first_seen and first_seen.isoformat(),
            "last_seen": last_seen and last_seen.isoformat(),
        },
        "queries": queries,
        "notes": list(data.notes),
    }


def normalized_to_csv(stats: Iterable[QueryStats]) -> str:
    """A header line and one line per pattern, in the order given, in the columns of the report's CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in stats:
        row = _row(entry)
        writer.writerow({**row, "tables": " ".join(row["tables"])})
    return text.getvalue()


def _row(entry: QueryStats) -> dict[str, Any]:
    """The members of `QueryStats.to_dict()`, with None for what nobody told."""
    unknown = ["slow_count"]  # no threshold was in force
    if not entry.durations.count:
        unknown += _DURATIONS
        entry = replace(entry, durations=_NO_TIME)  # a quantile of nothing is an error
    if not entry.rows_known_count:
        unknown.append("rows")
    if entry.first_seen == NEVER:
        unknown += _MOMENTS
    return {**entry.to_dict(), **dict.fromkeys(unknown)}
