"""
What somebody has said of queries: in goes an open store, out come the marks in force and what became of each since.

Deliberately not here: writing one (`storage.marking`), and what is worse, which the value tells.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from querygauge.clock import microseconds_of
from querygauge.storage import queries
from querygauge.storage.asking import asked
from querygauge.storage.database import Connection
from querygauge.storage.rows import pattern_of, query_stats_of, utc
from querygauge.values.answers.marks import Mark, MarkedPattern, Marks

__all__ = ["Since", "marks_in_force", "measured_since"]

_MARKS: Final = """
SELECT m.*, p.* EXCLUDE (pattern_id)
FROM marks AS m JOIN patterns AS p USING (pattern_id)
WHERE m.until IS NULL OR m.until > make_timestamp($now)
ORDER BY marked_at DESC, pattern_id
"""
# A snapshot from after the moment may tell of what was before it.
_REPETITIONS: Final = """
WITH wanted AS (SELECT unnest($pattern_ids) AS pattern_id, make_timestamp(unnest($since)) AS since)
SELECT pattern_id, sum(executions) / sum(scopes) AS per_scope
FROM repetitions JOIN wanted USING (pattern_id)
WHERE found_at > since + INTERVAL 1 MINUTE
GROUP BY pattern_id
HAVING sum(scopes) > 0
"""


class Since(NamedTuple):
    """
    What became of a pattern since a moment.

    Attributes:
        execution_count: Executions.
        p95_ms: Their 95th percentile; None if there were none.
        per_scope: How often a scope that repeated it did, on average; None if none did.
    """

    execution_count: int = 0
    p95_ms: float | None = None
    per_scope: float | None = None


def marks_in_force(connection: Connection, now: datetime) -> Marks:
    """All marks whose time is not over."""
    rows = asked(connection, _MARKS, {"now": microseconds_of(now)})
    since = measured_since(connection, {row["pattern_id"]: utc(row["marked_at"]) for row in rows})
    return Marks(tuple(_marked(row, since[row["pattern_id"]]) for row in rows))


def _marked(row: Mapping[str, Any], since: Since) -> MarkedPattern:
    until = None if row["until"] is None else utc(row["until"])
    mark = Mark(row["kind"], utc(row["marked_at"]), until, row["note"], row["p95_ms"], row["per_scope"])
    return MarkedPattern(pattern_of(row), mark, *since)


def measured_since(connection: Connection, moments: Mapping[str, datetime]) -> dict[str, Since]:
    """
    What became of patterns, each since a moment of its own, by one question for all of them.

    By the minute, as long as minutes are kept; of what is older, by hours that began after the moment.
    """
    if not moments:
        return {}
    since = [microseconds_of(moment) for moment in moments.values()]
    chosen = {"pattern_ids": list(moments), "since": since}
    rows = asked(connection, queries.STATS_SINCE, {**chosen, "earliest": min(since)})
    found = dict.fromkeys(moments, Since())
    for stats in map(query_stats_of, rows):
        found[stats.pattern_id] = Since(stats.execution_count, stats.p95_duration_ms)
    for row in asked(connection, _REPETITIONS, chosen):
        found[row["pattern_id"]] = found[row["pattern_id"]]._replace(per_scope=row["per_scope"])
    return found
