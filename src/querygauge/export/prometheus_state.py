"""
The totals as bytes and back: what a subscriber of the store keeps from one tick to the next.

Deliberately not here: where they are kept.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from querygauge.errors import StoreError
from querygauge.export.prometheus_digest import DURATIONS, PoolGauges
from querygauge.export.prometheus_families import BOUNDS, FAMILIES, Family
from querygauge.export.prometheus_patterns import Generation, PatternTotals
from querygauge.export.prometheus_totals import MOST_PATTERNS, Instance, Process, Totals
from querygauge.histogram import Histogram

__all__ = ["decoded", "encoded"]

_FORMAT: Final = 1
_ID_LENGTH: Final = 16
_FAMILIES: Final = {each.name.removeprefix("querygauge_"): each for each in FAMILIES}
_NUMBERS: Final = DURATIONS.start + len(BOUNDS) + 2  # of a pattern

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encoded(totals: Totals) -> bytes:
    """The totals as bytes."""
    value = {
        "format": _FORMAT,
        "counters": _by_family(totals.counters),
        "histograms": _by_family(totals.histograms),
        "told": _by_family(totals.told),
        "marks": totals.marks,
        "processes": [[*key, process.since, _instances(process)] for key, process in totals.processes.items()],
        "gone": [[*key, since] for key, since in totals.gone.items()],
        "reached": [[*key, *latest] for key, latest in totals.reached.items()],
        "patterns": _patterns(totals.patterns),
    }
    return _encode(value).encode("utf-8", errors="replace")


def _by_family(series: Mapping[str, Mapping[tuple[str, ...], Any]]) -> dict[str, list[Any]]:
    return {name: [[labels, value] for labels, value in values.items()] for name, values in series.items()}


def _instances(process: Process) -> dict[str, list[Any]]:
    return {
        name: [
            each.ended_us,
            each.interval_s,
            each.memory_bytes,
            each.memory_limit_bytes,
            each.running,
            each.pools,
        ]
        for name, each in process.instances.items()
    }


def _patterns(patterns: PatternTotals) -> dict[str, Any]:
    # A key is told once, and by its place from then on.
    keys = {*patterns.numbers, *patterns.scores}.union(*(one.keys for one in patterns.generations))
    places = {key: place for place, key in enumerate(sorted(keys))}
    return {
        "keys": list(places),
        "numbers": {places[key]: numbers for key, numbers in patterns.numbers.items()},
        "names": {places[key]: names for key, names in patterns.names.items() if key in places},
        "scores": {places[key]: round(score) for key, score in patterns.scores.items()},
        "scored_us": patterns.scored_us,
        "generations": [
            [one.since_us, one.most, sorted(places[key] for key in one.keys)] for one in patterns.generations
        ],
        "other": patterns.other,
        "known": {service: "".join(sorted(ids)) for service, ids in patterns.known.items()},
        "windows": {
            slot: {places[key]: _histogram(durations) for key, durations in window.items() if key in places}
            for slot, window in patterns.windows.items()
        },
    }


def _histogram(durations: Histogram) -> list[Any]:
    buckets = durations.buckets
    return [durations.total_ns, durations.min_ns, durations.max_ns, list(buckets), list(buckets.values())]


def decoded(state: bytes | None, most_patterns: int = MOST_PATTERNS) -> Totals:
    """
    The totals of a state; empty ones if there is none.

    Args:
        state: What `encoded` gave.
        most_patterns: Patterns that may have series of their own, if there is none.

    Raises:
        StoreError: If it is no state, or one of a newer version.
    """
    if state is None:
        return Totals(PatternTotals.empty(most_patterns))
    try:
        value = json.loads(state)
        if value["format"] != _FORMAT:
            raise StoreError(f"exported totals must be of format {_FORMAT}; got {value['format']!r}")
        return _totals(value)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise StoreError(f"exported totals must be those of a tick; got {type(error).__name__}: {error}") from error


def _totals(value: dict[str, Any]) -> Totals:
    return Totals(
        _patterns_of(value["patterns"]),
        _series(value["counters"], int),
        _series(value["histograms"], list),
        {(row[0], row[1]): Process(row[2], _instances_of(row[3])) for row in value["processes"]},
        {(row[0], row[1]): (row[2], row[3]) for row in value["reached"]},
        _series(value["told"], float),
        value["marks"],
        {(row[0], row[1]): row[2] for row in value.get("gone", ())},  # one of an earlier version has none
    )


def _series(families: dict[str, list[Any]], kind: Callable[[Any], Any]) -> dict[str, dict[tuple[str, ...], Any]]:
    """What another version kept in another way is left out, and counted from zero."""
    return {
        name: {tuple(labels): kind(value) for labels, value in values if _fits(_FAMILIES[name], labels, value)}
        for name, values in families.items()
        if name in _FAMILIES
    }


def _fits(family: Family, labels: list[str], value: Any) -> bool:
    parts = len(family.bounds) + 2 if family.kind == "histogram" else None
    return len(labels) == len(family.labels) and (len(value) if isinstance(value, list) else None) == parts


def _instances_of(told: dict[str, list[Any]]) -> dict[str, Instance]:
    return {
        name: Instance(
            ended_us,
            interval_s,
            memory_bytes,
            limit_bytes,
            {target: (count, oldest_ms) for target, (count, oldest_ms) in running.items()},
            {pool: PoolGauges(*gauges) for pool, gauges in pools.items()},
        )
        for name, (ended_us, interval_s, memory_bytes, limit_bytes, running, pools) in told.items()
    }


def _patterns_of(value: dict[str, Any]) -> PatternTotals:
    keys = [(service, pattern_id) for service, pattern_id in value["keys"]]
    return PatternTotals(
        [Generation(since_us, most, {keys[at] for at in places}) for since_us, most, places in value["generations"]],
        {keys[int(place)]: numbers for place, numbers in value["numbers"].items() if len(numbers) == _NUMBERS},
        {keys[int(place)]: (names[0], names[1], names[2]) for place, names in value["names"].items()},
        {service: numbers for service, numbers in value["other"].items() if len(numbers) == _NUMBERS},
        {keys[int(place)]: float(score) for place, score in value["scores"].items()},
        value["scored_us"],
        {
            int(slot): {keys[int(place)]: _histogram_of(row) for place, row in window.items()}
            for slot, window in value["windows"].items()
        },
        {service: set(_ids(told)) for service, told in value["known"].items()},
    )


def _ids(told: str) -> Iterable[str]:
    return (told[place : place + _ID_LENGTH] for place in range(0, len(told), _ID_LENGTH))


def _histogram_of(row: list[Any]) -> Histogram:
    total_ns, min_ns, max_ns, buckets, counts = row
    return Histogram(sum(counts), total_ns, min_ns, max_ns, dict(zip(buckets, counts, strict=True)))
