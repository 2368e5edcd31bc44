"""
Where the commands print: plain text to a pipe, with bold titles to a terminal.

Comes in: text that is complete and aligned already; goes out: the same text. Deliberately not here: any layout.
"""

import re
import shutil
import sys
from typing import Final

import typer

__all__ = ["log_to_stderr", "page_width", "show"]

_PIPED_WIDTH: Final = 100
_WIDEST: Final = 160  # beyond it, lines of SQL are hard to read
_TITLE: Final = re.compile(r"[A-Z][A-Z0-9]+( |$)[A-Z0-9 ]*")


def page_width() -> int:
    """Characters of a line: the terminal's, within reason; 100 where none watches."""
    if not sys.stdout.isatty():
        return _PIPED_WIDTH
    return min(shutil.get_terminal_size().columns, _WIDEST)


def show(text: str) -> None:
    """Prints `text`; titles in capitals are bold where a terminal watches that wants styles."""
    for line in text.splitlines():
        title = _TITLE.match(line)
        # echo() drops the style again where no terminal watches.
        typer.echo(typer.style(title[0], bold=True) + line[title.end() :] if title else line)


def log_to_stderr() -> None:
    """Sends log lines to the standard error stream; what is printed on the other one may be parsed."""
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
