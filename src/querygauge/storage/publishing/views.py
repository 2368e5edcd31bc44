"""
The database of views: in goes where the published files are, out comes `perf.duckdb`, which holds no rows.

Views name their files with the whole path, as relative ones are looked for where the reader happens to be. Deliberately
not here: when it is made again.
"""

from pathlib import Path

from querygauge.storage.database import Connection, attached_new, glob_escaped, quoted, statements
from querygauge.storage.paths import StorePaths

__all__ = ["view_statements", "write_views"]


def view_statements(paths: StorePaths) -> str:
    """What makes the views of a store, where it lies now and with the archive it has."""
    hours = f"SELECT * FROM {_parquet(paths.published_days / 'query_stats_*.parquet', paths)}"  # noqa: S608  # paths are quoted
    if any(paths.archive.glob("query_stats_archive_*.parquet")):
        archive = _parquet(paths.archive / "query_stats_archive_*.parquet", paths)
        days = hours.replace("*", "DISTINCT date_trunc('day', \"hour\")", 1)
        hours += (
            f"\nUNION ALL BY NAME\nSELECT 5::TINYINT AS scale, * FROM {archive}"
            f"\nWHERE date_trunc('day', \"hour\") NOT IN ({days})"
        )
    weeks, patterns = paths.published_weeks / "query_perf_weekly_*.parquet", paths.published / "patterns.parquet"
    names = {"weeks": _glob(weeks, paths), "patterns": _glob(patterns, paths), "hours": hours}
    return statements("buckets.sql") + statements("publishing/perf.sql").format_map(names)


def write_views(connection: Connection, sql: str, target: Path) -> None:
    """
    Makes the database at `target`, where none is.

    Raises:
        DatabaseError: If it cannot be made.
    """
    with attached_new(connection, target):
        connection.execute(sql)


def _parquet(glob: Path, paths: StorePaths) -> str:
    return f"read_parquet({_glob(glob, paths)}, union_by_name = true)"


def _glob(glob: Path, paths: StorePaths) -> str:
    """A glob within the store as SQL takes it; only what is below the store's directory may have wildcards."""
    return quoted(Path(glob_escaped(paths.root)) / glob.relative_to(paths.root))
