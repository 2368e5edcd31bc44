"""The values that cross rooms: what they add up to, and that each becomes JSON."""

import json
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querygauge import values
from querygauge.histogram import Histogram
from querygauge.values import (
    OUTCOMES,
    Failure,
    OutcomeCounts,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
    SelfMetrics,
    SlowQuery,
    SlowQueryAlert,
    Snapshot,
    severity_of,
)
from storage.making import NOON, snapshots, stats

counts = st.integers(0, 10**9)
outcome_counts = st.builds(OutcomeCounts, *(counts for _ in OUTCOMES))

KINDS = [
    name for name in values.__all__ if isinstance(getattr(values, name), type) and is_dataclass(getattr(values, name))
]


@given(outcome_counts)
def test_rates_are_of_what_ended_by_itself(outcomes: OutcomeCounts) -> None:
    """A cancelled execution neither failed nor succeeded; errors and timeouts failed."""
    ended = outcomes.ok + outcomes.error + outcomes.timeout
    assert outcomes.total == ended + outcomes.cancelled
    if ended:
        assert outcomes.success_rate == pytest.approx(100 * outcomes.ok / ended)
        assert outcomes.error_rate == pytest.approx(100 * outcomes.failed / ended)
    else:
        assert (outcomes.success_rate, outcomes.error_rate) == (100, 0)


@given(outcome_counts, outcome_counts)
def test_outcomes_add_up(one: OutcomeCounts, other: OutcomeCounts) -> None:
    """Each kind by itself, in any order."""
    both = one.merged(other)
    assert both == other.merged(one)
    assert [getattr(both, kind) for kind in OUTCOMES] == [getattr(one, k) + getattr(other, k) for k in OUTCOMES]


def test_statistics_add_up() -> None:
    """Counts and durations together, from the first execution to the last."""
    later = NOON + timedelta(hours=1)
    both = stats(3, at=later).merged(stats(4))
    assert (both.execution_count, both.rows, both.rows_known_count) == (7, 7, 7)
    assert (both.first_seen, both.last_seen) == (NOON, later)
    assert both.durations == Histogram.of([2_000_000] * 7)
    assert both == stats(4).merged(stats(3, at=later))


@given(snapshots())
def test_every_value_is_json(snapshot: Snapshot) -> None:
    """As `to_dict()` gives it, without help: whatever was measured, whatever a driver was given as parameters."""
    found = snapshot.to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert len(found["queries"]) == len(snapshot.queries)


@given(st.recursive(st.none() | st.binary() | st.datetimes() | st.decimals() | st.uuids(), st.lists))
def test_parameters_of_any_type_are_json(parameters: Any) -> None:
    """Drivers take more types than JSON has; what it lacks becomes text."""
    slow = values.SlowQuery("SELECT 1", "1", "SELECT", "main", 1.0, NOON, parameters={"p": parameters})
    json.dumps(slow.to_dict(), allow_nan=False)


def test_a_moment_says_its_time_zone() -> None:
    """In ISO 8601, so that nobody has to guess."""
    found = values.HealthCheck(datetime(2026, 1, 1, 12, tzinfo=UTC), 1.5).to_dict()
    assert found == {"timestamp": "2026-01-01T12:00:00+00:00", "duration_ms": 1.5, "error": None}


def test_statistics_show_what_people_ask_for() -> None:
    """Flat but for the tags, with the derived numbers and without the buckets."""
    found = stats(3).to_dict()
    assert found.pop("tags") == {}
    assert (found["execution_count"], found["ok"], found["error_rate"]) == (3, 3, 0.0)
    assert found["avg_duration_ms"] == found["p99_duration_ms"] == found["max_duration_ms"] == 2.0
    assert not any(isinstance(value, Mapping) for value in found.values())


@pytest.mark.parametrize(
    ("duration_ms", "severity"),
    [
        (1_000, "low"),
        (1_999.9, "low"),
        (2_000, "medium"),
        (4_999.9, "medium"),
        (5_000, "high"),
        (9_999.9, "high"),
        (10_000, "critical"),
    ],
)
def test_severity_is_how_far_over_the_threshold(duration_ms: float, severity: str) -> None:
    """2, 5 and 10 times, the bound included."""
    assert severity_of(duration_ms, 1_000) == severity


def test_handlers_of_the_older_name_still_work() -> None:
    """They ask the alert for its severity by a method."""
    alert = SlowQueryAlert(NOON, "SELECT ?", "1", "SELECT", 2_500.0, 1_000.0, "medium", "shop.py:3 in show")
    assert alert._get_severity() == alert.severity == alert.to_dict()["severity"] == "medium"


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure("UniqueViolation", "23505", "duplicate key ?"), "UniqueViolation [23505]: duplicate key ?"),
        (Failure("OperationalError", None, "no such table"), "OperationalError: no such table"),
        (Failure("CancelledError", None, ""), "CancelledError"),
        (Failure("QueryCanceled", "57014", ""), "QueryCanceled [57014]"),
    ],
)
def test_a_failure_reads_as_one_line(failure: Failure, text: str) -> None:
    """Class, code, message; what is missing leaves no trace."""
    assert str(failure) == text


def test_a_pool_without_a_limit_is_not_used_up() -> None:
    """Utilisation is of what is allowed; rates and means of nothing are 0."""
    state = PoolSnapshot(NOON, 0, 7, 0, 0, 0, 0, 0.0)
    assert state.utilization_percent == 0
    assert PoolSnapshot(NOON, 5, 6, 0, 0, 1, 10, 0.0).to_dict()["utilization_percent"] == 60
    empty = PoolMetrics()
    assert (empty.timeout_rate, empty.error_rate, empty.p95_wait_time_ms, empty.avg_use_time_ms) == (0, 0, 0, 0)
    assert empty.health_check_success_rate == 100


def test_rates_of_a_pool_are_per_connection_asked_for() -> None:
    """Not per connection handed out."""
    metrics = PoolMetrics(total_requests=50, total_checkouts=40, total_timeouts=5, total_errors=1)
    assert (metrics.timeout_rate, metrics.error_rate) == (10, 2)


metrics = st.builds(
    PoolMetrics,
    **dict.fromkeys(["total_requests", "total_checkouts", "total_timeouts", "peak_active", "leaks"], counts),
    wait=st.lists(st.integers(1, 10**12), max_size=5).map(Histogram.of),
)


@given(metrics, metrics)
def test_pool_metrics_add_up(one: PoolMetrics, other: PoolMetrics) -> None:
    """All but the peaks, of which the higher one counts."""
    both = one.merged(other)
    assert both == other.merged(one)
    assert both.total_checkouts == one.total_checkouts + other.total_checkouts
    assert both.peak_active == max(one.peak_active, other.peak_active)
    assert both.wait.count == one.wait.count + other.wait.count
    assert one.merged(PoolMetrics()) == one


@pytest.mark.parametrize("name", KINDS)
def test_values_do_not_change(name: str) -> None:
    """Frozen, and without room for anything else."""
    kind = getattr(values, name)
    value = object.__new__(kind)
    with pytest.raises((FrozenInstanceError, TypeError)):
        setattr(value, next(iter(kind.__dataclass_fields__)), 1)
    assert not hasattr(value, "__dict__")


def test_of_several_processes_counts_add_up_and_times_do_not() -> None:
    """A median has no sum; the worst of them is told."""
    combined = SelfMetrics.of_all([SelfMetrics(added_us=2.0, hook_errors=3), SelfMetrics(1.5, 0.5, 9.0, hook_errors=4)])
    assert combined == SelfMetrics(2.0, 0.5, 9.0, hook_errors=7)
    assert SelfMetrics.of_all([]) == SelfMetrics()


def test_what_is_urgent_is_named() -> None:
    """A timeout, a failed health check, an execution of ten times the threshold; each by its pool or pattern."""
    state = PoolSnapshot(NOON, 5, 1, 4, 0, 0, 15, 0.5)
    pools = (
        PoolWindow("a", state, PoolMetrics(total_timeouts=1)),
        PoolWindow("b", state, PoolMetrics(health_checks=2, health_checks_failed=1)),
        PoolWindow("c", state, PoolMetrics(total_errors=9)),
    )
    slow = tuple(
        SlowQuery("SELECT", name, "SELECT", "main", ms, NOON) for name, ms in (("d", 10_000.0), ("e", 9_999.0))
    )
    urgent = Snapshot("shop", "web:1", NOON, NOON, pools=pools, slow_queries=slow, slow_threshold_ms=1_000.0)
    assert urgent.urgent() == {("timeout", "a"), ("health", "b"), ("slow", "d")}
    assert replace(urgent, pools=(), slow_threshold_ms=None).urgent() == frozenset()
