"""
Accumulations as JSON types, and back: what is kept of them between two ticks.

Deliberately not here: where it is kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import astuple
from typing import Any

from querygauge.export.accumulation import Accumulation, Operations, PoolState, PoolTotals
from querygauge.export.semconv import Attributes
from querygauge.histogram import Histogram

__all__ = ["accumulation_of", "row_of"]


def row_of(accumulation: Accumulation) -> dict[str, Any]:
    """An accumulation as JSON types."""
    return {
        "service": accumulation.service,
        "process": accumulation.process,
        "known_us": accumulation.known_us,
        "started_us": accumulation.started_us,
        "ended_us": accumulation.ended_us,
        "operations": [[*row] for row in _operation_rows(accumulation.operations)],
        "failures": [[_series_row(series), count] for series, count in accumulation.failures.items()],
        "pools": [[*row] for row in _pool_rows(accumulation.pools)],
    }


def accumulation_of(row: Mapping[str, Any]) -> Accumulation:
    """
    The accumulation that `row_of` wrote.

    Raises:
        KeyError, TypeError, ValueError: If it wrote something else.
    """
    return Accumulation(
        str(row["service"]),
        str(row["process"]),
        int(row["known_us"]),
        int(row["started_us"]),
        int(row["ended_us"]),
        {
            _series_of(series): Operations(since_us, until_us, _histogram_of(durations), rows, known)
            for series, since_us, until_us, durations, rows, known in row["operations"]
        },
        {_series_of(series): int(count) for series, count in row["failures"]},
        {
            _series_of(series): PoolTotals(PoolState(*state), seen_us, timeouts, *map(_histogram_of, histograms))
            for series, state, seen_us, timeouts, *histograms in row["pools"]
        },
    )


def _operation_rows(operations: Mapping[Attributes, Operations]) -> Iterable[tuple[Any, ...]]:
    for series, each in operations.items():
        durations = _histogram_row(each.durations)
        yield _series_row(series), each.since_us, each.until_us, durations, each.rows, each.rows_known


def _pool_rows(pools: Mapping[Attributes, PoolTotals]) -> Iterable[tuple[Any, ...]]:
    for series, totals in pools.items():
        histograms = map(_histogram_row, (totals.create, totals.wait, totals.use))
        yield _series_row(series), astuple(totals.state), totals.seen_us, totals.timeouts, *histograms


def _series_row(series: Attributes) -> list[list[str | int | bool]]:
    return [[name, value] for name, value in series]


def _series_of(row: Iterable[tuple[str, str | int | bool]]) -> Attributes:
    return tuple((name, value) for name, value in row)


def _histogram_row(histogram: Histogram) -> list[Any]:
    buckets = histogram.buckets
    counted = [histogram.count, histogram.total_ns, histogram.min_ns, histogram.max_ns]
    return [*counted, [*buckets], [*buckets.values()], histogram.scale]


def _histogram_of(row: Iterable[Any]) -> Histogram:
    count, total_ns, min_ns, max_ns, buckets, counts, scale = row
    return Histogram(count, total_ns, min_ns, max_ns, dict(zip(buckets, counts, strict=True)), scale)
