"""
What is served: in go totals and a moment, out come the series of each family.

Deliberately not here: any library of Prometheus, and reading the totals.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from querygauge.export.prometheus_digest import DURATIONS, EXECUTIONS, HOOK, ROWS, ROWS_KNOWN, SLOW, Labels, PoolGauges
from querygauge.export.prometheus_families import BOUNDS, FAMILIES, OTHER, PATTERN_BOUNDS, PERCENTILES, Family
from querygauge.export.prometheus_totals import Instance, Process, Totals, bounded
from querygauge.values import OUTCOMES

__all__ = ["Series", "served"]

_NS_PER_S: Final = 1e9
_MS_PER_S: Final = 1e3
_US_PER_S: Final = 1e6
# Where the buckets of a pattern end among the common ones.
_ENDS: Final = tuple(BOUNDS.index(bound) + 1 for bound in PATTERN_BOUNDS)
# A quantile is known to within a hundredth; more digits would be half of what is sent.
_DIGITS: Final = 4
_LOOKUPS: Final = {"miss": "miss", "evicted": "evicted", "folded": "pattern_limit"}
_REASONS: Final = ("not_counted", "pattern_limit", "scope_limit", "history_full")

_Found = dict[str, dict[Labels, float | list[float]]]


class Series(NamedTuple):
    """
    A family and its values.

    Attributes:
        family: The family.
        values: By labels; of a histogram the executions by bucket, not added up, and seconds together.
    """

    family: Family
    values: Mapping[Labels, float | list[float]]


def served(totals: Totals, now_us: int, told: Mapping[str, Mapping[Labels, float]]) -> Iterator[Series]:
    """
    The families that have anything to tell, in their order.

    Args:
        totals: Everything that is known.
        now_us: Microseconds since 1970.
        told: What whoever serves them knows himself, by family and labels.
    """
    found: dict[str, Mapping[Labels, float | list[float]]] = {
        **totals.counters,
        **{name: _floats(series) for name, series in totals.histograms.items()},
        **totals.told,
        **_of_processes(totals, now_us),
        **_of_patterns(totals, now_us),
        **told,
    }
    found["compiled_cache_total"] = _compiled(totals)
    found["snapshots_dropped_total"] = {**_dropped(totals), **told.get("snapshots_dropped_total", {})}
    for family in FAMILIES:
        values = found.get(family.name.removeprefix("querygauge_"))
        if values:
            yield Series(family, _in_units(family, values))


def _floats(series: Mapping[Labels, list[int]]) -> Mapping[Labels, list[float]]:
    return {labels: [*map(float, numbers)] for labels, numbers in series.items()}


def _in_units(family: Family, values: Mapping[Labels, float | list[float]]) -> Mapping[Labels, float | list[float]]:
    if family.unit != "seconds" or family.kind == "gauge":
        return values
    return {
        labels: [*value[:-1], value[-1] / _NS_PER_S] if isinstance(value, list) else value / _NS_PER_S
        for labels, value in values.items()
    }


def _compiled(totals: Totals) -> dict[Labels, float]:
    compiled: dict[Labels, float] = {**totals.counters.get("compiled_cache_total", {})}
    for (service, _), process in totals.processes.items():
        for target, result, number in process.compiled():
            labels = bounded("compiled_cache_total", (service, target, result), compiled)
            compiled[labels] = compiled.get(labels, 0) + number
    return compiled


def _dropped(totals: Totals) -> dict[Labels, float]:
    dropped: dict[Labels, float] = {**totals.counters.get("snapshots_dropped_total", {})}
    full = sum(process.count("spool_full") or 0 for process in totals.processes.values())
    dropped["spool_full",] = dropped.get(("spool_full",), 0) + full
    return dropped


def _of_processes(totals: Totals, now_us: int) -> _Found:
    found: _Found = {}
    for key, process in totals.processes.items():
        _count_process(found, key, process)
        live = [instance for instance in process.instances.values() if instance.is_live(now_us)]
        if live:
            _add(found, "processes", (key[0],), 1)
            _show_process(found, key, live, now_us)
    up: dict[Labels, float] = {}
    for (service, target), (_, is_reached) in totals.reached.items():
        if (service,) in found.get("processes", {}):
            labels = bounded("database_up", (service, target), up)
            up[labels] = min(up.get(labels, 1.0), float(is_reached))
    return {**found, "database_up": {**up}} if up else found


def _add(found: _Found, name: str, labels: Labels, value: float) -> None:
    series = found.setdefault(name, {})
    labels = bounded(name, labels, series)
    before = series.get(labels, 0.0)
    series[labels] = value + (0.0 if isinstance(before, list) else before)


def _put(found: _Found, name: str, labels: Labels, value: float) -> None:
    """Tells a value of which there are only so many."""
    found.setdefault(name, {})[labels] = value


def _raise(found: _Found, name: str, labels: Labels, value: float) -> None:
    """Adds a value of which the highest counts."""
    series = found.setdefault(name, {})
    labels = bounded(name, labels, series)
    before = series.get(labels, value)
    series[labels] = value if isinstance(before, list) else max(before, value)


def _count_process(found: _Found, key: tuple[str, str], process: Process) -> None:
    cpu_ns = process.count("cpu")
    if cpu_ns is not None:
        _add(found, "process_cpu_seconds_total", key, cpu_ns)
    for reason in _REASONS:
        number = process.count(reason)
        if number or reason == _REASONS[0]:
            _add(found, "statements_dropped_total", (*key, reason), number or 0)

    for result, name in _LOOKUPS.items():
        _add(found, "pattern_cache_total", (*key, result), process.count(name) or 0)
    for name in {name for counts in process.since.values() for name in counts if name.startswith(HOOK)}:
        _add(found, "hook_errors_total", (*key, name.removeprefix(HOOK)), process.count(name) or 0)


def _show_process(found: _Found, key: tuple[str, str], live: list[Instance], now_us: int) -> None:
    latest = max(live, key=lambda instance: instance.ended_us)
    _add(found, "flush_age_seconds", key, max(0, now_us - latest.ended_us) / _US_PER_S)
    if latest.memory_bytes is not None:
        _add(found, "process_memory_bytes", key, latest.memory_bytes)
    if latest.memory_limit_bytes is not None:
        _add(found, "process_memory_limit_bytes", key, latest.memory_limit_bytes)
    for instance in live:
        for target, (count, oldest_ms) in instance.running.items():
            is_fresh = instance.is_fresh(now_us)
            _add(found, "queries_running", (key[0], target), count if is_fresh else 0)
            _raise(
                found,
                "queries_running_oldest_seconds",
                (key[0], target),
                oldest_ms / _MS_PER_S if is_fresh else 0.0,
            )
        for pool, gauges in instance.pools.items():
            _show_pool(found, (key[0], pool, key[1]), gauges)


def _show_pool(found: _Found, own: Labels, gauges: PoolGauges) -> None:
    _add(found, "pool_connections", (*own, "used"), gauges.used)
    _add(found, "pool_connections", (*own, "idle"), gauges.idle)
    if gauges.limit is not None:
        _add(found, "pool_connections_max", own, gauges.limit)
    if gauges.idle_limit is not None:
        _add(found, "pool_connections_idle_max", own, gauges.idle_limit)
    _add(found, "pool_pending_requests", own, gauges.pending)
    _add(found, "pool_overflow_connections", own, gauges.overflow)
    _raise(found, "pool_oldest_checkout_seconds", own, gauges.oldest_s)
    _add(found, "pool_idle_in_transaction_connections", own, gauges.idle_in_transaction)


def _of_patterns(totals: Totals, now_us: int) -> _Found:
    patterns = totals.patterns
    found: _Found = {}
    shown = sorted(patterns.shown(now_us))
    for key in shown:
        _show_pattern(found, key, patterns.numbers[key])
        _put(found, "pattern_info", (*key, *patterns.names[key]), 1)
    for service, numbers in patterns.other.items():
        _show_pattern(found, (service, OTHER), numbers)
    lately = patterns.lately(now_us)
    for key in shown:
        if key in lately:
            for percentile in PERCENTILES:
                seconds = lately[key].quantile_ms(float(percentile)) / _MS_PER_S
                _put(found, "pattern_percentile_seconds", (*key, percentile), float(f"{seconds:.{_DIGITS}g}"))
    for service, known in patterns.known.items():
        _put(found, "patterns", (service,), len(known))
    return found


def _show_pattern(found: _Found, key: tuple[str, str], numbers: list[int]) -> None:
    for status, count in zip(OUTCOMES, numbers[EXECUTIONS], strict=True):
        if count:
            _put(found, "pattern_queries_total", (*key, status), count)
    found.setdefault("pattern_duration_seconds", {})[key] = _shortened(numbers[DURATIONS])
    if numbers[ROWS_KNOWN]:
        _put(found, "pattern_rows_total", key, numbers[ROWS])
    if numbers[SLOW]:
        _put(found, "pattern_slow_queries_total", key, numbers[SLOW])


def _shortened(durations: list[int]) -> list[float]:
    """Executions by the bounds of patterns, which are some of the common ones, and nanoseconds together."""
    *counts, total_ns = durations
    spans = zip((0, *_ENDS), (*_ENDS, None), strict=True)
    return [*(float(sum(counts[start:end])) for start, end in spans), float(total_ns)]
