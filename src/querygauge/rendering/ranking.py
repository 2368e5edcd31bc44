"""Query statistics in the order somebody asked for, largest first."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

from querygauge.errors import SettingsError
from querygauge.values import QueryStats

__all__ = ["ORDERS", "Order", "mean_rows", "ranked"]

Order = Literal["avg_duration", "total_duration", "p95", "p99", "max", "execution_count", "error_rate", "rows"]
ORDERS: Final[tuple[Order, ...]] = get_args(Order)

_MEASURES: Final[Mapping[str, Callable[[QueryStats], float]]] = MappingProxyType(
    {
        "avg_duration": lambda stats: stats.avg_duration_ms,
        "total_duration": lambda stats: stats.total_duration_ms,
        "p95": lambda stats: stats.p95_duration_ms,
        "p99": lambda stats: stats.p99_duration_ms,
        "max": lambda stats: stats.max_duration_ms,
        "execution_count": lambda stats: stats.execution_count,
        "error_rate": lambda stats: stats.error_rate,
        "rows": lambda stats: stats.rows,
    }
)


def ranked(stats: Iterable[QueryStats], order_by: str, limit: int | None = None) -> list[QueryStats]:
    """
    The first `limit` of `stats`, largest first; equals in the order of total time, then of pattern and target.

    Args:
        stats: What to put in order.
        order_by: One of `ORDERS`.
        limit: How many at most; None is all.

    Raises:
        SettingsError: If the order is unknown or the limit is below 1.
    """
    measure = _MEASURES.get(order_by)
    if measure is None:
        raise SettingsError(f"order_by must be one of {', '.join(ORDERS)}; got {order_by!r}")
    if limit is not None and limit < 1:
        raise SettingsError(f"limit must be >= 1 or None; got {limit!r}")
    ordered = sorted(stats, key=lambda s: (-measure(s), -s.total_duration_ms, s.pattern_id, s.target))
    return ordered[:limit]


def mean_rows(stats: QueryStats) -> float | None:
    """Rows per execution, over those for which the driver told; None if it never did."""
    return stats.rows / stats.rows_known_count if stats.rows_known_count else None
