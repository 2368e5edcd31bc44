"""What every reader gives, and what a reader is."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from querygauge.values import OK

__all__ = ["Execution", "Reader"]


class Execution(NamedTuple):
    """
    One statement that was executed, or stands in a file.

    Attributes:
        statement: Its text, literals included; at most a little longer than what `normalize` reads.
        duration_ns: How long it took; None if the log does not tell.
        outcome: A place in `values.OUTCOMES`.
        rows: Rows returned or affected; None if the log does not tell.
        started_us: Microseconds since 1970-01-01 UTC; None if nothing tells.
    """

    statement: str
    duration_ns: int | None = None
    outcome: int = OK
    rows: int | None = None
    started_us: int | None = None


class Reader(Protocol):
    """
    Reads one text, once.

    Attributes:
        entries: What was recognised as written in this format, statements or not; 0 means that the text is something
            else.
    """

    entries: int

    def read(self, blocks: Iterable[str]) -> Iterator[Execution]:
        """The executions of a text that comes in blocks."""

    def notes(self) -> Sequence[str]:
        """What could not be read, one sentence each; complete when everything was read."""
