"""
Measures a process of `querygauge run` that uses SQLAlchemy or asyncpg, and keeps its tally for the line at the end.

A tally is a small file of its own for each process, written with every snapshot, so that a process which is killed is
missing what it had not flushed and no more. Deliberately not here: printing, which is in `run_path`.
"""

import atexit
import json
import os
import signal
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Final

from querygauge.everything import Everything
from querygauge.flush import flush_thread
from querygauge.forking import survive_forks
from querygauge.gauge import also_write
from querygauge.logs import get_logger
from querygauge.registry import registry
from querygauge.settings import load_settings
from querygauge.values import Snapshot

__all__ = ["begin"]

log = get_logger(__name__)


# What a process may send itself to end by, as whoever sent it expects.
_ENDING: Final = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})


def begin(folder: str, tell: Callable[[], None]) -> None:
    """
    Measures whatever this process makes, with the settings of its environment.

    Args:
        folder: Where its tally goes; empty for none.
        tell: Says the line at the end, if this is the process to do so.

    Raises:
        SettingsError: If a setting is impossible.
    """
    everything = Everything(load_settings({}), yields=True)
    with registry.lock:
        everything.begin()
    if not folder:
        _end_before_own_signal(flush_thread().finish)
        return
    tally = _Tally(Path(folder), everything)
    tally.keep()
    also_write(tally)
    # Engines made since are in no snapshot if nothing was sent.
    atexit.register(tally.keep)

    def end() -> None:
        flush_thread().finish()
        tally.keep()
        tell()

    _end_before_own_signal(end)


def _end_before_own_signal(end: Callable[[], None]) -> None:
    """Has `end` called before this process ends by a signal of its own, as uvicorn does once it has shut down."""
    original = signal.raise_signal

    @wraps(original)
    def raise_signal(signalnum: int, /) -> None:
        if signalnum in _ENDING and signal.getsignal(signalnum) is signal.SIG_DFL:
            try:
                end()
            except Exception:
                log.exception("end_failed")
        original(signalnum)

    signal.raise_signal = raise_signal


class _Tally:
    """What all gauges of this process have seen, the application's own among them; fits `protocols.SnapshotSink`."""

    dropped = 0

    def __init__(self, folder: Path, everything: Everything) -> None:
        self._folder = folder
        self._everything = everything
        self.after_fork_in_child()
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """Begins at zero, in a file of its own."""
        self._name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._statements = 0
        self._patterns: set[str] = set()
        self._targets: set[str] = set()

    def write(self, snapshot: Snapshot) -> None:
        """Adds what was counted since the last time."""
        for stats in snapshot.queries:
            self._statements += stats.execution_count
            self._patterns.add(stats.pattern_id)
            self._targets.add(stats.target)
        self.keep()

    def keep(self) -> None:
        """Writes the file anew."""
        tally = {
            "made": self._everything.count,
            "statements": self._statements,
            "patterns": sorted(self._patterns),
            "targets": sorted(self._targets),
        }
        unfinished = self._folder / self._name
        # The process that was started may have ended, and taken the folder with it.
        with suppress(OSError):
            unfinished.write_text(json.dumps(tally), encoding="utf-8")
            unfinished.replace(unfinished.with_suffix(".json"))
