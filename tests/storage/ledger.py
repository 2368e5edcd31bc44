"""
What was flushed and what is stored, counted apart: in go spool files or an open store, out comes one counter.

A writer that `keeping` watches links each spool file into a second folder just before it is renamed into place. Linked
and not renamed is what a writer was killed in between: its temporary file is still there, so it is told exactly.
"""

import json
from collections import Counter
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, Final

from querygauge.storage.database import Connection, open_database
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import TEMPORARY_SUFFIX

Ledger = Counter[tuple[Hashable, ...]]
"""Sums by what is counted and of what, such as `(pattern id, "rows")` or `(pattern id, "bucket", 12)`."""

KEEPING: Final = """
import os, sys
def _keep(event, arguments, spool=os.path.join(sys.argv[1], "spool"), kept=sys.argv[2]):
    if event == "os.rename" and os.path.dirname(os.fspath(arguments[1])) == spool:
        os.link(arguments[0], os.path.join(kept, os.path.basename(arguments[1])))
sys.addaudithook(_keep)
"""
"""Put before a writer whose first arguments are the store and the second folder; Python tells it of each renaming."""

_SUMS: Final = ("ok", "error", "timeout", "cancelled", "slow", "rows", "rows_known")
_TOTALS: Final = f"""
SELECT pattern_id, sum(executions), sum(total_ns), {", ".join(f"sum({name})" for name in _SUMS)}
FROM store.query_stats GROUP BY pattern_id
"""
_BUCKETS: Final = """
SELECT pattern_id, k, sum(n)
FROM (SELECT pattern_id, unnest(bucket_k) AS k, unnest(bucket_n) AS n FROM store.query_stats) GROUP BY pattern_id, k
"""
_ERRORS: Final = (
    "SELECT pattern_id, error_type, sum(executions) FROM store.query_errors GROUP BY pattern_id, error_type"
)
_POOLS: Final = "SELECT process, sum(requests), sum(checkouts) FROM store.pool_stats GROUP BY process"


def kept_files(kept: Path, paths: StorePaths) -> list[Path]:
    """Those that were renamed into the spool."""
    return [path for path in kept.iterdir() if not (paths.spool / f".{path.name}{TEMPORARY_SUFFIX}").exists()]


def flushed(files: Iterable[Path]) -> Ledger:
    """What spool files hold, read without any code of the store."""
    ledger: Ledger = Counter()
    for path in files:
        header, *rows = (json.loads(line) for line in path.read_bytes().splitlines())
        for row in rows:
            _add(ledger, row, header["header"]["process"])
    return +ledger


def _add(ledger: Ledger, row: dict[str, Any], process: str) -> None:
    if query := row.get("query"):
        pattern, durations = query["pattern_id"], query["durations"]
        ledger[pattern, "executions"] += durations["count"]
        ledger[pattern, "total_ns"] += durations["total_ns"]
        for name in _SUMS:
            ledger[pattern, name] += query[name]
        for bucket, count in zip(durations["k"], durations["n"], strict=True):
            ledger[pattern, "bucket", bucket] += count
    elif failed := row.get("failed"):
        ledger[failed["pattern_id"], "failed", failed["error_type"]] += failed["executions"]
    elif pool := row.get("pool"):
        ledger[process, "requests"] += pool["requests"]
        ledger[process, "checkouts"] += pool["checkouts"]


def stored(paths: StorePaths) -> Ledger:
    """What a store holds, by minute."""
    with open_database(paths, read_only=True, timeout_s=30) as connection:
        return _read(connection)


def _read(connection: Connection) -> Ledger:
    ledger: Ledger = Counter()
    for pattern, executions, total_ns, *sums in connection.execute(_TOTALS).fetchall():
        ledger[pattern, "executions"], ledger[pattern, "total_ns"] = executions, total_ns
        ledger.update({(pattern, name): count for name, count in zip(_SUMS, sums, strict=True)})
    ledger.update({(pattern, "bucket", bucket): n for pattern, bucket, n in connection.execute(_BUCKETS).fetchall()})
    ledger.update({(pattern, "failed", kind): n for pattern, kind, n in connection.execute(_ERRORS).fetchall()})
    for process, requests, checkouts in connection.execute(_POOLS).fetchall():
        ledger[process, "requests"], ledger[process, "checkouts"] = requests, checkouts
    return +ledger


def summed(ledger: Ledger, measure: str) -> int:
    """One measure over all patterns."""
    return sum(count for key, count in ledger.items() if key[1] == measure)
