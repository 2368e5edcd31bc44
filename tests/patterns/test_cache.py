"""The map from statements to patterns: what it gives, what it forgets, and who may ask at once."""

import gc
import os
import subprocess
import sys
import threading
import tomllib
import tracemalloc
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import pytest

import querygauge.patterns.cache as cache_module
from querygauge.patterns.admission import Admission
from querygauge.patterns.cache import MAX_CACHED_CHARACTERS, OTHER, PatternCache, pattern_of
from querygauge.patterns.normalizer import normalize

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


def _missed(cache: PatternCache, statements: Iterable[str]) -> int:
    """How many of them are missed when each is asked for once."""
    before = cache.misses
    for statement in statements:
        cache.pattern_for(statement)
    return cache.misses - before


def _columns(count: int, prefix: str = "c") -> list[str]:
    return [f"SELECT {prefix}{n} FROM t" for n in range(count)]


def _ad_hoc(start: int, count: int) -> list[str]:
    return [f"SELECT a FROM t WHERE b = {n}" for n in range(start, start + count)]


def test_texts_that_all_differ_fill_half_of_the_map() -> None:
    """The other half stays free for what is asked for twice."""
    cache = PatternCache("sqlite", max_texts=100)
    assert _missed(cache, _ad_hoc(0, 1_000)) == 1_000
    assert (len(cache), cache.evictions) == (50, 0)


@pytest.mark.parametrize("ad_hoc_between", [0, 3, 25])
def test_what_repeats_gets_in_after_a_flood(ad_hoc_between: int) -> None:
    """Each text of a working set is missed twice, however many others were sent before it and come between."""
    cache = PatternCache("sqlite", max_texts=200)
    _missed(cache, _ad_hoc(0, 2_000))
    kept, missed = _columns(50), []
    for round_ in range(8):
        missed.append(0)
        for n, statement in enumerate(kept):
            missed[-1] += _missed(cache, [statement])
            _missed(cache, _ad_hoc(10_000 * (round_ + 1) + 100 * n, ad_hoc_between))
    assert missed == [50, 50, 0, 0, 0, 0, 0, 0]


def test_texts_that_all_differ_do_not_push_out_those_that_repeat() -> None:
    """A flood of texts seen once leaves what was there as it is."""
    cache = PatternCache("sqlite", max_texts=100)
    kept = _columns(100)
    assert (_missed(cache, kept), _missed(cache, kept)) == (100, 50)
    _missed(cache, _ad_hoc(0, 5_000))
    assert (_missed(cache, kept), cache.evictions, len(cache)) == (0, 0, 100)


def test_texts_that_are_sent_twice_do_not_push_out_those_that_repeat() -> None:
    """What is asked for again and again is missed once more at most, however many texts come and go beside it."""
    cache = PatternCache("sqlite", max_texts=100)
    kept, missed = _columns(50), 0
    for round_ in range(40):
        missed += _missed(cache, kept)
        for statement in _ad_hoc(1_000 * round_, 100):
            _missed(cache, [statement, statement])
    assert missed <= 50 + 50 + 50  # the first time, the second time, and after it was pushed out
    assert (_missed(cache, kept), len(cache)) == (0, 100)


def test_a_working_set_that_fits_is_there_after_two_rounds() -> None:
    """No text keeps another one out while there is room."""
    cache = PatternCache("sqlite")
    kept = _columns(2_000)
    assert [_missed(cache, kept) for _ in range(3)] == [2_000, 1_000, 0]


def test_a_working_set_that_is_slightly_too_large_is_missed_in_part() -> None:
    """Of 220 texts over a map of 200 hardly more than 20 are missed in each round."""
    cache = PatternCache("sqlite", max_texts=200)
    kept = _columns(220)
    missed = [_missed(cache, kept) for _ in range(30)]
    assert missed[:3] == [220, 120, 220]
    assert max(missed[3:]) <= 30


def test_another_working_set_takes_the_places_of_the_first() -> None:
    """Nothing stays for ever: what is not asked for any more leaves, proven or not."""
    cache = PatternCache("sqlite", max_texts=100)
    for _ in range(30):
        _missed(cache, _columns(110, "old"))  # too large, so that all of them come back and are proven
    missed = [_missed(cache, _columns(100, "new")) for _ in range(60)]
    assert (missed[0], missed[-1]) == (100, 0)


def test_memory_is_bounded() -> None:
    """After the first thousands of texts further ones need no more memory, be they sent once or several times."""
    cache = PatternCache("sqlite", max_texts=50)

    def send(start: int) -> None:
        for n in range(start, start + 2_000):
            _missed(cache, [f"SELECT c{n} FROM t{n}"] * (n % 4 + 1))

    send(0)
    gc.collect()
    tracemalloc.start()
    try:
        send(2_000)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 100_000  # 4,000 texts alone would be 200,000
    finally:
        tracemalloc.stop()


def test_an_eager_load_is_known_by_its_statement() -> None:
    """Two statements may have one text where only one of them is an eager load, whichever came first."""
    eager, plain = "SELECT a FROM t WHERE b IN (__[POSTCOMPILE_primary_keys])", "SELECT a FROM t WHERE b IN (1, 2)"
    for statements in ((eager, plain), (plain, eager)):
        cache = PatternCache("sqlite")
        for _ in range(3):
            found = {statement: cache.pattern_for(statement) for statement in statements}
            assert found[eager] == found[plain]
            assert (found[eager].is_eager_load, found[plain].is_eager_load) == (True, False)


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
    for column in "abbcc":
        cache.pattern_for(f"SELECT {column} FROM t")
    assert (_missed(cache, ["SELECT b FROM t", "SELECT c FROM t"]), cache.evictions, len(cache)) == (0, 1, 2)


@pytest.mark.parametrize(
    "tag",
    [
        "/*route='%2Forders',traceparent='00-{:032x}-01'*/",
        "/*a='{}'*/ ",
        "/*a:b='{}'*/",
        "/*app:x,req:{}*/",
        "/* request {} */\n",
        r"/*a='it\'s {}'*/;",
    ],
)
def test_comments_that_tag_a_request_fill_nothing(tag: str) -> None:
    """A comment at the end is dropped before a text is looked up, so that unique tags leave one text."""
    cache = PatternCache("postgresql")
    plain = cache.pattern_for("SELECT a FROM t WHERE b = 'c'")
    for n in range(500):
        assert cache.pattern_for(f"SELECT a FROM t WHERE b = 'c' {tag.format(n)}") is plain
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


def test_counts_are_exact_in_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A miss is a statement that was read, an eviction a text that was let in and is there no more."""
    read: deque[str] = deque()
    entered: deque[str] = deque()
    enter = Admission.enter

    def counted_normalize(statement: str, dialect: str, *, fold_numbered_names: bool) -> str:
        read.append(statement)
        return normalize(statement, dialect, fold_numbered_names=fold_numbered_names)

    def counted_enter(admission: Admission, text: str) -> str | None:
        entered.append(text)
        return enter(admission, text)

    monkeypatch.setattr(cache_module, "normalize", counted_normalize)
    monkeypatch.setattr(Admission, "enter", counted_enter)
    cache = PatternCache("sqlite", max_texts=16)
    start = threading.Barrier(8)

    def ask(own: int) -> None:
        start.wait()
        for round_ in range(40):
            for n in range(24):
                cache.pattern_for(f"SELECT a{n} FROM t WHERE b = 1 /* {own}.{round_} */")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=ask, args=(own,)) for own in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert cache.misses == len(read) > 24
    assert cache.evictions == len(entered) - len(cache) > 0


def test_what_is_beyond_the_limit_has_a_name() -> None:
    """`OTHER` is a pattern like any other, with an id that no text has."""
    assert (OTHER.id, OTHER.text) == ("0" * 16, "(other statements)")
