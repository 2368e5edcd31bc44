"""
The demo as people see it: what runs, how far it is, the report read back from the store, and where to look next.

Comes in: the command's options; goes out: text on standard output, and a progress bar on the other stream while a
terminal watches. Deliberately not here: the study and its database, which are `surfaces.demo`.
"""

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import make_url

from querygauge.rendering.formats import duration, number
from querygauge.rendering.names import ID_DIGITS, named
from querygauge.rendering.ranking import Order, ranked
from querygauge.rendering.report import ReportData, render_report
from querygauge.surfaces.console import page_width, show
from querygauge.surfaces.demo import DEMO_SERVICE, run_study
from querygauge.surfaces.program import command_line
from querygauge.surfaces.stored import read_report
from querygauge.values import QueryStats

__all__ = ["run_demo"]


def run_demo(*, database: str | None, trials: int, store: Path | None) -> None:
    """
    Runs the demo and prints what it found.

    Args:
        database: URL of the database; None is a temporary SQLite file.
        trials: Trials of the study.
        store: Directory of the store; None is a new temporary one, which stays for looking further.

    Raises:
        MissingExtraError: If Optuna or a driver is not installed.
        SettingsError: If the database cannot be used.
        StoreError: If the store cannot be used.
    """
    with _store(store) as root, _progress(trials) as advance:
        threshold_ms = run_study(store=root, database=database, trials=trials, advance=advance)
    data = replace(read_report(root, "1h", DEMO_SERVICE), threshold_ms=threshold_ms)
    show(_folded(_introduction(database, trials)))
    show("\n" + render_report(data, width=page_width(), show_command=command_line("patterns show ID", root)))
    show("\n" + _folded(_what_it_shows(data), indent=18))
    show("\n" + _how_to_look_further(data, root))


@contextmanager
def _store(given: Path | None) -> Iterator[Path]:
    """The store to write; a temporary one that nothing was written to is removed again."""
    root = given or Path(mkdtemp(prefix="querygauge-store-"))
    try:
        yield root
    finally:
        if given is None:
            with suppress(OSError):  # it holds what was measured
                root.rmdir()


@contextmanager
def _progress(trials: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("Optuna runs a study", total=trials)
        yield lambda: progress.advance(task)


def _folded(text: str, indent: int = 0) -> str:
    """`text` within the page, with so many blanks before what a line has too much."""
    wrapper = textwrap.TextWrapper(page_width(), subsequent_indent=" " * indent, break_on_hyphens=False)
    return "\n".join(part for line in text.splitlines() for part in wrapper.wrap(line))


def _introduction(database: str | None, trials: int) -> str:
    where = "a temporary SQLite file" if database is None else make_url(database).render_as_string(hide_password=True)
    return f"Optuna ran a study of {number(trials)} trials on {where}, with querygauge attached to its engine."


def _what_it_shows(data: ReportData) -> str:
    lines = ["WHAT IT SHOWS"]
    if not data.queries:
        return "\n".join([*lines, "  no queries: nothing was captured"])
    frequent, slowest = _first(data, "execution_count"), _first(data, "avg_duration")
    lines += [
        f"  most frequent   {_named(frequent)}: {number(frequent.execution_count)} executions",
        f"  slowest         {_named(slowest)}: {duration(slowest.avg_duration_ms)} on average",
    ]
    if data.repetitions:
        most = max(data.repetitions, key=lambda repetition: repetition.max_per_scope)
        name = named(most.pattern.id, most.pattern.summary)
        lines += [
            f"  most repeated   {name}: up to {number(most.max_per_scope)} times in one {most.scope or 'transaction'},",
            f"                  from {most.call_site or 'an unknown line'}",
        ]
    return "\n".join(lines)


def _first(data: ReportData, order: Order) -> QueryStats:
    return ranked(data.queries, order, 1)[0]


def _named(stats: QueryStats) -> str:
    return named(stats.pattern_id, stats.pattern.summary)


def _how_to_look_further(data: ReportData, root: Path) -> str:
    commands = ["report --order-by p95", "patterns list", "top --window 1h", "report --format json"]
    if data.queries:
        commands.insert(1, f"patterns show {_first(data, 'execution_count').pattern_id[:ID_DIGITS]}")
    return "\n".join(["HOW TO LOOK FURTHER", *(f"  {command_line(command, root)}" for command in commands)])
