"""
A report for machines: JSON types, and one CSV row per pattern and target.

In go the same values as for the text, out come all of them: nothing is ranked, cut or rounded.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from querygauge.rendering.advice import advise
from querygauge.rendering.ranking import ranked
from querygauge.rendering.report_data import ReportData
from querygauge.values import QueryStats, by_tag

__all__ = ["CSV_COLUMNS", "report_to_csv", "report_to_dict", "rows_to_csv"]

# The members of `QueryStats.to_dict()`, in its order; written out so that an empty report has its header too.
CSV_COLUMNS: Final = (
    "pattern_id",
    "query_pattern",
    "summary",
    "operation",
    "tables",
    "dialect",
    "category",
    "target",
    "scope",
    "tags",
    "execution_count",
    "ok",
    "error",
    "timeout",
    "cancelled",
    "error_count",
    "error_rate",
    "slow_count",
    "rows",
    "rows_known_count",
    "total_duration_ms",
    "avg_duration_ms",
    "median_duration_ms",
    "p95_duration_ms",
    "p99_duration_ms",
    "min_duration_ms",
    "max_duration_ms",
    "pool_wait_ms",
    "connect_ms",
    "begin_ms",
    "prepare_ms",
    "execute_ms",
    "fetch_ms",
    "stream_ms",
    "commit_ms",
    "loop_lag_ms",
    "call_site",
    "first_seen",
    "last_seen",
)


def report_to_dict(report: ReportData, *, order_by: str = "total_duration", limit: int | None = None) -> dict[str, Any]:
    """
    The report as JSON types.

    Args:
        report: What to turn.
        order_by: Order of `queries`, one of `ranking.ORDERS`.
        limit: How many `queries` at most; None is all. The overall numbers are always of everything.

    Raises:
        SettingsError: If the order is unknown or the limit is below 1.
    """
    outcomes = report.outcomes
    return {
        "service": report.service,
        "scope": report.scope,
        "started": report.started.isoformat(),
        "ended": report.ended.isoformat(),
        "threshold_ms": report.threshold_ms,
        "overall": {
            "total_queries": outcomes.total,
            "slow_queries": report.slow_count,
            "slow_percent": report.slow_percent,
            "errors": outcomes.failed,
            "error_rate": outcomes.error_rate,
            "success_rate": outcomes.success_rate,
            "outcomes": outcomes.to_dict(),
            "unique_patterns": report.unique_patterns,
            "total_duration_ms": report.total_duration_ms,
        },
        "running": [process.to_dict() for process in report.running],
        "queries": [stats.to_dict() for stats in ranked(report.stats, order_by, limit)],
        "slow_queries": [slow.to_dict() for slow in report.slow_queries],
        "scopes": [scope.to_dict() for scope in report.scopes],
        "tags": [tag.to_dict() for tag in by_tag(report.scopes)],
        "repetitions": [repetition.to_dict() for repetition in report.repetitions],
        "processes": [window.to_dict() for window in report.processes],
        "pools": [window.to_dict() for window in report.merged_pools()],
        "marks": [entry.to_dict() for entry in report.marks],
        "advice": [advice.to_dict() for advice in advise(report)],
        "self_metrics": report.self_metrics.to_dict(),
    }


def report_to_csv(stats: Iterable[QueryStats]) -> str:
    """A header line and one line per pattern and target, in the order given; tables and tags are parted by blanks."""
    return rows_to_csv(CSV_COLUMNS, map(_csv_row, stats))


def _csv_row(stats: QueryStats) -> dict[str, Any]:
    row = stats.to_dict()
    tags = " ".join(f"{key}={value}" for key, value in row["tags"].items())
    return {**row, "tables": " ".join(row["tables"]), "tags": tags}


def rows_to_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A header line and one line per row, with the columns named and no others; what is None or absent is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
