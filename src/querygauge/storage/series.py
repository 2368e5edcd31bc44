"""
How something went over time: in go a store, what it is about and a span, out come equal parts of it, oldest first.

Everything that is asked for together is read by one statement. Deliberately not here: what of it anybody is shown.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from querygauge.clock import microseconds_of
from querygauge.errors import StoreError
from querygauge.histogram import Histogram
from querygauge.storage import queries
from querygauge.storage.asking import asked, microseconds
from querygauge.storage.database import Connection, DatabaseError, first_line, open_database, statements
from querygauge.storage.paths import StorePaths
from querygauge.storage.ranges import Span
from querygauge.storage.rows import pools_of, utc
from querygauge.values import OutcomeCounts
from querygauge.values.series import SeriesPoint, SeriesSubject

__all__ = ["read_series", "series"]

_TIMEOUT_S: Final = 10.0
_SECOND: Final = timedelta(seconds=1)
_HOUR: Final = timedelta(hours=1)
_MEMORY: Final = """
SELECT
    ((epoch_us("minute") - $since) // $step_us)::INTEGER AS part,
    max(1e2 * memory_bytes / nullif(memory_limit_bytes, 0)) AS percent
FROM store.process_stats
WHERE "minute" >= make_timestamp($since) AND "minute" < make_timestamp($until)
    AND ($service IS NULL OR service = $service)
GROUP BY part
"""


def read_series(
    paths: StorePaths, step: timedelta, subjects: Sequence[SeriesSubject], since: datetime, until: datetime
) -> list[tuple[SeriesPoint, ...]]:
    """
    What `series` gives of a store that is opened for it.

    Raises:
        StoreError: If it cannot be read.
    """
    try:
        with open_database(paths, read_only=True, timeout_s=_TIMEOUT_S) as connection:
            return series(connection, subjects, Span(since, until), step)
    except DatabaseError as error:
        raise StoreError(f"store {paths.database_name!r} could not be read: {first_line(error)}") from None


def series(
    connection: Connection, subjects: Sequence[SeriesSubject], span: Span, step: timedelta
) -> list[tuple[SeriesPoint, ...]]:
    """
    A series for each subject, in their order; each has a point for every part of the span, the last one maybe shorter.

    Args:
        connection: To an open store.
        subjects: What they are about.
        span: From when until when; whole minutes, as rows are.
        step: How long a part is: whole minutes as long as these are kept, or whole hours.
    """
    count = math.ceil(span.length / step)
    lengths = [(min(step, span.length - place * step)) / _SECOND for place in range(count)]
    points = [[SeriesPoint(seconds=seconds) for seconds in lengths] for _ in subjects]
    statements_of = [
        place for place, subject in enumerate(subjects) if subject.pool is None and not subject.is_of_memory
    ]
    if statements_of:
        for row in _rows(connection, [subjects[place] for place in statements_of], span, step):
            part = min(row["part"], count - 1)
            points[statements_of[row["number"]]][part] = _point(row, lengths[part])
    for service in {subject.service for subject in subjects if subject.pool is not None}:
        for (pool, part), window in _windows(connection, service, span, step):
            for place, subject in enumerate(subjects):
                if (subject.service, subject.pool) == (service, pool) and part < count:
                    points[place][part] = SeriesPoint(seconds=lengths[part], pool=window)
    for place, subject in enumerate(subjects):
        for part, percent in _memory(connection, subject.service, span, step) if subject.is_of_memory else ():
            points[place][part] = SeriesPoint(seconds=lengths[part], memory_percent=percent)
    return [tuple(each) for each in points]


def _rows(
    connection: Connection, subjects: Sequence[SeriesSubject], span: Span, step: timedelta
) -> list[dict[str, Any]]:
    return asked(
        connection,
        statements("series.sql"),
        {
            "numbers": list(range(len(subjects))),
            "services": [subject.service for subject in subjects],
            "targets": [subject.target for subject in subjects],
            "pattern_ids": [subject.pattern_id for subject in subjects],
            "are_of_queries": [subject.is_of_queries for subject in subjects],
            **_bounds(span, step),
            # A row of an hour would be in one part of several that it belongs to.
            "daily": None if step < _HOUR else False,
        },
    )


def _point(row: dict[str, Any], seconds: float) -> SeriesPoint:
    buckets = dict(zip(row["bucket_k"] or (), row["bucket_n"] or (), strict=True))
    return SeriesPoint(
        seconds=seconds,
        outcomes=OutcomeCounts(row["ok"], row["error"], row["timeout"], row["cancelled"]),
        slow_count=row["slow"],
        durations=Histogram(row["executions"], row["total_ns"], row["min_ns"], row["max_ns"], buckets, row["coarsest"]),
        loop_lag_ms=row["loop_lag_ms"],
    )


def _memory(
    connection: Connection, service: str | None, span: Span, step: timedelta
) -> Iterator[tuple[int, float | None]]:
    chosen = {**_bounds(span, step), "service": service}
    return ((row["part"], row["percent"]) for row in asked(connection, _MEMORY, chosen))


def _bounds(span: Span, step: timedelta) -> dict[str, int]:
    return {
        "since": microseconds_of(span.since),
        "until": microseconds_of(span.until),
        "step_us": step // timedelta(microseconds=1),
    }


def _windows(connection: Connection, service: str | None, span: Span, step: timedelta) -> Iterator[tuple[Any, Any]]:
    """By pool and part, what it did then."""
    rows = asked(connection, queries.POOLS, {"since": microseconds(span.since), "service": service})
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["pool"], (utc(row["minute"]) - span.since) // step), []).append(row)
    for key, group in groups.items():
        # Of several services that have a pool of that name, nobody asks for one.
        yield key, pools_of(group, [])[0]
