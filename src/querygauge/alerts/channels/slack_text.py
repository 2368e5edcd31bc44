"""
Texts as Slack takes them: nothing in them is its markup, and they are as long as it allows by its own count.

Deliberately not here: what is said.
"""

from collections.abc import Iterable
from typing import Final

from querygauge.alerts.wording import shortened

__all__ = ["code", "escaped", "size_of"]

_ESCAPED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def size_of(texts: Iterable[str]) -> int:
    """How long they are as lines, as Slack counts characters: one beyond the first 65,536 is two."""
    return sum(_units(text) + 1 for text in texts)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def code(text: str, most: int) -> str:
    """It in a line to be read letter by letter; the quotes that end such a line are others in it."""
    return f"`{escaped(text.replace('`', chr(39)), most)}`"


def escaped(text: str, most: int) -> str:
    """No more than so many characters of it as Slack counts them, none of which it takes for markup of its own."""
    text = shortened(text, most)
    escaped = [_ESCAPED.get(letter, letter) for letter in text]
    if _units("".join(escaped)) <= most:
        return "".join(escaped)
    left = most - 1
    for place, piece in enumerate(escaped):
        left -= _units(piece)
        if left < 0:
            return "".join(escaped[:place]).rstrip() + "…"
    return "".join(escaped)
