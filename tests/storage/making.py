"""Snapshots for tests: small ones by hand, any by hypothesis."""

import resource
import signal
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from querygauge.histogram import EMPTY, Histogram
from querygauge.values import (
    OUTCOMES,
    PHASES,
    Demand,
    Failure,
    HealthCheck,
    Holder,
    OutcomeCounts,
    Pattern,
    PhaseTimes,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
    ProcessUsage,
    QueryErrors,
    QueryStats,
    Repetition,
    RunningQuery,
    RunningState,
    ScopeStats,
    SelfMetrics,
    SlowQuery,
    Snapshot,
    oldest_first,
)

NOON = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)


def pattern(number: int = 1) -> Pattern:
    """Pattern `number`; its id is the number."""
    return Pattern(f"{number:016x}", f"SELECT ? FROM t{number}", f"SELECT t{number}", "SELECT", ("t",), "sqlite")


def stats(executions: int = 3, *, number: int = 1, target: str = "main", at: datetime = NOON) -> QueryStats:
    """`executions` executions of pattern `number`, each of 2 ms."""
    durations = Histogram.of([2_000_000] * executions)
    return QueryStats(
        pattern(number), target, OutcomeCounts(ok=executions), 0, executions, executions, durations, at, at
    )


def snapshot(
    executions: int = 3, *, service: str = "shop", process: str = "web:1", ended: datetime = NOON, number: int = 1
) -> Snapshot:
    """The ten seconds before `ended`, with one pattern."""
    queries = (stats(executions, number=number, at=ended),)
    return Snapshot(service, process, ended - timedelta(seconds=10), ended, queries)


def running(age_ms: float = 5_000.0, *, number: int = 1, at: datetime = NOON, **members: str) -> RunningQuery:
    """An execution of pattern `number` on the target `main` that has run for so long at a moment."""
    return RunningQuery(pattern(number), "main", age_ms, at - timedelta(milliseconds=age_ms), age_ms + 1, **members)


def total(found: list[QueryStats]) -> int:
    """All executions together."""
    return sum(entry.execution_count for entry in found)


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Files this process writes may grow to `size` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


# Half a surrogate pair cannot be stored; NUL and everything else can.
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_names = st.text(string.ascii_letters, min_size=1, max_size=3)
_counts = st.integers(0, 2**40)
_tags = st.dictionaries(_names, _texts, max_size=1)
_moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 3), timezones=st.just(UTC))  # noqa: DTZ001
_LINES = ("a.py:1 in f", "b.py:2 in g ü", "c.py:3 in <module>")
_floats = st.floats(0, 1e6)
_optional_texts = st.none() | _texts


@st.composite
def _patterns(draw: st.DrawFn) -> Pattern:
    number = draw(st.integers(1, 4))
    return Pattern(
        f"{number:016x}", f"text {number} ✓\x00\n", f"S {number}", "SELECT", ("a", "b ü"), "mysql", "catalog"
    )


@st.composite
def _histograms(draw: st.DrawFn, size: int) -> Histogram:
    if not size:
        return EMPTY
    return Histogram.of(draw(st.lists(st.integers(1, 10**12), min_size=size, max_size=size)))


@st.composite
def _query_stats(draw: st.DrawFn) -> QueryStats:
    # A monitor tells of a pattern because something executed it.
    outcomes = draw(st.builds(OutcomeCounts, *(st.integers(0, 3) for _ in OUTCOMES)).filter(lambda some: some.total))
    some = st.integers(0, outcomes.total)
    first, last = sorted((draw(_moments), draw(_moments)))
    scope = draw(st.none() | _names)
    return QueryStats(
        draw(_patterns()),
        draw(_names),
        outcomes,
        draw(some),
        draw(_counts),
        draw(some),
        draw(_histograms(outcomes.total)),
        first,
        last,
        draw(st.builds(PhaseTimes, *(_counts for _ in PHASES))),
        draw(st.dictionaries(st.sampled_from(_LINES), st.integers(1, 3))),
        scope=scope,
        tags={} if scope is None else draw(_tags),
    )


_failures = st.builds(Failure, _names, st.none() | _names, _texts)
# Whole numbers of 64 bits: larger ones are texts from the moment they are kept.
_parameters = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)
_slow_queries = st.builds(
    SlowQuery,
    query=_texts,
    pattern_id=_names,
    summary=_texts,
    target=_names,
    duration_ms=_floats,
    timestamp=_moments,
    outcome=st.sampled_from(OUTCOMES),
    rows=st.none() | _counts,
    parameters=_parameters,
    call_site=_optional_texts,
    error=st.none() | _failures,
    trace_id=_optional_texts,
    scope=_optional_texts,
    loop_lag_ms=_floats,
    operation=_names,
    tags=_tags,
    is_slow=st.booleans(),
)
_query_errors = st.builds(
    QueryErrors,
    pattern=_patterns(),
    target=_names,
    error_type=_optional_texts.map(lambda name: name or ""),
    sqlstate=st.none() | _names,
    count=st.integers(1, 2**40),
    last_seen=_moments,
    message=_texts,
)
_repetitions = st.builds(
    lambda compared, parameters, **members: Repetition(
        compared_count=max(compared, parameters), parameters_count=min(compared, parameters), **members
    ),
    compared=_counts,
    parameters=_counts,
    pattern=_patterns(),
    target=_names,
    call_site=_optional_texts,
    scope=_optional_texts,
    scopes_count=_counts,
    execution_count=_counts,
    max_per_scope=_counts,
    total_duration_ms=_floats,
    parents_count=_counts,
    origins_count=_counts,
    tasks_count=_counts,
    overlap_count=_counts,
    parallel_scopes_count=_counts,
    cause=st.none() | st.sampled_from(("lazy", "immediate", "expired", "refreshed", "deferred", "partial")),
    attribute=_optional_texts,
)


def _scope(name: str, tags: dict[str, str], count: int, ms: float) -> ScopeStats:
    # One number stands for all of them, as an example may hold so many draws and no more.
    outcomes = OutcomeCounts(count, count // 2, count // 3, count // 5)
    return ScopeStats(name, tags, count + 1, ms + 1, outcomes, count // 7, ms, count // 11, ms / 2)


_scopes = st.builds(_scope, _names, _tags, _counts, _floats)
_small = st.integers(0, 1000)
_holders = st.builds(
    Holder,
    age_s=_floats,
    call_site=_optional_texts,
    pattern_id=_optional_texts,
    activity=st.sampled_from([None, "active", "idle in transaction", "idle"]),
    reason=_optional_texts,
)
_oldest_first = st.lists(_holders, max_size=3).map(lambda held: tuple(sorted(held, key=lambda holder: -holder.age_s)))
_states = st.builds(
    PoolSnapshot,
    timestamp=_moments,
    pool_size=_small,
    active_connections=_small,
    idle_connections=_small,
    waiting_count=_small,
    overflow=_small,
    max_connections=_small,
    oldest_checkout_s=_floats,
    idle_max=st.none() | _small,
    idle_min=_small,
    pool_class=st.none() | _names,
    driver=st.none() | _names,
    holders=_oldest_first,
)


_by_level = st.dictionaries(st.integers(0, 2**20), st.integers(1, 2**40), max_size=4)
_demands = st.builds(Demand, limit=_small, full_ns=_counts, times_ns=_by_level, requests=_by_level)


@st.composite
def _metrics(draw: st.DrawFn) -> PoolMetrics:
    checks = draw(_small)
    return PoolMetrics(
        total_requests=draw(_counts),
        total_checkouts=draw(_counts),
        total_checkins=draw(_counts),
        total_timeouts=draw(_counts),
        total_errors=draw(_counts),
        wait=draw(_histograms(draw(st.integers(0, 4)))),
        use=draw(_histograms(draw(st.integers(0, 4)))),
        create=draw(_histograms(draw(st.integers(0, 4)))),
        peak_active=draw(_small),
        peak_waiting=draw(_small),
        health_checks=checks,
        health_checks_failed=draw(st.integers(0, checks)),
        leaks=draw(_counts),
        lost_to_cancellation=draw(_counts),
        lost_by_pattern=draw(st.dictionaries(_names, st.integers(1, 9), max_size=2)),
        demand=draw(_demands),
    )


_health_checks = st.lists(st.tuples(_floats, _optional_texts), max_size=2).map(
    lambda made: tuple(HealthCheck(NOON + timedelta(minutes=number), *check) for number, check in enumerate(made))
)
_self_metrics = st.builds(
    SelfMetrics, **{field.name: _floats if field.type is float else _counts for field in fields(SelfMetrics)}
)
# Executions begin in whole microseconds, as a clock tells them.
_running_queries = st.builds(
    RunningQuery,
    pattern=_patterns(),
    target=st.just("main"),
    age_ms=_floats,
    started=_moments,
    held_ms=_floats,
    call_site=_optional_texts,
    scope=_optional_texts,
    reason=_optional_texts,
)
_running = st.builds(
    lambda queries, more, oldest_ms: (RunningState("main", len(queries) + more, oldest_ms, oldest_first(queries)),),
    st.lists(_running_queries, max_size=3),
    _counts,
    _floats,
)
_usages = st.builds(ProcessUsage, st.none() | _counts, st.none() | _counts, st.none() | _floats)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Any snapshot of one service and process, as a monitor could make it."""
    started, ended = sorted((draw(_moments), draw(_moments)))
    pools = st.builds(
        PoolWindow,
        pool=_names,
        state=_states,
        metrics=_metrics(),
        health_checks=_health_checks,
        timeout_holders=_oldest_first,
    )
    return Snapshot(
        "shop",
        "web:1",
        started,
        ended,
        tuple(draw(st.lists(_query_stats(), max_size=4, unique_by=_place))),
        tuple(draw(st.lists(_slow_queries, max_size=3))),
        tuple(draw(st.lists(_repetitions, max_size=3, unique_by=lambda r: (r.pattern.id, r.target, r.call_site)))),
        tuple(draw(st.lists(pools, max_size=2, unique_by=lambda window: window.pool))),
        draw(_self_metrics),
        scopes=tuple(draw(st.lists(_scopes, max_size=2, unique_by=_label))),
        usage=draw(_usages),
        running=draw(_running),
        flush_interval_s=draw(st.none() | _floats),
        errors=tuple(draw(st.lists(_query_errors, max_size=3, unique_by=_way))),
    )


def _place(stats: QueryStats) -> object:
    return stats.pattern.id, stats.target, stats.scope, tuple(stats.tags.items())


def _way(errors: QueryErrors) -> object:
    return errors.pattern.id, errors.target, errors.error_type, errors.sqlstate


def _label(stats: ScopeStats) -> object:
    return stats.scope, tuple(stats.tags.items())
