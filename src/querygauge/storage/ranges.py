"""Spans of time as people name them: in goes `24h`, or two moments, out comes where it begins and ends."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from querygauge.errors import SettingsError

__all__ = ["Range", "Span", "parse_range", "span_of"]

Range = str | tuple[datetime, datetime]
"""`24h` is the last day; `2026-01-05/2026-01-12` or two aware datetimes are from one moment to another."""

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_EXAMPLES: Final = "15m, 1h, 24h, 7d, 30d, 90d"
# Ten years: longer than anything is kept, and far from what a timedelta cannot hold.
_LONGEST: Final = timedelta(days=3660)
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_range(text: str) -> timedelta:
    """
    The span that `text` names: a whole number and one of s, m, h, d, w.

    Raises:
        SettingsError: If it names none, or one that is not between a second and ten years.
    """
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip().lower(), flags=re.ASCII)
    if match is None:
        raise SettingsError(f"a range must be a number and a unit, such as {_EXAMPLES}; got {text!r}")
    span = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if not timedelta(0) < span <= _LONGEST:
        raise SettingsError(f"a range must be longer than 0 and at most 10 years, such as {_EXAMPLES}; got {text!r}")
    return span


class Span(NamedTuple):
    """From one moment until another, the latter left out."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.until - self.since

    def before(self) -> "Span":
        """The span of the same length, from 1970 on, that ends at the begin of the minute where this one begins."""
        since = self.since - min(self.length, self.since - _EARLIEST)
        return Span(since, self.since.replace(second=0, microsecond=0))

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"


def span_of(range_: Range, now: datetime) -> Span:
    """
    The span that a range names.

    Args:
        range_: A length that ends now, such as `24h`; two ISO 8601 moments with a slash between them, UTC where they
            name no zone; or two aware datetimes.
        now: The moment at which a length ends.

    Raises:
        SettingsError: If it names none, ends before it begins, or begins before 1970.
    """
    if isinstance(range_, str) and "/" not in range_:
        return Span(now - parse_range(range_), now)
    since, until = map(_moment, range_.split("/", 1)) if isinstance(range_, str) else range_
    if since.tzinfo is None or until.tzinfo is None:
        raise SettingsError(f"the moments of a range must have a zone; got {since} and {until}")
    if since >= until:
        raise SettingsError(f"a range must begin before it ends; got {since} and {until}")
    try:
        span = Span(since.astimezone(UTC), until.astimezone(UTC))
    except OverflowError:  # in UTC, it is another year than any calendar has
        span = None
    if span is None or span.since < _EARLIEST:
        raise SettingsError(f"a range must lie between 1970 and 9999; got {since} and {until}")
    return span


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise SettingsError(
            f"a moment must be in ISO 8601, such as 2026-01-05 or 2026-01-05T12:30; got {text!r}"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
