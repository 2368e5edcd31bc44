"""
What somebody has said of queries: in goes an open store, out come the marks in force and what became of each since.

Deliberately not here: writing one (`storage.marking`), and what is worse, which the value tells.
"""

from datetime import datetime
from typing import Any, Final

from querygauge.clock import microseconds_of
from querygauge.storage.asking import asked
from querygauge.storage.database import Connection
from querygauge.storage.rows import pattern_of, utc
from querygauge.values.answers.marks import Mark, MarkedPattern, Marks

__all__ = ["marks_in_force", "measured_since"]

_MARKS: Final = """
SELECT m.*, p.* EXCLUDE (pattern_id)
FROM marks AS m JOIN patterns AS p USING (pattern_id)
WHERE m.until IS NULL OR m.until > make_timestamp($now)
ORDER BY marked_at DESC, pattern_id
"""
_EXECUTIONS: Final = """
SELECT executions, p95_ms
FROM history_by(
    {'id': h.pattern_id}, make_timestamp($since), '9999-12-31'::TIMESTAMP, false, pattern := $pattern_id
)
"""
# A snapshot from after the mark may tell of what was before it.
_REPETITIONS: Final = """
SELECT sum(executions) / sum(scopes) AS per_scope
FROM repetitions
WHERE pattern_id = $pattern_id AND found_at > make_timestamp($since) + INTERVAL 1 MINUTE
HAVING sum(scopes) > 0
"""


def marks_in_force(connection: Connection, now: datetime) -> Marks:
    """All marks whose time is not over."""
    return Marks(tuple(_marked(connection, row) for row in asked(connection, _MARKS, {"now": microseconds_of(now)})))


def _marked(connection: Connection, row: dict[str, Any]) -> MarkedPattern:
    until = None if row["until"] is None else utc(row["until"])
    mark = Mark(row["kind"], utc(row["marked_at"]), until, row["note"], row["p95_ms"], row["per_scope"])
    return MarkedPattern(pattern_of(row), mark, *measured_since(connection, row["pattern_id"], mark.marked_at))


def measured_since(connection: Connection, pattern_id: str, since: datetime) -> tuple[int, float | None, float | None]:
    """Executions of a pattern, their 95th percentile, and how often a scope that repeated it did."""
    chosen = {"pattern_id": pattern_id, "since": microseconds_of(since)}
    executions = asked(connection, _EXECUTIONS, chosen)
    repetitions = asked(connection, _REPETITIONS, chosen)
    count, p95_ms = (executions[0]["executions"], executions[0]["p95_ms"]) if executions else (0, None)
    return count, p95_ms, repetitions[0]["per_scope"] if repetitions else None
