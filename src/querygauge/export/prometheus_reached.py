"""
Whether servers are reached: in goes a snapshot, out comes the last evidence of each target in it.

A statement that a server answered shows that it was reached, and so does one that it refused. Deliberately not here:
what other snapshots show.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from querygauge.clock import microseconds_of
from querygauge.values import QueryErrors, QueryStats, Snapshot

__all__ = ["reached"]

# An attempt that fails like this did not reach the server. The codes are SQLSTATE's and MySQL's.
_UNREACHED_CLASSES: Final = ("08",)
_UNREACHED_CODES: Final = frozenset({"57P01", "57P02", "57P03", "2002", "2003", "2006", "2013"})
_UNREACHED_TYPES: Final = frozenset(
    {"CannotConnectNowError", "ConnectionDoesNotExistError", "ConnectionRefusedError", "ConnectionResetError"}
)


def reached(snapshot: Snapshot) -> Mapping[str, tuple[int, bool]]:
    """By target when it was last known whether its server is reached, in microseconds since 1970, and whether it is."""
    latest: dict[str, tuple[datetime, bool]] = {}
    for target, at, is_reached in (*_of_statements(snapshot.queries, snapshot.errors), *_of_pools(snapshot)):
        before = latest.get(target)
        # At the same moment the failure is the surer news: it is of the last execution of those.
        if before is None or (at, not is_reached) >= (before[0], not before[1]):
            latest[target] = (at, is_reached)
    return {target: (microseconds_of(at), is_reached) for target, (at, is_reached) in latest.items()}


def _of_statements(
    queries: Iterable[QueryStats], failed: Iterable[QueryErrors]
) -> Iterator[tuple[str, datetime, bool]]:
    lost = [errors for errors in failed if _has_not_reached(errors)]
    only_lost = {(errors.target, errors.pattern.id) for errors in lost}
    for stats in queries:
        if stats.outcomes.ok or (stats.target, stats.pattern.id) not in only_lost:
            yield stats.target, stats.last_seen, True
    for errors in lost:
        yield errors.target, errors.last_seen, False


def _has_not_reached(errors: QueryErrors) -> bool:
    code = errors.sqlstate or ""
    return code.startswith(_UNREACHED_CLASSES) or code in _UNREACHED_CODES or errors.error_type in _UNREACHED_TYPES


def _of_pools(snapshot: Snapshot) -> Iterator[tuple[str, datetime, bool]]:
    for window in snapshot.pools:
        metrics = window.metrics
        for check in window.health_checks[-1:]:
            yield window.pool, check.timestamp, check.is_healthy
        if metrics.total_errors and not metrics.total_checkouts:
            yield window.pool, snapshot.ended, False
