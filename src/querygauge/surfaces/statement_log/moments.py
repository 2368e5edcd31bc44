"""
Moments as servers write them → microseconds since 1970-01-01 UTC.

Comes in: text that holds a moment somewhere; goes out: a number, or None where none is told or nobody can know its time
zone. Deliberately not here: guessing. `CET` is read only on a machine that lives by it.
"""

import re
from datetime import datetime
from functools import lru_cache
from typing import Final

from querygauge.clock import microseconds_of

__all__ = ["moment_in"]

_MOMENT: Final = re.compile(
    r"(?<!\d)(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(?: ?([A-Z]{1,5}(?![A-Za-z])|[+-]\d\d(?::?\d\d)?))?"
).search
_EPOCH: Final = re.compile(r"(?<![\d.])(\d{9,11})\.(\d{3})(?!\d)").search
_UTC: Final = frozenset({"UTC", "GMT", "Z"})


def moment_in(text: str) -> int | None:
    """The first moment in `text`, in microseconds since 1970-01-01 UTC; None if there is none that can be told."""
    found = _MOMENT(text)
    if found is None:
        epoch = _EPOCH(text)  # what `%n` writes
        return None if epoch is None else int(epoch[1]) * 1_000_000 + int(epoch[2]) * 1_000
    second_us = _second_us(found[1], found[3] or "")
    return None if second_us is None else second_us + int((found[2] or "0").ljust(6, "0"))


@lru_cache(maxsize=64)  # lines of one second come together
def _second_us(second: str, zone: str) -> int | None:
    try:
        if zone in _UTC:
            return microseconds_of(datetime.fromisoformat(f"{second}+00:00"))
        if zone[:1] in {"+", "-"}:
            digits = zone[1:].replace(":", "").ljust(4, "0")
            return microseconds_of(datetime.fromisoformat(f"{second}{zone[0]}{digits[:2]}:{digits[2:]}"))
        # %Z knows the names of this machine's zone and no others; without a name there is no zone to tell.
        local = datetime.strptime(f"{second.replace('T', ' ')} {zone}", "%Y-%m-%d %H:%M:%S %Z")  # noqa: DTZ007
        return microseconds_of(local.astimezone())
    except ValueError:
        return None
