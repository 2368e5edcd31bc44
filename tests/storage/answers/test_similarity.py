"""Patterns that are like one."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from querygauge.errors import StoreError
from querygauge.patterns.cache import pattern_of
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.store import Store
from querygauge.values import Pattern, QueryStats, Snapshot
from storage.answers.making import stored
from storage.making import NOON, snapshot, stats

_LABELLED = Path(__file__).with_name("labelled.sql").read_text(encoding="utf-8")


def test_the_same_query_with_other_columns_or_filters_is_among_the_first_three(paths: StorePaths) -> None:
    """Of sixty queries over a dozen tables, in nine of ten cases or more, asked from either side."""
    blocks = [block.split("\n") for block in _LABELLED.strip().split("\n\n")[1:]]
    twos = [(pattern_of(one, "postgresql"), pattern_of(other, "postgresql")) for one, other in blocks]
    store = _store(paths, (pattern for two in twos for pattern in two))
    asked = [(one, other) for one, other in (*twos, *((b, a) for a, b in twos))]
    found = [other.id in {each.pattern.id for each in store.similar(one.id, limit=3).similar} for one, other in asked]
    assert len({pattern.id for two in twos for pattern in two}) == 60
    assert sum(found) >= 0.9 * len(found)


def test_what_differs_is_told(paths: StorePaths) -> None:
    """Words of either side that the other does not have, in the order of the text."""
    one, other = (pattern_of(f"SELECT a, {column} FROM t WHERE id = 1", "sqlite") for column in ("b", "c"))
    store = _store(paths, [one, other, pattern_of("INSERT INTO u (x) VALUES (1)", "sqlite")])
    (first, *_) = store.similar(one.id[:8]).similar
    assert (first.pattern.id, first.adds, first.lacks) == (other.id, ("c",), ("b",))
    assert 0 < first.similarity < 1
    assert json.loads(json.dumps(store.similar(one.id).to_dict()))["similar"][0]["adds"] == ["c"]


def test_the_order_of_words_and_their_case_do_not_matter(paths: StorePaths) -> None:
    """Two texts of the same words are as similar as can be; a pattern is not similar to itself."""
    one, other = (_made(number, text) for number, text in [(1, 'SELECT "A", b FROM t'), (2, "select b, a from T")])
    (found,) = _store(paths, [one, other]).similar(one.id).similar
    assert found.pattern.id == other.id
    assert found.similarity == pytest.approx(1.0)
    assert (found.adds, found.lacks) == ((), ())


def test_no_word_in_common_is_not_similar(paths: StorePaths) -> None:
    """However few patterns there are."""
    one, other = _made(1, "SELECT a FROM t"), _made(2, "COMMIT")
    assert _store(paths, [one, other]).similar(one.id).similar == ()
    with pytest.raises(StoreError, match="no pattern's id begins with 'ff'"):
        open_store(paths).similar("ff")


def _made(number: int, text: str) -> Pattern:
    return Pattern(f"{number:016x}", text, "x", "SELECT", (), "unknown")


def _store(paths: StorePaths, patterns: Iterable[Pattern]) -> Store:
    once = {pattern.id: pattern for pattern in patterns}
    base = stats()
    queries = tuple(
        QueryStats(pattern, "main", base.outcomes, 0, 0, 0, base.durations, NOON, NOON) for pattern in once.values()
    )
    stored(paths, [Snapshot("shop", "web:1", snapshot().started, NOON, queries)])
    return open_store(paths)
