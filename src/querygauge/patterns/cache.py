"""
Statement → `Pattern`, remembered: one dictionary lookup for a statement seen before.

In goes a statement as it was sent, out comes the one `Pattern` object of all statements that are alike. Memory is
bounded by the number of texts and by their length; a flood of texts that are all different cannot push out the ones
that repeat. The lock is held only while a map is written, never while somebody else's code runs; a forked child makes
it anew, and keeps the maps.

Deliberately not here: the limit on distinct patterns that are counted apart. Who counts beyond it counts under `OTHER`.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from querygauge.forking import survive_forks
from querygauge.patterns.dialects import dialect_of
from querygauge.patterns.normalizer import normalize
from querygauge.patterns.summary import describe
from querygauge.patterns.words import words
from querygauge.values import Pattern

__all__ = ["MAX_CACHED_CHARACTERS", "OTHER", "PatternCache", "pattern_of"]

OTHER: Final = Pattern(
    id="0" * 16, text="(other statements)", summary="(other statements)", operation="", tables=(), dialect="unknown"
)
"""What executions are counted under once the limit on distinct patterns is reached."""

# Longer texts are data more often than queries; 2,000 of them would be many megabytes.
MAX_CACHED_CHARACTERS: Final = 10 * 1024
_ID_BYTES: Final = 8  # 16 hex digits
_EAGER_LOAD: Final = "__[POSTCOMPILE_primary_keys]"  # SQLAlchemy's selectinload, for 500 parents at a time
_COMMENTED: Final = ("*/", "*/;")
_COMMENT_TAIL: Final = re.compile(r"\s*/\*(?:\s*[\w.%\-]+='[^'*]*',?)+\s*\*/\s*;?\s*").fullmatch

# Reserved in every dialect, so that none can be a name without quotes: their case makes no other query.
_RESERVED: Final = words(
    "all and as asc between by case create cross delete desc distinct drop else end exists for from group "
    "having in inner insert into is join left like limit not null offset on or order outer returning right "
    "select set table then union update using values when where with"
)
# Blanks beside an operator, a comma or a parenthesis.
_BLANKS: Final = re.compile(r" (?:(?=[=<>!+*/%|&~^,()\-])|(?<=[=<>!+*/%|&~^,()\-] ))")
_BLANKS_AND_NO_DASHES: Final = re.compile(r" (?:(?=[=<>!+*/%|&~^,()])|(?<=[=<>!+*/%|&~^,()] ))")
_LOWER_WORD: Final = re.compile(r"(?<![\w\"`.@$?\[])[a-zA-Z]++(?![\w\"`.$?\]])")


def pattern_of(statement: str, dialect: str) -> Pattern:
    """
    The pattern of a statement; pure, and never raises.

    Args:
        statement: As it was sent, or as SQLAlchemy compiled it.
        dialect: SQLAlchemy's name of the dialect.
    """
    return _pattern_of_text(normalize(statement, dialect), dialect)


def _pattern_of_text(text: str, dialect: str) -> Pattern:
    family = dialect_of(dialect).family
    description = describe(text, dialect)
    return Pattern(
        id=_id_of(text, family),
        text=text,
        summary=description.summary,
        operation=description.operation,
        tables=description.tables,
        dialect=family,
        category=description.category,
    )


def _id_of(text: str, family: str) -> str:
    # Neither the case of reserved words nor blanks beside operators make another query.
    # A quoted name may hold a dash, and blanks beside that one are the name's.
    blanks = _BLANKS_AND_NO_DASHES if '"' in text or "`" in text or "[" in text else _BLANKS
    identity = blanks.sub("", text)
    if not _RESERVED.isdisjoint(text.replace("(", " ").split()):
        identity = _LOWER_WORD.sub(_in_upper_case, identity)
    return blake2b(f"{family}\n{identity}".encode(), digest_size=_ID_BYTES).hexdigest()


def _in_upper_case(found: re.Match[str]) -> str:
    word = found.group()
    return word.upper() if word.lower() in _RESERVED else word


class PatternCache:
    """
    The patterns of one dialect's statements, by text.

    Any number of threads may ask at once. A hit takes no lock and counts nothing, since a dictionary lookup is atomic
    and a shared counter is not: hits are the questions asked less `misses`.

    Args:
        dialect: SQLAlchemy's name of the dialect; a function that gives it, where a server tells more once somebody is
            connected.
        max_texts: Texts that are remembered, at most.

    Attributes:
        misses: Questions that the map of texts did not answer.
        evictions: Texts pushed out by others.
    """

    def __init__(self, dialect: str | Callable[[], str], max_texts: int = 2000) -> None:
        self._dialect = dialect
        self.misses = 0
        self.evictions = 0
        self._max_texts = max(1, max_texts)
        self._by_statement: dict[str, Pattern] = {}
        self._by_text: dict[str, Pattern] = {}
        self._seen_once: set[int] = set()
        self._lock = threading.Lock()
        self._get = self._by_statement.get
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """Replaces the lock, which another thread may have held; what is remembered is as true in the child."""
        self._lock = threading.Lock()

    def pattern_for(self, statement: str) -> Pattern:
        """The pattern of a statement; the same object for all statements that are alike, while it is remembered."""
        return self._get(statement) or self._miss(statement)

    def __len__(self) -> int:
        return len(self._by_statement)

    def hits(self, asked: int) -> int:
        """How many of `asked` questions the map of texts answered."""
        return max(0, asked - self.misses)

    def _miss(self, statement: str) -> Pattern:
        if statement.endswith(_COMMENTED):
            # Comments that tag a request make every text unique; without them the text may be known.
            bare = _without_comment_tail(statement)
            known = self._get(bare)
            if known is not None:
                return known
            statement = bare
        dialect = self._dialect if isinstance(self._dialect, str) else self._dialect()
        text = normalize(statement, dialect)
        pattern = self._by_text.get(text) or _pattern_of_text(text, dialect)
        if _EAGER_LOAD in statement:
            pattern = replace(pattern, is_eager_load=True)
        # Never waits: a signal handler that sends a statement may have interrupted the one who holds the lock.
        if not self._lock.acquire(blocking=False):
            return pattern
        try:
            self.misses += 1
            if len(statement) > MAX_CACHED_CHARACTERS:
                return self._by_text.get(text, pattern)
            pattern = self._shared(text, pattern)
            self._remember(statement, pattern)
        finally:
            self._lock.release()
        return pattern

    def _shared(self, text: str, pattern: Pattern) -> Pattern:
        """The one object for a pattern's text; called with the lock held."""
        known = self._by_text.setdefault(text, pattern)
        if len(self._by_text) > self._max_texts:
            del self._by_text[next(iter(self._by_text))]
        return known

    def _remember(self, statement: str, pattern: Pattern) -> None:
        """Adds a text; with the map full only one that was asked for before, so that a flood leaves it alone."""
        if len(self._by_statement) >= self._max_texts and statement not in self._by_statement:
            digest = hash(statement)
            if digest not in self._seen_once:
                if len(self._seen_once) >= self._max_texts:
                    self._seen_once.clear()
                self._seen_once.add(digest)
                return
            self._seen_once.discard(digest)
            del self._by_statement[next(iter(self._by_statement))]
            self.evictions += 1
        self._by_statement[statement] = pattern


def _without_comment_tail(statement: str) -> str:
    start = statement.rfind("/*")
    if start > 0 and _COMMENT_TAIL(statement, start):
        return statement[:start].rstrip()
    return statement
