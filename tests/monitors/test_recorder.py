"""One queue for all threads: what is recorded is counted once, whoever reads meanwhile, and within bounds."""

import gc
import math
import random
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from types import FrameType
from typing import Any, cast
from weakref import ref

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import FakeClock
from monitors.executions import MS, SteppingClock, Work, execute, pattern, run_python, settings
from querygauge.capture.scope import Streak
from querygauge.clock import SystemClock
from querygauge.errors import SettingsError
from querygauge.monitors.recorder import Recorder, Window, nanoseconds
from querygauge.patterns.cache import OTHER
from querygauge.values import (
    CANCELLED,
    ERROR,
    OK,
    OUTCOMES,
    TIMEOUT,
    Failure,
    OutcomeCounts,
    Pattern,
    QueryStats,
    Repetition,
    ScopeLabel,
    SlowQuery,
)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the `clock` fixture stands; its `monotonic_ns` is one second then."""


@pytest.fixture
def recorder(clock: SteppingClock) -> Recorder:
    """A recorder that keeps every execution, slow from one second on."""
    return Recorder(clock, settings())


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Threads that take turns as often as the interpreter can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def only(recorder: Recorder) -> QueryStats:
    """The statistics of the one pattern that was recorded."""
    (stats,) = recorder.view().queries
    return stats


def test_readers_see_what_was_recorded_before(recorder: Recorder) -> None:
    """A single execution, far from a full fold, is in the view, the history and the window at once."""
    execute(recorder.recorder("primary"), 7.5, rows=3)
    stats = only(recorder)
    assert (stats.target, stats.execution_count, stats.rows, stats.rows_known_count) == ("primary", 1, 3, 1)
    assert stats.max_duration_ms == 7.5
    assert [kept.duration_ms for kept in recorder.history(0)] == [7.5]
    assert recorder.drain().queries == (stats,)


def test_a_drain_takes_little_memory(clock: SteppingClock) -> None:
    """What was drained before is unpacked one by one, however much it is: a peak of memory is never given back."""
    recorder = Recorder(clock, settings(history_threshold_ms=1_000))
    record, patterns = recorder.recorder("primary"), [pattern(f"SELECT {number} FROM t") for number in range(200)]
    for what in patterns:
        for step in range(150):
            execute(record, 0.001 * 1.05**step, what)
    recorder.drain()
    for what in patterns:
        execute(record, 1.0, what)
    recorder.view()
    unpacked = 200 * sys.getsizeof(dict.fromkeys(range(150), 0))
    tracemalloc.start()
    try:
        recorder.drain()
        stays, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - stays < unpacked / 2


def test_every_outcome_is_counted_apart(recorder: Recorder) -> None:
    """The four outcomes are four counters, of the pattern and overall."""
    record = recorder.recorder("primary")
    for outcome, times in ((OK, 4), (ERROR, 3), (TIMEOUT, 2), (CANCELLED, 1)):
        for _ in range(times):
            execute(record, outcome=outcome)
    expected = OutcomeCounts(ok=4, error=3, timeout=2, cancelled=1)
    assert only(recorder).outcomes == expected
    assert recorder.view().outcomes == expected


def test_unknown_rows_are_not_zero_rows(recorder: Recorder) -> None:
    """Rows are added up over the executions for which the driver told, and those are counted."""
    record = recorder.recorder("primary")
    for rows in (-1, 0, 5, -1, 7):
        execute(record, rows=rows)
    assert (only(recorder).rows, only(recorder).rows_known_count) == (12, 3)


def test_slow_begins_exactly_at_the_threshold(clock: SteppingClock) -> None:
    """An execution is slow from the threshold on, to the nanosecond."""
    recorder = Recorder(clock, settings(slow_query_threshold_ms=0.3))
    record = recorder.recorder("primary")
    for duration_ns in (299_999, 300_000, 300_001):
        record(pattern(), 0, duration_ns, -1, OK, None, None, None, None, None)
    assert only(recorder).slow_count == 2
    assert recorder.view().slow_count == 2
    assert [slow.duration_ms for slow in recorder.take_slow()[0]] == [0.3, 0.300001]


def test_starts_are_wall_clock_times(recorder: Recorder, clock: SteppingClock) -> None:
    """The start is the monotonic one moved to the wall clock; first and last hold whatever order they come in."""
    record = recorder.recorder("primary")
    for second in (5, 3, 9, 4):
        execute(record, started_ns=(1 + second) * 1_000 * MS)
    clock.advance(60)
    assert only(recorder).first_seen == EPOCH + timedelta(seconds=3)
    assert only(recorder).last_seen == EPOCH + timedelta(seconds=9)


def test_percentiles_are_within_the_bound_of_the_histogram(recorder: Recorder) -> None:
    """On lognormal samples every percentile is within 1.09 % of the exact nearest-rank one; the rest is exact."""
    record, chance = recorder.recorder("primary"), random.Random(20_260_101)
    durations = sorted(round(chance.lognormvariate(14.0, 1.5)) for _ in range(20_000))
    for duration in chance.sample(durations, len(durations)):
        record(pattern(), 0, duration, -1, OK, None, None, None, None, None)
        if duration % 5_000 == 0:
            recorder.drain()
    stats = only(recorder)
    for q in (0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999):
        exact = durations[math.ceil(q * len(durations)) - 1] / MS
        assert stats.durations.quantile_ms(q) == pytest.approx(exact, rel=0.0109)
    assert (stats.durations.min_ns, stats.durations.max_ns) == (durations[0], durations[-1])
    assert stats.durations.total_ns == sum(durations)
    assert stats.execution_count == sum(stats.durations.buckets.values()) == len(durations)


def test_windows_add_up_to_the_view(recorder: Recorder) -> None:
    """A window has what happened since the last one; the view has all of them together."""
    record = recorder.recorder("primary")
    execute(record, 1.0, rows=1)
    first = recorder.drain()
    execute(record, 3.0, outcome=ERROR)
    execute(recorder.recorder("replica"), 5.0)
    second = recorder.drain()
    assert recorder.drain() == Window((), (), (), ())
    assert [(s.target, s.execution_count, s.max_duration_ms) for s in first.queries] == [("primary", 1, 1.0)]
    assert [(s.target, s.execution_count) for s in second.queries] == [("primary", 1), ("replica", 1)]
    assert {s.target: s for s in recorder.view().queries} == {
        "primary": first.queries[0].merged(second.queries[0]),
        "replica": second.queries[1],
    }
    assert recorder.view().outcomes == OutcomeCounts(ok=2, error=1)


def run_all(hosts: list[Callable[[], None]], others: list[Callable[[], None]]) -> None:
    """Runs each host once in a thread, and meanwhile the others again and again, each in a thread of its own."""
    ended = threading.Event()

    def again_and_again(step: Callable[[], None]) -> None:
        while not ended.is_set():
            step()

    with ThreadPoolExecutor(len(hosts) + len(others)) as threads:
        meanwhile = [threads.submit(again_and_again, step) for step in others]
        for host in [threads.submit(host) for host in hosts]:
            host.result()
        ended.set()
        for step in meanwhile:
            step.result()


def test_eight_threads_lose_and_repeat_nothing(eager_switching: None) -> None:
    """Eight threads record, others drain and read all the while: windows and totals equal what was recorded."""
    threads, times = 8, 40_000
    patterns = [pattern(f"SELECT a{number} FROM t") for number in range(7)]
    recorder = Recorder(SystemClock(), settings(history_threshold_ms=1_000.0))
    windows: list[Window] = []
    totals: list[int] = []

    def host(seed: int) -> None:
        record, chance = recorder.recorder(f"target {seed % 2}"), random.Random(seed)
        for number in range(times):
            outcome = OK if number % 10 else ERROR
            what, duration_ns, rows = patterns[chance.randrange(7)], 1 + number % 1_000, number % 3 - 1
            record(what, number, duration_ns, rows, outcome, None, None, None, None, None)

    def read() -> None:
        view = recorder.view()
        totals.append(view.outcomes.total)
        assert sum(stats.execution_count for stats in view.queries) == view.outcomes.total

    run_all([partial(host, seed) for seed in range(threads)], [lambda: windows.append(recorder.drain()), read])
    windows.append(recorder.drain())

    expected: Counter[tuple[str, str]] = Counter()
    for seed in range(threads):
        chance = random.Random(seed)
        expected.update((f"target {seed % 2}", patterns[chance.randrange(7)].id) for _ in range(times))
    drained: Counter[tuple[str, str]] = Counter()
    for stats in [stats for window in windows for stats in window.queries]:
        assert stats.execution_count == sum(stats.durations.buckets.values()) == stats.durations.count
        drained[stats.target, stats.pattern_id] += stats.execution_count
    view = recorder.view()
    assert drained == expected
    assert {(stats.target, stats.pattern_id): stats.execution_count for stats in view.queries} == expected
    assert view.outcomes == OutcomeCounts(ok=threads * times * 9 // 10, error=threads * times // 10)
    assert sum(s.durations.total_ns for s in view.queries) == threads * sum(1 + n % 1_000 for n in range(times))
    assert sum(s.rows for s in view.queries) == threads * sum(n % 3 == 2 for n in range(times))
    assert sum(s.rows_known_count for s in view.queries) == threads * sum(n % 3 > 0 for n in range(times))
    assert totals == sorted(totals)
    assert recorder.fold_errors == 0


def test_kept_executions_and_findings_are_exact_too(eager_switching: None) -> None:
    """While threads record, slow executions are handed out once each, and every repetition is complete."""
    threads, units, repeats = 8, 100, 10
    recorder = Recorder(SystemClock(), settings(max_history_size=100_000, slow_query_threshold_ms=1.0))
    kept: list[SlowQuery] = []
    slow: list[SlowQuery] = []
    found: list[Repetition] = []

    def host(seed: int) -> None:
        record = recorder.recorder("primary")
        for number in range(units):
            unit = Work("GET /orders", of=f"{seed}-{number}")
            for repeat in range(repeats):
                execute(record, repeat % 2, unit=unit, call_site=None if repeat == 0 else "shop/orders.py:12 in show")

    def drain() -> None:
        window = recorder.drain()
        kept.extend(window.slow_queries)
        found.extend(window.repetitions)

    run_all([partial(host, seed) for seed in range(threads)], [drain, lambda: slow.extend(recorder.take_slow()[0])])
    drain()
    slow.extend(recorder.take_slow()[0])
    everything = threads * units * repeats
    assert len(kept) == len(recorder.history(0)) == everything
    assert len(slow) + recorder.kept.pending_dropped == recorder.view().slow_count == everything // 2
    (finding,) = recorder.view().repetitions
    assert (finding.scopes_count, finding.execution_count, finding.max_per_scope) == (800, everything, repeats)
    assert sum(part.execution_count for part in found) == everything
    assert sum(part.scopes_count for part in found) == threads * units


def test_the_queue_stays_short_without_readers(recorder: Recorder) -> None:
    """Whoever records folds 257 at a time, so nothing piles up when nobody reads."""
    record = recorder.recorder("primary")
    for _ in range(1_000):
        execute(record)
    assert len(recorder._queue) < 257


def test_the_hook_that_fills_the_queue_is_timed() -> None:
    """From the end of the driver's call; the median says what that adds to a statement, whatever one was held up."""
    clock = FakeClock()
    recorder = Recorder(clock, settings())
    queue, _, fold_at, fold, _ = recorder.ledger()
    record = recorder.recorder("primary")
    for added_us in (*(2.0 for _ in range(14)), *(2.5 for _ in range(15)), 9_000.0):
        assert recorder.cost.added_us == 0, "of few it is not told"
        for _ in range(fold_at - 1):
            execute(record)
        ended_ns = clock.monotonic_ns()
        clock.advance(added_us / 1e6)
        fold(ended_ns)
        assert not queue
    assert recorder.cost.added_us == 2.5
    assert 0 < recorder.cost.fold_us < 1_000
    recorder.after_fork_in_child()
    assert (recorder.cost.added_us, recorder.cost.fold_us) == (0, 0)


def test_an_idle_process_pays_for_no_execution(recorder: Recorder) -> None:
    """What a fold of many took is told, and flushes with nothing to count add nothing to it."""
    record = recorder.recorder("primary")
    for _ in range(999):
        execute(record)
    recorder.drain()
    assert recorder.cost.fold_us == 0, "of few it is not told"
    execute(record)
    recorder.drain()
    told = recorder.cost.fold_us
    assert told > 0
    for _ in range(50):
        recorder.drain()
    assert recorder.cost.fold_us == told


_ROWS = st.lists(
    st.tuples(
        st.sampled_from(["primary", "replica"]),
        st.sampled_from([pattern("SELECT ?"), pattern("SELECT b"), pattern("COMMIT", "transaction")]),
        st.sampled_from([None, "a.py:1"]),
        st.sampled_from([None, 0, 1, 2, 3]),  # a unit of work
        st.integers(1, 3),  # times
    ),
    min_size=2,
    max_size=40,
)


_SELECT = pattern("SELECT b")
_IN_TURN = [("primary", _SELECT, None, unit, times) for unit, times in ((0, 3), (3, 2), (0, 1))]


@given(_ROWS, st.integers(1, 40))
@example(_IN_TURN, 7)
def test_where_folds_cut_a_row_does_not_matter(
    rows: list[tuple[str, Pattern, str | None, int | None, int]], cut: int
) -> None:
    """Executions that are alike and follow each other are added up, to what counting each of them alone gives."""

    def counted(every: int) -> tuple[object, ...]:
        recorder = Recorder(FakeClock(), settings(repetition_threshold=2))
        units = [Work(), Work(), Work("GET /"), Work("GET /", tenant="a")]
        number = 0
        for target, what, line, unit, times in rows:
            for _ in range(times):
                number += 1
                within = None if unit is None else units[unit]
                execute(recorder.recorder(target), number, what, call_site=line, unit=within)
                if number % every == 0:
                    recorder.view()
        view = recorder.view()
        assert recorder.fold_errors == 0
        return (
            {
                (one.target, one.pattern_id, one.scope, one.tags["tenant"] if one.tags else ""): one
                for one in view.queries
            },
            {(one.target, one.pattern.id, one.call_site): one for one in view.repetitions},
            {(one.scope, *one.tags.items()): one for one in view.scopes},
            view.outcomes,
        )

    assert counted(cut) == counted(1)


_OF_STREAKS = st.lists(
    st.tuples(
        st.integers(0, 3),  # a streak
        st.sampled_from(["a.py:1", "b.py:2"]),
        st.integers(1, 5_000_000),  # nanoseconds
        st.sampled_from([-1, 0, 2]),  # rows
    ),
    min_size=2,
    max_size=60,
)
# Enough of each to be added up.
_IN_ROWS = [(number % 4, ("a.py:1", "b.py:2")[number % 7 % 2], number, number % 5 - 1) for number in range(1, 80)]


@given(_OF_STREAKS, st.integers(1, 60))
@example(_IN_ROWS, 60)
@example([(0, line, 1, -1) for line in ("a.py:1", None, "b.py:2", None)], 4)
def test_executions_of_a_streak_in_short_are_those_in_full(
    executions: list[tuple[int, str, int, int]], cut: int
) -> None:
    """Whether capture tells of a streak's execution in short or in full, the same is counted."""

    def counted(*, in_short: bool) -> object:
        recorder = Recorder(FakeClock(), settings(repetition_threshold=2, history_threshold_ms=1_000.0))
        record, queue = recorder.recorder("primary"), recorder.ledger().queue
        scopes = [None, None, Work("GET /"), Work("GET /")]
        patterns = [pattern("SELECT b"), pattern("COMMIT", "transaction"), pattern("SELECT c"), pattern("SELECT d")]
        streaks = [
            Streak("primary", what, cast("Any", scope), 0, 1_000, 2_000, {})
            for what, scope in zip(patterns, scopes, strict=True)
        ]
        for number, (of, found, duration_ns, rows) in enumerate(executions, start=1):
            # Of a streak every line is known, or none is.
            streak, line = streaks[of], None if of == 0 else found
            if in_short:
                queue.append((streak, number, duration_ns, rows, line))
            else:
                record(patterns[of], number, duration_ns, rows, OK, None, line, streak, None, scopes[of])
            if number % cut == 0:
                recorder.view()
        view = recorder.view()
        assert recorder.fold_errors == 0
        return (
            {(one.pattern_id, one.scope): one for one in view.queries},
            {(one.pattern.id, one.call_site): one for one in view.repetitions},
            {one.scope: one for one in view.scopes},
            view.outcomes,
        )

    assert counted(in_short=True) == counted(in_short=False)


class _TimeIsUpError(Exception):
    """What a signal handler raises."""


def _time_is_up(_signum: int, _frame: FrameType | None) -> None:
    raise _TimeIsUpError


@contextmanager
def interrupted_at(place: int) -> Iterator[list[int]]:
    """
    Has a signal handler raise at one of the places where it may: where a function begins or a call of C ends.

    Yields:
        How many of them were passed, in a list of its own.
    """
    passed = [0]

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event in {"call", "c_return"} and "querygauge" in frame.f_code.co_filename:
            passed[0] += 1
            if passed[0] == place:
                _time_is_up(14, frame)

    sys.setprofile(profile)
    try:
        with suppress(_TimeIsUpError):
            yield passed
    finally:
        sys.setprofile(None)


class Busy:
    """A recorder to which a bit of everything was sent; two units are under way, and three have ended."""

    def __init__(self) -> None:
        self.recorder = Recorder(FakeClock(), settings(history_threshold_ms=1_000.0, repetition_threshold=3))
        self.patterns = [pattern(f"SELECT {name}") for name in "abc"]
        self.units = [Work(name) for name in ("GET /", "GET /", "job")]
        self.under_way = [Work("GET /"), Work("import")]
        self.sent = self.within = 0
        for unit in (*self.units, *self.under_way):
            self.send(unit)
        self.send(None)
        for unit in self.units:
            self.recorder.scope_ended(unit, MS)

    def send(self, unit: Work | None) -> None:
        """Sends executions with phases, lines and repetitions, slow ones, and streaks of several lengths."""
        record, ledger = self.recorder.recorder("primary"), self.recorder.ledger()
        before = self.sent
        for phases in (None, (1, 2), (1,) * 6):
            record(self.patterns[0], 5, 1_000, 1, OK, None, None, None, None, unit, phases)
        ledger.phases.append(("primary", self.patterns[0], 1, 100, unit))
        record(self.patterns[1], 5, 2_000 * MS, -1, ERROR, None, "a.py:1", None, None, unit)
        for _ in range(4):
            record(self.patterns[1], 5, 1_000, 1, OK, None, "a.py:2", unit, None, unit)
        self.sent += 8
        for number, what in ((2, self.patterns[1]), (9, self.patterns[2])):
            streak = Streak("primary", what, cast("Any", unit), 0, 1, 2, {})
            ledger.queue.extend((streak, 5 + n, 1_000, 1, ("a.py:1", None)[n % 2]) for n in range(number))
            self.sent += number
        self.within += 0 if unit is None else self.sent - before


# A generator that is closed cannot raise.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("look", [Recorder.view, Recorder.drain], ids=["view", "drain"])
def test_nothing_is_counted_twice_or_lost_untold_when_a_signal_handler_raises(
    look: Callable[[Recorder], object],
) -> None:
    """Wherever it raises: what was under way is told, no more; all else is counted once, now or by the next fold."""
    place, passed = 0, [0]
    while passed[0] >= place:
        place += 1
        busy = Busy()
        with interrupted_at(place) as passed:
            look(busy.recorder)
        busy.send(busy.under_way[0])
        for unit in busy.under_way:
            busy.recorder.scope_ended(unit, MS)
        errors = sum(one.count for one in busy.recorder.drain().errors)
        view, dropped = busy.recorder.view(), busy.recorder.dropped
        counted, scopes = sum(one.execution_count for one in view.queries), view.scopes
        units = sum(one.unit_count for one in scopes)
        assert counted == view.outcomes.total <= busy.sent, place
        assert units <= 5, place
        assert dropped == (busy.sent - counted) + (5 - units), place
        within = sum(one.execution_count for one in scopes)
        assert within == sum(one.execution_count for one in view.queries if one.scope is not None), place
        assert within <= busy.within <= within + dropped, place
        assert len(busy.recorder.history(0)) == view.slow_count, place
        assert view.slow_count <= 7 <= view.slow_count + dropped, place
        assert errors <= view.outcomes.error, place
        assert all(one.execution_count == sum(one.durations.buckets.values()) > 0 for one in view.queries), place
        assert sum(sum(one.lines.values()) for one in view.queries) <= busy.sent, place
        assert sum(one.execution_count for one in view.repetitions) <= busy.sent, place
        assert busy.recorder.fold_errors == 0
    assert place > 500
    assert (dropped, counted) == (0, busy.sent)
    assert errors == (7 if look is Recorder.view else 1)


def test_recording_does_not_wait_for_a_reader(recorder: Recorder) -> None:
    """While somebody holds the lock, records are queued and folded later; none waits, none is lost."""
    record = recorder.recorder("primary")
    with recorder._lock.held():
        for _ in range(1_000):
            execute(record)
    assert only(recorder).execution_count == 1_000


def test_a_malformed_record_reaches_nobody(recorder: Recorder) -> None:
    """What cannot be counted is noted; neither the caller nor the records around it notice."""
    record = recorder.recorder("primary")
    execute(record)
    record(None, 0, 0, 0, 0, None, None, None, None, None)  # type: ignore[arg-type]  # the mistake under test
    execute(record)
    assert only(recorder).execution_count == 2
    assert recorder.fold_errors == 1


class TestScopesNamedLater:
    """An execution is counted once the name of its scope is known; a bounded number waits for that."""

    def test_the_name_is_waited_for(self, clock: SteppingClock) -> None:
        """What was sent before the route was looked for is counted under the route."""
        recorder, unit = Recorder(clock, settings()), Work()
        execute(recorder.recorder("primary"), scope=unit, started_ns=clock.monotonic_ns())
        assert not recorder.drain().queries
        unit.label = ScopeLabel("GET /orders")
        assert [slow.scope for slow in recorder.drain().slow_queries] == ["GET /orders"]
        assert only(recorder).execution_count == 1

    def test_however_long_it_takes(self, clock: SteppingClock) -> None:
        """A middleware may ask somebody far away who it is that asks."""
        recorder, unit = Recorder(clock, settings()), Work()
        execute(recorder.recorder("primary"), 1.0, scope=unit, started_ns=clock.monotonic_ns())
        clock.advance(3_600)
        assert not recorder.drain().queries
        unit.label = ScopeLabel("GET /orders")
        assert [slow.scope for slow in recorder.drain().slow_queries] == ["GET /orders"]

    def test_not_too_many(self, recorder: Recorder) -> None:
        """Beyond a thousand the oldest are counted under what is known by then, told of in short or in full."""
        unit = Work()
        streak = Streak("primary", pattern("SELECT b"), cast("Any", unit), 0, 1, 2, {})
        for number in range(1_010):
            if number % 2:
                recorder.ledger().queue.append((streak, number, MS, 1, None))
            else:
                execute(recorder.recorder("primary"), scope=unit, started_ns=number)
        counted = recorder.drain().queries
        assert {one.scope: one.execution_count for one in counted if "b" not in one.query_pattern} == {
            "nobody knows": 5
        }
        assert sum(one.execution_count for one in counted) == 10
        unit.label = ScopeLabel("GET /orders")
        assert sum(one.execution_count for one in recorder.drain().queries if one.scope == "GET /orders") == 1_000

    def test_phases_wait_as_long(self, recorder: Recorder) -> None:
        """What is told apart later belongs to the execution that waits, not to another one of the same pattern."""
        unit, phases = Work(), recorder.ledger().phases
        for scope in (None, unit):
            execute(recorder.recorder("primary"), scope=scope)
        phases.append(("primary", pattern(), 1, 5 * MS, cast("Any", unit)))
        recorder.drain()
        unit.label = ScopeLabel("GET /orders")
        (waited,) = recorder.drain().queries
        assert (waited.scope, waited.phases.connect_ns) == ("GET /orders", 5 * MS)

    def test_each_is_asked_once_by_a_fold(self, recorder: Recorder) -> None:
        """To look for a route takes longer than to count a query."""
        unit, asked = Work(), 0

        def find_label(*, is_last: bool = False) -> ScopeLabel | None:
            nonlocal asked
            asked += 1
            return None

        unit.find_label = find_label  # type: ignore[method-assign]
        for _ in range(20):
            execute(recorder.recorder("primary"), scope=unit)
        recorder.view()
        assert asked == 1
        recorder.view()
        assert asked == 2

    def test_not_at_the_end(self, clock: SteppingClock) -> None:
        """The last drain leaves nothing behind."""
        recorder = Recorder(clock, settings())
        execute(recorder.recorder("primary"), scope=Work(), started_ns=clock.monotonic_ns())
        assert [slow.scope for slow in recorder.drain(is_last=True).slow_queries] == ["nobody knows"]


class TestHistory:
    """Executions kept one by one."""

    def test_an_execution_is_kept_whole(self, recorder: Recorder) -> None:
        """Everything a record knows is in the `SlowQuery`, in public units."""
        failure = Failure("UniqueViolation", "23505", "duplicate key (?)=(?)")
        execute(
            recorder.recorder("primary"), 1_500.0, started_ns=2_000 * MS, rows=4, outcome=ERROR, failure=failure,
            call_site="shop/orders.py:12 in show", unit=Work("GET /orders"),
        )  # fmt: skip
        (kept,) = recorder.history(0)
        assert (kept.query, kept.pattern_id, kept.target) == (pattern().text, pattern().id, "primary")
        assert (kept.duration_ms, kept.timestamp) == (1_500.0, EPOCH + timedelta(seconds=1))
        assert (kept.outcome, kept.rows, kept.error) == ("error", 4, failure)
        assert (kept.call_site, kept.scope) == ("shop/orders.py:12 in show", "GET /orders")
        assert (kept.parameters, kept.trace_id) == (None, None)

    def test_literals_are_kept_when_given(self, recorder: Recorder) -> None:
        """A statement and parameters that were handed over take the pattern's place."""
        execute(recorder.recorder("primary"), literals=("SELECT a FROM t WHERE id = 7", {"id": 7}))
        (kept,) = recorder.history(0)
        assert (kept.query, kept.parameters) == ("SELECT a FROM t WHERE id = 7", {"id": 7})

    def test_a_trace_is_kept(self, recorder: Recorder) -> None:
        """An execution recorded with a trace id can be found by it."""
        recorder.record_traced("4bf92f35", "primary", pattern(), 0, MS, -1, OK, None, None, None, None, None)
        assert [kept.trace_id for kept in recorder.history(0)] == ["4bf92f35"]

    def test_it_is_complete_from_its_threshold_on(self, clock: SteppingClock) -> None:
        """Every execution from the history threshold on is kept, whatever is slow."""
        recorder = Recorder(clock, settings(history_threshold_ms=200.0, slow_query_threshold_ms=1_000.0))
        record = recorder.recorder("primary")
        for duration_ms in (199.999999, 200.0, 500.0, 1_000.0):
            execute(record, duration_ms)
        assert [kept.duration_ms for kept in recorder.history(0)] == [200.0, 500.0, 1_000.0]
        assert [kept.duration_ms for kept in recorder.history(500 * MS)] == [500.0, 1_000.0]
        assert [kept.duration_ms for kept in recorder.drain().slow_queries] == [200.0, 500.0, 1_000.0]

    def test_it_is_bounded_and_counts_what_it_pushes_out(self, clock: SteppingClock) -> None:
        """The newest executions are kept; those pushed out are counted."""
        recorder = Recorder(clock, settings(max_history_size=3))
        record = recorder.recorder("primary")
        for duration_ms in range(1, 6):
            execute(record, duration_ms)
        assert [kept.duration_ms for kept in recorder.history(0)] == [3, 4, 5]
        assert recorder.kept.history_dropped == 2

    def test_a_window_has_each_execution_once(self, clock: SteppingClock) -> None:
        """A window has what was kept since the last one and is still there; the history keeps it."""
        recorder = Recorder(clock, settings(max_history_size=3))
        record = recorder.recorder("primary")
        execute(record, 1)
        assert [kept.duration_ms for kept in recorder.drain().slow_queries] == [1]
        for duration_ms in (2, 3, 4):
            execute(record, duration_ms)
        assert [kept.duration_ms for kept in recorder.drain().slow_queries] == [2, 3, 4]
        execute(record, 5)
        assert [kept.duration_ms for kept in recorder.drain().slow_queries] == [5]
        for duration_ms in range(6, 20):
            execute(record, duration_ms)
        assert [kept.duration_ms for kept in recorder.drain().slow_queries] == [17, 18, 19]
        assert recorder.drain().slow_queries == ()

    def test_a_unit_is_let_go(self, recorder: Recorder) -> None:
        """Keeping an execution does not keep its unit, nor all that the unit has counted."""
        unit = Work("GET /orders")
        execute(recorder.recorder("primary"), 1_500.0, unit=unit)
        recorder.drain()
        gone = ref(unit)
        del unit
        gc.collect()
        assert gone() is None


class TestSlowQueue:
    """Slow executions on their way to alerts and log lines."""

    def test_each_is_handed_out_once(self, recorder: Recorder) -> None:
        """`take_slow` gives each slow execution once, oldest first; reading and draining take none of them."""
        record = recorder.recorder("primary")
        for duration_ms in (999.0, 1_000.0, 5.0, 3_000.0):
            execute(record, duration_ms)
        recorder.drain()
        recorder.view()
        slow, missed = recorder.take_slow()
        assert ([one.duration_ms for one in slow], missed) == ([1_000.0, 3_000.0], 0)
        assert recorder.take_slow() == ([], 0)

    def test_it_is_bounded_and_counts_the_rest(self, recorder: Recorder) -> None:
        """A thousand wait; how many more there were is told once, and stays in the sum."""
        record = recorder.recorder("primary")
        for _ in range(1_005):
            execute(record, 1_000.0)
        slow, missed = recorder.take_slow()
        assert (len(slow), missed, recorder.kept.pending_dropped) == (1_000, 5, 5)
        assert recorder.take_slow() == ([], 0)
        assert recorder.kept.pending_dropped == 5

    def test_a_history_above_the_slow_threshold_loses_no_alert(self, clock: SteppingClock) -> None:
        """What is slow is handed out also where the history begins later."""
        recorder = Recorder(clock, settings(history_threshold_ms=5_000.0))
        execute(recorder.recorder("primary"), 1_000.0)
        assert len(recorder.take_slow()[0]) == 1
        assert recorder.history(0) == []


class TestBounds:
    """Distinct patterns, retention, and forgetting."""

    def test_patterns_beyond_the_limit_count_together(self, clock: SteppingClock) -> None:
        """The first patterns are counted apart, further ones as `other`; no execution is missing in the sum."""
        recorder = Recorder(clock, settings(max_patterns=3))
        record = recorder.recorder("primary")
        for number in (0, 1, 2, 3, 4, 0, 3):
            execute(record, what=pattern(f"SELECT a{number} FROM t"))
        counts = {stats.query_pattern: stats.execution_count for stats in recorder.view().queries}
        assert counts == {"SELECT a0 FROM t": 2, "SELECT a1 FROM t": 1, "SELECT a2 FROM t": 1, OTHER.text: 3}
        assert recorder.folded_counts()[0] == 3
        assert recorder.view().outcomes.total == 7

    def test_the_limit_holds_across_windows(self, clock: SteppingClock) -> None:
        """Draining makes no room; patterns known from earlier windows stay apart."""
        recorder = Recorder(clock, settings(max_patterns=2))
        record = recorder.recorder("primary")
        for _ in range(3):
            for number in range(4):
                execute(record, what=pattern(f"SELECT a{number} FROM t"))
            recorder.drain()
        counts = {stats.query_pattern: stats.execution_count for stats in recorder.view().queries}
        assert counts == {"SELECT a0 FROM t": 3, "SELECT a1 FROM t": 3, OTHER.text: 6}
        assert recorder.folded_counts()[0] == 6

    def test_other_repeats_nothing(self, clock: SteppingClock) -> None:
        """Different patterns that are counted together are no repetition."""
        recorder = Recorder(clock, settings(max_patterns=1))
        record, unit = recorder.recorder("primary"), Work()
        for number in range(20):
            execute(record, what=pattern(f"SELECT a{number} FROM t"), unit=unit)
        assert recorder.view().repetitions == ()

    def test_unseen_patterns_are_dropped_after_they_were_drained(
        self, recorder: Recorder, clock: SteppingClock
    ) -> None:
        """A pattern goes when it was last seen too long ago, never with numbers that no window has had."""
        record = recorder.recorder("primary")
        execute(record, what=pattern("SELECT old FROM t"), started_ns=clock.monotonic_ns())
        clock.advance(3_600)
        execute(record, what=pattern("SELECT new FROM t"), started_ns=clock.monotonic_ns())
        recorder.drop_unseen_since(clock.now_us() - 60_000_000)
        assert len(recorder.view().queries) == 2
        recorder.drain()
        recorder.drop_unseen_since(clock.now_us() - 60_000_000)
        assert [stats.query_pattern for stats in recorder.view().queries] == ["SELECT new FROM t"]
        assert recorder.view().outcomes.total == 2

    def test_the_time_of_dropped_patterns_stays(self, recorder: Recorder, clock: SteppingClock) -> None:
        """As executions do: what is forgotten and what is there are together what was spent, on each target."""
        for target, ms in (("primary", 3.0), ("replica", 5.0)):
            execute(recorder.recorder(target), ms, started_ns=clock.monotonic_ns())
        for _ in range(2):
            recorder.drain()
            clock.advance(3_600)
            recorder.drop_unseen_since(clock.now_us())
            execute(recorder.recorder("primary"), 2.0, started_ns=clock.monotonic_ns())
        assert recorder.view().forgotten_ns == {"primary": 5 * MS, "replica": 5 * MS}
        assert only(recorder).total_duration_ms == 2.0
        recorder.clear()
        assert recorder.view().forgotten_ns == {}

    def test_a_pattern_that_came_back_is_not_dropped(self, recorder: Recorder, clock: SteppingClock) -> None:
        """A pattern drained long ago keeps its old numbers when the window has new ones."""
        record = recorder.recorder("primary")
        execute(record, started_ns=clock.monotonic_ns())
        recorder.drain()
        clock.advance(3_600)
        execute(record, started_ns=clock.monotonic_ns())
        recorder.drop_unseen_since(clock.now_us() - 60_000_000)
        assert only(recorder).execution_count == 2

    def test_dropping_makes_room(self, clock: SteppingClock) -> None:
        """A dropped pattern no longer counts against the limit, and starts anew when it comes back."""
        recorder = Recorder(clock, settings(max_patterns=1))
        record = recorder.recorder("primary")
        execute(record, what=pattern("SELECT old FROM t"), started_ns=clock.monotonic_ns())
        recorder.drain()
        clock.advance(3_600)
        recorder.drop_unseen_since(clock.now_us())
        execute(record, what=pattern("SELECT new FROM t"), started_ns=clock.monotonic_ns())
        assert [stats.query_pattern for stats in recorder.view().queries] == ["SELECT new FROM t"]
        assert recorder.view().outcomes.total == 2

    def test_a_finding_goes_with_its_pattern(self, recorder: Recorder, clock: SteppingClock) -> None:
        """Repetitions of a dropped pattern are forgotten with it."""
        record, unit = recorder.recorder("primary"), Work()
        for _ in range(5):
            execute(record, unit=unit, started_ns=clock.monotonic_ns())
        assert len(recorder.drain().repetitions) == 1
        clock.advance(3_600)
        recorder.drop_unseen_since(clock.now_us())
        assert recorder.view().repetitions == ()

    def test_clear_forgets_everything(self, recorder: Recorder) -> None:
        """After clear() nothing is left, not even what was waiting; recording goes on."""
        record, unit = recorder.recorder("primary"), Work()
        for _ in range(600):
            execute(record, 2_000.0, unit=unit)
        recorder.clear()
        assert (recorder.view().queries, recorder.view().repetitions) == ((), ())
        assert (recorder.view().outcomes.total, recorder.view().slow_count) == (0, 0)
        assert (recorder.history(0), recorder.take_slow(), recorder.drain()) == ([], ([], 0), Window((), (), (), ()))
        execute(record)
        assert only(recorder).execution_count == 1


class TestRepetitions:
    """What counts towards a repetition."""

    def test_a_repeated_query_is_found(self, recorder: Recorder) -> None:
        """Executions of one unit that reach the threshold are a finding, in the window and in the view."""
        record, unit = recorder.recorder("primary"), Work("GET /orders")
        execute(record, unit=unit)
        for _ in range(5):
            execute(record, unit=unit, call_site="shop/orders.py:12 in show")
        (viewed,) = recorder.view().repetitions
        (drained,) = recorder.drain().repetitions
        assert viewed == drained
        assert (viewed.execution_count, viewed.total_duration_ms, viewed.pattern) == (6, 6.0, pattern())

    @pytest.mark.parametrize("category", ["transaction", "session", "catalog"])
    def test_only_queries_are_repetitions(self, recorder: Recorder, category: str) -> None:
        """Transaction control, session settings and catalog reads repeat without being an N+1."""
        record, unit = recorder.recorder("primary"), Work()
        for _ in range(10):
            execute(record, what=pattern("BEGIN", category), unit=unit)  # type: ignore[arg-type]  # one of Category
        assert recorder.view().repetitions == ()

    def test_without_a_unit_nothing_is_repeated(self, recorder: Recorder) -> None:
        """Executions that belong to no unit are counted, and are no repetition."""
        record = recorder.recorder("primary")
        for _ in range(10):
            execute(record)
        assert recorder.view().repetitions == ()


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_an_impossible_threshold_is_refused(value: float) -> None:
    """A threshold must be a finite number that is not negative; the error names it."""
    with pytest.raises(SettingsError, match=r"slow_query_threshold_ms must be a finite number >= 0; got"):
        nanoseconds("slow_query_threshold_ms", value)


def test_outcomes_are_places() -> None:
    """A record's outcome is its place in `OUTCOMES`, which is the order of the counters."""
    assert [OUTCOMES[place] for place in (OK, ERROR, TIMEOUT, CANCELLED)] == ["ok", "error", "timeout", "cancelled"]


def test_a_forked_child_counts_from_zero() -> None:
    """After a fork, with the lock held and records waiting, the child counts its own executions exactly."""
    program = """
import os, threading
from querygauge.capture.scope import Streak
from querygauge.clock import SystemClock
from querygauge.monitors.query_monitor import QueryMonitor
from querygauge.values import Pattern
pattern = Pattern("1" * 16, "SELECT ?", "SELECT", "SELECT", (), "sqlite")
monitor = QueryMonitor(slow_query_threshold_ms=1.0)
record = monitor.recorder("primary")
def execute(times):
    for _ in range(times):
        record(pattern, 0, 2_000_000, 1, 0, None, None, None, None, None)
execute(100); monitor.drain(); execute(300)
forked, folding = threading.Event(), threading.Event()
def fold():
    with monitor._recorder._lock.held():
        folding.set()
        forked.wait(20)
holder = threading.Thread(target=fold)
holder.start(); folding.wait(20)
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        execute(700)
        (window,) = monitor.drain().queries
        view = monitor.report_data()
        counts = {window.execution_count, view.outcomes.total, view.slow_count, view.queries[0].rows}
        os._exit(0 if counts == {700} and len(monitor.get_slow_queries()) == 700 else 1)
    children.append(child)
forked.set(); holder.join()
statuses = [os.waitpid(child, 0)[1] for child in children]
print(statuses, monitor.report_data().outcomes.total, len(monitor.get_slow_queries()))
"""
    assert run_python(program) == "[0, 0, 0] 400 400"
