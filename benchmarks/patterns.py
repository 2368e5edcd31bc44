"""
How fast statements become patterns, beside the libraries that people use for the same.

Per kind of statement (`statements.py`): megabytes a second of `normalize`, of New Relic's obfuscator, of pglast's
`normalize` (PostgreSQL only), of sqlglot's tokenizer and of sqlparse's, in turn within one run. What peers leave out
makes them faster: none of them folds lists, rows or casts, sqlglot's and sqlparse's times are for cutting into tokens
alone. Then a statement of SQLAlchemy's on a miss and on a hit, and the worst of some 45 hostile megabytes.

Run with `make bench SCRIPT=patterns.py`; `--json` prints the figures for machines. Times are the best of several
rounds, since noise only ever adds.
"""

import argparse
import importlib
import json
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any, Final

from querygauge.patterns.cache import PatternCache, pattern_of
from querygauge.patterns.dialects import DIALECT_NAMES
from querygauge.patterns.normalizer import normalize
from statements import ORM_SELECT, Sent, statements

_ROUNDS: Final = 7
_HIT_CALLS: Final = 200_000
_MEGABYTE: Final = 1_000_000
_HOSTILE: Final = (
    *("'", '"', "`", "[", "]", "(", ")", ",", ";", "\\", "$", "$$", "$a$", "--", "-", "/*", "*/", "#"),
    *("1,", "''", "'a',", "((1),", "(1),", "?", "::x", "a.", "q'[", "VALUES (", "%(", "NULL "),
    *("__[POSTCOMPILE_a", "_a ", "[a", "\r", "E'\\", "/*!", "<=", "a b"),
)
# A beginning, and what follows it again and again.
_HOSTILE_AFTER: Final = (
    ("SELECT a = +1 ", "+ "),
    ("SELECT a = +1 ", "- "),
    ("SELECT ((1)) ", "("),
    ("FETCH ", "[ "),
    ("CREATE FUNCTION ", " SET ["),
    ("ALTER USER ", " SET ["),
    ("SET a = 1; ", "SELECT 1; "),
    ("COPY ", "FROM STDIN "),
)

Normalizes = Callable[[str, str], object]


def _peers() -> dict[str, Normalizes]:
    """The peers that are installed, by name and version."""
    found: dict[str, Normalizes] = {}
    for package, made in (
        ("newrelic", _newrelic),
        ("pglast", _pglast),
        ("sqlglot", _sqlglot),
        ("sqlparse", _sqlparse),
    ):
        try:
            found[f"{package} {version(package)}"] = made()
        except ImportError:
            continue
    return found


def _newrelic() -> Normalizes:
    # Below its own cache, which would answer from the second round on.
    obfuscate: Any = importlib.import_module("newrelic.core.database_utils")._obfuscate_sql  # noqa: SLF001
    styles = {"postgresql": "single+dollar", "mysql": "single+double", "sqlite": "single"}
    databases = {dialect: SimpleNamespace(quoting_style=style) for dialect, style in styles.items()}
    return lambda statement, dialect: obfuscate(statement, databases[dialect])


def _pglast() -> Normalizes:
    parser: Any = importlib.import_module("pglast.parser")

    def normalized(statement: str, dialect: str) -> object:
        return parser.normalize(statement) if dialect == "postgresql" else None

    return normalized


def _sqlglot() -> Normalizes:
    tokenize: Any = importlib.import_module("sqlglot").tokenize
    names = {"postgresql": "postgres"}
    return lambda statement, dialect: tokenize(statement, read=names.get(dialect, dialect))


def _sqlparse() -> Normalizes:
    tokenize: Any = importlib.import_module("sqlparse.lexer").tokenize
    return lambda statement, _dialect: list(tokenize(statement))


def _read_by(normalizes: Normalizes, sent: list[Sent]) -> list[Sent]:
    """The statements that a library has an answer for: pglast's parser knows no `%(name)s`, and one database."""
    read = []
    for dialect, statement in sent:
        try:
            answer = normalizes(statement, dialect)
        except Exception:  # noqa: BLE001  # each library has errors of its own
            continue
        if answer is not None:
            read.append((dialect, statement))
    return read


def _speeds() -> dict[str, dict[str, float | None]]:
    """Megabytes a second by kind and library; None where it reads none of a kind."""
    by_kind = statements()
    by_kind["all of them"] = [sent for kind in by_kind.values() for sent in kind]
    libraries = {"querygauge": normalize, **_peers()}
    return {
        kind: _speeds_of({name: (library, _read_by(library, sent)) for name, library in libraries.items()})
        for kind, sent in by_kind.items()
    }


def _speeds_of(arms: dict[str, tuple[Normalizes, list[Sent]]]) -> dict[str, float | None]:
    best = dict.fromkeys(arms, float("inf"))
    for _ in range(_ROUNDS):
        for name, (normalizes, read) in arms.items():
            started = perf_counter_ns()
            for dialect, statement in read:
                normalizes(statement, dialect)
            best[name] = min(best[name], perf_counter_ns() - started)
    sizes = {name: sum(len(statement) for _, statement in read) for name, (_, read) in arms.items()}
    return {name: sizes[name] * 1e3 / best[name] if sizes[name] else None for name in arms}


def _best_ns(function: Callable[[], object], *, calls: int) -> float:
    best = float("inf")
    for _ in range(_ROUNDS):
        started = perf_counter_ns()
        for _ in range(calls):
            function()
        best = min(best, (perf_counter_ns() - started) / calls)
    return best


def _hit_ns() -> float:
    """Nanoseconds of one hit, less those of the empty loop."""
    cache = PatternCache("postgresql")
    cache.pattern_for(ORM_SELECT)
    pattern_for, calls = cache.pattern_for, range(_HIT_CALLS)
    best = bare = float("inf")
    for _ in range(_ROUNDS):
        started = perf_counter_ns()
        for _ in calls:
            pattern_for(ORM_SELECT)
        best = min(best, perf_counter_ns() - started)
        started = perf_counter_ns()
        for _ in calls:
            pass
        bare = min(bare, perf_counter_ns() - started)
    return (best - bare) / _HIT_CALLS


def _hostile() -> dict[str, tuple[float, str]]:
    """By what a megabyte is made of, milliseconds in the slowest dialect, and which that is."""
    found = {}
    for begin, piece in (*(("", piece) for piece in _HOSTILE), *_HOSTILE_AFTER):
        statement = begin + piece * (_MEGABYTE // len(piece))
        timed = [(_best_ns(partial(pattern_of, statement, name), calls=1) / 1e6, name) for name in DIALECT_NAMES]
        found[begin + piece] = max(timed)
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    figures = {
        "mb_per_second": _speeds(),
        "orm_select_normalized_us": _best_ns(lambda: normalize(ORM_SELECT, "postgresql"), calls=2_000) / 1e3,
        "orm_select_missed_us": _best_ns(lambda: pattern_of(ORM_SELECT, "postgresql"), calls=2_000) / 1e3,
        "hit_ns": _hit_ns(),
        "hostile_ms": _hostile(),
    }
    print(json.dumps(figures, indent=1) if arguments.json else _as_text(figures))


def _as_text(figures: dict[str, Any]) -> str:
    speeds: dict[str, dict[str, float | None]] = figures["mb_per_second"]
    names = list(next(iter(speeds.values())))
    widths = [max(10, len(name)) for name in names]
    lines = ["MB/s".ljust(24) + "".join(f"  {name:>{width}}" for name, width in zip(names, widths, strict=True))]
    for kind, by_name in speeds.items():
        cells = ["-" if by_name[name] is None else f"{by_name[name]:.1f}" for name in names]
        lines.append(kind.ljust(24) + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True)))
    lines += [
        "",
        f"ORM select of {len(ORM_SELECT)} B, normalized  {figures['orm_select_normalized_us']:6.1f} µs",
        f"the same, with summary and id   {figures['orm_select_missed_us']:6.1f} µs",
        f"the same as a hit               {figures['hit_ns']:6.0f} ns",
        "",
        f"{len(figures['hostile_ms'])} hostile megabytes, the five slowest",
    ]
    slowest = sorted(figures["hostile_ms"].items(), key=lambda one: -one[1][0])
    lines += [f"  {piece!r:26} {dialect:28} {ms:6.1f} ms" for piece, (ms, dialect) in slowest[:5]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
