"""
How far objectives are attained: in go an open store and what is to be attained, out come counts.

Deliberately not here: which objectives there are, and from where on somebody is told.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from querygauge.clock import microseconds_of
from querygauge.histogram import bucket_of
from querygauge.storage.asking import asked
from querygauge.storage.database import Connection, statements
from querygauge.values.objectives import BURN_WINDOWS, PERIOD, Attained, Objective, ObjectiveState

__all__ = ["objective_states"]

_NS_PER_MS: Final = 1e6
_LIKE: Final = str.maketrans({"*": "%", "%": r"\%", "_": r"\_", "\\": r"\\"})
_PERIOD: Final = "period"


def objective_states(
    connection: Connection, objectives: Iterable[Objective], now: datetime, *, with_period: bool
) -> tuple[ObjectiveState, ...]:
    """
    The state of each objective, in their order.

    Args:
        connection: To an open store.
        objectives: What is to be attained.
        now: UTC.
        with_period: Whether the last 30 days are looked at, too, and not only the last six hours.
    """
    wanted = tuple(objectives)
    if not wanted:
        return ()
    lately = _attained(connection, wanted, BURN_WINDOWS, now, daily=None)
    period = _attained(connection, wanted, {_PERIOD: PERIOD}, now, daily=True) if with_period else None
    return tuple(
        ObjectiveState(objective, lately[number], None if period is None else period[number][_PERIOD])
        for number, objective in enumerate(wanted)
    )


def _attained(
    connection: Connection,
    objectives: Sequence[Objective],
    windows: Mapping[str, timedelta],
    now: datetime,
    *,
    daily: bool | None,
) -> list[dict[str, Attained]]:
    """Of each objective by the name of each window, what was attained from its beginning, a whole minute, until now."""
    since = {name: microseconds_of((now - length).replace(second=0, microsecond=0)) for name, length in windows.items()}
    scopes = [each.scope for each in objectives]
    rows = asked(
        connection,
        statements("objectives.sql"),
        {
            "names": list(since),
            "since": list(since.values()),
            "earliest": min(since.values()),
            "until": microseconds_of(now),
            "daily": daily,
            "numbers": list(range(len(objectives))),
            "services": [each.service for each in objectives],
            "scopes": scopes,
            "scopes_like": [None if scope is None else _like(scope) for scope in scopes],
            "is_anywhere": any(scope is None or "*" in scope for scope in scopes),
            "patterns": [each.pattern for each in objectives],
            "buckets": [
                None if each.p95_ms is None else bucket_of(round(each.p95_ms * _NS_PER_MS)) for each in objectives
            ],
        },
    )
    found = {(row["number"], row["span"]): Attained(row["count"], row["missed"]) for row in rows}
    return [{name: found.get((number, name), Attained()) for name in windows} for number in range(len(objectives))]


def _bucket_of(objective: Objective) -> int | None:
    """That of the longest duration that is in time; None if it is about success."""
    return None if objective.p95_ms is None else bucket_of(round(objective.p95_ms * _NS_PER_MS))


def _like(scope: str) -> str:
    """A name in which only `*` stands for anything else, as LIKE has it."""
    return scope.translate(_LIKE)
