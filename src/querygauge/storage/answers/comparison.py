"""
Two spans compared, pattern by pattern: in go the statistics of both, out comes what is new, gone, slower or faster.

A difference counts where two samples of one source would hardly show it (`querygauge.significance`), corrected for all
that was compared, and where it is large enough to matter. Deliberately not here: where the statistics are from.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from querygauge.histogram import Histogram
from querygauge.significance import aligned, holm, rank_sum_p, share_p, tail_counts
from querygauge.values import OutcomeCounts, QueryStats
from querygauge.values.answers.comparison import Comparison, Measure, PatternChange
from querygauge.values.answers.execution import Performance

__all__ = ["MIN_CHANGE_PERCENT", "by_id", "compared", "performance_in"]

MIN_CHANGE_PERCENT: Final = 10.0
_SIGNIFICANCE: Final = 0.01  # of a hundred comparisons of nothing new, one may name a pattern
_FEWEST: Final = 10  # executions on each side, below which nothing can be told
_TAIL: Final = 0.95
_MIN_ERRORS_PERCENT: Final = 1.0  # of the executions
_MEASURES: Final[tuple[Measure, ...]] = ("median", "p95", "errors")


@dataclass(frozen=True, slots=True)
class _Pair:
    before: QueryStats
    after: QueryStats

    @property
    def durations(self) -> tuple[Histogram, Histogram]:
        """Both, in the same buckets."""
        first, second = self.before.durations, self.after.durations
        scale = min(first.scale, second.scale)
        return first.coarsened(scale), second.coarsened(scale)

    def probabilities(self) -> list[float]:
        """One for each measure."""
        first, second = self.durations
        counts = aligned(first.buckets, second.buckets)
        tails = tail_counts(*counts, _TAIL)
        failed = [stats.outcomes.failed for stats in (self.before, self.after)]
        return [
            rank_sum_p(*counts),
            share_p(tails[0], first.count, tails[1], second.count),
            share_p(failed[0], first.count, failed[1], second.count),
        ]

    def worse(self, measure: Measure, min_change_percent: float) -> int:
        """1 if a measure has become worse by enough to matter, -1 if better, else 0."""
        if measure == "errors":
            difference = self.after.error_rate - self.before.error_rate
            return _sign(difference) if abs(difference) >= _MIN_ERRORS_PERCENT else 0
        q = 0.5 if measure == "median" else _TAIL
        first, second = (durations.quantile_ms(q) for durations in self.durations)
        factor = 1 + min_change_percent / 100
        return _sign(second - first) if max(first, second) >= factor * min(first, second) else 0


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def compared(
    before: Iterable[QueryStats],
    after: Iterable[QueryStats],
    *,
    named: tuple[str, str],
    service: str | None,
    min_change_percent: float,
) -> Comparison:
    """
    What has changed.

    Args:
        before: Statistics of the first span, of any number of targets.
        after: Those of the second.
        named: What the two are called.
        service: The one service they are about.
        min_change_percent: A median or 95th percentile that changed by less is left alone.
    """
    first, second = by_id(before), by_id(after)
    pairs = [_Pair(first[key], second[key]) for key in first.keys() & second.keys()]
    enough = [pair for pair in pairs if min(pair.before.execution_count, pair.after.execution_count) >= _FEWEST]
    changes = list(_changes(enough, min_change_percent))
    return Comparison(
        before=named[0],
        after=named[1],
        service=service,
        min_change_percent=min_change_percent,
        compared_count=len(enough),
        too_few_count=len(pairs) - len(enough),
        regressed=_ranked(change for worse, change in changes if worse > 0),
        improved=_ranked(change for worse, change in changes if worse < 0),
        new=_ranked(_only(None, second[key]) for key in second.keys() - first.keys()),
        gone=_ranked(_only(first[key], None) for key in first.keys() - second.keys()),
    )


def by_id(stats: Iterable[QueryStats]) -> dict[str, QueryStats]:
    """Those of all targets together, by the id of their pattern."""
    found: dict[str, QueryStats] = {}
    for each in stats:
        before = found.get(each.pattern_id)
        found[each.pattern_id] = each if before is None else before.merged(each)
    return found


def _changes(pairs: list[_Pair], min_change_percent: float) -> Iterator[tuple[int, PatternChange]]:
    """Those that differ, and whether they became worse: 1, or better: -1; what did both became worse."""
    corrected = iter(holm([probability for pair in pairs for probability in pair.probabilities()]))
    for pair in pairs:
        unlikely = {measure: p for measure in _MEASURES if (p := next(corrected)) < _SIGNIFICANCE}
        worse = {measure: pair.worse(measure, min_change_percent) for measure in unlikely}
        verdict = max((direction for direction in worse.values() if direction), default=0)
        measures = tuple(measure for measure, direction in worse.items() if direction == verdict != 0)
        if measures:
            yield (
                verdict,
                PatternChange(
                    pattern=pair.after.pattern,
                    before=_performance(pair.before),
                    after=_performance(pair.after),
                    measures=measures,
                    p_value=min(unlikely[measure] for measure in measures),
                ),
            )


def _only(before: QueryStats | None, after: QueryStats | None) -> PatternChange:
    one = before or after
    assert one is not None  # noqa: S101  # one of them is there
    return PatternChange(
        pattern=one.pattern,
        before=None if before is None else _performance(before),
        after=None if after is None else _performance(after),
    )


def _performance(stats: QueryStats) -> Performance:
    return performance_in(stats.durations, stats.outcomes, stats.slow_count)


def performance_in(durations: Histogram, outcomes: OutcomeCounts, slow_count: int) -> Performance:
    """What some executions, one at least, did: their durations, how they ended, and how many were slow."""
    return Performance(
        outcomes=outcomes,
        slow_count=slow_count,
        total_duration_ms=durations.total_ms,
        min_duration_ms=durations.min_ms,
        median_duration_ms=durations.quantile_ms(0.5),
        p95_duration_ms=durations.quantile_ms(0.95),
        p99_duration_ms=durations.quantile_ms(0.99),
        max_duration_ms=durations.max_ms,
    )


def _ranked(changes: Iterable[PatternChange]) -> tuple[PatternChange, ...]:
    """By how much time they gained or lost, the most first."""
    return tuple(sorted(changes, key=lambda change: (-abs(change.total_change_ms), change.pattern.id)))
