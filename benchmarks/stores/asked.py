"""
What a store is asked: in go an open connection or a store and a moment, out come the questions by name, to be timed.

The first are asked as anybody's DuckDB asks them, the store open; the others are whole calls of `open_store(…)`, with
opening and closing it. Ranges end now.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from querygauge.alerts.schedule import Schedule, span_back
from querygauge.alerts.trends import STEP
from querygauge.patterns.cache import pattern_of
from querygauge.storage.series import read_series
from querygauge.storage.store import Store
from querygauge.values import Pattern
from querygauge.values.series import SeriesSubject

__all__ = ["PATTERN", "answers", "labelled", "missed_percent", "questions"]

PATTERN: Final = f"{7:016x}"
"""The one that is asked about."""
_TOLD: Final = [SeriesSubject(pattern_id=f"{number:016x}") for number in range(50)]
_LABELLED: Final = Path(__file__).parents[2] / "tests" / "storage" / "answers" / "labelled.sql"


def questions(now: datetime) -> dict[str, str]:
    """SQL by name."""

    def since(days: float) -> str:
        return f"'{(now - timedelta(days=days)).replace(tzinfo=None)}', '{now.replace(tzinfo=None)}'"

    return {
        "p95 by hour, 7 days": f"FROM quantiles_over_time({since(7)})",
        "top patterns, 24 hours": (
            f"SELECT pattern_id, sum(total_ns) AS ns FROM query_history({since(1)}, false) "
            "GROUP BY pattern_id ORDER BY ns DESC LIMIT 10"
        ),
        "performance by tag, 24 hours": f"FROM history_by(unnest(map_entries(h.tags)), {since(1)}, false)",
        "percentiles of all patterns, 24 hours": f"FROM pattern_quantiles({since(1)})",
        "percentiles of all patterns, 7 days": f"FROM pattern_quantiles({since(7)})",
        "one pattern by day, 30 days": (
            f"FROM quantiles_over_time({since(30)}, width := '1 day', pattern := '{PATTERN}')"
        ),
        "patterns by day, 30 days": "SELECT * EXCLUDE (bucket_k, bucket_n) FROM pattern_performance_daily",
        "tags by day, 30 days": "SELECT * EXCLUDE (bucket_k, bucket_n) FROM tag_performance_daily",
        "pools by hour, 7 days": "FROM pool_performance_hourly",
    }


def answers(store: Store, now: datetime) -> dict[str, Callable[[], object]]:
    """Calls by name."""
    return {
        "status": store.status,
        "execution_statistics, 24 hours": store.execution_statistics,
        "execution_statistics, 7 days": lambda: store.execution_statistics("7d"),
        "performance_metrics, 7 days": lambda: store.performance_metrics("7d"),
        "compare, 24 hours with those before": store.compare,
        "cost, 30 days and four weeks before": store.cost,
        "quality, 7 days": store.quality,
        "errors, 24 hours": store.errors,
        "pattern, 30 days": lambda: store.pattern(PATTERN, now - timedelta(days=30)),
        "similar, of 10,000 patterns": lambda: store.similar(PATTERN),
        "trends of 50 alerts, 2 hours": lambda: read_series(store.paths, STEP, _TOLD, now - timedelta(hours=2), now),
        "performance report, a day": lambda: store.performance_report(span_back(Schedule(), "daily", now)),
        "performance report, a week": lambda: store.performance_report(span_back(Schedule(), "weekly", now)),
    }


def labelled() -> list[tuple[Pattern, Pattern]]:
    """Queries that belong together, in twos: the same one with other columns, filters, joins or order."""
    blocks = _LABELLED.read_text(encoding="utf-8").strip().split("\n\n")[1:]
    return [
        (pattern_of(one, "postgresql"), pattern_of(other, "postgresql")) for one, other in map(str.splitlines, blocks)
    ]


def missed_percent(store: Store) -> float:
    """Of the labelled queries, asked from either side, those whose other is not among the three most similar."""
    twos = labelled()
    asked = [(one, other) for one, other in (*twos, *((other, one) for one, other in twos))]
    found = [other.id in {each.pattern.id for each in store.similar(one.id, limit=3).similar} for one, other in asked]
    return 100.0 * (1 - sum(found) / len(found))
