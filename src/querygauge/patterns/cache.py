"""
Statement → `Pattern`, remembered: one dictionary lookup for a statement seen before.

In goes a statement as it was sent, out comes the one `Pattern` object of all statements that are alike. Memory is
bounded by the number of texts and by their length. A flood of texts that are all different pushes nothing out, and one
of texts that are sent twice pushes out what was not yet asked for again. The lock is held only while a map is written,
never while somebody else's code runs; a forked child makes it anew, and keeps the maps.

Deliberately not here: the limit on distinct patterns that are counted apart. Who counts beyond it counts under `OTHER`.
"""

import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from querygauge.forking import survive_forks
from querygauge.patterns.dialects import dialect_of
from querygauge.patterns.identity import id_of
from querygauge.patterns.normalizer import normalize
from querygauge.patterns.summary import describe
from querygauge.values import Pattern

__all__ = ["MAX_CACHED_CHARACTERS", "OTHER", "PatternCache", "pattern_of"]

OTHER: Final = Pattern(
    id="0" * 16, text="(other statements)", summary="(other statements)", operation="", tables=(), dialect="unknown"
)
"""What executions are counted under once the limit on distinct patterns is reached."""

# Longer texts are data more often than queries; 2,000 of them would be many megabytes.
MAX_CACHED_CHARACTERS: Final = 10 * 1024
_EAGER_LOAD: Final = "__[POSTCOMPILE_primary_keys]"  # SQLAlchemy's selectinload, for 500 parents at a time
_COMMENTED: Final = ("*/", "*/;")
_COMMENT_TAIL: Final = re.compile(r"\s*/\*(?:\s*[\w.%\-]+='[^'*]*',?)+\s*\*/\s*;?\s*").fullmatch


def pattern_of(statement: str, dialect: str, *, fold_numbered_names: bool = True) -> Pattern:
    """
    The pattern of a statement; pure, and never raises.

    Args:
        statement: As it was sent, or as SQLAlchemy compiled it.
        dialect: SQLAlchemy's name of the dialect.
        fold_numbered_names: As for `normalize`.
    """
    return _pattern_of_text(normalize(statement, dialect, fold_numbered_names=fold_numbered_names), dialect)


def _pattern_of_text(text: str, dialect: str) -> Pattern:
    spoken = dialect_of(dialect)
    description = describe(text, dialect)
    return Pattern(
        id=id_of(text, description.tables, spoken),
        text=text,
        summary=description.summary,
        operation=description.operation,
        tables=description.tables,
        dialect=spoken.family,
        category=description.category,
    )


class PatternCache:
    """
    The patterns of one dialect's statements, by text.

    Any number of threads may ask at once. A hit takes no lock and counts nothing, since a dictionary lookup is atomic
    and a shared counter is not: hits are the questions asked less `misses`.

    Args:
        dialect: SQLAlchemy's name of the dialect; a function that gives it, where a server tells more once somebody is
            connected.
        max_texts: Texts that are remembered, at most.
        fold_numbered_names: As for `normalize`.

    Attributes:
        evictions: Texts pushed out by others.
    """

    def __init__(
        self, dialect: str | Callable[[], str], max_texts: int = 2000, *, fold_numbered_names: bool = True
    ) -> None:
        self._dialect = dialect
        self._fold_numbered_names = fold_numbered_names
        self.evictions = 0
        self._max_texts = max(1, max_texts)
        self._by_statement: dict[str, Pattern] = {}
        self._by_text: dict[str, Pattern] = {}
        # Texts that are pushed out before others, oldest first; digests of texts that get in, and that get in to stay.
        self._on_trial: dict[str, None] = {}
        self._seen_once: set[int] = set()
        self._pushed_out: set[int] = set()
        self._misses = 0
        self._uncounted: deque[None] = deque()  # misses while somebody held the lock
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

    @property
    def misses(self) -> int:
        """Questions that the map of texts did not answer."""
        return self._misses + len(self._uncounted)

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
        text = normalize(statement, dialect, fold_numbered_names=self._fold_numbered_names)
        pattern = self._by_text.get(text) or _pattern_of_text(text, dialect)
        if _EAGER_LOAD in statement:
            pattern = replace(pattern, is_eager_load=True)
        self._uncounted.append(None)
        # Never waits: a signal handler that sends a statement may have interrupted the one who holds the lock.
        if not self._lock.acquire(blocking=False):
            return pattern
        try:
            while self._uncounted:
                self._misses += 1
                self._uncounted.popleft()
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
        """Adds a text; to a full map only one that was asked for before."""
        if statement in self._by_statement:  # another thread was quicker
            return
        digest = hash(statement)
        if len(self._by_statement) >= self._max_texts:
            if digest not in self._pushed_out and digest not in self._seen_once:
                _add(self._seen_once, digest, self._max_texts)
                return
            self._push_one_out()
        # Who is missed again after it was pushed out repeats, and stays.
        if digest not in self._pushed_out:
            self._on_trial[statement] = None
        self._seen_once.discard(digest)
        self._pushed_out.discard(digest)
        self._by_statement[statement] = pattern

    def _push_one_out(self) -> None:
        oldest = next(iter(self._on_trial or self._by_statement))
        self._on_trial.pop(oldest, None)
        del self._by_statement[oldest]
        self.evictions += 1
        _add(self._pushed_out, hash(oldest), self._max_texts)


def _add(digests: set[int], digest: int, limit: int) -> None:
    if len(digests) >= limit:
        digests.clear()
    digests.add(digest)


def _without_comment_tail(statement: str) -> str:
    start = statement.rfind("/*")
    if start > 0 and _COMMENT_TAIL(statement, start):
        return statement[:start].rstrip()
    return statement
