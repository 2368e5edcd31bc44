"""The flush thread and the outbox: when members are driven, and what a failing sink, member or thread costs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from conftest import FakeClock
from querygauge import flush
from querygauge.errors import StoreError
from querygauge.flush import FlushLag, FlushThread, Outbox
from querygauge.protocols import Clock
from querygauge.values import Snapshot
from storage.making import NOON, snapshot


class Disk:
    """A sink that fails while told to."""

    def __init__(self) -> None:
        self.written: list[Snapshot] = []
        self.error: Exception | None = None
        self.dropped = 0
        self.opened = 0

    def open(self) -> "Disk":
        """What an outbox opens."""
        self.opened += 1
        if self.error is not None:
            raise self.error
        return self

    def write(self, snapshot: Snapshot) -> None:
        """As `SnapshotSink.write`."""
        if self.error is not None:
            raise self.error
        self.written.append(snapshot)


def numbered(count: int) -> list[Snapshot]:
    """Snapshots that can be told apart."""
    return [snapshot(number + 1, ended=NOON + timedelta(seconds=number)) for number in range(count)]


def test_a_snapshot_is_written_at_once() -> None:
    """While the sink works nothing waits."""
    disk, (one,) = Disk(), numbered(1)
    assert Outbox(disk.open).send(one)
    assert disk.written == [one]


def test_what_waits_is_written_first_and_in_order() -> None:
    """A sink that failed gets everything once it works again, oldest first and once; each change is said once."""
    disk, many = Disk(), numbered(5)
    outbox = Outbox(disk.open)
    with capture_logs() as logs:
        disk.error = StoreError("disk full")
        assert [outbox.send(one) for one in many[:3]] == [False] * 3
        disk.error = None
        assert [outbox.send(one) for one in many[3:]] == [True] * 2
    assert disk.written == many
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("store_not_writable", "warning"),
        ("store_writable_again", "info"),
    ]


def test_what_waits_is_tried_again_although_nothing_is_new() -> None:
    """A quiet process writes what waits as soon as it can."""
    disk, (one,) = Disk(), numbered(1)
    outbox = Outbox(disk.open)
    disk.error = StoreError("disk full")
    with capture_logs():
        outbox.send(one)
        disk.error = None
        assert outbox.send(None)
    assert disk.written == [one]


def test_a_sink_that_could_not_be_opened_is_opened_later() -> None:
    """It is tried at once, so that the warning comes at the start, and at every send until it is there."""
    disk, many = Disk(), numbered(3)
    disk.error = StoreError("not mounted")
    with capture_logs() as logs:
        outbox = Outbox(disk.open)
        assert [entry["error"] for entry in logs] == ["not mounted"]
        outbox.send(many[0])
        disk.error = None
        outbox.send(many[1])
        outbox.send(many[2])
    assert (disk.written, disk.opened) == (many, 3)


def test_a_dead_sink_costs_a_bounded_memory() -> None:
    """The newest thirty wait; the others are given up and counted."""
    disk, many = Disk(), numbered(50)
    outbox = Outbox(disk.open)
    disk.error = StoreError("dead")
    with capture_logs() as logs:
        for one in many:
            outbox.send(one)
        assert outbox.dropped == 20
        disk.error = None
        outbox.send(None)
    assert disk.written == many[20:]
    assert len(logs) == 2


def test_what_the_sink_gave_up_counts_too() -> None:
    """A spool that outgrew its limit dropped snapshots that were written once."""
    disk = Disk()
    outbox = Outbox(disk.open)
    disk.dropped = 3
    assert outbox.dropped == 3


def test_a_snapshot_that_cannot_be_written_holds_up_no_other() -> None:
    """What is not the disk's fault is logged, and that snapshot is given up; the host hears nothing of it."""
    disk, many = Disk(), numbered(2)
    outbox = Outbox(disk.open)
    disk.error = TypeError("not serializable")
    with capture_logs() as logs:
        assert outbox.send(many[0])
    assert [line["event"] for line in logs] == ["snapshot_lost"]
    disk.error = None
    assert outbox.send(many[1])
    assert (disk.written, outbox.dropped) == (many[1:], 1)


def test_a_forked_child_forgets_what_waits() -> None:
    """Its parent has the same snapshots, and writes them."""
    disk, (one,) = Disk(), numbered(1)
    outbox = Outbox(disk.open)
    disk.error = StoreError("disk full")
    with capture_logs():
        outbox.send(one)
        outbox.forget()
        disk.error = None
        outbox.send(None)
    assert (disk.written, outbox.dropped) == ([], 0)


class Driven:
    """A member that writes down what it is told, and meets whoever waits for it."""

    def __init__(self, clock: FakeClock, interval_s: float = 10.0) -> None:
        self.clock: Clock = clock
        self.flush_interval_s = interval_s
        self.told: list[str] = []
        self.due_us: list[int] = []
        self.error: Exception | None = None
        self.polled = threading.Event()

    def poll(self) -> None:
        """As `Member.poll`."""
        self._note("poll")
        self.polled.set()

    def flush(self, due_us: int) -> None:
        """As `Member.flush`."""
        self.due_us.append(due_us)
        self._note("flush")

    def close(self) -> None:
        """As `Member.close`."""
        self._note("close")

    def flushes(self) -> int:
        """How often it was flushed."""
        return self.told.count("flush")

    def _note(self, what: str) -> None:
        self.told.append(what)
        if self.error is not None:
            raise self.error


@pytest.fixture
def driver() -> FlushThread:
    """A flush thread that is driven by hand."""
    return FlushThread()


@contextmanager
def running(driver: FlushThread, *members: Driven) -> Iterator[None]:
    """Members driven by a real thread."""
    for member in members:
        driver.add(member)
    try:
        yield
    finally:
        for member in members:
            driver.remove(member)


def added(driver: FlushThread, *members: Driven) -> None:
    """Members without the thread, so that only `drive()` drives."""
    for member in members:
        driver._members[id(member)] = member


def test_flushes_fall_on_full_multiples_of_the_interval(driver: FlushThread, clock: FakeClock) -> None:
    """So that the windows of all processes line up; every round polls."""
    member = Driven(clock)
    added(driver, member)
    clock.advance(3)
    driver.drive()  # 3 s past a multiple: the next is due in 7
    for seconds, expected in [(6.9, 0), (0.1, 1), (9.9, 1), (0.1, 2), (25, 3), (4.9, 3), (0.1, 4)]:
        clock.advance(seconds)
        driver.drive()
        assert member.flushes() == expected, seconds
    assert member.told.count("poll") == 8
    assert [due_us % 10_000_000 for due_us in member.due_us] == [0] * 4, "the moment that was meant"


def test_each_member_has_its_own_interval(driver: FlushThread, clock: FakeClock) -> None:
    """Two gauges with other settings do not flush each other."""
    fast, slow = Driven(clock, 1), Driven(clock, 60)
    added(driver, fast, slow)
    driver.drive()
    for _ in range(60):
        clock.advance(1)
        driver.drive()
    assert (fast.flushes(), slow.flushes()) == (60, 1)


def test_a_lag_may_be_asked_for_while_a_flush_ends(clock: FakeClock) -> None:
    """Whoever asks is another thread than the one that flushes, which may end between two of its steps."""

    class Ending(FakeClock):
        """Ends the flush when it is looked at."""

        def now_us(self) -> int:
            """As `Clock.now_us`."""
            lag._due_us = None
            return clock.now_us()

    lag = FlushLag(Ending())
    lag._due_us = clock.now_us() - 5_000
    assert lag.ms == 5


@pytest.mark.parametrize("step", [-86_400, 86_400])
def test_a_clock_that_is_set_stops_no_flush(driver: FlushThread, clock: FakeClock, step: float) -> None:
    """After a day back or forth the next flush comes within one interval."""
    member = Driven(clock)
    added(driver, member)
    driver.drive()
    clock.advance(step)
    driver.drive()
    before = member.flushes()
    clock.advance(10)
    driver.drive()
    assert member.flushes() == before + 1


def test_a_member_that_raises_stops_no_other(driver: FlushThread, clock: FakeClock) -> None:
    """It is logged once, tried again every time, and the others are driven."""
    broken, sound = Driven(clock, 1), Driven(clock, 1)
    broken.error = ValueError("broken")
    added(driver, broken, sound)
    with capture_logs() as logs:
        for _ in range(5):
            driver.drive()
            clock.advance(1)
    assert (broken.flushes(), sound.flushes()) == (4, 4)
    assert [entry["event"] for entry in logs] == ["flush_failed"]


def test_the_thread_runs_while_there_are_members(driver: FlushThread, clock: FakeClock) -> None:
    """It starts with the first and is gone when `remove` of the last returns; it starts again with another."""
    one, other = Driven(clock), Driven(clock)
    for _ in range(2):
        with running(driver, one), running(driver, other):
            assert flushing_threads() == 1
        assert flushing_threads() == 0


def test_a_wake_polls_at_once(driver: FlushThread, clock: FakeClock) -> None:
    """Handlers of something slow do not wait for the next round."""
    member = Driven(clock)
    with running(driver, member):
        assert member.polled.wait(30)
        member.polled.clear()
        driver.wake()
        assert member.polled.wait(30)


def test_members_may_come_and_go_from_many_threads(driver: FlushThread, clock: FakeClock) -> None:
    """However they cross, there is one thread while there is a member, and none after the last."""
    stays = Driven(clock)
    start = threading.Barrier(4)

    def come_and_go() -> None:
        start.wait()
        for _ in range(30):
            with running(driver, Driven(clock)):
                pass

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert flushing_threads() == 0
    with running(driver, stays):
        assert stays.polled.wait(30)


def test_the_end_of_the_process_closes_every_member(driver: FlushThread, clock: FakeClock) -> None:
    """One that raises keeps no other from it, and the thread is gone before."""
    broken, sound = Driven(clock), Driven(clock)
    with running(driver, broken, sound):
        broken.error = ValueError("broken")
        with capture_logs():
            driver.finish()
        assert flushing_threads() == 0
        assert "close" in broken.told
        assert sound.told[-1] == "close"


def test_a_thread_that_hangs_does_not_keep_the_process_from_ending(
    driver: FlushThread, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member stuck on a dead disk is waited for, but not for ever."""
    monkeypatch.setattr(flush, "_JOIN_S", 0.01)
    entered, release = threading.Event(), threading.Event()

    class Stuck(Driven):
        def poll(self) -> None:
            entered.set()
            release.wait()

    with running(driver, Stuck(clock)):
        entered.wait()
        driver.finish()
        release.set()


def test_a_host_without_threads_to_spare_is_told(
    driver: FlushThread, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system refuses a thread: one warning, no error, and another try with the next member."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    member = Driven(clock)
    with monkeypatch.context() as refusing, capture_logs() as logs:
        refusing.setattr(threading.Thread, "start", refuse)
        driver.add(member)
    assert [entry["event"] for entry in logs] == ["flush_thread_not_started"]
    with running(driver, Driven(clock)):
        assert member.polled.wait(30)
        driver.remove(member)


def flushing_threads() -> int:
    """Threads of flush drivers that live."""
    mine = {thread for thread in threading.enumerate() if thread.name == "querygauge-flush"}
    return len(mine - _others)


_others: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _know_other_threads() -> None:
    _others.clear()
    _others.update(thread for thread in threading.enumerate() if thread.name == "querygauge-flush")
