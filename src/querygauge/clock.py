"""The time of this machine, behind the `Clock` protocol so that tests can hand in their own."""

import time
from datetime import UTC, datetime, timedelta

__all__ = ["SystemClock", "datetime_of", "microseconds_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SystemClock:
    """The clocks of the operating system."""

    # The function itself, not a method around it: it is read several times with every statement.
    monotonic_ns = staticmethod(time.perf_counter_ns)

    @staticmethod
    def now_us() -> int:
        """Microseconds since 1970-01-01 UTC; steps when somebody sets the clock."""
        return time.time_ns() // 1000


def datetime_of(epoch_us: int) -> datetime:
    """The aware UTC datetime of `epoch_us` microseconds since 1970-01-01 UTC."""
    return _EPOCH + timedelta(microseconds=epoch_us)


def microseconds_of(moment: datetime) -> int:
    """
    Microseconds since 1970-01-01 UTC of an aware datetime.

    Raises:
        TypeError: If `moment` has no time zone.
    """
    return (moment - _EPOCH) // timedelta(microseconds=1)
