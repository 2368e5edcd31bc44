"""How far objectives are attained, by the store."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querygauge.histogram import Histogram, bucket_of
from querygauge.storage.database import open_database
from querygauge.storage.folding import fold
from querygauge.storage.objectives import objective_states
from querygauge.storage.paths import StorePaths
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import OutcomeCounts, Pattern, QueryStats
from querygauge.values.objectives import BURN_WINDOWS, Attained, Objective, ObjectiveState
from storage.making import NOON, pattern, snapshot

_FAST = Objective(name="fast", service="shop", p95_ms=100.0)
_OTHERS = ("GET /i", "GET /xa=b", "100 x a-b", "ab")
_GOOD = Objective(name="good", service="shop", success_percent=99.0)


def _stats(
    durations_ms: Sequence[float], at: datetime, *, of: Pattern | None = None, scope: str | None = None, failed: int = 0
) -> QueryStats:
    durations = Histogram.of(int(ms * 1e6) for ms in durations_ms)
    outcomes = OutcomeCounts(ok=durations.count - failed, error=failed)
    return QueryStats(of or pattern(), "main", outcomes, 0, 0, 0, durations, at, at, scope=scope)


def _written(paths: StorePaths, *stats: QueryStats, ended: datetime = NOON, service: str = "shop") -> None:
    SpoolSink(paths.root, 100).write(replace(snapshot(ended=ended, service=service), queries=stats))
    fold(paths)


def _states(paths: StorePaths, *objectives: Objective, now: datetime = NOON) -> tuple[ObjectiveState, ...]:
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        return objective_states(connection, objectives, now, with_period=True)


def test_what_took_too_long_missed_it(paths: StorePaths) -> None:
    """Executions over the time, out of all queries; a budget of 5 % is what is left of it."""
    _written(paths, _stats([1.0] * 98 + [500.0, 500.0], NOON))
    (state,) = _states(paths, _FAST, now=NOON + timedelta(seconds=1))
    assert state.period == Attained(100, 2)
    assert state.lately == dict.fromkeys(BURN_WINDOWS, Attained(100, 2))
    assert state.budget_left_percent == pytest.approx(60.0)
    assert state.burn_rates == pytest.approx(dict.fromkeys(BURN_WINDOWS, 0.4))


def test_what_failed_missed_it(paths: StorePaths) -> None:
    """Errors and timeouts, out of what ended by itself; who was cancelled did not fail."""
    ended = replace(_stats([1.0] * 10, NOON), outcomes=OutcomeCounts(ok=5, error=1, timeout=1, cancelled=3))
    _written(paths, ended)
    (state,) = _states(paths, _GOOD, now=NOON + timedelta(seconds=1))
    assert state.period == Attained(7, 2)
    assert state.objective.budget_percent == pytest.approx(1.0)


def test_only_what_it_is_about_counts(paths: StorePaths) -> None:
    """The service, the scope, the pattern by the beginning of its id, and of durations only queries."""
    commit = replace(pattern(3), category="transaction")
    _written(
        paths,
        _stats([200.0], NOON, scope="GET /a"),
        _stats([200.0] * 2, NOON, of=pattern(0x20), scope="GET /a"),
        _stats([200.0] * 4, NOON, scope="GET /b"),
        _stats([200.0] * 8, NOON, of=commit, scope="GET /a", failed=8),
    )
    _written(paths, _stats([200.0] * 16, NOON, scope="GET /a"), service="blog")
    scoped = replace(_FAST, scope="GET /a")
    one = replace(_FAST, pattern=pattern().id)
    both = replace(_FAST, pattern="0000000000000")
    several = replace(_FAST, scope="GET /*")
    found = _states(paths, _FAST, scoped, several, one, both, _GOOD, replace(_FAST, service="unknown"), now=NOON)
    assert [state.period.count for state in found if state.period] == [7, 3, 7, 5, 7, 15, 0]


@pytest.mark.parametrize("scope", ["GET /[id]", "GET /?a=b", "100 % a_b", "a\\b"])
def test_a_star_is_all_that_stands_for_other_scopes(paths: StorePaths, scope: str) -> None:
    """Names of scopes are full of what a database reads something into."""
    _written(paths, _stats([200.0], NOON, scope=scope), *(_stats([200.0], NOON, scope=other) for other in _OTHERS))
    found = _states(paths, replace(_FAST, scope=scope), replace(_FAST, scope=f"*{scope[1:]}"), _FAST)
    assert [state.period for state in found] == [Attained(1, 1), Attained(1, 1), Attained(5, 5)]


def test_a_window_is_of_whole_minutes(paths: StorePaths) -> None:
    """What was earlier belongs to longer ones."""
    for minutes in (3, 20, 45, 200, 400):
        _written(paths, _stats([200.0], NOON - timedelta(minutes=minutes)), ended=NOON - timedelta(minutes=minutes))
    (state,) = _states(paths, _FAST)
    assert {name: each.count for name, each in state.lately.items()} == {"5m": 1, "30m": 2, "1h": 3, "6h": 4}
    assert state.period == Attained(5, 5)


def test_each_of_many_is_as_if_it_were_alone(paths: StorePaths) -> None:
    """They are read together: neither the tightest of them nor what is wider counts for another."""
    for minutes in (0, 10, 40, 300, 3_000):
        at = NOON - timedelta(minutes=minutes)
        _written(
            paths,
            _stats([1.0 + 20 * number for number in range(20)], at, scope="GET /a", failed=minutes % 7),
            _stats([50.0, 150.0, 1_500.0], at, of=pattern(0x20), failed=1),
            ended=at,
        )
    roll_up(paths, NOON)
    scopes = (None, "GET /a", "GET *", "GET /b")
    aims = [replace(_FAST, p95_ms=p95_ms, scope=scope) for p95_ms in (10.0, 100.0, 1_000.0) for scope in scopes]
    aims += [replace(_GOOD, scope=scope, pattern=start) for scope in scopes for start in ("", pattern(0x20).id)]
    aims += [replace(_FAST, service="blog"), _FAST]
    together = _states(paths, *aims)
    assert together == tuple(state for aim in aims for state in _states(paths, aim))
    assert len({state.period for state in together}) > 8


def test_nothing_executed_is_nothing_attained(paths: StorePaths) -> None:
    """Neither missed nor an error."""
    _written(paths, _stats([1.0], NOON))
    (state,) = _states(paths, replace(_FAST, scope="nowhere"))
    assert (state.period, state.burn_rate("1h"), state.budget_left_percent) == (Attained(), 0.0, 100.0)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 29 * 24), st.floats(0.01, 1e4)), min_size=1, max_size=30), st.floats(0.1, 5e3))
def test_hours_and_days_have_what_their_minutes_had(
    tmp_path_factory: pytest.TempPathFactory, executed: list[tuple[int, float]], p95_ms: float
) -> None:
    """Rolled up, as many missed it, to within the width of a bucket."""
    paths = StorePaths(tmp_path_factory.mktemp("store"))
    for hours, ms in executed:
        at = NOON - timedelta(hours=hours)
        SpoolSink(paths.root, 100).write(replace(snapshot(ended=at), queries=(_stats([ms], at),)))
    fold(paths)
    objective = replace(_FAST, p95_ms=p95_ms)
    (before,) = _states(paths, objective)
    limit = bucket_of(round(p95_ms * 1e6))
    assert before.period == Attained(len(executed), _over(executed, limit))
    roll_up(paths, NOON)
    (after,) = _states(paths, objective)
    assert after.period is not None
    assert after.period.count == len(executed)
    assert _over(executed, limit + 1) <= after.period.missed <= _over(executed, limit)


def _over(executed: Iterable[tuple[int, float]], limit: int) -> int:
    return sum(bucket_of(int(ms * 1e6)) > limit for _, ms in executed)
