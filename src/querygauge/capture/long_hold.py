"""
Checkouts that last on purpose: a context variable that a `with` block sets, and that a checkout takes note of.

Deliberately not here: what a checkout that lasts means.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final

from querygauge.errors import SettingsError

__all__ = ["LONG_HOLD", "long_hold"]

LONG_HOLD: Final[ContextVar[str | None]] = ContextVar("querygauge_long_hold", default=None)


@contextmanager
def long_hold(reason: str) -> Iterator[None]:
    """
    Says why the connections that are checked out inside are held for long, so that they raise no alarm.

    Args:
        reason: Shown beside the holder, such as `listens for notifications`.

    Raises:
        SettingsError: If the reason is no text, or empty.
    """
    if not (isinstance(reason, str) and reason.strip()):
        raise SettingsError(f"reason must be a text that is not empty; got {reason!r}")
    token = LONG_HOLD.set(reason)
    try:
        yield
    finally:
        with suppress(ValueError):  # left in another context than it was entered in
            LONG_HOLD.reset(token)
