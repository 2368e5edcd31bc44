"""
The totals that are exported: digests are added, one by one and in any order, and out come counters and gauges.

Deliberately not here: how they are kept in a file (`prometheus_state`) and shown (`prometheus_samples`), and patterns.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import add
from typing import Final

from querygauge.export.prometheus_digest import COMPILED, Digest, Labels, PoolGauges
from querygauge.export.prometheus_families import FAMILIES, OTHER, family
from querygauge.export.prometheus_patterns import PatternTotals

__all__ = ["MOST_PATTERNS", "Instance", "Process", "Totals", "bounded"]

MOST_PATTERNS: Final = 100
"""Patterns that have series of their own, unless the settings say otherwise."""

# Label sets of one family; whoever has more gives a value to something that has none.
_MOST_SERIES: Final = 500
_MOST_PROCESSES: Final = 200
_MOST_LIVE: Final = 1_000  # those that tell of themselves are kept, or what they count would begin anew with each tick
_LIVE_US: Final = 180_000_000  # a process tells once a minute that it lives
_MOST_INSTANCES: Final = 16
_MOST_TARGETS: Final = 500
# Who was not heard of for so long is gone; its counters were scraped often enough by then.
_FORGOTTEN_US: Final = 3_600_000_000
# A process without traffic says once a minute that it lives.
_HEARTBEAT_US: Final = 60_000_000
_INTERVALS: Final = 3
_US_PER_S: Final = 1e6
_CPU: Final = "cpu"
_SPOOL_FULL: Final = "spool_full"
_FREE_LABELS: Final = frozenset({"operation", "error_type", "sqlstate"})
_KEPT_LABELS: Final = frozenset({"service", "status", "state", "result"})
_OF_PROCESSES: Final = frozenset(each.name.removeprefix("querygauge_") for each in FAMILIES if "process" in each.labels)


@dataclass(slots=True)
class Instance:
    """
    What one gauge told last.

    Attributes:
        ended_us: When, in microseconds since 1970.
        interval_s: Seconds between two flushes.
        memory_bytes: Of its process.
        memory_limit_bytes: Likewise.
        running: As in `Digest`.
        pools: Likewise.
    """

    ended_us: int
    interval_s: float
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    running: dict[str, tuple[int, float]] = field(default_factory=dict)
    pools: dict[str, PoolGauges] = field(default_factory=dict)

    def is_live(self, now_us: int) -> bool:
        """Whether it told anything in its last three intervals, those of a process without traffic left out."""
        return now_us - self.ended_us <= _INTERVALS * self.interval_s * _US_PER_S + _HEARTBEAT_US

    def is_fresh(self, now_us: int) -> bool:
        """Whether it told anything in its last three intervals."""
        return now_us - self.ended_us <= _INTERVALS * self.interval_s * _US_PER_S


@dataclass(slots=True)
class Process:
    """
    A process, with all gauges that it has and that earlier ones of that name had.

    Attributes:
        since: What each has counted since it began, by instance and name.
        instances: What each told last.
    """

    since: dict[str, dict[str, int]] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)

    @property
    def ended_us(self) -> int:
        """When it told anything last."""
        return max(instance.ended_us for instance in self.instances.values())

    def count(self, name: str) -> int | None:
        """A count of all together; None if none told it."""
        told = {instance: counts[name] for instance, counts in self.since.items() if name in counts}
        if not told:
            return None
        if name != _CPU:
            return sum(told.values())
        # Gauges of one process have watched the same processor.
        most: dict[str, int] = {}
        for instance, number in told.items():
            word = instance.partition(".")[0]
            most[word] = max(most.get(word, 0), number)
        return sum(most.values())

    def compiled(self) -> Iterator[tuple[str, str, int]]:
        """Target, result and number of what was compiled for it."""
        for name in {name for counts in self.since.values() for name in counts if name.startswith(COMPILED)}:
            result, _, target = name.removeprefix(COMPILED).partition(" ")
            yield target, result, self.count(name) or 0

    def add(self, digest: Digest) -> None:
        """Takes in what one of its gauges told."""
        counts = self.since.setdefault(digest.instance, {})
        for name, number in digest.since.items():
            counts[name] = max(counts.get(name, 0), number)
        before = self.instances.get(digest.instance)
        if before is None or before.ended_us <= digest.ended_us:
            self.instances[digest.instance] = Instance(
                digest.ended_us,
                digest.interval_s,
                digest.memory_bytes,
                digest.memory_limit_bytes,
                dict(digest.running),
                dict(digest.pools),
            )

    def settle(self) -> None:
        """Adds the counts of all but the latest gauges up, so that it is known how much is kept."""
        by_age = sorted(self.instances, key=lambda name: self.instances[name].ended_us)
        for name in by_age[:-_MOST_INSTANCES]:
            del self.instances[name]
            total = self.since.setdefault("", {})
            for each, number in self.since.pop(name, {}).items():
                total[each] = total.get(each, 0) + number


@dataclass(slots=True)
class Totals:
    """
    Everything that is exported.

    Attributes:
        patterns: Those of patterns.
        counters: By family and labels; nanoseconds where the unit is seconds.
        histograms: Likewise executions by bucket, and nanoseconds together.
        processes: By service and name.
        reached: By service and target, when it was last known whether a server was reached, and whether it was.
        told: Gauges that only a tick knows, by family and labels.
        marks: What a tick must know of the one before.
        gone: By service and name, what processes that were forgotten had counted and `counters` has now.
    """

    patterns: PatternTotals = field(default_factory=lambda: PatternTotals.empty(MOST_PATTERNS))
    counters: dict[str, dict[Labels, int]] = field(default_factory=dict)
    histograms: dict[str, dict[Labels, list[int]]] = field(default_factory=dict)
    processes: dict[tuple[str, str], Process] = field(default_factory=dict)
    reached: dict[tuple[str, str], tuple[int, bool]] = field(default_factory=dict)
    told: dict[str, dict[Labels, float]] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    gone: dict[tuple[str, str], dict[str, dict[str, int]]] = field(default_factory=dict)

    def add(self, digest: Digest, *, decides: bool = False) -> None:
        """
        Adds what one snapshot holds.

        Args:
            digest: What it holds.
            decides: Whether a state is made, in which patterns are given series.
        """
        for (name, labels), number in digest.counters.items():
            self.count(name, labels, number)
        for (name, labels), numbers in digest.histograms.items():
            self.observe(name, labels, numbers)
        self._process((digest.service, digest.process)).add(digest)
        for target, latest in digest.reached.items():
            key = (digest.service, target)
            self.reached[key] = max(latest, self.reached.get(key, latest), key=lambda one: (one[0], not one[1]))
        self.patterns.add(digest, decides=decides)

    def count(self, name: str, labels: Labels, number: int) -> None:
        """Adds to a counter."""
        series = self.counters.setdefault(name, {})
        labels = bounded(name, labels, series)
        series[labels] = series.get(labels, 0) + number

    def observe(self, name: str, labels: Labels, numbers: list[int]) -> None:
        """Adds to a histogram."""
        series = self.histograms.setdefault(name, {})
        labels = bounded(name, labels, series)
        before = series.get(labels)
        series[labels] = [*numbers] if before is None else [*map(add, before, numbers)]

    def settle(self, now_us: int, most_patterns: int = MOST_PATTERNS) -> None:
        """
        Decides about patterns, and forgets who is gone; for whoever makes a state.

        Args:
            now_us: Microseconds since 1970.
            most_patterns: Patterns that may have series of their own.
        """
        self.patterns.decide(now_us, most_patterns)
        newest = sorted(self.processes, key=lambda key: -self.processes[key].ended_us)
        for place, key in enumerate(newest):
            process = self.processes[key]
            process.settle()
            silent_us = now_us - process.ended_us
            most = _MOST_LIVE if silent_us <= _LIVE_US else _MOST_PROCESSES
            if place >= most or silent_us > _FORGOTTEN_US:
                self._forget(key)
        latest = sorted(self.reached, key=lambda key: -self.reached[key][0])
        for gone in latest[_MOST_TARGETS:]:
            del self.reached[gone]

    def _process(self, key: tuple[str, str]) -> Process:
        """A process; one that was asleep and not gone tells again what it had counted before."""
        if key not in self.processes:
            self.processes[key] = Process(self.gone.pop(key, {}))
            self._keep_counts(key, -1)
        return self.processes[key]

    def _keep_counts(self, key: tuple[str, str], sign: int) -> None:
        """Takes what a process has counted, and is not told by its name, into the counters, or out of them."""
        process = self.processes[key]
        for target, result, number in process.compiled():
            self.count("compiled_cache_total", (key[0], target, result), sign * number)
        dropped = process.count(_SPOOL_FULL)
        if dropped:
            self.count("snapshots_dropped_total", (_SPOOL_FULL,), sign * dropped)

    def _forget(self, key: tuple[str, str]) -> None:
        self._keep_counts(key, 1)
        kept = {
            instance: {name: number for name, number in counts.items() if number and _is_kept(name)}
            for instance, counts in self.processes.pop(key).since.items()
        }
        if any(kept.values()):
            self.gone[key] = kept
        for longest in list(self.gone)[:-_MOST_PROCESSES]:
            del self.gone[longest]
        for name in _OF_PROCESSES & self.counters.keys():
            place = family(name).labels.index("process")
            series = self.counters[name]
            for labels in [labels for labels in series if (labels[0], labels[place]) == key]:
                del series[labels]


def _is_kept(name: str) -> bool:
    return name == _SPOOL_FULL or name.startswith(COMPILED)


def bounded(name: str, labels: Labels, series: Mapping[Labels, object]) -> Labels:
    """The labels that something is counted under: its own, unless there are many others already."""
    if labels in series or len(series) < _MOST_SERIES:
        return labels
    names = family(name).labels
    free = tuple(OTHER if each in _FREE_LABELS else value for each, value in zip(names, labels, strict=True))
    if free in series or len(series) < 2 * _MOST_SERIES:
        return free
    return tuple(value if each in _KEPT_LABELS else OTHER for each, value in zip(names, labels, strict=True))
