"""
What is to be sent of all processes: in go snapshots, out come accumulations, and what was delivered of them goes in.

Two ways to tell the same. Cumulative: each process has one accumulation since it is known, which is sent again with
more in it; what did not arrive is in the next. Delta: what was not sent yet; what is being sent stays as it is until it
was delivered, so that it is sent again with the very same numbers and times if nobody knows. Pure, and bounded.
Deliberately not here: where it is kept, and sending.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from querygauge.export.accumulation import Accumulation
from querygauge.export.accumulation_rows import accumulation_of, row_of
from querygauge.values import Snapshot

__all__ = ["Backlog", "Key"]

_MOST_PROCESSES: Final = 500  # with 200 series each that is 50 MB, which a tick reads and writes
_FORGOTTEN_US: Final = 900_000_000  # a process tells once a minute that it lives


class Key(NamedTuple):
    """What tells a process from others."""

    service: str
    process: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """
    What is to be sent.

    Attributes:
        is_delta: Whether what was delivered is not told again.
        processes: What each did: since it is known, or what is not being sent yet.
        sent_us: Until when all that each did was delivered, in microseconds since 1970.
        batch: Deltas that are being sent.
        dropped: Processes that were given up with what they did, as there were too many.
    """

    is_delta: bool
    processes: Mapping[Key, Accumulation] = field(default_factory=dict)
    sent_us: Mapping[Key, int] = field(default_factory=dict)
    batch: tuple[Accumulation, ...] = ()
    dropped: int = 0

    @classmethod
    def of(cls, kept: bytes | None, *, is_delta: bool) -> "Backlog":
        """
        What was kept, or nothing.

        Where it was kept for the other way to tell, deltas go on as the beginning of totals, and totals leave nothing
        but what they end with.

        Raises:
            ValueError: If it was kept by something else.
        """
        if kept is None:
            return cls(is_delta)
        try:
            row = json.loads(kept)
            accumulations = [accumulation_of(each) for each in row["processes"]]
            batch = [accumulation_of(each) for each in row["batch"]]
            found = cls(
                bool(row["is_delta"]),
                {_key_of(each): each for each in accumulations},
                {Key(service, process): int(sent_us) for service, process, sent_us in row["sent_us"]},
                tuple(batch),
                int(row["dropped"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"what is kept to be sent must be as it was written; got {error!r}") from error
        return found if found.is_delta == is_delta else found._turned()

    def _turned(self) -> "Backlog":
        if not self.is_delta:
            return Backlog(True, {key: each.emptied() for key, each in self.processes.items()}, self.sent_us)
        totals = dict(self.processes)
        for each in self.batch:
            later = totals.get(_key_of(each))
            totals[_key_of(each)] = each if later is None else each.merged(later)
        return Backlog(False, totals)

    def kept(self) -> bytes:
        """What `of` reads."""
        row = {
            "is_delta": self.is_delta,
            "processes": [row_of(each) for each in self.processes.values()],
            "sent_us": [[*key, sent_us] for key, sent_us in self.sent_us.items()],
            "batch": [row_of(each) for each in self.batch],
            "dropped": self.dropped,
        }
        return json.dumps(row, separators=(",", ":")).encode()

    def with_snapshots(self, snapshots: Iterable[Snapshot], most: int) -> "Backlog":
        """
        This and what snapshots tell.

        Args:
            snapshots: Oldest first.
            most: Series of a process that are told apart.
        """
        processes = dict(self.processes)
        for snapshot in snapshots:
            key = Key(snapshot.service, snapshot.process)
            before = processes.get(key) or Accumulation.beginning(snapshot)
            # What is told as deltas is forgotten as it is sent, and needs no more room than it has.
            sent_us = None if self.is_delta else self.sent_us.get(key)
            processes[key] = before.with_snapshot(snapshot, most, sent_us)
        return replace(self, processes=processes)

    def ready(self) -> tuple["Backlog", tuple[Accumulation, ...]]:
        """What is to be sent now; the backlog is to be kept before it is."""
        if not self.is_delta:
            news = (each for key, each in self.processes.items() if each.ended_us > self.sent_us.get(key, 0))
            return self, tuple(news)
        if self.batch:
            return self, self.batch
        batch = tuple(each for each in self.processes.values() if not each.is_empty)
        left = {key: each.emptied() for key, each in self.processes.items()}
        return replace(self, processes=left, batch=batch), batch

    def delivered(self, accumulations: Iterable[Accumulation]) -> "Backlog":
        """The same without what was delivered; it may have grown meanwhile."""
        sent = {_key_of(each): each.ended_us for each in accumulations}
        sent_us = {key: max(self.sent_us.get(key, 0), until_us) for key, until_us in sent.items()}
        left = tuple(each for each in self.batch if sent.get(_key_of(each)) != each.ended_us)
        return replace(self, sent_us={**self.sent_us, **sent_us}, batch=left)

    def without_gone(self, now_us: int) -> "Backlog":
        """The same without processes that are over, and of too many without the longest silent."""
        waiting = {_key_of(each) for each in self.batch}
        known = {
            key: each
            for key, each in self.processes.items()
            if each.ended_us > now_us - _FORGOTTEN_US or key in waiting or self._has_unsent(key, each)
        }
        latest = sorted(known, key=lambda key: -known[key].ended_us)[:_MOST_PROCESSES]
        return replace(
            self,
            processes={key: known[key] for key in latest},
            sent_us={key: self.sent_us[key] for key in latest if key in self.sent_us},
            dropped=self.dropped + len(known) - len(latest),
        )

    def _has_unsent(self, key: Key, accumulation: Accumulation) -> bool:
        return not accumulation.is_empty if self.is_delta else accumulation.ended_us > self.sent_us.get(key, 0)


def _key_of(accumulation: Accumulation) -> Key:
    return Key(accumulation.service, accumulation.process)
