"""What snapshots add to the totals, and what is served of them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querygauge.clock import microseconds_of
from querygauge.errors import StoreError
from querygauge.export.prometheus_digest import Labels, digest_of
from querygauge.export.prometheus_families import BOUNDS, FAMILIES, PATTERN_BOUNDS, family
from querygauge.export.prometheus_samples import served
from querygauge.export.prometheus_state import decoded, encoded
from querygauge.export.prometheus_totals import Totals
from querygauge.histogram import Histogram
from querygauge.values import (
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
    RunningState,
    SelfMetrics,
    Snapshot,
)
from storage.making import NOON, pattern, snapshot, snapshots, stats

_MS = 1_000_000
_NOON_US = microseconds_of(NOON)


def _totals(*found: Snapshot, decides: bool = True) -> Totals:
    totals = Totals()
    for each in found:
        totals.add(digest_of(each), decides=decides)
    return totals


def _served(totals: Totals, now_us: int = _NOON_US) -> dict[str, Mapping[Labels, float | list[float]]]:
    return {series.family.name.removeprefix("querygauge_"): series.values for series in served(totals, now_us, {})}


def _full() -> Snapshot:
    """A snapshot that has something for every family which a process can tell of."""
    query = QueryStats(
        Pattern("00000000000000aa", "SELECT", "SELECT orders", "SELECT", ("orders", "items"), "postgresql"),
        "main",
        OutcomeCounts(3, 2, 1, 1),
        2,
        40,
        3,
        Histogram.of([_MS * ms for ms in (1, 2, 20, 300, 2_000, 3_000, 70_000)]),
        NOON,
        NOON,
        PhaseTimes(_MS, 2 * _MS, 3 * _MS, 4 * _MS, 5 * _MS, 6 * _MS, 7 * _MS, 8 * _MS),
    )
    state = PoolSnapshot(NOON, 5, 4, 1, 2, 1, 6, 12.5, (Holder(12.5, activity="idle in transaction"), Holder(1.0)), 5)
    metrics = PoolMetrics(
        total_requests=9,
        total_checkouts=8,
        total_timeouts=1,
        wait=Histogram.of([_MS] * 8),
        use=Histogram.of([20 * _MS] * 7),
        create=Histogram.of([5 * _MS] * 3),
        health_checks=4,
        health_checks_failed=1,
        leaks=1,
        lost_to_cancellation=2,
        errors_by_type={"OperationalError": 2},
    )
    repeated = Repetition(pattern(), "main", "app.py:1 in f", "GET /", 2, 12, 7, 5.0, cause="lazy", parents_count=9)
    return Snapshot(
        "shop",
        "web:1",
        NOON - timedelta(seconds=10),
        NOON,
        queries=(query,),
        repetitions=(repeated,),
        pools=(PoolWindow("main", state, metrics, (HealthCheck(NOON, 1.0),)),),
        self_metrics=SelfMetrics(
            added_us=2.0,
            fold_us=1.0,
            statements_dropped=1,
            patterns_folded=2,
            scopes_folded=3,
            slow_queries_dropped=4,
            snapshots_dropped=5,
        ),
        running=(RunningState("main", 3, 4_500.0),),
        usage=ProcessUsage(1_000, 2_000, 1.5),
        flush_interval_s=10.0,
        errors=(QueryErrors(query.pattern, "main", "UniqueViolation", "23505", 3, NOON, ""),),
        instance="a.1",
        hook_errors={"statement": 3},
        pattern_cache={"miss": 6, "evicted": 7},
        compiled_cache={"main": {"miss": 8, "uncached": 9}, "a b": {"miss": 1, "uncached": 0}},
    )


_EXPECTED: Mapping[str, Mapping[Labels, Any]] = {
    "queries_total": {
        ("shop", "main", "SELECT", "ok"): 3,
        ("shop", "main", "SELECT", "error"): 2,
        ("shop", "main", "SELECT", "timeout"): 1,
        ("shop", "main", "SELECT", "cancelled"): 1,
    },
    "query_duration_seconds": {("shop", "main", "SELECT"): [0, 2, 0, 1, 0, 1, 2, 0, 1, 75.323]},
    "slow_queries_total": {("shop", "main", "SELECT"): 2},
    "query_errors_total": {("shop", "main", "UniqueViolation", "23505"): 3},
    "queries_running": {("shop", "main"): 3},
    "queries_running_oldest_seconds": {("shop", "main"): 4.5},
    "pool_pending_requests": {("shop", "main", "web:1"): 2},
    "rows_total": {("shop", "main", "SELECT"): 40},
    "query_phase_seconds_total": {
        ("shop", "main", "pool_wait"): 0.001,
        ("shop", "main", "connect"): 0.002,
        ("shop", "main", "begin"): 0.003,
        ("shop", "main", "prepare"): 0.004,
        ("shop", "main", "execute"): 75.311,
        ("shop", "main", "fetch"): 0.011,
        ("shop", "main", "commit"): 0.007,
    },
    "event_loop_lag_seconds_total": {("shop", "web:1"): 0.008},
    "compiled_cache_total": {
        ("shop", "main", "miss"): 8,
        ("shop", "main", "uncached"): 9,
        ("shop", "a b", "miss"): 1,
        ("shop", "a b", "uncached"): 0,
    },
    "pool_connections": {("shop", "main", "web:1", "used"): 4, ("shop", "main", "web:1", "idle"): 1},
    "pool_connections_max": {("shop", "main", "web:1"): 6},
    "pool_connections_idle_max": {("shop", "main", "web:1"): 5},
    "pool_connections_created_total": {("shop", "main", "web:1"): 3},
    "pool_connection_errors_total": {("shop", "main", "web:1", "OperationalError"): 2},
    "pool_checkouts_total": {("shop", "main", "web:1"): 8},
    "pool_timeouts_total": {("shop", "main", "web:1"): 1},
    "pool_wait_seconds": {("shop", "main"): [0, 8, 0, 0, 0, 0, 0, 0, 0, 0.008]},
    "pool_create_seconds": {("shop", "main"): [0, 0, 3, 0, 0, 0, 0, 0, 0, 0.015]},
    "pool_use_seconds": {("shop", "main"): [0, 0, 0, 7, 0, 0, 0, 0, 0, 0.14]},
    "pool_overflow_connections": {("shop", "main", "web:1"): 1},
    "pool_oldest_checkout_seconds": {("shop", "main", "web:1"): 12.5},
    "pool_idle_in_transaction_connections": {("shop", "main", "web:1"): 1},
    "pool_connections_lost_total": {
        ("shop", "main", "web:1", "cancellation"): 2,
        ("shop", "main", "web:1", "leaked"): 1,
    },
    "pool_health_checks_total": {("shop", "main", "web:1", "ok"): 3, ("shop", "main", "web:1", "failed"): 1},
    "database_up": {("shop", "main"): 1},
    "pattern_queries_total": {
        ("shop", "00000000000000aa", "ok"): 3,
        ("shop", "00000000000000aa", "error"): 2,
        ("shop", "00000000000000aa", "timeout"): 1,
        ("shop", "00000000000000aa", "cancelled"): 1,
    },
    "pattern_duration_seconds": {("shop", "00000000000000aa"): [3, 1, 3, 75.323]},
    "pattern_percentile_seconds": {
        ("shop", "00000000000000aa", "0.95"): 70.0,
        ("shop", "00000000000000aa", "0.99"): 70.0,
    },
    "pattern_rows_total": {("shop", "00000000000000aa"): 40},
    "pattern_slow_queries_total": {("shop", "00000000000000aa"): 2},
    "pattern_info": {("shop", "00000000000000aa", "SELECT orders", "SELECT", "orders,items"): 1},
    "patterns": {("shop",): 1},
    "repetitions_total": {("shop", "lazy-load", "certain"): 2},
    "repeated_queries_total": {("shop", "lazy-load"): 10},
    "snapshots_dropped_total": {("spool_full",): 5},
    "processes": {("shop",): 1},
    "process_memory_bytes": {("shop", "web:1"): 1_000},
    "process_memory_limit_bytes": {("shop", "web:1"): 2_000},
    "process_cpu_seconds_total": {("shop", "web:1"): 1.5},
    "hook_seconds_total": {("shop", "web:1"): 0.000021},
    "statements_dropped_total": {
        ("shop", "web:1", "not_counted"): 1,
        ("shop", "web:1", "pattern_limit"): 2,
        ("shop", "web:1", "scope_limit"): 3,
        ("shop", "web:1", "history_full"): 4,
    },
    "hook_errors_total": {("shop", "web:1", "statement"): 3},
    "pattern_cache_total": {
        ("shop", "web:1", "miss"): 6,
        ("shop", "web:1", "evicted"): 7,
        ("shop", "web:1", "folded"): 2,
    },
    "flush_age_seconds": {("shop", "web:1"): 7.0},
}


@pytest.mark.parametrize("name", sorted(_EXPECTED))
def test_a_snapshot_gives_every_family_its_value(name: str) -> None:
    """Exactly: counts and sums as they were told, quantiles to within 1.09 %."""
    assert _served(_totals(_full()), _NOON_US + 7_000_000)[name] == _EXPECTED[name]


def test_nothing_else_comes_of_a_snapshot() -> None:
    """The table above is complete: what is not in it comes of the tick, or of whoever serves."""
    assert _served(_totals(_full())).keys() == _EXPECTED.keys()


def test_bounds_are_exact() -> None:
    """A duration that is exactly a bound is below it, and one of a nanosecond more is not."""
    for place, bound in enumerate(BOUNDS):
        bound_ns = round(bound * 1e9)
        if bound_ns / 1e9 != bound:
            continue
        found = replace(stats(), durations=Histogram.of([bound_ns, bound_ns + bound_ns // 1_000]))
        totals = _totals(replace(snapshot(), queries=(replace(found, outcomes=OutcomeCounts(ok=2)),)))
        (counts,) = totals.histograms["query_duration_seconds"].values()
        assert (counts[place], counts[place + 1]) == (1, 1)
    assert set(PATTERN_BOUNDS) <= set(BOUNDS)


@given(st.lists(snapshots(), max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_snapshots_does_not_matter(found: list[Snapshot], random: object) -> None:
    """Whoever reads files in another order serves the same counters."""
    others = list(found)
    random.shuffle(others)  # type: ignore[attr-defined]
    one, other = _totals(*found), _totals(*others)
    assert (one.counters, one.histograms, one.patterns.numbers) == (
        other.counters,
        other.histograms,
        other.patterns.numbers,
    )


@given(st.lists(snapshots(), max_size=4))
@settings(max_examples=30, deadline=None)
def test_totals_survive_the_state(found: list[Snapshot]) -> None:
    """What is kept from tick to tick is everything."""
    totals = _totals(*found)
    again = decoded(encoded(totals))
    assert _served(again) == _served(totals)
    assert encoded(again) == encoded(totals)


def test_what_another_version_kept_differently_begins_anew() -> None:
    """Rather than being added to numbers that mean something else."""
    totals = _totals(_full())
    kept = json.loads(encoded(totals))
    kept["counters"]["queries_total"].append([["shop", "ok"], 7])
    kept["counters"]["invented_total"] = [[["shop"], 7]]
    kept["histograms"]["pool_wait_seconds"] = [[["shop", "main"], [1, 2, 3]]]
    kept["patterns"]["other"] = {"shop": [1, 2, 3]}
    found = _served(decoded(json.dumps(kept).encode()))
    assert found["queries_total"] == _EXPECTED["queries_total"]
    assert "pool_wait_seconds" not in found
    assert "other" not in {labels[1] for labels in found["pattern_queries_total"]}


@pytest.mark.parametrize("state", [b"", b"nonsense", b"[]", b'{"format":2}', b'{"format":1}'])
def test_what_is_no_state_is_said(state: bytes) -> None:
    """As is that of a newer version."""
    with pytest.raises(StoreError, match="exported totals must be"):
        decoded(state)


def test_a_process_that_is_silent_has_no_gauges() -> None:
    """After three intervals and the minute in which one without traffic may be silent; its counters stay."""
    totals = _totals(_full())
    found = _served(totals, _NOON_US + 91_000_000)
    gone = {
        each.name.removeprefix("querygauge_") for each in FAMILIES if each.kind == "gauge" and "process" in each.labels
    }
    assert (gone | {"processes", "queries_running", "database_up"}) & found.keys() == set()
    assert found["process_cpu_seconds_total"] == {("shop", "web:1"): 1.5}
    assert "flush_age_seconds" in _served(totals, _NOON_US + 89_000_000)


def test_what_ran_is_not_told_for_longer() -> None:
    """What runs is told at each flush."""
    assert _served(_totals(_full()), _NOON_US + 31_000_000)["queries_running"] == {("shop", "main"): 0}


def test_who_was_gone_for_an_hour_is_forgotten() -> None:
    """Or every process that ever was would have series; what its spool dropped stays counted."""
    totals = _totals(_full())
    totals.settle(_NOON_US + 3_601_000_000)
    found = _served(totals, _NOON_US + 3_601_000_000)
    assert [name for name in found if "process" in family(name).labels] == []
    assert found["snapshots_dropped_total"] == {("spool_full",): 5}
    assert found["compiled_cache_total"] == _EXPECTED["compiled_cache_total"]
    assert found["queries_total"] == _EXPECTED["queries_total"]


def test_who_was_asleep_for_an_hour_is_counted_once() -> None:
    """A machine that wakes up may tick before its processes flush, who tell what they counted since they began."""
    totals = _totals(_full())
    totals.settle(_NOON_US + 3_700_000_000)
    totals = decoded(encoded(totals))
    for minutes in (62, 63):
        totals.add(digest_of(replace(_full(), ended=NOON + timedelta(minutes=minutes))))
        totals.settle(_NOON_US + minutes * 60_000_000)
        found = _served(totals, _NOON_US + minutes * 60_000_000)
        assert found["snapshots_dropped_total"] == {("spool_full",): 5}
        assert found["compiled_cache_total"] == _EXPECTED["compiled_cache_total"]
    totals.settle(_NOON_US + 9_000_000_000)
    assert _served(totals, _NOON_US + 9_000_000_000)["compiled_cache_total"] == _EXPECTED["compiled_cache_total"]


def test_gauges_of_one_process_are_added_up_but_for_the_processor() -> None:
    """They count their own statements, and watch the same processor."""
    first, second = _full(), replace(_full(), instance="a.2", usage=ProcessUsage(1_000, 2_000, 0.5))
    found = _served(_totals(first, second))
    assert found["process_cpu_seconds_total"] == {("shop", "web:1"): 1.5}
    assert found["statements_dropped_total"]["shop", "web:1", "not_counted"] == 2
    assert (found["processes"], found["process_memory_bytes"]) == ({("shop",): 1}, {("shop", "web:1"): 1_000})


def test_a_process_of_the_same_name_goes_on() -> None:
    """A container that is restarted has its host name and process number again, and counts from zero."""
    later = NOON + timedelta(seconds=20)
    restarted = replace(_full(), instance="b.1", ended=later, usage=ProcessUsage(500, 2_000, 0.25))
    found = _served(_totals(_full(), restarted), microseconds_of(later))
    assert found["process_cpu_seconds_total"] == {("shop", "web:1"): 1.75}
    assert found["process_memory_bytes"] == {("shop", "web:1"): 500}


def test_many_restarts_take_no_room() -> None:
    """What earlier ones counted is added up."""
    totals = Totals()
    for number in range(40):
        ended = NOON + timedelta(seconds=number)
        totals.add(digest_of(replace(_full(), instance=f"{number}.1", ended=ended)))
    totals.settle(_NOON_US)
    (process,) = totals.processes.values()
    assert (len(process.instances), process.count("cpu")) == (16, 60_000_000_000)


def test_processes_are_bounded() -> None:
    """Of too many the longest silent are forgotten."""
    totals = Totals()
    for number in range(300):
        totals.add(digest_of(snapshot(process=f"web:{number}", ended=NOON + timedelta(milliseconds=number))))
    totals.settle(_NOON_US + 200_000_000)
    assert len(totals.processes) == 200
    assert ("shop", "web:0") not in totals.processes


def test_many_processes_that_live_are_counted_once() -> None:
    """With each tick they tell what they have counted since they began."""
    totals = Totals()
    for flush in range(3):
        ended = NOON + timedelta(seconds=10 * flush)
        for number in range(250):
            told = snapshot(1, process=f"web:{number}", ended=ended)
            totals.add(digest_of(replace(told, instance=f"{number}", compiled_cache={"main": {"miss": 1}})))
        totals.settle(microseconds_of(ended))
    found = _served(totals, microseconds_of(ended))
    assert found["compiled_cache_total"] == {("shop", "main", "miss"): 250}
    assert found["hook_seconds_total"].keys() == {("shop", f"web:{number}") for number in range(250)}


def test_gauges_of_many_pools_are_bounded() -> None:
    """An application with an engine for each of its customers; what goes beyond is added up, its state told."""
    window, running = _full().pools[0], RunningState("main", 1, 5.0)
    totals = _totals(
        replace(
            _full(),
            pools=tuple(replace(window, pool=f"db{number}") for number in range(3_000)),
            running=tuple(replace(running, target=f"db{number}") for number in range(3_000)),
            queries=tuple(stats(1, target=f"db{number}") for number in range(3_000)),
            compiled_cache={f"db{number}": {"miss": 1} for number in range(3_000)},
        )
    )
    found = _served(totals)
    assert max(map(len, found.values())) <= 1_002
    assert sum(found["compiled_cache_total"].values()) == 3_000  # type: ignore[arg-type]  # no histogram
    connections = found["pool_connections"]
    assert sum(each for labels, each in connections.items() if labels[3] == "used") == 12_000  # type: ignore[misc]
    assert found["queries_running"]["shop", "other"] == 2_000
    assert max(found["database_up"].values()) == 1


def test_label_sets_are_bounded() -> None:
    """Whoever makes a new error for every statement has one series for most of them, and every one is counted."""
    totals = Totals()
    for number in range(2_000):
        error = QueryErrors(pattern(), "main", f"Error{number}", "XX000", 1, NOON, "")
        totals.add(digest_of(replace(snapshot(), errors=(error,))))
    found = totals.counters["query_errors_total"]
    assert (len(found), sum(found.values())) == (501, 2_000)
    assert found["shop", "main", "other", "other"] == 1_500


def test_targets_are_bounded_too() -> None:
    """Of far too many databases all further ones are one; how statements ended stays told."""
    totals = Totals()
    for number in range(3_000):
        totals.add(digest_of(replace(snapshot(1), queries=(stats(1, target=f"db{number}"),))))
    found = totals.counters["queries_total"]
    assert (len(found) <= 1_001, sum(found.values())) == (True, 3_000)
    assert found["shop", "other", "other", "ok"] > 0


@pytest.mark.parametrize(
    ("error_type", "sqlstate", "is_up"),
    [("ConnectionDoesNotExistError", "08003", 0), ("OperationalError", "2013", 0), ("UniqueViolation", "23505", 1)],
)
def test_a_statement_tells_whether_the_server_was_reached(error_type: str, sqlstate: str, is_up: int) -> None:
    """One that the server refused has reached it."""
    failed = replace(stats(1), outcomes=OutcomeCounts(error=1))
    error = QueryErrors(failed.pattern, "main", error_type, sqlstate, 1, NOON, "")
    found = _served(_totals(replace(snapshot(), flush_interval_s=10.0, queries=(failed,), errors=(error,))))
    assert found["database_up"] == {("shop", "main"): is_up}


def test_the_last_evidence_counts() -> None:
    """Whichever process has it, and in whatever order it is read."""
    down = replace(_full(), queries=(), errors=(), pools=(_checked(NOON + timedelta(seconds=5), "refused"),))
    for found in ((_full(), down), (down, _full())):
        assert _served(_totals(*found))["database_up"] == {("shop", "main"): 0}


def _checked(at: object, error: str | None) -> PoolWindow:
    state = PoolSnapshot(NOON, 5, 0, 0, 0, 0, 5, 0.0)
    return PoolWindow("main", state, PoolMetrics(health_checks=1), (HealthCheck(at, 1.0, error),))  # type: ignore[arg-type]


def test_a_pool_that_gets_no_connection_has_reached_nobody() -> None:
    """Though no statement was sent."""
    state = PoolSnapshot(NOON, 5, 0, 0, 0, 0, 5, 0.0)
    window = PoolWindow("main", state, PoolMetrics(total_requests=3, total_errors=3))
    found = _served(_totals(replace(_full(), queries=(), errors=(), pools=(window,))))
    assert found["database_up"] == {("shop", "main"): 0}


def test_what_has_no_limit_has_no_series_for_it() -> None:
    """Rather than a limit of zero."""
    state = PoolSnapshot(NOON, 0, 1, 0, 0, 0, 0, 0.0, idle_max=None)
    window = PoolWindow("main", state, PoolMetrics())
    found = _served(_totals(replace(_full(), pools=(window,))))
    assert {"pool_connections_max", "pool_connections_idle_max"} & found.keys() == set()


def test_families_are_named_as_prometheus_asks() -> None:
    """Counters end in _total, units come last, no label has a name that Prometheus keeps for itself."""
    for each in FAMILIES:
        assert each.name.endswith("_total") == (each.kind == "counter")
        assert {"quantile", "le", "job", "instance"} & set(each.labels) == set()
        assert not each.unit or each.name.removesuffix("_total").endswith(f"_{each.unit}")
        assert each.help.endswith(".")
    names = [each.name for each in FAMILIES]
    assert {f"{name}_total" for name in names} & set(names) == set()
    assert len(set(names)) == len(names)
