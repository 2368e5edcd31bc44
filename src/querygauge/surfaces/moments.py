"""When something is to end, as people name it."""

from datetime import UTC, datetime

from querygauge.errors import SettingsError
from querygauge.storage.ranges import parse_range

__all__ = ["moment_of"]


def moment_of(text: str, now: datetime) -> datetime:
    """
    A day, a moment, or a length from now.

    Raises:
        SettingsError: If it is none of them.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        pass
    else:
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        return now + parse_range(text)
    except SettingsError:
        raise SettingsError(
            f"--until must be a day, a moment or a length, such as 2026-12-31 or 30d; got {text!r}"
        ) from None
