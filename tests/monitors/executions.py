"""Executions to record, built from a few words each; what a test does not name is unremarkable."""

import subprocess
import sys
from hashlib import blake2b
from typing import Any, Protocol

from querygauge.protocols import Clock, Evidence, Record, Scope
from querygauge.settings import Settings
from querygauge.values import OK, Category, Failure, Pattern, ScopeLabel

__all__ = ["MS", "SteppingClock", "Work", "execute", "pattern", "run_python", "settings"]

MS = 1_000_000
"""Nanoseconds of a millisecond."""


class SteppingClock(Clock, Protocol):
    """The `clock` fixture."""

    def advance(self, seconds: float) -> None:
        """Moves both clocks on."""


class Work:
    """A unit of work whose name is known, or can be told; fits `protocols.Scope`."""

    def __init__(self, name: str | None = None, **tags: str) -> None:
        self.label = None if name is None else ScopeLabel(name, tuple(sorted(tags.items())))
        self.repeats: dict[tuple[str, str | None], list[Any]] = {}
        self.evidence: dict[str | None, Evidence] = {}
        self.tallies: dict[object, Any] = {}

    def find_label(self, *, is_last: bool = False) -> ScopeLabel | None:
        """The label, or that nobody knows it."""
        return ScopeLabel("nobody knows") if is_last and self.label is None else self.label


def pattern(text: str = "SELECT a FROM t WHERE id = ?", category: Category = "query") -> Pattern:
    """A pattern whose id follows from its text."""
    identity = blake2b(text.encode(), digest_size=8).hexdigest()
    return Pattern(identity, text, text[:20], text.split(maxsplit=1)[0], ("t",), "sqlite", category)


def settings(**chosen: Any) -> Settings:
    """The settings of a recorder that keeps every execution, unless told otherwise."""
    return Settings(**{"service": "shop", "history_threshold_ms": 0.0, **chosen})


def execute(
    record: Record,
    duration_ms: float = 1.0,
    what: Pattern | None = None,
    *,
    started_ns: int = 0,
    rows: int = -1,
    outcome: int = OK,
    failure: Failure | None = None,
    call_site: str | None = None,
    unit: Work | None = None,
    literals: tuple[str, Any] | None = None,
    scope: Scope | None = None,
) -> None:
    """Records one execution; a unit that has a name is its scope too."""
    duration_ns = round(duration_ms * MS)
    scope = scope or (unit if unit is not None and unit.label is not None else None)
    record(what or pattern(), started_ns, duration_ns, rows, outcome, failure, call_site, unit, literals, scope)


def run_python(program: str) -> str:
    """What a program prints that runs in a process of its own; it must end by itself, and well."""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()
