"""What each rule finds, and what it does not."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from alerts.observing import NOON, ORDERS, QUIET, executed, pattern, pool, slow
from querygauge.alerts import rules
from querygauge.alerts.overrides import Override
from querygauge.alerts.rules import PATIENCE, RULES, findings
from querygauge.alerts.thresholds import Thresholds
from querygauge.values import Holder, ProcessWindow, Repetition
from querygauge.values.alerts import Finding
from querygauge.values.answers.comparison import Measure, PatternChange
from querygauge.values.answers.execution import Performance
from querygauge.values.objectives import BURN_WINDOWS, Attained, Objective, ObjectiveState
from querygauge.values.observed import FailedChecks, Observation, ObservedService, ObservedStore

FAST = [1.0] * 1_000
SLOW = [200.0] * 1_000


def found(service: ObservedService | None = None, store: ObservedStore | None = None, **limits: Any) -> list[Finding]:
    """What is wrong with one service or the store."""
    services = () if service is None else (service,)
    return list(findings(Observation(NOON, services, store or ObservedStore()), Thresholds(**limits)))


def named(service: ObservedService | None = None, store: ObservedStore | None = None, **limits: Any) -> dict[str, str]:
    """The severity of each finding, by its rule."""
    return {finding.rule: finding.severity for finding in found(service, store, **limits)}


def with_pool(*args: Any, **members: Any) -> ObservedService:
    """A service that did nothing but have such a pool."""
    return replace(QUIET, pools=(pool(*args, **members),))


def with_failed_checks(in_row: int) -> ObservedService:
    """A service in one of whose processes so many health checks failed."""
    return replace(QUIET, failed_checks=(FailedChecks("main", "web:1", in_row, "refused"),))


def changed(measures: tuple[Measure, ...] = ("median", "p95"), text: str = ORDERS) -> PatternChange:
    """A pattern that had a p95 of 50 ms, and has one of 200."""
    before, after = (
        Performance(median_duration_ms=p95_ms / 2, p95_duration_ms=p95_ms, max_duration_ms=p95_ms)
        for p95_ms in (50.0, 200.0)
    )
    return PatternChange(pattern=pattern(text), before=before, after=after, measures=measures, p_value=0.001)


def repeated(scopes: int = 5, *, origins: int = 1, cause: Any = "lazy") -> Repetition:
    """An N+1 that was found in so many requests."""
    return Repetition(
        pattern=pattern(),
        target="main",
        call_site="shop/orders.py:12 in show",
        scope="GET /orders",
        scopes_count=scopes,
        execution_count=20 * scopes,
        max_per_scope=20,
        total_duration_ms=9.0,
        compared_count=19,
        parameters_count=19,
        parents_count=20,
        origins_count=origins,
        cause=cause,
    )


def test_a_quiet_service_has_nothing_wrong() -> None:
    """Fast statements that succeed, a pool with room, and a disk with room."""
    service = replace(
        QUIET,
        recent=(executed(FAST),),
        hour=(executed(FAST),),
        usual_count=1_000,
        slow_threshold_ms=1_000.0,
        pools=(pool(3, waits_ms=[1.0] * 100),),
        processes=(ProcessWindow("shop", "web:1", NOON, NOON, 50, 100),),
    )
    assert found(service, ObservedStore(40.0, 3, 0.5, 60.0)) == []


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ({"error": 100}, {}),
        ({"error": 101}, {"error_rate": "warning"}),
        ({"error": 100, "timeout": 151}, {"error_rate": "critical"}),
        ({"cancelled": 150}, {}),
        ({"cancelled": 151}, {"success_rate": "warning"}),
        ({"cancelled": 301}, {"success_rate": "critical"}),
        ({"error": 91, "cancelled": 100}, {"error_rate": "warning"}),
        ({"error": 80, "cancelled": 80}, {"success_rate": "warning"}),
    ],
)
def test_the_last_hour_must_succeed(failed: dict[str, Any], expected: dict[str, str]) -> None:
    """Of a thousand statements; what is cancelled did not fail, and did not succeed."""
    assert named(replace(QUIET, hour=(executed(FAST, **failed),))) == expected


def test_few_statements_have_no_rate() -> None:
    """One failure of ten is no tenth of anything; a hundred are enough."""
    assert named(replace(QUIET, hour=(executed([1.0] * 99, error=99),))) == {}
    assert named(replace(QUIET, hour=(executed([1.0] * 100, error=99),))) == {"error_rate": "critical"}


def test_a_rate_is_that_of_all_patterns_and_names_the_worst() -> None:
    """With its numbers, and how to go on."""
    worst = executed(FAST, "UPDATE b SET c = ?", error=250, timeout=8)
    service = replace(QUIET, hour=(executed(FAST, error=150), worst))
    (finding,) = found(service)
    assert finding.sentence == (
        "20.4 % of 2,000 statements of the last hour failed: 400 with an error, 8 in a timeout; "
        f"UPDATE b ({worst.pattern_id}) 258 times"
    )
    assert finding.advice.startswith("querygauge errors --service shop ")
    assert (finding.value, finding.threshold, finding.unit) == (20.4, 10.0, "%")


@pytest.mark.parametrize(("failed", "expected"), [(300, {}), (301, {"errors_per_second": "warning"})])
def test_many_failures_are_wrong_whatever_their_share(failed: int, expected: dict[str, str]) -> None:
    """More than one a second over five minutes."""
    assert named(replace(QUIET, recent=(executed([1.0] * 9_000, error=failed),))) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"usual_count": 100}, {"no_queries": "warning"}),
        ({"usual_count": 99}, {}),
        ({"usual_count": None}, {}),
        ({"usual_count": 100, "hour": (executed(),)}, {}),
    ],
)
def test_silence_is_wrong_where_there_used_to_be_something(changes: dict[str, Any], expected: dict[str, str]) -> None:
    """And known to have been."""
    assert named(replace(QUIET, **changes)) == expected


@pytest.mark.parametrize(
    ("duration_ms", "severity"), [(1_000, "info"), (2_000, "warning"), (5_000, "warning"), (10_000, "critical")]
)
def test_one_slow_execution_is_as_bad_as_it_is_over_the_threshold(duration_ms: float, severity: str) -> None:
    """The worst of each pattern; it tells the pattern, and never the statement as it was sent."""
    service = replace(
        QUIET,
        recent=(executed(),),
        slow_threshold_ms=1_000.0,
        slow_queries=(slow(1_000), slow(duration_ms), slow(1_000)),
    )
    (finding,) = found(service)
    assert (finding.rule, finding.severity, finding.value) == ("slow_query", severity, duration_ms)
    assert (finding.pattern, finding.call_site) == (ORDERS, "shop/orders.py:12 in show")
    assert "secret" not in str(finding)


@pytest.mark.parametrize(
    ("override", "severity", "threshold"),
    [
        (Override(pattern=pattern().id[:8], slow_query_ms=2_000.0), "warning", 2_000.0),
        (Override(scope="GET /export*", slow_query_ms=400.0), "critical", 400.0),
        (Override(service="sho*", target="main", slow_query_ms=10_000.0), None, None),
        (Override(pattern="ffff", slow_query_ms=10_000.0), "warning", 1_000.0),
        (Override(scope="GET /orders", slow_query_ms=10_000.0), "warning", 1_000.0),
        (Override(service="other", slow_query_ms=10_000.0), "warning", 1_000.0),
        (Override(target="other", slow_query_ms=10_000.0), "warning", 1_000.0),
        (Override(p95_ms=10_000.0), "warning", 1_000.0),
    ],
)
def test_what_is_slow_may_differ_by_pattern_and_scope(
    override: Override, severity: str | None, threshold: float | None
) -> None:
    """The first override that fits and says so counts, else the application's own threshold."""
    one = replace(slow(5_000.0), scope="GET /export/{id}")
    service = replace(QUIET, slow_threshold_ms=1_000.0, slow_queries=(one,))
    told = [(each.severity, each.threshold) for each in found(service, overrides=(override,))]
    assert told == ([] if severity is None else [(severity, threshold)])


def test_the_worst_execution_is_that_farthest_over_its_own_threshold() -> None:
    """Not the longest, if more is allowed where that was."""
    export, page = (replace(slow(ms), scope=name) for ms, name in ((20_000.0, "export"), (3_000.0, "page")))
    service = replace(QUIET, slow_threshold_ms=1_000.0, slow_queries=(export, page))
    (finding,) = found(service, overrides=(Override(scope="export", slow_query_ms=15_000.0),))
    assert (finding.value, finding.threshold) == (3_000.0, 1_000.0)


@pytest.mark.parametrize(("p95_ms", "rules"), [(150.0, ["slow_pattern"]), (250.0, [])])
def test_a_pattern_may_have_a_percentile_of_its_own(p95_ms: float, rules: list[str]) -> None:
    """The first override that fits counts, and is told as the threshold."""
    service = replace(QUIET, recent=(executed(SLOW),), hour=(executed(SLOW),))
    overrides = (Override(slow_query_ms=9.0), Override(pattern=pattern().id, p95_ms=p95_ms), Override(p95_ms=1.0))
    told = found(service, overrides=overrides)
    assert [each.rule for each in told] == rules
    assert all(each.threshold == p95_ms for each in told)


def test_whatever_may_be_slow_somewhere_is_compared() -> None:
    """A lower threshold of one pattern is the one by which changes are looked for."""
    assert Thresholds(overrides=(Override(p95_ms=20.0), Override(slow_query_ms=5.0))).lowest_p95_ms == 20.0
    assert Thresholds(overrides=(Override(p95_ms=200.0),)).lowest_p95_ms == 100.0


def test_a_threshold_that_nobody_knows_is_not_exceeded() -> None:
    """As of a process of an older version."""
    assert found(replace(QUIET, slow_queries=(slow(1_000),))) == []


ALWAYS_SLOW = replace(QUIET, hour=(executed(SLOW),), recent=(executed(SLOW),))


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (replace(QUIET, recent=(executed([200.0] * 20),)), ["slow_pattern"]),
        (replace(QUIET, recent=(executed([200.0] * 19),)), []),
        (replace(QUIET, recent=(executed([99.0] * 20),)), []),
        (replace(QUIET, recent=(executed([1.0] * 96 + [200.0] * 4),)), []),
        (replace(QUIET, recent=(executed([1.0] * 94 + [200.0] * 6),)), ["slow_pattern"]),
        (replace(QUIET, recent=(executed([200.0] * 20, category="transaction"),)), []),
        (replace(ALWAYS_SLOW, quiet_ids=frozenset({pattern().id})), []),
        (replace(ALWAYS_SLOW, slow_queries=(slow(5_000),), slow_threshold_ms=100.0), ["slow_pattern"]),
        (replace(ALWAYS_SLOW, new_ids=frozenset({pattern().id})), ["new_slow_pattern"]),
        (replace(QUIET, hour=(executed([200.0] * 99),), new_ids=frozenset({pattern().id})), []),
        (replace(ALWAYS_SLOW, regressed=(changed(),)), ["regression"]),
        (replace(ALWAYS_SLOW, regressed=(changed(("errors",)),)), ["slow_pattern"]),
        (replace(QUIET, hour=(executed(FAST),), regressed=(changed(),)), []),
    ],
)
def test_a_pattern_is_told_of_by_one_rule(service: ObservedService, expected: list[str]) -> None:
    """New before slower than it was, that before slow, and that before a single slow execution."""
    assert [finding.rule for finding in found(service)] == expected


def test_a_regression_tells_both_weeks() -> None:
    """In words, and as the value and what it is compared with."""
    (finding,) = found(replace(QUIET, hour=(executed(SLOW),), regressed=(changed(),)))
    assert finding.sentence == (
        "SELECT a: slower than a week before: median 25.0 ms then and 100 ms now, p95 50.0 ms then and 200 ms now"
    )
    assert finding.value == pytest.approx(200, rel=0.011)
    assert finding.threshold == 50.0


@pytest.mark.parametrize(
    ("durations_ms", "expected"),
    [
        ([1.0] * 98 + [1_500.0] * 2, {"p99_latency": "warning"}),
        ([1.0] * 99 + [1_500.0], {}),
        ([1_500.0] * 10, {}),
    ],
)
def test_one_query_in_a_hundred_must_not_take_long(durations_ms: list[float], expected: dict[str, str]) -> None:
    """Of all patterns together; a COMMIT is no query, and ten queries have no 99th percentile."""
    commit = executed([9_000.0] * 50, "COMMIT", category="transaction")
    queries = (executed(durations_ms[:5]), executed(durations_ms[5:], "SELECT b"))
    assert named(replace(QUIET, recent=(*queries, commit))) == expected


@pytest.mark.parametrize(("count", "expected"), [(3_000, {}), (3_001, {"slow_rate": "warning"})])
def test_many_slow_statements_a_second(count: int, expected: dict[str, str]) -> None:
    """More than ten over five minutes."""
    assert named(replace(QUIET, recent=(executed([1.0] * 5_000, slow=count),))) == expected


@pytest.mark.parametrize(
    ("lag_ms", "durations_ms", "expected"),
    [
        (100 * 20.0, [30.0] * 100, {"loop_lag": "warning"}),
        (100 * 19.9, [30.0] * 100, {}),
        (100 * 20.0, [41.0] * 100, {}),
        (99 * 20.0, [30.0] * 99, {}),
    ],
)
def test_a_blocked_event_loop(lag_ms: float, durations_ms: list[float], expected: dict[str, str]) -> None:
    """If it is most of the time of enough statements, and long."""
    assert named(replace(QUIET, recent=(executed(durations_ms, loop_lag_ms=lag_ms),))) == expected


@pytest.mark.parametrize(
    ("repetition", "expected"),
    [
        (repeated(), {"repetition": "info"}),
        (repeated(4), {}),
        (repeated(cause=None, origins=0), {}),
    ],
)
def test_an_n_plus_one(repetition: Repetition, expected: dict[str, str]) -> None:
    """Only a certain one, in enough units of work, that nobody has accepted; its fix is the advice."""
    assert named(replace(QUIET, repetitions=(repetition,))) == expected
    assert named(replace(QUIET, repetitions=(repetition,), quiet_ids=frozenset({pattern().id}))) == {}
    assert all(finding.advice == repetition.fix for finding in found(replace(QUIET, repetitions=(repetition,))))


_HOLDER = Holder(3.0, "shop/orders.py:12 in show")


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (with_pool(7), {}),
        (with_pool(8), {"pool_saturation": "warning"}),
        (with_pool(9), {"pool_saturation": "critical"}),
        (with_pool(90, limit=0), {}),
        (with_pool(waiting=5), {}),
        (with_pool(waiting=6), {"pool_pending": "warning"}),
        (with_pool(waiting=101), {"pool_pending": "critical"}),
        (with_pool(waits_ms=[1_100.0] * 20), {"pool_wait": "warning"}),
        (with_pool(waits_ms=[1_100.0] * 19), {}),
        (with_pool(waits_ms=[900.0] * 20), {}),
        (with_pool(total_requests=9, total_timeouts=1), {"pool_timeout": "critical"}),
        (with_failed_checks(1), {"health_check_failed": "warning"}),
        (with_failed_checks(2), {"health_check_failed": "warning"}),
        (with_failed_checks(3), {"health_check_failed": "critical"}),
        (with_pool(leaks=1), {"connection_leak": "warning"}),
        (with_pool(lost_to_cancellation=2), {"lost_to_cancellation": "warning"}),
        (with_pool(lost_to_cancellation=2, lost_by_pattern={"feed": 2}), {"lost_to_cancellation": "warning"}),
        (with_pool(holders=(_HOLDER,)), {}),
        (with_pool(holders=(replace(_HOLDER, age_s=60.0),)), {"long_checkout": "warning"}),
        (with_pool(holders=(replace(_HOLDER, age_s=60.0, reason="a report"),)), {}),
    ],
)
def test_pools(service: ObservedService, expected: dict[str, str]) -> None:
    """Each trouble from where on it is one."""
    assert named(service) == expected
    assert all(finding.pool == "main" for finding in found(service))


def test_who_holds_the_connections_is_told() -> None:
    """The line that holds most of them first, and for how long."""
    holders = (
        _HOLDER,
        replace(_HOLDER, age_s=75.0, reason="a report"),
        Holder(2.0, None),
        Holder(1.0, "shop/b.py:1 in c"),
    )
    (finding,) = found(with_pool(10, holders=holders))
    assert finding.sentence == (
        "pool main: 10 of 10 connections are in use, 100.0 %; "
        "held 2 by shop/orders.py:12 in show, for up to 1 min 15 s; 1 by an unknown line, for up to 2.0 s; "
        "1 by shop/b.py:1 in c, for up to 1.0 s"
    )
    assert finding.call_site == "shop/orders.py:12 in show"


def test_a_line_that_holds_a_connection_is_not_told_of_what_others_did() -> None:
    """Who holds one now neither lost nor forgot the others, and where a leak came from the handlers alone know."""
    checks = with_failed_checks(1).failed_checks
    service = replace(with_pool(leaks=1, lost_to_cancellation=1, holders=(_HOLDER,)), failed_checks=checks)
    assert [(finding.rule, finding.call_site) for finding in found(service)] == [
        ("health_check_failed", None),
        ("connection_leak", None),
        ("lost_to_cancellation", None),
    ]
    assert "alert handler" in found(service)[1].advice
    assert " log" not in found(service)[1].advice


def test_idle_in_a_transaction_is_told() -> None:
    """It holds locks, too."""
    holder = Holder(90.0, "shop/orders.py:12 in show", activity="idle in transaction")
    (finding,) = found(with_pool(holders=(holder,)))
    assert "1 connection checked out for 1 min 00 s or longer, 1 of them idle in a transaction" in finding.sentence


@pytest.mark.parametrize(("memory", "expected"), [(85, {}), (86, {"memory_high": "warning"}), (None, {})])
def test_a_process_near_its_memory_limit(memory: int | None, expected: dict[str, str]) -> None:
    """Of several the one nearest to it; none where the limit is not told."""
    processes = tuple(
        ProcessWindow("shop", f"web:{number}", NOON - timedelta(minutes=1), NOON, bytes_, limit)
        for number, (bytes_, limit) in enumerate([(10, 100), (memory, 100), (90, None)])
    )
    assert named(replace(QUIET, processes=processes)) == expected


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        (ObservedStore(499.0), {}),
        (ObservedStore(500.0), {"store_too_large": "warning"}),
        (ObservedStore(1_000.0), {"store_too_large": "critical"}),
        (ObservedStore(waiting_count=900, waiting_mb=49.0), {}),
        (ObservedStore(waiting_count=900, waiting_mb=50.0), {"spool_backlog": "warning"}),
        (ObservedStore(disk_free_percent=15.0), {}),
        (ObservedStore(disk_free_percent=14.9), {"disk_low": "warning"}),
        (ObservedStore(disk_free_percent=4.9), {"disk_low": "critical"}),
    ],
)
def test_the_store(store: ObservedStore, expected: dict[str, str]) -> None:
    """Its size, what waits, and its disk; that is of no service."""
    assert named(store=store) == expected
    assert all(finding.service == "" for finding in found(store=store))


def test_a_store_into_which_nothing_is_folded() -> None:
    """It says for how long, how much waits and why, as far as that is known."""
    stalled = ObservedStore(waiting_count=31, waiting_mb=1.5, waits_s=320.0, stopped_by="it is held")
    (finding,) = found(store=stalled)
    assert (finding.rule, finding.severity, finding.value) == ("store_stalled", "critical", 320.0)
    assert finding.sentence == (
        "nothing has been folded for 5 min 20 s, so no other rule sees anything new; 31 snapshots with 1.50 MB wait: "
        "it is held"
    )
    assert not found(store=replace(stalled, waits_s=299.0))


def test_a_timeout_tells_who_held_connections_then() -> None:
    """Whoever holds one now, when the numbers are looked at, may have come later."""
    then, now = replace(_HOLDER, call_site="shop/export.py:3 in run", age_s=31.0), _HOLDER
    window = replace(pool(holders=(now,), total_requests=9, total_timeouts=2), timeout_holders=(then,))
    (finding,) = found(replace(QUIET, pools=(window,)))
    assert finding.sentence.endswith("; then held 1 by shop/export.py:3 in run, for up to 31.0 s")
    assert finding.call_site == "shop/export.py:3 in run"


def test_every_rule_is_in_force() -> None:
    """Each public function of the rooms of rules has its patience, under its own name."""
    functions: list[Callable[..., Any]] = [
        getattr(room, name)
        for room in (rules.failing, rules.machine, rules.objectives, rules.pools, rules.slow)
        for name in room.__all__
    ]
    assert sorted(function.__name__ for function in functions) == list(RULES) == sorted(PATIENCE)
    assert all(inspect.getdoc(function) for function in functions)


def attained(**missed: int) -> ObservedService:
    """A service with an objective of which so many of a hundred statements missed it, by the name of the window."""
    objective = Objective(name="fast", service="shop", scope="GET /a", p95_ms=250.0)
    lately = {window: Attained(100, missed.get(f"m{window}", 0)) for window in BURN_WINDOWS}
    return replace(QUIET, objectives=(ObjectiveState(objective, lately),))


@pytest.mark.parametrize(
    ("service", "severity"),
    [
        (attained(), None),
        (attained(m1h=72, m5m=72), "critical"),
        (attained(m1h=71, m5m=72), None),
        (attained(m1h=72, m5m=71), None),
        (attained(m6h=30, m30m=30), "warning"),
        (attained(m6h=29, m30m=30), None),
        (attained(m6h=30, m30m=29), None),
        (attained(m1h=72, m5m=72, m6h=30, m30m=30), "critical"),
    ],
)
def test_a_budget_that_is_used_too_fast(service: ObservedService, severity: str | None) -> None:
    """14.4 times over an hour and five minutes is critical, 6 times over six hours and half an hour a warning."""
    assert named(service) == ({} if severity is None else {"burn_rate": severity})


def test_a_budget_says_what_missed_it() -> None:
    """The objective, how fast, how many and how long; two objectives are two things."""
    service = attained(m1h=80, m5m=90)
    (finding,) = found(service)
    assert finding.sentence == (
        "fast uses its budget 16.0 times too fast: 80.0 % of 100 statements of the last hour took longer than 250 ms, "
        "and 90.0 % in the last five minutes, where 5.0 % may over 30 days"
    )
    assert "querygauge report --since 1h --service shop --scope 'GET /a'" in finding.advice
    other = replace(service.objectives[0], objective=replace(service.objectives[0].objective, name="other"))
    both = found(replace(service, objectives=(*service.objectives, other)))
    assert len({each.key for each in both}) == 2
    assert not found(service, min_statements=101)


@pytest.mark.parametrize(
    ("objective", "sentence", "advice"),
    [
        (
            Objective(name="good", service="shop", success_percent=95.0),
            " failed, and ",
            "querygauge errors --service shop",
        ),
        (
            Objective(name="one", service="shop", pattern="e106", p95_ms=9.0),
            " took longer than 9.00 ms, and ",
            "querygauge patterns show e106",
        ),
    ],
)
def test_a_budget_says_where_to_look(objective: Objective, sentence: str, advice: str) -> None:
    """At errors if it is success, at the pattern if it is about one."""
    lately = dict.fromkeys(BURN_WINDOWS, Attained(1_000, 900))
    (finding,) = found(replace(QUIET, objectives=(ObjectiveState(objective, lately),)))
    assert sentence in finding.sentence
    assert advice in finding.advice
