"""
Failed executions of the window under way, by pattern, target, and how they failed.

In go primitives, out come `QueryErrors`. Deliberately not here: the lock and the clock, which the recorder has, and how
many executions failed in all, which the query table counts.
"""

from typing import Final

from querygauge.clock import datetime_of
from querygauge.patterns.cache import OTHER
from querygauge.values import Failure, Pattern, QueryErrors

__all__ = ["SAMPLES", "ErrorTable", "Errors"]

SAMPLES: Final = 10
"""Executions that failed alike and are kept one by one, in each window."""

# A database has some hundreds of codes and an application a handful of statements that meet them. What comes beyond is
# counted together, so that the counts stay right.
_LIMIT: Final = 1_000
_NS_PER_US: Final = 1_000
_UNKNOWN: Final = Failure("", None, "")


class Errors:
    """
    Executions of one pattern that failed alike; the fold adds to the attributes itself.

    Attributes:
        count: How many.
        last_ns: Start of the last of them, on the monotonic clock.
    """

    __slots__ = ("_failure", "_pattern", "_target", "count", "last_ns")

    def __init__(self, target: str, pattern: Pattern, failure: Failure, started_ns: int) -> None:
        self._target = target
        self._pattern = pattern
        self._failure = failure
        self.count = 0
        self.last_ns = started_ns

    def frozen(self, offset_us: int) -> QueryErrors:
        """The count so far; `offset_us` is what a monotonic moment lacks to one of the epoch."""
        return QueryErrors(
            self._pattern,
            self._target,
            self._failure.error_type,
            self._failure.code,
            self.count,
            datetime_of(offset_us + self.last_ns // _NS_PER_US),
            self._failure.message,
        )


class ErrorTable:
    """What failed since the last `drain()`; whoever holds it serialises the calls."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._window: dict[tuple[str, str, str, str | None], Errors] = {}

    def entry(self, target: str, pattern: Pattern, failure: Failure | None, started_ns: int) -> Errors:
        """Where a failed execution is counted; `failure` is None if only its caller knows why."""
        failure = failure or _UNKNOWN
        key = (target, pattern.id, failure.error_type, failure.code)
        errors = self._window.get(key)
        if errors is None:
            if len(self._window) >= _LIMIT:
                pattern, failure = OTHER, _UNKNOWN
                key = (target, pattern.id, failure.error_type, failure.code)
                errors = self._window.get(key)
            if errors is None:
                errors = self._window[key] = Errors(target, pattern, failure, started_ns)
        return errors

    def drain(self, offset_us: int) -> tuple[QueryErrors, ...]:
        """The window as values; `offset_us` as for `Errors.frozen`."""
        drained = tuple(errors.frozen(offset_us) for errors in self._window.values() if errors.count)
        self._window = {}
        return drained
