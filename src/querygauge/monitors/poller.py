"""
A daemon thread that calls one function twice a second, and at once when woken.

For a monitor that is used alone; under a gauge the flush thread does the same for all of them. Deliberately not here:
what is polled.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Final

from querygauge.forking import call_soon
from querygauge.logs import get_logger

__all__ = ["Poller"]

log = get_logger(__name__)

_POLL_S: Final = 0.5  # alerts reach their handlers within a second


class Poller:
    """Calls `poll` until stopped; one that raises is logged once and called again."""

    def __init__(self, name: str, poll: Callable[[], object]) -> None:
        self._name = name
        self._poll = poll
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to call."""
        self._thread = threading.Thread(target=self._run, name=f"querygauge-{self._name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Has it called now."""
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Calls no more; waits for a call under way, but not for longer than that. Idempotent."""
        thread, self._thread = self._thread, None
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def after_fork_in_child(self) -> None:
        """Starts a thread of the child's own if there was one."""
        self._wake = threading.Event()
        inherited = self._thread
        if inherited is not None:
            call_soon(lambda: self._start_instead_of(inherited))

    def _start_instead_of(self, inherited: threading.Thread) -> None:
        if self._thread is inherited:  # not stopped meanwhile
            self.start()

    def _run(self) -> None:
        has_failed = False
        while self._thread is threading.current_thread():
            self._wake.wait(_POLL_S)
            self._wake.clear()
            try:
                self._poll()
            except Exception as error:  # noqa: BLE001  # a broken log handler must not end the alerts
                if not has_failed:
                    has_failed = True
                    with contextlib.suppress(Exception):
                        log.warning("poll_failed", monitor=self._name, error=type(error).__name__)
