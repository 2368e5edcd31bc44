"""
The report of one ISO week: in go the files of its days and of the weeks before, out comes one row per pattern.

A week is from Monday 00:00 to Monday 00:00 UTC. Nothing here opens the store, so a report takes nobody's time there.
Deliberately not here: when a week is written.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from querygauge.storage.database import Connection, glob_escaped, quoted, statements

__all__ = ["PARQUET", "WEEK", "monday_of", "week_number", "write_week"]

WEEK: Final = timedelta(days=7)
PARQUET: Final = "FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false"
"""How every file is written; its caller gives it its place."""
_NO_EARLIER: Final = """
CREATE OR REPLACE TABLE memory.earlier (week_start DATE, pattern_id VARCHAR, p95_ms DOUBLE)
"""
_EARLIER: Final = """
CREATE OR REPLACE TABLE memory.earlier AS
SELECT week_start, pattern_id, p95_ms FROM read_parquet($weeks, union_by_name = true)
"""
_PATTERNS: Final = "CREATE OR REPLACE TABLE memory.known AS FROM read_parquet($patterns)"


def monday_of(day: date) -> date:
    """The first day of a day's week."""
    return day - timedelta(days=day.weekday())


def week_number(monday: date) -> int:
    """A week as YYYYWW, of the ISO year: of 2024-12-30 it is 202501."""
    year, week, _ = monday.isocalendar()
    return 100 * year + week


def write_week(
    connection: Connection,
    monday: date,
    days: Sequence[Path],
    earlier: Sequence[Path],
    patterns: Path,
    slow_ms: float,
    target: Path,
) -> None:
    """
    Writes the report of a week.

    Args:
        connection: To a database in memory.
        monday: Its first day.
        days: The files of its days, one at least.
        earlier: The files of the weeks before it.
        patterns: The file of all patterns.
        slow_ms: A pattern with a higher 95th percentile is slow.
        target: The file to write.

    Raises:
        DatabaseError: If a file cannot be read or written.
    """
    connection.execute(statements("buckets.sql"))
    connection.execute(_PATTERNS, {"patterns": glob_escaped(patterns)})
    if earlier:
        connection.execute(_EARLIER, {"weeks": [glob_escaped(path) for path in earlier]})
    else:
        connection.execute(_NO_EARLIER)
    connection.execute(
        statements("publishing/weekly.sql"),
        {
            "days": [glob_escaped(path) for path in days],
            "week": week_number(monday),
            "week_start": monday,
            "slow_ms": slow_ms,
        },
    )
    connection.execute(f"COPY memory.weekly TO {quoted(target)} ({PARQUET})")
