"""
Which kinds of rows spool files hold, and the SQL for those: in go contents, out come kinds, statements and tables.

Most files have a header, patterns and queries, and nothing else. To plan the statements of all kinds takes longer than
to run them, so those of kinds that are not there are left out. In a file of SQL a line that ends in `-- only pool` is
for pools only, and so is what stands between such a line of its own and `-- end`.
"""

from collections.abc import Collection, Iterable
from typing import Final

from querygauge.storage.database import statements

__all__ = ["kinds_in", "statements_for", "tables_of"]

_TABLES: Final[dict[str, tuple[str, ...]]] = {
    "scope": ("scope_stats",),
    "slow": ("slow_queries",),
    "failed": ("query_errors",),
    "pool": ("pool_stats", "health_checks"),
    "repetition": ("repetitions",),
    "running": (),
}
_ALWAYS: Final = ("query_stats", "process_stats")
_ONLY: Final = "-- only "
_END: Final = "-- end"


def kinds_in(contents: Iterable[bytes]) -> frozenset[str]:
    """
    The kinds of which there may be rows, beside headers, patterns and queries.

    A row of a kind that is not among them would be of no known kind to `check.sql`, so its file is set aside.
    """
    marks = {kind: f'"{kind}":{{'.encode() for kind in _TABLES}
    return frozenset(kind for content in contents for kind, mark in marks.items() if mark in content)


def statements_for(name: str, kinds: Collection[str]) -> str:
    """The SQL of one of the files here, as far as it is for all files or for some of these kinds."""
    kept, is_wanted = [], True
    for line in statements(name).splitlines():
        before, only, kind = line.partition(_ONLY)
        if only and not before.strip():
            is_wanted = kind in kinds
        elif line.strip() == _END:
            is_wanted = True
        elif is_wanted and (not only or kind in kinds):
            kept.append(line)
    return "\n".join(kept)


def tables_of(kinds: Collection[str]) -> list[str]:
    """The tables of a store that merged rows are put into as they are, with rows of these kinds."""
    return [*_ALWAYS, *(table for kind, tables in _TABLES.items() if kind in kinds for table in tables)]
