"""Queues that many threads append to and one fold empties: what waits in one is taken without a step of Python each."""

from collections import deque
from collections.abc import Iterator
from itertools import repeat
from operator import call
from typing import TypeVar

__all__ = ["taken"]

T = TypeVar("T")


def taken(queue: deque[T]) -> Iterator[T]:
    """
    What waits in the queue; what arrives meanwhile is for the next fold, or this one might never end.

    Each is taken out as the iterator comes to it. Added to a list by `+=`, all move in one step, and none is lost if a
    signal handler raises.
    """
    return map(call, repeat(queue.popleft, len(queue)))
