"""
How far objectives are attained: in go an open store and what is to be attained, out come counts.

Deliberately not here: which objectives there are, and from where on somebody is told.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from querygauge.clock import microseconds_of
from querygauge.histogram import bucket_of
from querygauge.storage.asking import asked
from querygauge.storage.database import Connection, statements
from querygauge.values.objectives import BURN_WINDOWS, PERIOD, Attained, Objective, ObjectiveState

__all__ = ["objective_states"]

_NS_PER_MS: Final = 1e6


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
    return tuple(
        ObjectiveState(
            objective,
            _attained(connection, objective, BURN_WINDOWS, now, daily=None),
            _attained(connection, objective, {"period": PERIOD}, now, daily=True)["period"] if with_period else None,
        )
        for objective in objectives
    )


def _attained(
    connection: Connection, objective: Objective, windows: Mapping[str, timedelta], now: datetime, *, daily: bool | None
) -> dict[str, Attained]:
    """By the name of each window, what was attained from its beginning, a whole minute, until now."""
    since = {name: microseconds_of((now - length).replace(second=0, microsecond=0)) for name, length in windows.items()}
    rows = asked(
        connection,
        statements("objectives.sql"),
        {
            "names": list(since),
            "since": list(since.values()),
            "earliest": min(since.values()),
            "until": microseconds_of(now),
            "daily": daily,
            "service": objective.service,
            "scope": objective.scope,
            "pattern": objective.pattern,
            "bucket": None if objective.p95_ms is None else bucket_of(round(objective.p95_ms * _NS_PER_MS)),
        },
    )
    found = {row["span"]: Attained(row["count"], row["missed"]) for row in rows}
    return {name: found[name] for name in windows}
