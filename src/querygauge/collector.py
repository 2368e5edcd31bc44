"""
The collector: a tick folds what the hosts flushed, and a loop of ticks.

A tick takes the store as the last one left it and leaves it whole, so it may be killed at any time and run by
anybody. Hosts never fold by themselves unless told to: they claim a tick and start it as a short process.
Importing this loads no DuckDB; a tick does.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files

if TYPE_CHECKING:
    from querygauge.storage.folding import FoldResult

__all__ = ["TickResult", "claim_tick", "run", "start_child", "tick"]

log = get_logger(__name__)

# So much waits only where somebody writes a lot; folding it early keeps transactions small and the spool short.
_EARLY_BYTES: Final = 8_000_000
_US_PER_S: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class TickResult:
    """What one tick did, and how long it took."""

    folded: "FoldResult"
    duration_ms: float


def tick(root: Path, *, lock_timeout_s: float = 0.0) -> TickResult:
    """
    Folds what waits.

    Args:
        root: Directory of the store.
        lock_timeout_s: How long to wait for another tick; if it takes longer, nothing is done.

    Raises:
        StoreError: If the store cannot be written; everything that waits is kept.
    """
    from querygauge.storage.folding import fold

    started = time.perf_counter()
    folded = fold(StorePaths(root), lock_timeout_s=lock_timeout_s)
    return TickResult(folded, 1e3 * (time.perf_counter() - started))


def run(
    root: Path,
    *,
    once: bool = False,
    interval_s: float = 2.0,
    fold_interval_s: float = 60.0,
    stop: threading.Event | None = None,
    on_tick: Callable[[TickResult], None] | None = None,
) -> None:
    """
    Ticks until `stop` is set: every `fold_interval_s`, or as soon as much waits.

    Args:
        root: Directory of the store.
        once: Tick once and return.
        interval_s: Seconds between two looks at the spool.
        fold_interval_s: Seconds between two ticks, at most.
        stop: Ends the loop between two ticks; whoever handles signals sets it.
        on_tick: Is told what each tick did.

    Raises:
        StoreError: With `once`, if the store cannot be written. The loop logs it and goes on: the next tick may
            find the disk free again.
    """
    stop = stop or threading.Event()
    paths = StorePaths(root)
    if once:
        _report(tick(root), on_tick)
        return
    failure: str | None = None
    due = time.monotonic()
    while not stop.is_set():
        if time.monotonic() >= due or _waiting_bytes(paths) >= _EARLY_BYTES:
            failure = _tick_logged(root, on_tick, failure)
            due = time.monotonic() + fold_interval_s
        stop.wait(interval_s)


def _tick_logged(root: Path, on_tick: Callable[[TickResult], None] | None, previous_failure: str | None) -> str | None:
    """Why the tick failed, if it did; logged unless the one before failed for the same reason."""
    try:
        _report(tick(root), on_tick)
    except StoreError as error:
        if str(error) != previous_failure:
            log.warning("tick_failed", store=str(root), error=str(error))
        return str(error)
    return None


def _report(result: TickResult, on_tick: Callable[[TickResult], None] | None) -> None:
    if on_tick is not None:
        on_tick(result)


def _waiting_bytes(paths: StorePaths) -> int:
    size = 0
    with suppress(StoreError):  # the tick that follows says it with a reason
        for path in waiting_files(paths):
            with suppress(OSError):
                size += path.stat().st_size
    return size


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
    from filelock import FileLock, Timeout

    paths = StorePaths(root)
    try:
        # Made here and gone at the end: a forked child must find no lock to inherit.
        with FileLock(paths.tick_lock, timeout=0):
            if not _is_due(paths.tick_stamp, interval_s, now_us):
                return False
            paths.tick_stamp.touch()
            os.utime(paths.tick_stamp, ns=(now_us * 1000, now_us * 1000))
            return True
    except Timeout:
        return False
    except OSError as error:
        raise StoreError(f"store {str(paths.root)!r} could not be claimed: {error.strerror or error}") from error


def _is_due(stamp: Path, interval_s: float, now_us: int) -> bool:
    try:
        claimed_us = stamp.stat().st_mtime_ns // 1000
    except FileNotFoundError:
        return True
    # A claim from a moment ahead is of a process that read the clock after us and got the lock first. One from further
    # in the future was made before somebody set the clock back; waiting for it could take for ever.
    return abs(now_us - claimed_us) >= interval_s * _US_PER_S


def start_child(root: Path) -> "subprocess.Popen[bytes]":
    """
    Starts one tick as a process of its own, which nobody needs to wait for; the caller reaps it with `poll()`.

    Raises:
        StoreError: If it cannot be started.
    """
    command = [_python(), "-m", "querygauge", "collect", "--once", "--store", str(StorePaths(root).root)]
    try:
        return subprocess.Popen(  # noqa: S603  # our own module, and the host's own store
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A signal to the host's terminal or group is not meant for it.
            start_new_session=True,
            # Under `querygauge run` it is no part of the application.
            env={**os.environ, "QUERYGAUGE_ENABLED": "0", "_QUERYGAUGE_RUN": ""},
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
