"""
How far a long command has come: a bar on the standard error stream, while somebody watches a terminal.

Comes in: what is done next, how much was done, and how much there is. Deliberately not here: what a command prints.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress"]


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """What to tell the next step, the steps before it and all of them, for the length of the block."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:28}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("waiting for the store", total=None)
        yield lambda step, done, steps: bar.update(task, description=step, completed=done, total=steps)
