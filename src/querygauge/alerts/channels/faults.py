"""
What an error may say of a server: its own words unless a secret is among them, and why it was not reached.

Deliberately not here: what is to be done about it.
"""

import os
from collections.abc import Sequence
from typing import Final

from querygauge.alerts.wording import one_line, shortened

__all__ = ["PIECE", "excerpt", "reason"]

PIECE: Final = 8
"""So many characters of a secret tell something of it."""

_EXCERPT: Final = 200


def excerpt(answer: str, hidden: Sequence[str]) -> str:
    """
    What a server says, cut to a line; empty if any piece of a secret is in it, as in a page that quotes what was asked.

    Args:
        answer: The beginning of it.
        hidden: The secrets that it was sent.
    """
    said = one_line(answer)
    for secret in hidden:
        pieces = {secret[start : start + PIECE] for start in range(max(1, len(secret) - PIECE + 1))}
        if any(piece in said for piece in pieces):
            return ""
    return shortened(said, _EXCERPT)


def reason(error: OSError) -> str:
    """Why there is no connection, without the address, which an error of a library quotes."""
    # Names are looked up with numbers of their own, which are negative.
    if error.errno is None or error.errno <= 0:
        return "its name is not known, or none of its addresses answers"
    return os.strerror(error.errno)
