"""
`querygauge normalize`: what stands in SQL files and logs, by pattern.

Comes in: names of files and how to read them; goes out: a `NormalizedData`. Each text is read once, in bounded memory,
and nothing of it is kept but patterns and numbers. Deliberately not here: formats (`statement_log`), and any layout.

A dialect is never guessed from SQL, since the wrong one takes literals for text: a log implies one, and plain SQL is
`unknown` unless somebody names it.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

import typer

from querygauge.errors import SettingsError
from querygauge.patterns.cache import PatternCache
from querygauge.patterns.dialects import dialect_of
from querygauge.rendering.formats import number
from querygauge.rendering.normalized_data import NormalizedData, Source
from querygauge.surfaces.statement_log.choices import DIALECTS, INPUTS, UNKNOWN
from querygauge.surfaces.statement_log.execution import Reader
from querygauge.surfaces.statement_log.mysql_slow_log import MysqlSlowLog, is_slow_log
from querygauge.surfaces.statement_log.postgresql_entries import form_of
from querygauge.surfaces.statement_log.postgresql_log import PostgresqlLog
from querygauge.surfaces.statement_log.sql_script import SqlScript
from querygauge.surfaces.statement_log.tally import Tally
from querygauge.surfaces.statement_log.texts import STDIN, Text, open_text

__all__ = ["read_statements"]

# Patterns counted apart; with texts of a kilobyte they are a few megabytes.
_MAX_PATTERNS: Final = 5_000
_IMPLIED: Final = {"postgresql-log": "postgresql", "mysql-slow-log": "mysql", "sql": UNKNOWN}

# Why a log of that kind may hold no statement.
_SILENT: Final = {
    "postgresql-log": "the server was told to log no statements; log_min_duration_statement and log_statement tell it",
    "mysql-slow-log": "no statement took as long as long_query_time",
}


def read_statements(
    names: Sequence[str], *, dialect: str | None, input_format: str, fold_numbered_names: bool = True
) -> NormalizedData:
    """
    What stands in files and logs.

    Args:
        names: Files; `-`, or none, is standard input.
        dialect: One of `choices.DIALECTS`; None is what a log implies, and `unknown` for SQL.
        input_format: One of `choices.INPUTS`.
        fold_numbered_names: As for `patterns.normalizer.normalize`.

    Raises:
        SettingsError: If an argument is none of these, a file cannot be read, or it is not what it was said to be.
    """
    if dialect is not None and dialect not in DIALECTS:
        raise SettingsError(f"dialect must be one of {', '.join(DIALECTS)}; got {dialect!r}")
    if input_format not in INPUTS:
        raise SettingsError(f"input must be one of {', '.join(INPUTS)}; got {input_format!r}")
    names = names or (STDIN,)
    with _progress(_sizes(names)) as advance:
        return _Normalization(dialect, input_format, fold_numbered_names, advance).of(names)


def _sizes(names: Sequence[str]) -> list[int | None]:
    """Bytes of each file; what cannot be read is found before hours are spent on another."""
    sizes: list[int | None] = []
    for name in names:
        if name == STDIN:
            sizes.append(None)
            continue
        with ExitStack() as stack:
            sizes.append(open_text(name, stack).size)
    return sizes


class _Normalization:
    def __init__(
        self, dialect: str | None, input_format: str, fold_numbered_names: bool, advance: Callable[[int], None]
    ) -> None:
        self._dialect = dialect
        self._input = input_format
        self._advance = advance
        self._tally = Tally(_MAX_PATTERNS)
        self._fold_numbered_names = fold_numbered_names
        self._caches: dict[str, PatternCache] = {}
        self._notes: list[str] = []

    def of(self, names: Sequence[str]) -> NormalizedData:
        """Everything in these files, which are read in their order."""
        sources = []
        for name in names:
            with ExitStack() as stack:
                sources.append(self._source(open_text(name, stack), several=len(names) > 1))
        if folded := self._tally.folded_count:
            self._notes.append(
                f"executions counted together, of patterns beyond the first {number(_MAX_PATTERNS)}: {number(folded)}"
            )
        return NormalizedData(sources=tuple(sources), stats=self._tally.stats(), notes=tuple(self._notes))

    def _source(self, text: Text, *, several: bool) -> Source:
        kind, form = _kind_of(text.head) if self._input == "auto" else (self._input, form_of(text.head))
        dialect = self._dialect_for(text.name, kind)
        reader = _reader(kind, form, dialect)
        cache = self._caches.setdefault(dialect, PatternCache(dialect, fold_numbered_names=self._fold_numbered_names))
        count = self._count(text, reader, cache)
        _refuse_what_is_none(text, kind, reader)
        notes = [*reader.notes(), *([] if count or kind not in _SILENT else [_SILENT[kind]])]
        self._notes += [f"{text.name}: {note}" if several else note for note in notes]
        name = f"{kind} ({form})" if kind == "postgresql-log" else kind
        return Source(name=text.name, format=name, dialect=dialect, execution_count=count)

    def _dialect_for(self, name: str, kind: str) -> str:
        implied = _IMPLIED[kind]
        if self._dialect is None:
            return implied
        if implied != UNKNOWN and dialect_of(self._dialect).family != implied:
            raise SettingsError(
                f"--dialect of a {kind} must be of the family {implied}; got {self._dialect!r} for {name!r}"
            )
        return self._dialect

    def _count(self, text: Text, reader: Reader, cache: PatternCache) -> int:
        count = 0
        for execution in reader.read(self._watched(text)):
            pattern = cache.pattern_for(execution.statement)
            if pattern.text:  # what is only comments sends nothing
                self._tally.add(pattern, execution)
                count += 1
        return count

    def _watched(self, text: Text) -> Iterator[str]:
        before = 0
        for block in text.blocks():
            yield block
            if text.size is not None:
                position = text.position()
                self._advance(position - before)
                before = position


def _kind_of(head: str) -> tuple[str, str | None]:
    """What a text is, told from its beginning; what is no log for certain is SQL."""
    form = form_of(head)
    if form is not None:
        return "postgresql-log", form
    return ("mysql-slow-log" if is_slow_log(head) else "sql"), None


def _reader(kind: str, form: str | None, dialect: str) -> Reader:
    if kind == "postgresql-log":
        return PostgresqlLog(form or "stderr")
    return MysqlSlowLog() if kind == "mysql-slow-log" else SqlScript(dialect)


def _refuse_what_is_none(text: Text, kind: str, reader: Reader) -> None:
    """A text in which nothing looks as it should is something else; an empty one is not."""
    if reader.entries or not text.head.strip():
        return
    if kind == "sql" and not reader.notes():
        return  # nothing but comments and commands
    what = {"sql": "SQL, or a log of a kind that is known", "postgresql-log": "a log of PostgreSQL"}
    raise SettingsError(
        f"{text.name!r} must be {what.get(kind, 'a slow log of MySQL')}; nothing in it is. --input says what it is: "
        f"{', '.join(INPUTS)}"
    )


@contextmanager
def _progress(sizes: Sequence[int | None]) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, if somebody watches and the end is known."""
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes) or not sys.stderr.isatty():
        if len(known) < len(sizes) and sys.stdin.isatty():
            typer.echo("reading SQL from the terminal; Ctrl-D ends it", err=True)
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=sum(known))
        yield lambda read: progress.advance(task, read)
