"""
Statement → `Pattern`, remembered: one dictionary lookup for a statement seen before.

In goes a statement as it was sent, out comes its `Pattern`, which is equal for all statements that are alike. Memory is
bounded by the number of texts and by their length; `admission` tells who is remembered. The lock is held only while a
map is written, never while somebody else's code runs; a forked child makes it anew, and keeps the maps.

Deliberately not here: the limit on distinct patterns that are counted apart. Who counts beyond it counts under `OTHER`.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from querygauge.forking import survive_forks
from querygauge.patterns.admission import Admission
from querygauge.patterns.comment_tail import without_comment_tail
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
        # By text, and whether it is an eager load: one text may be both. The one that was missed last comes last.
        self._shared: OrderedDict[tuple[str, bool], Pattern] = OrderedDict()
        self._admission = Admission(self._max_texts)
        self._misses = 0
        self._uncounted: deque[None] = deque()  # misses that nobody has counted yet who held the lock
        self._lock = threading.Lock()
        self._get = self._by_statement.get
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """Replaces the lock, which another thread may have held; what is remembered is as true in the child."""
        self._lock = threading.Lock()

    def pattern_for(self, statement: str) -> Pattern:
        """The pattern of a statement; the same object each time, for as long as the statement is remembered."""
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
        dialect = self._dialect if isinstance(self._dialect, str) else self._dialect()
        if len(statement) > MAX_CACHED_CHARACTERS:
            return self._read(statement, dialect)
        # Comments that tag a request make every text unique; without them the text may be known.
        bare = without_comment_tail(statement, dialect)
        known = self._get(bare) if bare is not statement else None
        return known or self._read(bare, dialect)

    def _read(self, statement: str, dialect: str) -> Pattern:
        """The pattern of a statement that is not remembered, which it may be from now on."""
        text = normalize(statement, dialect, fold_numbered_names=self._fold_numbered_names)
        kind = (text, _EAGER_LOAD in statement)
        pattern = self._shared.get(kind) or _pattern_of_kind(kind, dialect)
        self._uncounted.append(None)
        # Never waits: a signal handler that sends a statement may have interrupted the one who holds the lock.
        if not self._lock.acquire(blocking=False):
            return pattern
        try:
            self._count()
            pattern = self._share(kind, pattern)
            if len(statement) <= MAX_CACHED_CHARACTERS:
                self._remember(statement, pattern)
        finally:
            self._lock.release()
        return pattern

    def _count(self) -> None:
        while self._uncounted:
            self._misses += 1
            self._uncounted.popleft()

    def _share(self, kind: tuple[str, bool], pattern: Pattern) -> Pattern:
        """The object that others of its kind were given, unless so many other kinds were missed since."""
        known = self._shared.setdefault(kind, pattern)
        self._shared.move_to_end(kind)
        if len(self._shared) > self._max_texts:
            self._shared.popitem(last=False)
        return known

    def _remember(self, statement: str, pattern: Pattern) -> None:
        # Another thread may have been quicker.
        if statement in self._by_statement or not self._admission.admits(statement):
            return
        leaves = self._admission.enter(statement)
        if leaves is not None:
            self._by_statement.pop(leaves, None)
            self.evictions += 1
        self._by_statement[statement] = pattern


def _pattern_of_kind(kind: tuple[str, bool], dialect: str) -> Pattern:
    text, is_eager_load = kind
    pattern = _pattern_of_text(text, dialect)
    return replace(pattern, is_eager_load=True) if is_eager_load else pattern
