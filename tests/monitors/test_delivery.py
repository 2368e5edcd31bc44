"""Handlers get every alert, on their own loop or ours, and none of them can harm another or the process."""

import asyncio
import functools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitors.executions import SteppingClock, run_python
from querygauge.errors import SettingsError
from querygauge.monitors.delivery import HandlerDelivery, RateLimitedAlertHandler

PATIENCE_S = 20.0
"""How long a test waits for what must happen; nothing depends on it while the rule holds."""


@pytest.fixture
def delivery() -> Iterator[HandlerDelivery]:
    """A delivery, not started, and stopped after the test."""
    delivery = HandlerDelivery("test")
    yield delivery
    delivery.stop(0.0)


class Seen:
    """A handler that keeps what it got and where it ran; others can wait until it has got enough."""

    def __init__(self, awaited: int = 1) -> None:
        self.alerts: list[Any] = []
        self.threads: list[threading.Thread] = []
        self._awaited = awaited
        self._complete = threading.Event()

    def __call__(self, *args: Any) -> None:
        """Keeps the arguments; a single one as it is."""
        self.threads.append(threading.current_thread())
        self.alerts.append(args[0] if len(args) == 1 else args)
        if len(self.alerts) >= self._awaited:
            self._complete.set()

    def wait(self) -> list[Any]:
        """The alerts, once all that were awaited are there."""
        assert self._complete.wait(PATIENCE_S)
        return self.alerts


class SeenByCoroutine(Seen):
    """The same as a callable whose `__call__` is a coroutine function; keeps the loops too."""

    def __init__(self, awaited: int = 1) -> None:
        super().__init__(awaited)
        self.loops: list[asyncio.AbstractEventLoop] = []

    async def __call__(self, *args: Any) -> None:  # type: ignore[override]  # what the test is about
        """Keeps the arguments and the running loop."""
        await asyncio.sleep(0)
        self.loops.append(asyncio.get_running_loop())
        super().__call__(*args)


def test_a_function_gets_what_was_published_in_order(delivery: HandlerDelivery) -> None:
    """A function handler is called with the published arguments, in order, in a thread of ours."""
    seen = Seen(awaited=2)
    delivery.add(seen)
    delivery.start(None)
    delivery.publish("pool_exhaustion", {"pool": "shop"})
    delivery.publish("high_wait_time", {"pool": "shop"})
    assert seen.wait() == [("pool_exhaustion", {"pool": "shop"}), ("high_wait_time", {"pool": "shop"})]
    assert seen.threads[0] is not threading.current_thread()
    assert seen.threads[0].daemon


async def test_a_coroutine_runs_on_the_loop_given_to_start(delivery: HandlerDelivery) -> None:
    """A coroutine handler runs on the loop that start() was given."""
    seen = SeenByCoroutine()
    delivery.add(seen)
    delivery.start(asyncio.get_running_loop())
    delivery.publish(1)
    await asyncio.to_thread(delivery.stop)
    assert seen.alerts == [1]
    assert seen.loops == [asyncio.get_running_loop()]


def test_a_synchronous_program_may_have_coroutine_handlers(delivery: HandlerDelivery) -> None:
    """Without a loop a coroutine handler runs on one of ours, the same for every alert."""
    seen = SeenByCoroutine(awaited=2)
    delivery.add(seen)
    delivery.start(None)
    delivery.publish(1)
    delivery.publish(2)
    assert seen.wait() == [1, 2]
    assert seen.loops[0] is seen.loops[1]


def test_what_a_coroutine_handler_leaves_on_our_loop_goes_on(delivery: HandlerDelivery) -> None:
    """Our loop keeps running between alerts, so a task that a handler creates comes to its end."""
    done = threading.Event()
    tasks = []

    async def send_later() -> None:
        await asyncio.sleep(0)
        done.set()

    async def handler(_alert: object) -> None:
        tasks.append(asyncio.create_task(send_later()))

    delivery.add(handler)
    delivery.start(None)
    delivery.publish(1)
    assert done.wait(PATIENCE_S)


def test_partials_and_functions_that_return_a_coroutine_are_awaited(delivery: HandlerDelivery) -> None:
    """Whatever returns a coroutine is a coroutine handler: a partial, a lambda, an object."""
    seen = SeenByCoroutine(awaited=2)
    delivery.add(functools.partial(seen, "partial"))
    delivery.add(lambda alert: seen("lambda", alert))
    delivery.start(None)
    delivery.publish(1)
    assert seen.wait() == [("partial", 1), ("lambda", 1)]


def test_two_loops_in_two_threads_each_run_their_own_handlers() -> None:
    """Deliveries started on different loops run their coroutine handlers each on its own."""
    both_started = threading.Barrier(2)
    met: dict[str, bool] = {}

    async def live(name: str) -> None:
        delivery, seen = HandlerDelivery(name), SeenByCoroutine()
        delivery.add(seen)
        delivery.start(asyncio.get_running_loop())
        await asyncio.to_thread(both_started.wait, PATIENCE_S)
        delivery.publish(name)
        await asyncio.to_thread(delivery.stop)
        met[name] = seen.alerts == [name] and seen.loops == [asyncio.get_running_loop()]

    threads = [threading.Thread(target=lambda name=name: asyncio.run(live(name))) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert met == {"one": True, "two": True}


def test_a_closed_loop_is_replaced_and_said_once(delivery: HandlerDelivery) -> None:
    """If the loop was closed since start(), coroutine handlers run on ours, and one line says so."""
    seen = SeenByCoroutine(awaited=2)
    delivery.add(seen)

    async def start() -> None:
        delivery.start(asyncio.get_running_loop())

    asyncio.run(start())
    with capture_logs() as lines:
        delivery.publish(1)
        delivery.publish(2)
        assert seen.wait() == [1, 2]
    assert [line["event"] for line in lines] == ["alert_loop_closed"]


def test_a_handler_under_way_when_its_loop_closes_counts_as_failed(delivery: HandlerDelivery) -> None:
    """A coroutine that its loop left unfinished is given up and counted; the next alert is delivered."""
    began, seen = threading.Event(), Seen()

    async def begins_and_waits(alert: int) -> None:
        if alert == 1:
            began.set()
            await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    delivery.add(begins_and_waits)
    delivery.start(loop)
    delivery.publish(1)
    loop.run_until_complete(loop.run_in_executor(None, began.wait, PATIENCE_S))
    (task,) = asyncio.all_tasks(loop)
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is left on purpose
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    delivery.add(seen)
    with capture_logs():
        delivery.publish(2)
        assert seen.wait()[-1] == 2
    assert delivery.failed == 1


def test_a_raising_handler_is_logged_once_and_the_others_run(delivery: HandlerDelivery) -> None:
    """A handler that raises is logged once, without its message, and counted; those after it get every alert."""
    seen = Seen(awaited=3)

    def broken(alert: object) -> None:
        raise LookupError(f"no channel for {alert}")

    async def broken_coroutine(_alert: object) -> None:
        raise SystemError("no network")

    for handler in (broken, broken_coroutine, seen):
        delivery.add(handler)
    delivery.start(None)
    with capture_logs() as lines:
        for alert in (1, 2, 3):
            delivery.publish(alert)
        assert seen.wait() == [1, 2, 3]
    assert [(line["event"], line["error"]) for line in lines] == [
        ("alert_handler_failed", "LookupError"),
        ("alert_handler_failed", "SystemError"),
    ]
    assert lines[0]["handler"].endswith("broken")
    assert delivery.failed == 6


@pytest.mark.parametrize("kind", ["function", "coroutine"])
@pytest.mark.parametrize(
    "ending", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, pytest.fail.Exception]
)
def test_a_handler_that_exits_ends_nothing(delivery: HandlerDelivery, kind: str, ending: type[BaseException]) -> None:
    """A handler fails like any other, whatever it raises: exits, cancellations, what pytest.fail() raises."""
    seen, seen_by_coroutine = Seen(awaited=2), SeenByCoroutine(awaited=2)

    def leaves(_alert: object) -> None:
        raise ending

    async def leaves_as_coroutine(_alert: object) -> None:
        await asyncio.sleep(0)
        raise ending

    for handler in (leaves if kind == "function" else leaves_as_coroutine, seen, seen_by_coroutine):
        delivery.add(handler)
    delivery.start(None)
    with capture_logs() as lines:
        delivery.publish(1)
        delivery.publish(2)
        assert seen_by_coroutine.wait() == [1, 2]
    assert seen.alerts == [1, 2]
    assert seen_by_coroutine.loops[0] is seen_by_coroutine.loops[1]
    assert delivery.failed == 2
    assert [(line["event"], line["error"]) for line in lines] == [("alert_handler_failed", ending.__name__)]


async def test_a_coroutine_that_exits_leaves_the_loop_running(delivery: HandlerDelivery) -> None:
    """The loop of an application is not a handler's to end."""

    async def leaves(_alert: object) -> None:
        raise SystemExit(3)

    delivery.add(leaves)
    delivery.start(asyncio.get_running_loop())
    with capture_logs():
        delivery.publish(1)
        await asyncio.to_thread(delivery.stop)
    assert delivery.failed == 1


def test_the_queue_is_bounded_and_what_it_drops_is_counted(delivery: HandlerDelivery) -> None:
    """A thousand alerts wait for a slow handler; more are dropped and counted, and publish() never waits."""
    began, go_on = threading.Event(), threading.Event()
    alerts: list[int] = []

    def slow(alert: int) -> None:
        alerts.append(alert)
        began.set()
        go_on.wait(PATIENCE_S)

    delivery.add(slow)
    delivery.start(None)
    delivery.publish(0)
    assert began.wait(PATIENCE_S)
    for alert in range(1, 1_011):
        delivery.publish(alert)
    assert delivery.dropped == 10
    go_on.set()
    delivery.stop(PATIENCE_S)
    assert alerts == list(range(1_001))


def test_stop_delivers_what_waits(delivery: HandlerDelivery) -> None:
    """After stop() returns every published alert was handled."""
    seen = Seen()
    delivery.add(seen)
    delivery.start(None)
    for alert in range(500):
        delivery.publish(alert)
    delivery.stop()
    assert seen.alerts == list(range(500))
    assert delivery.dropped == 0


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_stop_gives_up_on_a_handler_that_hangs(delivery: HandlerDelivery, kind: str) -> None:
    """stop() waits no longer than it was told, says what was left undelivered, and a later start() works."""
    began, released, seen = threading.Event(), threading.Event(), Seen()

    def hangs(_alert: object) -> None:
        began.set()
        released.wait(PATIENCE_S)

    async def hangs_as_coroutine(_alert: object) -> None:
        began.set()
        await asyncio.Event().wait()

    hanging = hangs if kind == "function" else hangs_as_coroutine
    delivery.add(hanging)
    delivery.start(None)
    for alert in (1, 2, 3):
        delivery.publish(alert)
    assert began.wait(PATIENCE_S)
    with capture_logs() as lines:
        delivery.stop(0.01)
    assert [(line["event"], line["undelivered"]) for line in lines] == [("alert_delivery_gave_up", 2)]
    assert delivery.dropped == 2
    delivery.remove(hanging)
    delivery.add(seen)
    delivery.start(None)
    delivery.publish(4)
    assert seen.wait() == [4]
    released.set()


async def test_stop_on_the_loop_itself_leaves_its_handlers_to_it(delivery: HandlerDelivery) -> None:
    """stop() called on the loop that runs the handlers cannot wait for them: they run when the loop goes on."""
    seen, function = SeenByCoroutine(awaited=3), Seen()
    delivery.add(seen)
    delivery.add(function)
    delivery.start(asyncio.get_running_loop())
    for alert in (1, 2, 3):
        delivery.publish(alert)
    delivery.stop()
    assert function.alerts == [1, 2, 3]
    assert seen.alerts == []
    await asyncio.to_thread(seen.wait)
    assert seen.alerts == [1, 2, 3]
    assert delivery.dropped == 0


def test_a_handler_may_stop_its_own_delivery(delivery: HandlerDelivery) -> None:
    """stop() inside a handler returns, and what waited is still delivered."""
    seen = Seen(awaited=3)

    def stops(_alert: object) -> None:
        delivery.stop()

    delivery.add(seen)
    delivery.start(None)
    go_on = threading.Event()
    delivery.add(lambda _alert: go_on.wait(PATIENCE_S))
    for alert in (1, 2, 3):
        delivery.publish(alert)
    delivery.add(stops)
    go_on.set()
    assert seen.wait() == [1, 2, 3]


def test_publishing_before_start_warns_once(delivery: HandlerDelivery) -> None:
    """An alert published before start() or after stop() reaches nobody, and one warning says so."""
    seen = Seen()
    delivery.add(seen)
    with capture_logs() as lines:
        delivery.publish(1)
        delivery.publish(2)
    assert [line["event"] for line in lines] == ["alerts_not_delivered"]
    delivery.start(None)
    delivery.publish(3)
    assert seen.wait() == [3]


def test_publishing_without_handlers_is_silent() -> None:
    """Without a handler there is nothing to deliver, nothing to warn about, and no thread."""
    delivery = HandlerDelivery("unheard")
    with capture_logs() as lines:
        delivery.publish(1)
        delivery.start(None)
        delivery.publish(2)
    assert lines == []
    assert not any(thread.name == "querygauge-unheard-alerts" for thread in threading.enumerate())


def test_a_handler_is_called_once_however_often_it_was_added(delivery: HandlerDelivery) -> None:
    """Adding twice is adding once; removing an unknown handler does nothing."""
    seen, other = Seen(), Seen()
    delivery.add(seen)
    delivery.add(seen)
    delivery.add(other)
    delivery.remove(other)
    delivery.remove(other)
    delivery.start(None)
    delivery.publish(1)
    delivery.stop()
    assert (seen.alerts, other.alerts) == ([1], [])


def test_what_cannot_be_called_is_refused(delivery: HandlerDelivery) -> None:
    """A handler that is no function is an error where it is added."""
    with pytest.raises(SettingsError, match=r"must be a function or coroutine function; got 'slack'"):
        delivery.add("slack")  # type: ignore[arg-type]  # the mistake under test


def test_a_hanging_handler_does_not_keep_the_process_alive() -> None:
    """A program ends although its handlers hang, a function and a coroutine, and nobody called stop()."""
    program = """
import asyncio, threading
from querygauge.monitors.delivery import HandlerDelivery
began = threading.Barrier(3)
async def waits(_):
    await asyncio.to_thread(began.wait, 20)
def hangs(_):
    began.wait(20); threading.Event().wait()
for handler in (hangs, waits):
    delivery = HandlerDelivery("test")
    delivery.add(handler)
    delivery.start(None)
    delivery.publish(1)
began.wait(20)
print("end")
"""
    assert run_python(program) == "end"


def test_a_forked_child_delivers_its_own_alerts_only() -> None:
    """After a fork the child has the handlers, no alert of its parent, a thread of its own, and no lock that hangs."""
    program = """
import os, threading
from querygauge.monitors.delivery import HandlerDelivery
release, began, child_seen = threading.Event(), threading.Event(), threading.Event()
parent, seen = os.getpid(), []
def handler(alert):
    seen.append(alert)
    if os.getpid() == parent:
        began.set()
        release.wait(20)
    else:
        child_seen.set()
delivery = HandlerDelivery("test")
delivery.add(handler)
delivery.start(None)
for alert in ("first", "second"):
    delivery.publish(alert)
began.wait(20)
delivery._wake.acquire()  # as another thread may have it at the moment of the fork
child = os.fork()
if child == 0:
    seen.clear()
    delivery.publish("of the child")
    ok = child_seen.wait(20)
    delivery.stop()
    os._exit(0 if ok and seen == ["of the child"] else 1)
delivery._wake.release()
_, status = os.waitpid(child, 0)
release.set()
delivery.stop()
print(status, seen)
"""
    assert run_python(program) == "0 ['first', 'second']"


class TestRateLimit:
    """`RateLimitedAlertHandler`."""

    def test_so_many_pass_within_a_minute(self, clock: SteppingClock) -> None:
        """Within any sixty seconds at most so many alerts pass; the rest is counted."""
        seen = Seen()
        limited = RateLimitedAlertHandler(seen, max_per_minute=2, clock=clock)
        for second in (0, 20, 20, 20, 1):  # at 0, 20, 40, 60, 61 s after the first
            clock.advance(second)
            limited(second)
        assert seen.alerts == [0, 20, 20]
        assert limited.suppressed == 2

    def test_any_arguments_pass(self, clock: SteppingClock) -> None:
        """It serves the pool monitor's handlers too, which take two arguments, and gives what they return."""
        limited = RateLimitedAlertHandler(lambda kind, data: (kind, data), clock=clock)
        assert limited("connection_leak", {"age_s": 3}) == ("connection_leak", {"age_s": 3})

    async def test_a_coroutine_function_stays_one(self, clock: SteppingClock) -> None:
        """Around a coroutine function every call can be awaited, a suppressed one too, and wrapped again."""
        seen = SeenByCoroutine()
        inner = RateLimitedAlertHandler(functools.partial(seen), max_per_minute=1, clock=clock)
        limited = RateLimitedAlertHandler(inner, max_per_minute=2, clock=clock)
        for alert in (1, 2, 3):
            outcome = limited(alert)
            assert asyncio.iscoroutine(outcome)
            await outcome
        assert seen.alerts == [1]
        assert (inner.suppressed, limited.suppressed) == (1, 1)

    def test_it_is_a_handler(self, delivery: HandlerDelivery, clock: SteppingClock) -> None:
        """A delivery takes it like any other handler, around a function and around a coroutine function."""
        function, coroutine = Seen(), SeenByCoroutine()
        delivery.add(RateLimitedAlertHandler(function, max_per_minute=1, clock=clock))
        delivery.add(RateLimitedAlertHandler(coroutine, max_per_minute=1, clock=clock))
        delivery.start(None)
        delivery.publish(1)
        delivery.publish(2)
        delivery.stop()
        assert (function.alerts, coroutine.alerts) == ([1], [1])
        assert delivery.failed == 0

    @pytest.mark.parametrize("limit", [0, 2**70, 2.5])
    def test_an_impossible_limit_is_refused(self, limit: Any) -> None:
        """A limit that passes nothing, or cannot be kept, is an error."""
        rule = f"max_per_minute must be a whole number from 1 to 10,000,000; got {limit}"
        with pytest.raises(SettingsError, match=rule):
            RateLimitedAlertHandler(print, max_per_minute=limit)
