"""
The executions of a span by whatever they have in common: in goes a key, out come counts and quantiles.

Percentiles come from added buckets (`history_by` in views.sql). Deliberately not here: which keys anybody asks for.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from querygauge.storage.asking import asked, span_parameters
from querygauge.storage.database import Connection, statements
from querygauge.storage.ranges import Span
from querygauge.values import OutcomeCounts
from querygauge.values.answers.execution import Performance

__all__ = ["Asked", "performance_of"]

_Answer = TypeVar("_Answer")
_BY: Final = """
FROM history_by({key}, date_trunc('minute', make_timestamp($since)), make_timestamp($until), $daily::BOOLEAN,
    service := $service)
ORDER BY total_ms DESC, 1, 2
"""
_MERGED_HISTORY: Final = """
CREATE OR REPLACE MACRO memory.query_history(since, until, daily) AS TABLE FROM memory.merged
"""
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_LONGEST_WITH_MINUTES: Final = 6 * _HOUR
_LONGEST_WITH_HOURS: Final = 8 * _DAY
_SHORTEST_WIDTH: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What a question is about.

    Attributes:
        connection: To the open store.
        span: From when until when; whole minutes, as rows are.
        service: One service; None is all of them.
    """

    connection: Connection
    span: Span
    service: str | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The same as a statement takes it: `since`, `until`, `daily` and `service`."""
        return {**span_parameters(self.span.since, self.span.until), "service": self.service}

    @property
    def bounds(self) -> dict[str, Any]:
        """`since`, `until` and `service`, for tables that are not rolled up."""
        return {name: value for name, value in self.parameters.items() if name != "daily"}

    @property
    def width(self) -> timedelta:
        """Between two points of a series: 5 minutes up to 6 hours, an hour up to 8 days, then a day."""
        if self.span.length <= _LONGEST_WITH_MINUTES:
            return _SHORTEST_WIDTH
        return _HOUR if self.span.length <= _LONGEST_WITH_HOURS else _DAY

    def by(
        self, key: str, answer: Callable[[Mapping[str, Any], Performance], _Answer], *, daily: bool | None = None
    ) -> tuple[_Answer, ...]:
        """
        An answer for each value of a key, most time first.

        Args:
            key: SQL that gives a struct, of `h`, the row, and `p`, its pattern; never anything that somebody typed.
            answer: Makes it of a row, which has the members of the key, and of what was executed.
            daily: Whether whole days are precise enough; None leaves it to the length of the span.
        """
        chosen = self.parameters if daily is None else {**self.parameters, "daily": daily}
        rows = asked(self.connection, _BY.format(key=key), chosen)
        return tuple(answer(row, performance_of(row)) for row in rows)

    @contextmanager
    def merged(self) -> Iterator[None]:
        """For the length of the block `by` has the span in memory, all moments together; it is read once."""
        self.connection.execute(statements("answers/merged.sql"), self.parameters)
        self.connection.execute(_MERGED_HISTORY)
        # A macro of the store finds what it names where the connection looks, and memory comes first.
        self.connection.execute("SET search_path = 'memory,store'")
        try:
            yield
        finally:
            self.connection.execute("USE store")

    def over_time(self) -> Iterator[tuple[datetime, Performance]]:
        """The begin of each part of the span that had executions, and those, oldest first."""
        width = self.width
        key = f"""{{'at': time_bucket(INTERVAL {width.total_seconds():.0f} SECOND, h."at")}}"""
        # Hours would put a whole hour into one place, and days a whole day.
        daily = None if width < _HOUR else width >= _DAY
        rows = asked(self.connection, _BY.format(key=key), {**self.parameters, "daily": daily})
        for row in sorted(rows, key=lambda row: row["at"]):
            yield row["at"], performance_of(row)


def performance_of(row: Mapping[str, Any]) -> Performance:
    """What was executed, as `history_by` gives it."""
    return Performance(
        outcomes=OutcomeCounts(row["ok"], row["error"], row["timeout"], row["cancelled"]),
        slow_count=row["slow"],
        total_duration_ms=row["total_ms"],
        min_duration_ms=row["min_ms"],
        median_duration_ms=row["p50_ms"],
        p95_duration_ms=row["p95_ms"],
        p99_duration_ms=row["p99_ms"],
        max_duration_ms=row["max_ms"],
    )
