"""
The host's one thread: polls the gauges of this process, and takes what they counted to a sink every interval.

It survives a fork (the child gets a thread of its own), a sink that fails (snapshots wait, in bounded number), a member
that raises (logged once), and a clock that is set. At the end of the process every member is closed: by `atexit`, by
multiprocessing's finalizers, whose children run no `atexit`, and in a worker of Celery, which runs neither, when Celery
says that it ends; never from a signal handler, which may interrupt the very code it would call.

Deliberately not here: what is counted, and what the sink does with it.
"""

import atexit
import sys
import threading
from collections import deque
from collections.abc import Callable
from multiprocessing import util as multiprocessing_util
from typing import Final, Protocol

from querygauge.errors import StoreError
from querygauge.forking import call_soon, survive_forks
from querygauge.interruptions import is_of_host
from querygauge.logs import get_logger
from querygauge.protocols import Clock, SnapshotSink
from querygauge.values import Snapshot

__all__ = ["FlushLag", "FlushThread", "Member", "Outbox", "flush_thread"]

log = get_logger(__name__)

_POLL_S: Final = 0.8  # alert handlers are called within a second
_SETTLE_S: Final = 0.1  # a storm of slow queries wakes the thread ten times a second, not for each of them
_JOIN_S: Final = 5.0  # a thread stuck on a dead disk must not keep the process from ending
_BACKLOG: Final = 30  # snapshots that wait for a failing sink: five minutes at the default interval
_EXIT_PRIORITY: Final = 100  # before multiprocessing's own finalizers, which take the queues away


class Member(Protocol):
    """What the thread drives."""

    flush_interval_s: float
    clock: Clock

    def poll(self) -> None:
        """Once a second, and when woken."""

    def flush(self, due_us: int) -> None:
        """Every `flush_interval_s`; `due_us` is when, in microseconds since 1970."""

    def close(self) -> None:
        """At the end of the process."""


class FlushLag:
    """How long a flush took from the moment it was due until everything was written."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Begins anew, as if none had been due."""
        self._last_us = 0
        self._due_us: int | None = None

    def due(self, since_us: int | None) -> None:
        """One is due since then, in microseconds since 1970, or since now; of several that wait, the first counts."""
        if self._due_us is None:
            self._due_us = self._clock.now_us() if since_us is None else since_us

    def written(self) -> None:
        """Nothing waits any more."""
        self._last_us, self._due_us = self._waited_us(), None

    @property
    def ms(self) -> float:
        """Of the last flush, in milliseconds, or of the one that is late if that is longer."""
        return max(self._last_us, self._waited_us()) / 1e3

    def _waited_us(self) -> int:
        # Somebody may have set the clock meanwhile, or have written what waited.
        due_us = self._due_us
        return 0 if due_us is None else max(0, self._clock.now_us() - due_us)


class Outbox:
    """
    Snapshots on their way to a sink.

    Args:
        open_sink: Makes the sink; asked at once, and again at every `send` while it raises `StoreError`.
    """

    def __init__(self, open_sink: Callable[[], SnapshotSink]) -> None:
        self._dropped = 0
        self._open_sink = open_sink
        self._sink: SnapshotSink | None = None
        self._waiting: deque[Snapshot] = deque()
        self._is_failing = False
        self.send(None)

    @property
    def dropped(self) -> int:
        """Snapshots given up: too many were waiting, one could not be written, or the sink had no more room."""
        return self._dropped + (0 if self._sink is None else self._sink.dropped)

    def send(self, snapshot: Snapshot | None) -> bool:
        """Writes what waits and then `snapshot`; False if the sink failed, and they wait for the next time."""
        if snapshot is not None:
            self._waiting.append(snapshot)
        try:
            self._write_all()
        except StoreError as error:
            self._note_failure(error)
            return False
        if self._is_failing:
            self._is_failing = False
            log.info("store_writable_again")
        return True

    def _write_all(self) -> None:
        sink = self._sink = self._sink or self._open_sink()
        while self._waiting:
            try:
                sink.write(self._waiting[0])
            except StoreError:
                raise
            except Exception as error:  # a mistake of ours, which trying again would repeat for ever
                if is_of_host(error):
                    raise
                self._dropped += 1
                log.warning("snapshot_lost", error=type(error).__name__, hint="please report it: this is a bug")
            self._waiting.popleft()

    def forget(self) -> None:
        """Drops what waits, and counts from zero; a forked child does, since its parent has the same."""
        self._waiting.clear()
        self._dropped = 0
        self._sink = None

    def _note_failure(self, error: StoreError) -> None:
        while len(self._waiting) > _BACKLOG:
            self._waiting.popleft()
            self._dropped += 1
        if not self._is_failing:
            self._is_failing = True
            log.warning("store_not_writable", error=str(error), effect="nothing is kept on disk until it is")


class FlushThread:
    """Drives its members from one daemon thread, which runs while there are any."""

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}
        self._due_us: dict[int, int] = {}
        self._failed: set[int] = set()
        self._lock = threading.Lock()  # for the one question whether the thread is to run
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        survive_forks(self, is_driver=True)

    def add(self, member: Member) -> None:
        """Drives `member` from now on."""
        with self._lock:
            self._members[id(member)] = member
            self._start()

    def remove(self, member: Member) -> None:
        """Drives `member` no longer, and waits for a round under way; does not flush it."""
        with self._lock:
            self._members.pop(id(member), None)
            self._due_us.pop(id(member), None)
            self._failed.discard(id(member))
            ended = None if self._members else self._halt()
        _join(ended)

    def wake(self) -> None:
        """Has the members polled now; cheap, and may be called from any thread."""
        if not self._wake.is_set():
            self._wake.set()

    def finish(self) -> None:
        """Ends the thread and closes every member, for the end of the process."""
        with self._lock:
            ended = self._halt()
        _join(ended)
        for key, member in list(self._members.items()):
            self._guarded(key, member.close)

    def after_fork_in_child(self) -> None:
        """Starts a thread of the child's own, if the parent had one."""
        self._lock = threading.Lock()
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._due_us.clear()
        self._thread = None
        if self._members:
            call_soon(self._start_again)

    def drive(self) -> None:
        """One round: polls every member, and flushes those that are due."""
        for key, member in list(self._members.items()):
            self._guarded(key, member.poll)
            due_us = self._since_when_due(key, member)
            if due_us is not None:
                self._guarded(key, member.flush, due_us)

    def _since_when_due(self, key: int, member: Member) -> int | None:
        # On full multiples of the interval, so that the windows of all processes line up with the minutes.
        now, interval = member.clock.now_us(), max(1, int(member.flush_interval_s * 1e6))
        due = self._due_us.get(key)
        following = (now // interval + 1) * interval
        # Due times further away than an interval come from a clock that was set back since.
        if due is None or due > following:
            self._due_us[key] = following
            return None
        if now < due:
            return None
        self._due_us[key] = following
        return due

    def _guarded(self, key: int, step: Callable[..., None], *arguments: int) -> None:
        try:
            step(*arguments)
        except Exception:
            if key not in self._failed:
                self._failed.add(key)
                log.exception("flush_failed", step=step.__qualname__)

    def _start(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        self._wake, self._stopped = threading.Event(), threading.Event()
        thread = threading.Thread(
            target=self._run, args=(self._wake, self._stopped), name="querygauge-flush", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system's limit, or the interpreter is ending
            log.warning("flush_thread_not_started", error=str(error), effect="nothing is kept on disk until close()")
            return
        self._thread = thread
        _finish_with_celery(self)

    def _start_again(self) -> None:
        with self._lock:
            if self._members:
                self._start()

    def _halt(self) -> threading.Thread | None:
        thread, self._thread = self._thread, None
        self._stopped.set()
        self._wake.set()
        return thread

    def _run(self, wake: threading.Event, stopped: threading.Event) -> None:
        while not stopped.is_set():
            if wake.wait(_POLL_S):
                stopped.wait(_SETTLE_S)
            wake.clear()
            if not stopped.is_set():
                self.drive()
        # Once gevent has taken over the threads, as in a worker forked from a process that it had not, this one goes by
        # another number, under which Python takes it off a list, and complains if it is not there. To look for it by
        # that number puts it there.
        threading.current_thread()


def _join(thread: threading.Thread | None) -> None:
    if thread is not None and thread is not threading.current_thread():
        thread.join(_JOIN_S)


_thread: FlushThread | None = None


def flush_thread() -> FlushThread:
    """The one of this process; made at the first call, and finished at the end of the process."""
    global _thread  # noqa: PLW0603  # one a process is the point
    if _thread is None:
        _thread = FlushThread()
        atexit.register(_thread.finish)
        _finish_with_worker(_thread)
        multiprocessing_util.register_after_fork(_thread, _finish_with_worker)
    return _thread


def _finish_with_celery(thread: FlushThread) -> None:
    """Has Celery tell when a worker that it forked is about to end by `os._exit`; elsewhere it never tells."""
    shutdown = getattr(sys.modules.get("celery.signals"), "worker_process_shutdown", None)
    if shutdown is not None:
        shutdown.connect(lambda **_: thread.finish(), weak=False, dispatch_uid="querygauge")


def _finish_with_worker(thread: FlushThread) -> None:
    multiprocessing_util.Finalize(thread, thread.finish, exitpriority=_EXIT_PRIORITY)
