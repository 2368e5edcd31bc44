"""
The collector: a tick folds what the hosts flushed, and a loop of ticks.

A tick takes the store as the last one left it and leaves it whole, so it may be killed at any time and run by
anybody. `python -m querygauge.collector STORE` and the limits is what hosts start, each minute; so it loads what it
needs for it and nothing else. Importing this loads no DuckDB; a tick does.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.remote import RemoteStore
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files

if TYPE_CHECKING:
    from querygauge.storage.folding import FoldResult
    from querygauge.storage.rollups import Kept
    from querygauge.values.alerts import Alert

__all__ = ["REMOTE", "TickResult", "main", "run", "tick"]

REMOTE: Final = "_QUERYGAUGE_REMOTE"
"""The variable that tells a tick, in a process of its own, the store of many machines."""

log = get_logger(__name__)

# So much waits only where somebody writes a lot; folding it early keeps transactions small and the spool short.
_EARLY_BYTES: Final = 8_000_000
# One takes a quarter of a second with 500 patterns. There are several only after a pause.
_PERIODS_AT_ONCE: Final = 20
_FILES_AT_ONCE: Final = 10  # likewise
_DEFAULT_LIMITS: Final = Limits()


class TickResult(NamedTuple):
    """
    What one tick did.

    Attributes:
        folded: What it folded.
        duration_ms: How long it took.
        told: Alerts of which somebody is to be told.
        failures: Why nothing was dropped for its age, or why a backup or published files could not be written.
    """

    folded: "FoldResult"
    duration_ms: float
    told: tuple["Alert", ...] = ()
    failures: tuple[str, ...] = ()


def tick(
    root: Path,
    limits: Limits = _DEFAULT_LIMITS,
    *,
    remote: RemoteStore | None = None,
    lock_timeout_s: float = 0.0,
    sends: bool = True,
) -> TickResult:
    """
    Folds what waits, looks for what is wrong, rolls up hours and days that are over, and publishes files.

    Once a day it prunes and takes a backup.

    Args:
        root: Directory of the store.
        limits: For how long what is kept, and whether files are published.
        remote: The store of many machines, if it is one; the directory is that of what is kept here of it.
        lock_timeout_s: How long to wait for another tick; if it takes longer, nothing is done.
        sends: Whether alerts and telemetry are sent; else they wait for a tick that does.

    Raises:
        StoreError: If the store cannot be written; everything that waits is kept. What else could not be done is told
            by the result.
    """
    from querygauge.scraping import publish_totals
    from querygauge.telemetry import begin_telemetry, telemetry
    from querygauge.watching import watching

    started = time.perf_counter()
    paths = StorePaths(root, remote)
    # What is not to be sent by this tick is none of its business.
    told_to = limits if sends else limits._replace(opentelemetry="off")
    begin_telemetry(paths, told_to)
    folded = _folded(paths, lock_timeout_s, sends=sends)
    told: tuple[Alert, ...] = ()
    failures: tuple[str, ...] = ()
    with telemetry(paths, told_to):
        if folded.known is not None:
            with watching(paths, sends=sends) as told:
                _roll_up(paths, folded.known, limits)
                failures = tuple(_failures(paths, folded.known, limits))
                publish_totals(paths, folded, limits.prometheus_patterns)
    return TickResult(folded, 1e3 * (time.perf_counter() - started), told, failures)


def _folded(paths: StorePaths, lock_timeout_s: float, *, sends: bool) -> "FoldResult":
    from querygauge.scraping import note_fold
    from querygauge.stalling import look_at_stall
    from querygauge.storage.folding import fold

    try:
        folded = fold(paths, lock_timeout_s=lock_timeout_s)
    except StoreError as error:
        note_fold(paths, "failed")
        if sends:
            look_at_stall(paths, str(error))
        raise
    if folded.is_busy:
        note_fold(paths, "busy")
        if sends:
            look_at_stall(paths, folded.held)
    return folded


def _roll_up(paths: StorePaths, known: "Kept", limits: Limits) -> None:
    from querygauge.storage.agreeing import agree
    from querygauge.storage.rollups import roll_up

    now = datetime.now(UTC)
    moment = now.replace(tzinfo=None)
    agree(paths, known, limits, moment)
    if known.due(moment) is not None:
        roll_up(paths, now, most=_PERIODS_AT_ONCE)


def _failures(paths: StorePaths, known: "Kept", limits: Limits) -> Iterator[str]:
    """Does what may wait for a later tick, and tells why it has to: none of it holds up the others."""
    # A lake's files may be read by anybody already, and its catalog is backed up as databases are.
    steps = (_retain, _back_up, _publish) if paths.remote is None else (_retain,)
    for step in steps:
        try:
            step(paths, known, limits)
        except StoreError as error:
            yield str(error)


def _retain(paths: StorePaths, known: "Kept", limits: Limits) -> None:
    from querygauge.storage.retention import is_due, retain

    believed = known.believed(datetime.now(UTC).replace(tzinfo=None))
    if is_due(paths, known, believed):
        retained = retain(paths, limits, believed.replace(tzinfo=UTC))
        if retained.deleted_count:
            log.info("store_retained", store=paths.name, **retained._asdict())


def _back_up(paths: StorePaths, known: "Kept", limits: Limits) -> None:
    from querygauge.storage.backup import back_up, is_backup_due

    now = datetime.now(UTC)
    if limits.backups and is_backup_due(paths, known, now):
        back_up(paths, keep=limits.backups, now=now, lock_timeout_s=0.0)


def _publish(paths: StorePaths, known: "Kept", limits: Limits) -> None:
    from querygauge.storage.publishing.manifest import is_publication_due

    now = datetime.now(UTC)
    if limits.publishes and is_publication_due(paths, now):
        from querygauge.storage.publishing.publish import publish

        believed = known.believed(now.replace(tzinfo=None)).replace(tzinfo=UTC)
        publish(paths, limits, now, believed=believed, most=_FILES_AT_ONCE, is_hourly=True)


def run(
    root: Path,
    limits: Limits = _DEFAULT_LIMITS,
    *,
    remote: RemoteStore | None = None,
    once: bool = False,
    sends: bool = True,
    interval_s: float = 2.0,
    fold_interval_s: float = 60.0,
    stop: threading.Event | None = None,
    on_tick: Callable[[TickResult], None] | None = None,
) -> None:
    """
    Ticks until `stop` is set: every `fold_interval_s`, or as soon as much waits, or something urgent.

    Args:
        root: Directory of the store.
        limits: For how long what is kept.
        remote: As for `tick`.
        once: Tick once and return.
        sends: As for `tick`.
        interval_s: Seconds between two looks at the spool.
        fold_interval_s: Seconds between two ticks, at most.
        stop: Ends the loop between two ticks; whoever handles signals sets it.
        on_tick: Is told what each tick did.

    Raises:
        StoreError: With `once`, if the store cannot be written, or what lies beside it. The loop logs it and goes on:
            the next tick may find the disk free again.
    """
    stop = stop or threading.Event()
    paths = StorePaths(root, remote)
    if once:
        result = tick(root, limits, remote=remote, sends=sends)
        _report(result, on_tick)
        _raise_failures(result)
        return
    log.info("collector_started", store=paths.name, interval_s=interval_s, fold_interval_s=fold_interval_s)
    failure: str | None = None
    due = time.monotonic()
    while not stop.is_set():
        if time.monotonic() >= due or _is_called(paths) or _waiting_bytes(paths) >= _EARLY_BYTES:
            failure = _tick_logged(paths.name, lambda: tick(root, limits, remote=remote, sends=sends), on_tick, failure)
            due = time.monotonic() + fold_interval_s
        stop.wait(interval_s)
    log.info("collector_stopped", store=paths.name)


def _tick_logged(
    store: str,
    ticked: Callable[[], TickResult],
    on_tick: Callable[[TickResult], None] | None,
    previous_failure: str | None,
) -> str | None:
    """Why the tick failed, if it did; logged unless the one before failed for the same reason."""
    try:
        result = ticked()
        _report(result, on_tick)
        _raise_failures(result)
    except StoreError as error:
        if str(error) != previous_failure:
            log.warning("tick_failed", store=store, error=str(error))
        return str(error)
    return None


def _raise_failures(result: TickResult) -> None:
    if result.failures:
        raise StoreError("; ".join(result.failures))


def _report(result: TickResult, on_tick: Callable[[TickResult], None] | None) -> None:
    if on_tick is not None:
        on_tick(result)


def _is_called(paths: StorePaths) -> bool:
    """Whether a host has flushed something urgent since it was last asked."""
    try:
        paths.urgent.unlink()
    except OSError:
        return False
    return True


def _waiting_bytes(paths: StorePaths) -> int:
    size = 0
    with suppress(StoreError):  # the tick that follows says it with a reason
        for path in waiting_files(paths):
            with suppress(OSError):
                size += path.stat().st_size
    return size


def main() -> None:
    """Folds the store that is named in the arguments, as a process of its own; ends with status 1 if it cannot be."""
    # A machine that is shut down tells every process; a fold is over before that matters.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        root, *limits = sys.argv[1:]
        remote = json.loads(os.environ.get(REMOTE, "null"))
        run(
            Path(root),
            Limits(**json.loads(limits[0])) if limits else _DEFAULT_LIMITS,
            remote=None if remote is None else RemoteStore(*remote),
            once=True,
        )
    except StoreError as error:
        sys.exit(f"querygauge: {error}")


if __name__ == "__main__":
    main()
    os._exit(0)  # to take the interpreter and the library apart piece by piece takes a twentieth of a tick
