"""
Who folds what was flushed: the four ways to run the collector, behind one call after each flush.

`auto` starts a short process when a tick is due and nobody else claimed it, and reaps it at a later flush; `inline`
folds in the flush thread, for places where no process may be started; `external` and `off` do nothing here.
Deliberately not here: what a tick does.
"""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from querygauge import collector
from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.protocols import Clock
from querygauge.settings import Settings

__all__ = ["Ticks"]

log = get_logger(__name__)

_FINISH_S: Final = 1.0  # a tick takes some 0.3 s
_FOLDING: Final = frozenset({"auto", "inline"})


class Ticks:
    """Starts the ticks of one store from one process."""

    def __init__(self, store: Path, settings: Settings, clock: Clock) -> None:
        # A test run is about to end by nature, and its readers fold what they read.
        self._mode = "off" if "_pytest" in sys.modules and settings.collector == "auto" else settings.collector
        self._store = store
        self._interval_s = settings.tick_interval_s
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None
        self._has_failed = False

    def after_flush(self) -> None:
        """Starts a tick if one is due; never raises, and returns at once unless the mode is `inline`."""
        self.reap()
        if self._mode not in _FOLDING or self._child is not None:
            return
        try:
            if collector.claim_tick(self._store, self._interval_s, self._clock.now_us()):
                self._tick()
        except StoreError as error:
            self._note(str(error))

    def reap(self) -> None:
        """Takes note of a child that ended, so that no zombie stays."""
        status = None if self._child is None else self._child.poll()
        if status is None:
            return
        self._child = None
        if status:
            self._note(f"the process ended with status {status}")
        else:
            self._has_failed = False

    def finish(self) -> None:
        """Waits a moment for a child under way, and lets go of it; it folds on without us."""
        if self._child is not None:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_FINISH_S)
            self.reap()
            self.forget()

    def forget(self) -> None:
        """Lets go of the parent's child, in a forked process."""
        if self._child is not None:
            self._child.returncode = 0  # or it would be waited for, and complained about, as a child of ours
            self._child = None

    def _tick(self) -> None:
        if self._mode == "inline":
            collector.tick(self._store)
            self._has_failed = False
        else:
            self._child = collector.start_child(self._store)

    def _note(self, error: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            log.warning(
                "tick_failed", store=str(self._store), error=error, remedy="run 'querygauge collect --once' to see why"
            )
