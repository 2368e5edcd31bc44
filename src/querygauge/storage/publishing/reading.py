"""
The published report of a week as a value: in go the files, out comes what they say.

Deliberately not here: whether they are as new as the store.
"""

import re
from datetime import date, datetime, timedelta
from typing import Any, Final

from querygauge.errors import SettingsError, StoreError
from querygauge.storage.asking import asked
from querygauge.storage.database import Connection, DatabaseError, first_line, glob_escaped, scratch_connection
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.publish import week_file
from querygauge.storage.publishing.weeks import WEEK, monday_of, week_number
from querygauge.storage.rows import utc
from querygauge.values.answers.weekly import WeeklyPattern, WeeklyReport, WeekTotals

__all__ = ["monday_named", "weekly_report"]

_TOTALS: Final = """
SELECT
    coalesce(sum(samples), 0)::BIGINT AS samples, coalesce(sum(total_ms), 0)::DOUBLE AS total_ms,
    coalesce(100 * sum(errors) / nullif(sum(ok + errors), 0), 0)::DOUBLE AS error_rate, count(*) AS patterns,
    count(*) FILTER (slow_flag AND category = 'query') AS slow_patterns, max(slow_ms) AS slow_ms
FROM read_parquet($file)
"""
_PATTERNS: Final = """
SELECT
    pattern_id, pattern, summary, category, services, samples, p50_ms, p95_ms, p99_ms, max_ms, total_ms, share_percent,
    error_rate, slow_flag, previous_p95_ms, change_percent, first_seen, weeks_present, call_sites
FROM read_parquet($file)
ORDER BY total_ms DESC, pattern_id
"""
_GONE: Final = """
SELECT count(*) AS gone FROM read_parquet($before) ANTI JOIN read_parquet($file) USING (pattern_id)
"""


def monday_named(text: str) -> date:
    """
    The first day of the week that `text` names: `202653`, `2026-W53` or any day of it, `2027-01-01`.

    Raises:
        SettingsError: If it names none.
    """
    match = re.fullmatch(r"(\d{4})(?:-?W)?(\d{2})", text.strip().upper(), flags=re.ASCII)
    try:
        if match is not None:
            return date.fromisocalendar(int(match[1]), int(match[2]), 1)
        return monday_of(date.fromisoformat(text.strip()))
    except ValueError:
        raise SettingsError(
            f"a week must be one of ISO 8601, such as 202653 or 2026-W53, or a day of it; got {text!r}"
        ) from None


def weekly_report(paths: StorePaths, monday: date | None, now: datetime) -> WeeklyReport:
    """
    The report of a week.

    Args:
        paths: The store.
        monday: Its first day; None is that of the last week that is over and has a report, else that of this week.
        now: UTC.

    Raises:
        StoreError: If it has none, or its file cannot be read.
    """
    this_week = monday_of(now.date())
    if monday is None:
        over = [number for number in _numbers(paths) if number < f"{week_number(this_week)}"]
        monday = monday_named(over[-1]) if over else this_week
    if not week_file(paths, monday).exists():
        raise StoreError(f"no week {week_number(monday)} in store {str(paths.root)!r}; it has {_weeks(paths)}")
    try:
        with scratch_connection(paths) as connection:
            return _report(connection, paths, monday, is_over=monday < this_week)
    except DatabaseError as error:
        raise StoreError(f"{str(week_file(paths, monday))!r} could not be read: {first_line(error)}") from None


def _report(connection: Connection, paths: StorePaths, monday: date, *, is_over: bool) -> WeeklyReport:
    file, before = (glob_escaped(week_file(paths, start)) for start in (monday, monday - WEEK))
    has_before = week_file(paths, monday - WEEK).exists()
    patterns = tuple(_pattern(row) for row in asked(connection, _PATTERNS, {"file": file}))
    return WeeklyReport(
        week_number(monday),
        monday,
        is_over,
        _totals(connection, file),
        _totals(connection, before) if has_before else None,
        sum(_is_new(pattern, monday) for pattern in patterns),
        asked(connection, _GONE, {"file": file, "before": before})[0]["gone"] if has_before else 0,
        patterns,
    )


def _totals(connection: Connection, file: str) -> WeekTotals:
    return WeekTotals(**asked(connection, _TOTALS, {"file": file})[0])


def _pattern(row: dict[str, Any]) -> WeeklyPattern:
    lists = {name: tuple(row[name]) for name in ("services", "call_sites")}
    return WeeklyPattern(**{**row, **lists, "first_seen": utc(row["first_seen"])})


def _is_new(pattern: WeeklyPattern, monday: date) -> bool:
    """Files of before may be gone, of which the store still knows; what ends in a week may begin on the day before."""
    return pattern.weeks_present == 1 and pattern.first_seen.date() >= monday - timedelta(days=1)


def _weeks(paths: StorePaths) -> str:
    found = _numbers(paths)
    return f"{found[0]} to {found[-1]}" if found else "none yet"


def _numbers(paths: StorePaths) -> list[str]:
    """The weeks that have a report, the oldest first."""
    files = paths.published_weeks.glob(f"query_perf_weekly_{'[0-9]' * 6}.parquet")
    return sorted(path.stem.rpartition("_")[2] for path in files)
