"""
Verdicts → the text that `make test-hosts` ends with. Pure.

One line for each suite and way, then what was different, by name, and what is wrong with it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from hosts.comparison import Difference, Run, Verdict
from querygauge.rendering.tables import Column, render_table

__all__ = ["table"]

_COLUMNS: Final = (
    Column("suite", "left"),
    Column("", "left"),
    Column("passed"),
    Column("failed"),
    Column("skipped"),
    Column("differing"),
    Column("explained"),
    Column("unstable"),
    Column("statements"),
    Column("hook errors"),
    Column("seconds"),
)
_SKIPPED: Final = ("skipped", "xfailed")


def table(verdicts: Mapping[str, Verdict]) -> str:
    """Everything the suites have shown."""
    rows = [row for suite, verdict in verdicts.items() for row in _rows(suite, verdict)]
    lines = render_table(_COLUMNS, rows, indent=0)
    for suite, verdict in verdicts.items():
        lines += _section(f"{suite}: wrong", verdict.faults)
        lines += _section(f"{suite}: explained", (f"{test}: {why}" for test, why in verdict.explained.items()))
        lines += _section(f"{suite}: unstable, whoever watches", map(_ended, verdict.unstable))
    return "\n".join(lines)


def _rows(suite: str, verdict: Verdict) -> Iterator[list[str]]:
    yield [suite, "without", *_counts(verdict.without), "", "", "", "", "", f"{verdict.without.seconds:.0f}"]
    different = (len(verdict.differing), len(verdict.explained), len(verdict.unstable))
    seen = (verdict.watched.statements, len(verdict.watched.failures))
    yield ["", "with", *_counts(verdict.watched), *map(str, different + seen), f"{verdict.watched.seconds:.0f}"]


def _counts(run: Run) -> list[str]:
    counts = Counter(run.outcomes.values())
    skipped = sum(counts[outcome] for outcome in _SKIPPED)
    return [str(counts["passed"]), str(counts.total() - counts["passed"] - skipped), str(skipped)]


def _section(title: str, entries: Iterable[str]) -> list[str]:
    listed = [f"  {entry}" for entry in entries]
    return ["", title, *listed] if listed else []


def _ended(one: Difference) -> str:
    return f"{one.test}: without us {', '.join(one.without)}; with us {', '.join(one.watched)}"
