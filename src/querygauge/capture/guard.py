"""
What stands between a mistake of ours and the host: a hook that raises is counted, logged once, and ends here.

A hook that keeps failing is switched off: after `FAILURES_LIMIT` failures its attachment is detached, since a hook that
is wrong for this application costs time at every statement and tells nothing.
"""

import traceback
from collections.abc import Callable
from typing import Final

from querygauge.forking import survive_forks
from querygauge.interruptions import is_of_host
from querygauge.logs import get_logger

__all__ = ["FAILURES_LIMIT", "Guard"]

log = get_logger(__name__)

FAILURES_LIMIT: Final = 100


class Guard:
    """
    Counts the failures of one attachment's hooks.

    Attributes:
        failures: Exceptions caught so far.
        by_hook: The same by the hook in which they were raised.
        give_up: Detaches the attachment; set by whoever attached it.
    """

    def __init__(self, name: str) -> None:
        self.failures = 0
        self.by_hook: dict[str, int] = {}
        self.give_up: Callable[[], object] | None = None
        self._name = name
        self._logged: set[str] = set()
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """Leaves to the parent what failed in the parent."""
        self.failures = 0
        self.by_hook = {}

    def caught(self, hook: str, error: Exception) -> None:
        """
        Takes note of an exception inside `hook`.

        Raises:
            Exception: `error` itself, if it came from the host while the hook ran.
        """
        try:
            is_interruption = is_of_host(error)
        except Exception:  # noqa: BLE001  # too deep in a recursion of the host to look
            is_interruption = False
        if is_interruption:
            raise error
        self.failures += 1
        try:
            self.by_hook[hook] = self.by_hook.get(hook, 0) + 1
            if hook not in self._logged:
                self._logged.add(hook)
                log.warning(
                    "hook_failed", target=self._name, hook=hook, error=type(error).__name__, where=_where(error)
                )
            if self.failures == FAILURES_LIMIT and self.give_up is not None:
                log.error("hooks_detached", target=self._name, failures=self.failures, hook=hook)
                self.give_up()
        except Exception:  # noqa: BLE001, S110  # not even a broken log handler may reach the query
            pass


def _where(error: Exception) -> str:
    # Neither the message nor the frames' variables are shown: a statement's values may be in them.
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
