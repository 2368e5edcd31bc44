"""
What a store may take: in go figures by name, out comes which are over their limit.

Milliseconds unless the name says something else. What has no limit is only told.
"""

from typing import Final, NamedTuple

__all__ = ["LIMITS", "Figures", "Limit", "exceeded", "limit_of"]

Figures = dict[str, float]
_MILLION: Final = 1_000_000


class Limit(NamedTuple):
    """The most that a figure may be in a store of up to a million rows, and in a larger one; None is any."""

    to_a_million: float | None
    beyond: float | None


_QUESTION: Final = Limit(500, 500)
LIMITS: Final = {
    "p95 by hour, 7 days": Limit(200, 500),
    "top patterns, 24 hours": Limit(100, 500),
    "performance by tag, 24 hours": Limit(100, 500),
    "percentiles of all patterns, 24 hours": _QUESTION,
    "percentiles of all patterns, 7 days": _QUESTION,
    "one pattern by day, 30 days": _QUESTION,
    "patterns by day, 30 days": _QUESTION,
    "tags by day, 30 days": _QUESTION,
    "pools by hour, 7 days": _QUESTION,
    "status": _QUESTION,
    "execution_statistics, 24 hours": _QUESTION,
    "execution_statistics, 7 days": _QUESTION,
    "performance_metrics, 7 days": _QUESTION,
    "compare, 24 hours with those before": _QUESTION,
    "cost, 30 days and four weeks before": _QUESTION,
    "quality, 7 days": _QUESTION,
    "errors, 24 hours": _QUESTION,
    "pattern, 30 days": _QUESTION,
    "similar, of 10,000 patterns": Limit(100, 500),
    "similar: not among the first three, %": Limit(10, 10),
    "fold of one row: database open": Limit(10, None),
    "fold of 100 rows": Limit(50, None),
    "fold of 8 x 500 patterns: locked": Limit(100, 100),
    "weekly report read": _QUESTION,
    "retention": Limit(5_000, None),
}


def limit_of(name: str, rows: int) -> float | None:
    """The limit of a figure in a store of so many rows; None if it has none."""
    limit = LIMITS.get(name)
    if limit is None:
        return None
    return limit.to_a_million if rows <= _MILLION else limit.beyond


def exceeded(sizes: dict[int, Figures]) -> list[str]:
    """What is over its limit, with both."""
    return [
        f"{name} at {rows:,} rows: {value:,.1f}, the limit is {limit:,.0f}"
        for rows, figures in sizes.items()
        for name, value in figures.items()
        if (limit := limit_of(name, rows)) is not None and value > limit
    ]
