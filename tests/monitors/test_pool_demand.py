"""Demand: how many connections are wanted at once, for how long, and how many requests met how many others."""

import random
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import FakeClock
from querygauge.monitors.pool_demand import NO_LIMIT, DemandCounter
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor
from querygauge.values import NO_DEMAND, Demand
from querygauge.values.demand import level_of

START = 1_000_000_000  # of the clock in tests
Stay = tuple[int, int]  # from, to; nanoseconds after the start


def replayed(stays: Iterable[Stay]) -> tuple[Counter[int], Counter[int]]:
    """Time and requests by level, counted moment by moment."""
    requests: Counter[int] = Counter()
    times: Counter[int] = Counter()
    moves = sorted([(begin, 1) for begin, _ in stays] + [(end, -1) for _, end in stays], key=lambda move: move[0])
    level = before = 0
    for moment, step in moves:
        times[level] += moment - before
        if step > 0:
            requests[level] += 1
        level, before = level + step, moment
    return times, requests


@st.composite
def several_stays(draw: st.DrawFn) -> list[Stay]:
    """Stays whose moments are all different, so that their order is given."""
    moments = draw(
        st.lists(st.integers(1, 10**9), min_size=2, max_size=40, unique=True).filter(lambda m: not len(m) % 2)
    )
    return [tuple(sorted(moments[place : place + 2])) for place in range(0, len(moments), 2)]  # type: ignore[misc]


@given(several_stays(), st.randoms(use_true_random=False))
def test_levels_are_those_of_a_replay(stays: list[Stay], random_order: random.Random) -> None:
    """However the moments are told, in whatever order, before one fold: time and requests by level are exact."""

    class Clock:
        def monotonic_ns(self) -> int:
            return self.now_ns

        now_us = monotonic_ns
        now_ns = START

    clock = Clock()
    counter = DemandCounter(clock, [3])
    moves = [START + begin for begin, _ in stays] + [-(START + end) for _, end in stays]
    random_order.shuffle(moves)
    counter.queue.extend(moves)
    clock.now_ns = START + 2 * 10**9
    found = counter.window()
    times, requests = replayed(stays)
    times[0] += 2 * 10**9 - max(end for _, end in stays)
    assert found == Demand(3, sum(spent for level, spent in times.items() if level >= 3), +times, +requests)


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("ahead", [0, 1])
def test_one_at_a_time_is_as_any_order(limit: int, ahead: int) -> None:
    """Where one stay follows the other, they are added up at once, to what the replay gives."""
    stays = [(10 * number, 10 * number + number) for number in range(1, 9)]

    def told(*, in_order: bool) -> Demand:
        clock = FakeClock()
        began = clock.monotonic_ns() + 1
        counter = DemandCounter(clock, [limit])
        counter.queue.extend([began + moment for stay in stays for moment in (stay[0], -stay[1] - 2 * began)])
        if ahead:
            counter.queue.appendleft(began)
        if not in_order:
            counter.queue.reverse()
        clock.advance(1)
        return counter.window()

    in_order = told(in_order=True)
    assert in_order == told(in_order=False)
    assert in_order.request_count == len(stays) + ahead


def test_a_window_begins_at_the_level_the_last_one_ended_with(clock: Any) -> None:
    """Nothing is counted twice, and the time of all windows together is the time that passed."""
    counter = DemandCounter(clock, [2])
    counter.queue.append(clock.monotonic_ns())
    clock.advance(1)
    first = counter.window()
    counter.counted = NO_DEMAND
    clock.advance(2)
    counter.queue.append(clock.monotonic_ns())
    clock.advance(3)
    second = counter.window()
    assert (first.times_ns, first.requests) == ({1: 10**9}, {0: 1})
    assert (second.times_ns, second.requests, second.full_ns) == ({1: 2 * 10**9, 2: 3 * 10**9}, {1: 1}, 3 * 10**9)


def test_a_moment_told_late_counts_from_the_fold(clock: Any) -> None:
    """A thread that was put to sleep between reading the clock and telling changes no time that is counted already."""
    counter = DemandCounter(clock, [NO_LIMIT])
    moment = clock.monotonic_ns()
    clock.advance(1)
    counter.fold()
    counter.queue.append(moment)
    clock.advance(1)
    assert counter.window() == Demand(0, 0, {0: 10**9, 1: 10**9}, {0: 1})


def test_what_is_given_back_without_being_asked_for_is_ignored(clock: Any) -> None:
    """It was out before we came; demand is never below zero."""
    counter = DemandCounter(clock, [5])
    for number in range(3):
        clock.advance(1)
        counter.queue.append(-clock.monotonic_ns())
        if number == 1:
            counter.queue.append(clock.monotonic_ns())
    assert counter.window() == Demand(5, 0, {0: 2 * 10**9, 1: 10**9}, {0: 1})


def test_what_was_missed_is_forgotten_where_nobody_holds_anything(clock: Any) -> None:
    """A hook that failed leaves a level behind; once the pool is empty it is none."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    monitor.ledger().moves.append(clock.monotonic_ns())  # and never the other
    clock.advance(1)
    assert monitor.drain().metrics.demand.times_ns == {1: 10**9}
    clock.advance(1)
    assert monitor.drain().metrics.demand.times_ns == {0: 10**9}


@pytest.mark.parametrize("count", [*range(1, 300), 1_023, 1_024, 4_097, 10_000_000])
def test_high_levels_are_rounded_up_a_little(count: int) -> None:
    """So that a pool is never advised too small, and memory is bounded; up to 256 they are exact."""
    level = level_of(count)
    assert level_of(level) == level
    assert level == count if count <= 256 else count <= level < count * 1.01


def test_the_replay_says_how_many_connections_would_do() -> None:
    """The smallest number with which so many requests found one free; and exactly so many, not one fewer."""
    demand = Demand(15, 3, {0: 97, 15: 3}, {0: 900, 10: 99, 21: 1})
    assert (demand.needed(0.9), demand.needed(0.901), demand.needed(0.999), demand.needed(1.0)) == (1, 11, 11, 22)
    assert (demand.full_percent, demand.connections_needed, demand.request_count) == (3.0, 11, 1_000)
    assert (NO_DEMAND.needed(0.999), NO_DEMAND.full_percent) == (0, 0.0)


@given(st.lists(st.builds(
    Demand,
    st.integers(0, 9),
    st.integers(0, 9),
    st.dictionaries(st.integers(0, 5), st.integers(1, 9)),
    st.dictionaries(st.integers(0, 5), st.integers(1, 9)),
), max_size=4))  # fmt: skip
def test_merging_is_exact_in_any_order(demands: list[Demand]) -> None:
    """Those of many processes and minutes add up."""
    forward = backward = NO_DEMAND
    for demand in demands:
        forward = forward.merged(demand)
    for demand in reversed(demands):
        backward = demand.merged(backward)
    assert forward == backward
    assert forward.request_count == sum(demand.request_count for demand in demands)


class Queue:
    """A pool of so many connections that are given out in the order in which they are asked for."""

    def __init__(self, size: int) -> None:
        self.size = size

    def serve(self, asked: list[int], held: list[int]) -> tuple[list[Stay], int]:
        """When each request was in the pool, from asking to giving back, and how many had to wait."""
        free = [0] * self.size
        stays, waited = [], 0
        for begin, length in zip(asked, held, strict=True):
            place = min(range(self.size), key=free.__getitem__)
            waited += free[place] > begin
            free[place] = max(free[place], begin) + length
            stays.append((begin, free[place]))
        return stays, waited


@given(
    st.lists(st.tuples(st.integers(1, 1_000), st.integers(1, 5_000)), min_size=1, max_size=60),
    st.integers(1, 6),
    st.sampled_from([0.5, 0.9, 0.999, 1.0]),
)
def test_the_advice_is_enough(requests: list[tuple[int, int]], size: int, fraction: float) -> None:
    """Served again by a pool of the advised size, at least that fraction does not wait: the law the advice rests on."""
    asked: list[int] = []
    for gap, _ in requests:
        asked.append((asked[-1] if asked else 0) + gap)
    held = [length for _, length in requests]
    stays, waited = Queue(size).serve(asked, held)
    # Who asks at the moment at which another gives back meets one fewer.
    ends = sorted(end for _, end in stays)
    met = [number - sum(end <= begin for end in ends) for number, (begin, _) in enumerate(stays)]
    demand = Demand(size, 0, {}, Counter(met))
    needed = demand.needed(fraction)
    _, then_waited = Queue(max(size, needed)).serve(asked, held)
    assert then_waited <= len(requests) * (1 - fraction) + 1e-9
    assert (waited == 0) == (demand.needed(1.0) <= size)


def test_every_way_of_telling_ends_where_it_began(clock: Any) -> None:
    """With tokens and without, served, timed out, failed, given up or leaked: in the end nobody wants anything."""
    monitor = ConnectionPoolMonitor(2, clock=clock)

    def later() -> None:
        clock.advance(1)

    for request, connection in ((None, None), ("r", "c")):
        monitor.record_request(request)
        later()
        monitor.record_checkout(connection)
        if request is not None:
            monitor.record_obtained(request, 1)
        later()
        monitor.record_checkin(connection)
        monitor.record_request(request)
        later()
        monitor.record_timeout(request)
        monitor.record_request(request)
        later()
        monitor.record_error("refused", request=request)
    monitor.record_request("r")
    later()
    monitor.record_abandoned("r")
    monitor.record_request("r")
    monitor.record_checkout("c")
    monitor.record_obtained("r", 1)
    later()
    monitor.record_leak("c")
    monitor.record_checkout()
    later()
    monitor.record_checkin()
    monitor.record_timeout()
    monitor.record_error("refused")
    for end in (monitor.record_checkin, monitor.record_abandoned, monitor.record_timeout):
        end("unknown")
    demand = monitor.drain().metrics.demand
    assert demand.times_ns == {1: 11 * 10**9}
    assert demand.requests == {0: demand.request_count}
    clock.advance(5)
    assert monitor.drain().metrics.demand.times_ns == {0: 5 * 10**9}


def test_demand_is_complete_under_eight_threads() -> None:
    """Every request is in it once, and in the end nobody is left over."""
    monitor = ConnectionPoolMonitor(3)

    def work() -> None:
        for _ in range(2_000):
            monitor.record_request()
            monitor.record_checkout()
            monitor.record_checkin()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        monitor.get_metrics()
    for thread in threads:
        thread.join()
    demand = monitor.get_metrics().demand
    assert demand.request_count == monitor.get_metrics().total_requests == 16_000
    assert max(demand.requests) < 8
    assert monitor._counters.demand._level == 0


def test_idle_time_may_be_left_to_the_next_window(clock: Any) -> None:
    """For who throws quiet windows away; it is in the window after, and always in the totals."""
    monitor = ConnectionPoolMonitor(3, clock=clock)
    clock.advance(1)
    assert monitor.drain(keeps_idle=True).metrics.demand == NO_DEMAND
    clock.advance(1)
    assert monitor.get_metrics().demand.times_ns == {0: 2 * 10**9}
    monitor.record_checkout()
    assert monitor.drain(keeps_idle=True).metrics.demand.times_ns == {0: 2 * 10**9}
    clock.advance(1)
    assert monitor.drain(keeps_idle=True).metrics.demand == NO_DEMAND
    clock.advance(1)
    assert monitor.drain().metrics.demand.times_ns == {1: 2 * 10**9}
    assert monitor.get_metrics().demand.times_ns == {0: 2 * 10**9, 1: 2 * 10**9}
