"""
Who folds what was flushed: the four ways to run the collector, behind one call after each flush.

`auto` starts a short process when a tick is due and nobody else claimed it, and reaps it at a later flush; `inline`
folds in the flush thread, for places where no process may be started; `external` and `off` do nothing here.
Deliberately not here: what a tick does.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Final

from querygauge import collector
from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.protocols import Clock
from querygauge.remote import RemoteStore
from querygauge.settings import Settings
from querygauge.storage.limits import Limits
from querygauge.storage.locking import FileLock
from querygauge.storage.paths import StorePaths

__all__ = ["Ticks", "claim_tick", "limits_of", "start_child"]

log = get_logger(__name__)

_FINISH_S: Final = 1.0  # a tick takes some 0.3 s
_URGENT_S: Final = 5.0  # between two ticks, however urgent
_MOST_CHILDREN: Final = 2  # one may wait for a receiver that does not answer
_FOLDING: Final = frozenset({"auto", "inline"})
_US_PER_S: Final = 1_000_000
_DEFAULT_LIMITS: Final = Limits()


class Ticks:
    """Starts the ticks of one store from one process; `store` is its directory, or that of what is kept here of it."""

    def __init__(self, store: Path, settings: Settings, clock: Clock) -> None:
        # A test run is about to end by nature, and its readers fold what they read.
        self._mode = "off" if "_pytest" in sys.modules and settings.collector == "auto" else settings.collector
        self._store = store
        self._remote = settings.remote
        self._interval_s = settings.tick_interval_s
        self._limits = limits_of(settings)
        self._clock = clock
        self._children: list[subprocess.Popen[bytes]] = []
        self._urgent: set[object] = set()
        self._told_us: dict[object, int] = {}
        self._has_failed = False
        if self._mode == "inline":
            # By the time the flush thread needs it, the host may have given up the right to read it.
            rooms = (
                "agreeing",
                "backup",
                "folding",
                "publishing.publish",
                "retention",
                "rollups",
                "alerting",
                "election",
            )
            for module in (*(f"storage.{room}" for room in rooms), "alerts.rules", "telemetry", "watching"):
                import_module(f"querygauge.{module}")

    def after_flush(self, urgent: Iterable[object] = ()) -> None:
        """
        Starts a tick if one is due; never raises, and returns at once unless the mode is `inline`.

        Args:
            urgent: What was flushed that should not wait for a minute; each such thing hurries a tick once a minute.
        """
        self.reap()
        if self._mode == "off":
            return
        now_us = self._clock.now_us()
        self._hear(urgent, now_us)
        try:
            if self._may_begin(now_us):
                self._tick()
                self._told_us |= dict.fromkeys(self._urgent, now_us)
                self._urgent.clear()
        except StoreError as error:
            self._note(str(error))

    def _may_begin(self, now_us: int) -> bool:
        if self._mode not in _FOLDING:
            return bool(self._urgent)
        interval_s = min(_URGENT_S, self._interval_s) if self._urgent else self._interval_s
        return len(self._children) < _MOST_CHILDREN and claim_tick(self._store, interval_s, now_us)

    def _hear(self, urgent: Iterable[object], now_us: int) -> None:
        """Takes note of what no tick was begun for in the last minute; it stays until one is."""
        interval_us = self._interval_s * _US_PER_S
        self._told_us = {each: at for each, at in self._told_us.items() if abs(now_us - at) < interval_us}
        self._urgent |= {each for each in urgent if each not in self._told_us}

    def _call(self) -> None:
        """Has the collector that runs by itself see to it; one that does not run finds it when it does."""
        with suppress(OSError):  # it ticks in a minute anyway
            StorePaths(self._store).urgent.touch()

    def reap(self) -> None:
        """Takes note of children that ended, so that no zombie stays."""
        for child in self._children[:]:
            status = child.poll()
            if status is None:
                continue
            self._children.remove(child)
            if status:
                self._note(f"the process ended with status {status}")
            else:
                self._has_failed = False

    def finish(self) -> None:
        """Waits a moment for children under way, and lets go of them; they fold on without us."""
        for child in self._children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(_FINISH_S)
        self.reap()
        self.forget()

    def forget(self) -> None:
        """Lets go of the parent's children, in a forked process."""
        for child in self._children:
            child.returncode = 0  # or it would be waited for, and complained about, as a child of ours
        self._children = []

    def _tick(self) -> None:
        if self._mode == "inline":
            # No thread of a host is ever on the network: what is to be sent waits for whoever ticks elsewhere.
            collector.run(self._store, self._limits, remote=self._remote, once=True, sends=False)
            self._has_failed = False
        elif self._mode not in _FOLDING:
            self._call()
        else:
            self._children.append(start_child(self._store, self._limits, self._remote))

    def _note(self, error: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            log.warning(
                "tick_failed", store=str(self._store), error=error, remedy="run 'querygauge collect --once' to see why"
            )


def claim_tick(root: Path, interval_s: float, now_us: int) -> bool:
    """
    Whether the caller is the one to tick: true for one process per interval, whoever asks first.

    Args:
        root: Directory of the store; it exists.
        interval_s: Seconds between two claims.
        now_us: Microseconds since 1970-01-01 UTC.

    Raises:
        StoreError: If the claim cannot be written.
    """
    paths = StorePaths(root)
    lock = FileLock(paths.tick_lock)
    try:
        if not lock.acquire() or not _is_due(paths.tick_stamp, interval_s, now_us):
            return False
        paths.tick_stamp.touch()
        os.utime(paths.tick_stamp, ns=(now_us * 1000, now_us * 1000))
    except OSError as error:
        raise StoreError(f"store {str(paths.root)!r} could not be claimed: {error.strerror or error}") from error
    finally:
        lock.release()
    return True


def _is_due(stamp: Path, interval_s: float, now_us: int) -> bool:
    try:
        claimed_us = stamp.stat().st_mtime_ns // 1000
    except FileNotFoundError:
        return True
    # A claim from a moment ahead is of a process that read the clock after us and got the lock first. One from further
    # in the future was made before somebody set the clock back; waiting for it could take for ever.
    return abs(now_us - claimed_us) >= interval_s * _US_PER_S


def limits_of(settings: Settings) -> Limits:
    """How a store is kept."""
    return Limits(
        settings.keep_minutes_days,
        settings.retention_days,
        settings.keep_daily_days,
        settings.archive,
        settings.keep_backups,
        settings.publish,
        settings.weekly_slow_ms,
        settings.max_store_mb,
        settings.price_per_hour,
        settings.opentelemetry,
        settings.opentelemetry_histograms,
        settings.opentelemetry_series,
        settings.prometheus_patterns,
    )


def start_child(
    root: Path, limits: Limits = _DEFAULT_LIMITS, remote: RemoteStore | None = None
) -> "subprocess.Popen[bytes]":
    """
    Starts one tick as a process of its own, which nobody needs to wait for; the caller reaps it with `poll()`.

    Raises:
        StoreError: If it cannot be started.
    """
    command = [_python(), "-m", collector.__name__, str(StorePaths(root).root), json.dumps(limits._asdict())]
    try:
        return subprocess.Popen(  # noqa: S603  # our own module, and the host's own store
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A signal to the host's terminal or group is not meant for it.
            start_new_session=True,
            # Under `querygauge run` it is no part of the application. A remote store may be named with a password,
            # which anybody would see in the arguments.
            env={
                **os.environ,
                "QUERYGAUGE_ENABLED": "0",
                "_QUERYGAUGE_RUN": "",
                collector.REMOTE: json.dumps(remote),
            },
        )
    except OSError as error:
        raise StoreError(f"a tick could not be started with {command[0]!r}: {error.strerror or error}") from error


def _python() -> str:
    # Servers that embed Python name themselves here, and would start a second server.
    if not Path(sys.executable or "").name.lower().startswith(("python", "pypy")):
        raise StoreError(
            f"a tick needs a Python; sys.executable is {sys.executable!r}; set collector to 'external' or 'inline'"
        )
    return sys.executable
