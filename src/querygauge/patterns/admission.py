"""
A text that was missed → whether it is remembered from now on, and which other one goes for it.

Nothing is known of hits, which must cost nothing. So a text shows that it is in use only when it is missed: a second
time before it was let in, or once more after it was pushed out. Texts that nobody sends twice thus fill half of the
places and no more, and texts that are sent a few times push out each other, but none that keeps coming back.

Deliberately not here: the map itself and its lock. Whoever holds the lock serialises the calls.
"""

from array import array
from collections import deque
from typing import Final

__all__ = ["Admission"]

# Rows of digests, and digests in a row, 8 bytes each. Of texts that come back after 10,000 others 99.6 % are known, and
# after 20,000 still 88 %.
_ROWS: Final = 4_096
_ROW: Final = 8
# Where all texts have come back, one newcomer in so many gets in. Let in all, a working set that is slightly larger
# than the map would push out in a circle what it asks for next, and miss everything.
_ONE_IN: Final = 8


class Admission:
    """
    Who has a place among so many.

    Texts that came back after they were pushed out are proven, and leave after all others; whoever is older leaves
    first.

    Args:
        places: Texts that are remembered, at most.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._on_trial: deque[str] = deque()
        self._proven: deque[str] = deque()
        self._known = _Digests()  # missed or pushed out
        self._pushed_out = _Digests()
        self._passed_over = 0

    def admits(self, text: str) -> bool:
        """Whether a text that was missed gets a place; takes note of it either way."""
        taken = self._taken()
        if taken < self._places // 2:
            return True
        if self._known.add(text):
            return False
        return taken < self._places or len(self._on_trial) > 0 or self._is_lucky()

    def _taken(self) -> int:
        return len(self._on_trial) + len(self._proven)

    def _is_lucky(self) -> bool:
        self._passed_over = (self._passed_over + 1) % _ONE_IN
        return not self._passed_over

    def enter(self, text: str) -> str | None:
        """Gives a place to a text that was admitted; the text that leaves for it, None if there was room."""
        came_back = text in self._pushed_out
        leaves = self._push_one_out() if self._taken() >= self._places else None
        (self._proven if came_back else self._on_trial).append(text)
        return leaves

    def _push_one_out(self) -> str:
        oldest = (self._on_trial or self._proven).popleft()
        self._known.add(oldest)
        self._pushed_out.add(oldest)
        return oldest


class _Digests:
    """
    Which texts were added lately: none is in it that was not added, and of too many the oldest are lost.

    A digest goes to the front of its row, and the last one of the row goes. So nothing is ever cleared, memory stays
    what it is from the first text on, and texts that are made to share a row push out each other alone.
    """

    def __init__(self) -> None:
        self._digests = array("q")  # as long as nothing was added: most applications send few texts

    def __contains__(self, text: str) -> bool:
        digest = hash(text)
        start = digest % _ROWS * _ROW
        return digest in self._digests[start : start + _ROW]

    def add(self, text: str) -> bool:
        """Adds a text; whether it was not there."""
        if not self._digests:
            self._digests = array("q", bytes(8 * _ROWS * _ROW))
        digest = hash(text)
        start = digest % _ROWS * _ROW
        row = self._digests[start : start + _ROW]
        if digest in row:
            return False
        self._digests[start + 1 : start + _ROW] = row[:-1]
        self._digests[start] = digest
        return True
