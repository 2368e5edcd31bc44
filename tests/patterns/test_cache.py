"""The map from statements to patterns: what it gives, what it forgets, and who may ask at once."""

import os
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from querygauge.patterns.cache import MAX_CACHED_CHARACTERS, OTHER, PatternCache, pattern_of

PINNED = tomllib.loads(Path(__file__).with_name("pinned.toml").read_text(encoding="utf-8"))["pinned"]


@pytest.mark.parametrize(("statement", "dialect", "pattern_id"), PINNED)
def test_ids_are_pinned(statement: str, dialect: str, pattern_id: str) -> None:
    """The id of a pattern is the same in every version."""
    assert pattern_of(statement, dialect).id == pattern_id


def test_ids_do_not_depend_on_the_process() -> None:
    """Another process, with another hash seed, gives the same id."""
    code = "from querygauge.patterns.cache import pattern_of; print(pattern_of('SELECT a FROM t', 'sqlite').id)"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    given = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert given.stdout.strip() == pattern_of("SELECT a FROM t", "sqlite").id


def test_families_are_kept_apart() -> None:
    """The same text is another pattern in another family, and the same in two dialects of one family."""
    assert pattern_of("SELECT 1", "mysql") == pattern_of("SELECT 2", "mariadb")
    assert pattern_of("SELECT 1", "mysql").id != pattern_of("SELECT 1", "sqlite").id
    assert pattern_of("SELECT 1", "duckdb").dialect == "unknown"


def test_operation_and_tables() -> None:
    """The operation is in upper case, tables have no quotes or repetition."""
    pattern = pattern_of('select a from "order" join public.users u on true join "order" x on true', "postgresql")
    assert (pattern.operation, pattern.tables) == ("SELECT", ("order", "public.users"))
    assert pattern_of("WITH x AS (SELECT a FROM t) DELETE FROM u", "postgresql").operation == "DELETE"


def test_a_cache_gives_what_the_function_gives() -> None:
    """Cached or not, a statement has one pattern, and patterns that are alike are one object."""
    cache = PatternCache("postgresql")
    first = cache.pattern_for("SELECT a FROM t WHERE b = 1")
    assert first == pattern_of("SELECT a FROM t WHERE b = 1", "postgresql")
    assert cache.pattern_for("SELECT a FROM t WHERE b = 1") is first
    assert cache.pattern_for("SELECT a  FROM t WHERE b = $1") is first
    assert (cache.misses, cache.hits(3), cache.evictions) == (2, 1, 0)


def test_texts_that_all_differ_do_not_push_out_those_that_repeat() -> None:
    """A flood of texts seen once leaves a full map as it is."""
    cache = PatternCache("sqlite", max_texts=100)
    kept = [f"SELECT c{n} FROM t" for n in range(100)]
    for statement in kept:
        cache.pattern_for(statement)
    for n in range(5_000):
        cache.pattern_for(f"SELECT a FROM t WHERE b = {n}")
    before = cache.misses
    for statement in kept:
        cache.pattern_for(statement)
    assert (cache.misses, cache.evictions, len(cache)) == (before, 0, 100)


def test_texts_that_are_sent_twice_do_not_push_out_those_that_repeat() -> None:
    """What is asked for again and again is missed once more at most, however many texts come and go beside it."""
    cache = PatternCache("sqlite", max_texts=100)
    kept = [f"SELECT c{n} FROM t" for n in range(50)]
    for round_ in range(40):
        for statement in kept:
            cache.pattern_for(statement)
        for n in range(100):
            for _ in range(2):
                cache.pattern_for(f"SELECT a FROM t WHERE b = {1_000 * round_ + n}")
    first_of_each, second_of_each, ad_hoc = 50, 50, 40 * 200
    assert cache.misses <= first_of_each + second_of_each + ad_hoc
    before = cache.misses
    for statement in kept:
        cache.pattern_for(statement)
    assert (cache.misses, len(cache)) == (before, 100)


def test_a_miss_is_counted_while_somebody_holds_the_lock() -> None:
    """Whoever cannot wait for the lock is counted by the next one who gets it."""
    cache = PatternCache("sqlite")
    with cache._lock:  # as another thread would, for long
        cache.pattern_for("SELECT 1")
        cache.pattern_for("SELECT 2")
        assert (cache.misses, cache.hits(2), len(cache)) == (2, 0, 0)
    cache.pattern_for("SELECT 3")
    cache.pattern_for("SELECT 3")
    assert (cache.misses, cache.hits(4)) == (3, 1)


def test_a_text_that_repeats_gets_in() -> None:
    """In a full map the second miss of a text pushes out the oldest."""
    cache = PatternCache("sqlite", max_texts=2)
    for statement in ("SELECT a FROM t", "SELECT b FROM t", "SELECT c FROM t", "SELECT c FROM t"):
        cache.pattern_for(statement)
    before = cache.misses
    cache.pattern_for("SELECT c FROM t")
    assert (cache.misses, cache.evictions, len(cache)) == (before, 1, 2)


def test_comments_that_tag_a_request_fill_nothing() -> None:
    """A trailing comment is dropped before a text is looked up, so that unique tags leave one text."""
    cache = PatternCache("postgresql")
    plain = cache.pattern_for("SELECT a FROM t")
    for n in range(500):
        assert cache.pattern_for(f"SELECT a FROM t /*route='%2Forders',traceparent='00-{n:032x}-01'*/") is plain
    assert (len(cache), cache.misses) == (1, 1)


def test_long_texts_are_not_kept() -> None:
    """Beyond ten kilobytes a text is data: it has its pattern, and is forgotten."""
    cache = PatternCache("sqlite")
    statement = f"INSERT INTO t (a) VALUES ('{'x' * MAX_CACHED_CHARACTERS}')"
    assert cache.pattern_for(statement).text == "INSERT INTO t (a) VALUES (?)"
    assert len(cache) == 0


def test_many_threads_may_ask_at_once() -> None:
    """Eight threads that churn a small map get the right pattern every time, and the map stays within its bound."""
    cache = PatternCache("sqlite", max_texts=16)
    expected = {f"SELECT a{n} FROM t WHERE b = 1": f"SELECT a{n} FROM t WHERE b = ?" for n in range(64)}
    start = threading.Barrier(8)
    wrong: list[str] = []

    def ask() -> None:
        start.wait()
        for _ in range(60):
            wrong.extend(s for s, text in expected.items() if cache.pattern_for(s).text != text)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(cache) <= 16
    assert 64 <= cache.misses <= 8 * 60 * 64


def test_what_is_beyond_the_limit_has_a_name() -> None:
    """`OTHER` is a pattern like any other, with an id that no text has."""
    assert (OTHER.id, OTHER.text) == ("0" * 16, "(other statements)")
