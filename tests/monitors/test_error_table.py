"""Failed executions are counted by how they failed, and a few of them are kept one by one."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from conftest import FakeClock
from monitors.executions import MS, SteppingClock, Work, execute, pattern, settings
from querygauge.clock import datetime_of
from querygauge.monitors.error_table import SAMPLES
from querygauge.monitors.recorder import Recorder
from querygauge.patterns.cache import OTHER
from querygauge.values import CANCELLED, ERROR, OUTCOMES, TIMEOUT, Failure

DUPLICATE = Failure("UniqueViolation", "23505", "duplicate key value violates ?")
GONE = Failure("OperationalError", None, "server closed the connection")
TOO_LONG = Failure("QueryCanceled", "57014", "canceling statement due to statement timeout")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([pattern("SELECT a"), pattern("INSERT b")]),
            st.sampled_from(["primary", "replica"]),
            st.sampled_from(range(len(OUTCOMES))),
            st.sampled_from([None, DUPLICATE, GONE, TOO_LONG]),
        ),
        max_size=60,
    )
)
def test_they_add_up_to_what_failed(sent: list[tuple[object, str, int, Failure | None]]) -> None:
    """By pattern and target, errors and timeouts; who was cancelled did not fail."""
    recorder = Recorder(FakeClock(), settings())
    for what, target, outcome, failure in sent:
        execute(recorder.recorder(target), 1.0, what, outcome=outcome, failure=failure if outcome else None)  # type: ignore[arg-type]
    window = recorder.drain()
    failed: Counter[tuple[str, str]] = Counter()
    for errors in window.errors:
        failed[errors.pattern.id, errors.target] += errors.count
    assert failed == Counter({
        (one.pattern_id, one.target): one.outcomes.failed for one in window.queries if one.outcomes.failed
    })  # fmt: skip
    assert len({(one.pattern, one.target, one.error_type, one.sqlstate) for one in window.errors}) == len(window.errors)
    assert recorder.drain().errors == ()


def test_how_and_when_is_told(clock: SteppingClock) -> None:
    """The type, the code, a message and the start of the last one, in whatever order they come."""
    recorder = Recorder(clock, settings())
    record = recorder.recorder("primary")
    began_ns = clock.monotonic_ns()
    for started_ns in (5 * MS, 9 * MS, 7 * MS):
        execute(record, outcome=ERROR, failure=DUPLICATE, started_ns=began_ns + started_ns)
    execute(record, outcome=TIMEOUT, failure=TOO_LONG)
    execute(record, outcome=ERROR)
    execute(record, outcome=CANCELLED, failure=GONE)
    told = [(one.error_type, one.sqlstate, one.count, one.message) for one in recorder.drain().errors]
    assert told == [
        ("UniqueViolation", "23505", 3, DUPLICATE.message),
        ("QueryCanceled", "57014", 1, TOO_LONG.message),
        ("", None, 1, ""),
    ]
    execute(record, outcome=ERROR, failure=DUPLICATE, started_ns=began_ns + 9 * MS)
    (errors,) = recorder.drain().errors
    assert errors.last_seen == datetime_of(clock.now_us() + 9_000)


def test_a_few_are_kept_one_by_one(clock: SteppingClock) -> None:
    """With where they came from; they are none of the slow ones that handlers and readers of the history are told."""
    recorder = Recorder(clock, settings(history_threshold_ms=1_000.0))
    unit = Work("GET /orders", tenant="acme")
    for number in range(3 * SAMPLES):
        execute(
            recorder.recorder("primary"), 1.0 + number, outcome=ERROR, failure=DUPLICATE, unit=unit, call_site="a.py:1"
        )
    execute(recorder.recorder("primary"), 2_000.0, outcome=ERROR, failure=DUPLICATE)
    assert len(recorder.history(0)) == len(recorder.take_slow()[0]) == 1
    slow, *failed = recorder.drain().slow_queries
    assert (slow.is_slow, slow.duration_ms) == (True, 2_000.0)
    assert [one.duration_ms for one in failed] == [1.0 + number for number in range(SAMPLES)]
    for one in failed:
        assert (one.is_slow, one.error, one.call_site, one.outcome) == (False, DUPLICATE, "a.py:1", "error")
        assert (one.scope, one.tags, one.operation) == ("GET /orders", {"tenant": "acme"}, "SELECT")
    assert recorder.drain().slow_queries == ()
    execute(recorder.recorder("primary"), outcome=ERROR, failure=DUPLICATE)
    assert len(recorder.drain().slow_queries) == 1


def test_too_many_ways_to_fail_are_counted_together(clock: SteppingClock) -> None:
    """So that memory is bounded, and the numbers still add up."""
    recorder = Recorder(clock, settings())
    for number in range(1_500):
        execute(recorder.recorder("primary"), outcome=ERROR, failure=Failure("Error", str(number), ""))
    errors = recorder.drain().errors
    assert sum(one.count for one in errors) == 1_500
    assert len(errors) == 1_001
    assert (errors[-1].pattern, errors[-1].count) == (OTHER, 500)
