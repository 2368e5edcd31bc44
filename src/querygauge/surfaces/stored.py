"""
What a store holds, as the values that reports are made of.

Comes in: a store's directory and what to look for; goes out: a `ReportData` or a `PatternData`. Deliberately not here:
SQL, and any layout.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from querygauge.errors import StoreError
from querygauge.rendering.pattern_page import PatternData
from querygauge.rendering.report_data import ReportData
from querygauge.storage.opening import open_store
from querygauge.storage.paths import Location
from querygauge.storage.ranges import parse_range
from querygauge.storage.reader import ProcessState
from querygauge.values import OutcomeCounts, QueryStats, ScopeStats, SelfMetrics, by_name

__all__ = ["read_pattern", "read_report"]

_NAMED: Final = 10  # scopes that an error names, those with most database time first


def read_report(location: Location, since: str, service: str | None, scope: str | None = None) -> ReportData:
    """
    The report of a store over a span that ends now.

    Args:
        location: Where the store is.
        since: How far back, such as `24h`.
        service: One service, or None for all of them.
        scope: Name of one scope, or None for everything.

    Raises:
        SettingsError: If the span is none.
        StoreError: If the store cannot be read, has never heard of the service, or the span has nothing of the scope.
    """
    now = datetime.now(UTC)
    started = now - parse_range(since)
    store = open_store(location)
    services = store.services()
    if service is not None and service not in services:
        raise StoreError(
            f"no service {service!r} in store {store.paths.name!r}; it knows {', '.join(services) or 'none yet'}"
        )
    stats = store.query_stats(started, service=service, scope=scope)
    scopes = store.scopes(started, service, scope)
    if scope is not None and not scopes:
        raise StoreError(f"no scope {scope!r} in this span; it has {_names(store.scopes(started, service))}")
    processes = [process for process in store.processes() if service in {None, process.service}]
    seen = [process for process in processes if process.last_at >= started]
    return ReportData(
        service=service or (services[0] if len(services) == 1 else ""),
        # A store that is younger than the span asked for says so.
        started=max([started, min((process.first_at for process in processes), default=started)]),
        ended=now,
        threshold_ms=_threshold_ms(seen),
        outcomes=_outcomes(stats),
        slow_count=sum(entry.slow_count for entry in stats),
        stats=tuple(stats),
        repetitions=tuple(store.repetitions(started, service, scope)),
        slow_queries=tuple(store.slow_queries(started, service=service, scope=scope)),
        pools=tuple(store.pools(started, service)) if scope is None else (),
        running=tuple(store.running(now, service)) if scope is None else (),
        processes=tuple(store.process_windows(started, service)) if scope is None else (),
        self_metrics=SelfMetrics.of_all(process.self_metrics for process in seen),
        scopes=tuple(scopes),
        scope=scope,
        marks=store.marks().patterns,
    )


def read_pattern(location: Location, prefix: str, since: str) -> PatternData:
    """
    One query of a store over a span that ends now.

    Args:
        location: Where the store is.
        prefix: The query's id, or its beginning.
        since: How far back, such as `24h`.

    Raises:
        SettingsError: If the span is none.
        StoreError: If the store cannot be read, or the prefix is not that of one query.
    """
    started = datetime.now(UTC) - parse_range(since)
    store = open_store(location)
    history = store.pattern(prefix, started)
    return PatternData(
        pattern=history.pattern,
        services=history.services,
        first_seen=history.first_seen,
        last_seen=history.last_seen,
        stats=history.targets,
        hours=tuple((hour.hour, hour.stats) for hour in history.hours),
        slow_queries=history.slow_queries,
        repetitions=history.repetitions,
        mark=next((entry for entry in store.marks().patterns if entry.pattern.id == history.pattern.id), None),
    )


def _names(scopes: Iterable[ScopeStats]) -> str:
    return ", ".join(repr(stats.scope) for stats in by_name(scopes)[:_NAMED]) or "none"


def _outcomes(stats: Sequence[QueryStats]) -> OutcomeCounts:
    total = OutcomeCounts()
    for entry in stats:
        total = total.merged(entry.outcomes)
    return total


def _threshold_ms(processes: Iterable[ProcessState]) -> float | None:
    """The slow threshold of all of them; None if they have several."""
    thresholds = {process.slow_threshold_ms for process in processes}
    return thresholds.pop() if len(thresholds) == 1 else None
