"""How statements failed, by code, pattern and time."""

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.values import Failure, Outcome, OutcomeCounts, QueryErrors, SlowQuery, Snapshot
from querygauge.values.answers.errors import ErrorCode
from storage.answers.making import stored
from storage.making import NOON, pattern, snapshot, stats

HOUR = timedelta(hours=1)
SPAN = (NOON - HOUR, NOON + 5 * HOUR)
# Pattern, code and exception class.
WAYS = [
    (1, "23505", "UniqueViolation"),
    (2, "23505", "IntegrityError"),
    (1, "40001", "SerializationFailure"),
    (3, None, ""),
]


def test_codes_patterns_and_time_add_up(paths: StorePaths) -> None:
    """One code has all its patterns and exception classes, and each list has every execution that failed."""
    written = [_failed(minute, way, 1 + (minute * (way + 2)) % 5) for minute in range(0, 240, 7) for way in range(4)]
    stored(paths, written)
    found = open_store(paths).errors(SPAN)
    counts: Counter[tuple[int, str | None, str]] = Counter()
    for each in written:
        (error,) = each.errors
        counts[(int(error.pattern.id, 16), error.sqlstate, error.error_type)] += error.count
    assert {(int(e.pattern.id, 16), e.sqlstate, e.error_type): e.count for e in found.by_pattern} == counts
    assert found.error_count == counts.total() == sum(point.count for point in found.over_time)
    assert found.execution_count == counts.total() + len(written)
    assert [code.count for code in found.by_sqlstate] == sorted((c.count for c in found.by_sqlstate), reverse=True)
    codes = {code.sqlstate: code for code in found.by_sqlstate}
    assert codes["23505"].error_types == ("IntegrityError", "UniqueViolation")
    assert (codes["23505"].pattern_count, codes["23505"].meaning) == (2, "integrity constraint violation")
    assert codes["40001"].count == counts[(1, "40001", "SerializationFailure")]
    assert (codes[None].error_types, codes[None].meaning) == ((), None)
    assert json.loads(json.dumps(found.to_dict()))["by_sqlstate"][0]["sqlstate"] is not None


def _failed(minute: int, way: int, count: int) -> Snapshot:
    ended = NOON + timedelta(minutes=minute)
    number, sqlstate, error_type = WAYS[way]
    error = QueryErrors(pattern(number), "main", error_type, sqlstate, count, ended, f"failed {minute}")
    entry = replace(stats(count + 1, number=number, at=ended), outcomes=OutcomeCounts(ok=1, error=count))
    return replace(snapshot(ended=ended), queries=(entry,), errors=(error,), process=f"web:{way}")


def test_examples_are_the_latest_that_failed(paths: StorePaths) -> None:
    """Not those that were slow and succeeded, and no more than asked for."""
    outcomes: tuple[Outcome, ...] = ("error", "ok", "timeout", "cancelled")
    examples = [_example(minute, outcome) for minute, outcome in enumerate(outcomes)]
    stored(paths, [replace(snapshot(ended=NOON + HOUR), slow_queries=tuple(examples))])
    store = open_store(paths)
    assert [example.outcome for example in store.errors(SPAN).examples] == ["timeout", "error"]
    assert [example.outcome for example in store.errors(SPAN, limit=1).examples] == ["timeout"]


def _example(minute: int, outcome: Outcome) -> SlowQuery:
    one = pattern()
    error = Failure("Timeout", "57014", "too long") if outcome in {"error", "timeout"} else None
    at = NOON + timedelta(minutes=minute)
    return SlowQuery(one.text, one.id, one.summary, "main", 5.0, at, outcome=outcome, error=error)


def test_a_service_and_an_empty_span(paths: StorePaths) -> None:
    """What others did is left out; where nothing failed the lists are empty."""
    stored(paths, [_failed(0, 0, 3), replace(_failed(0, 1, 4), service="mail")])
    store = open_store(paths)
    assert [error.count for error in store.errors(SPAN, service="mail").by_pattern] == [4]
    empty = store.errors("1h")
    assert (empty.error_count, empty.error_rate, empty.by_sqlstate, empty.over_time) == (0, 0.0, (), ())


@pytest.mark.parametrize(
    ("code", "meaning"), [("23000", "integrity constraint violation"), ("1062", None), ("XX000", None)]
)
def test_only_an_sqlstate_has_a_class(code: str, meaning: str | None) -> None:
    """A driver's own number is not read as one."""
    found = ErrorCode(sqlstate=code, error_types=(), count=1, pattern_count=1, last_seen=NOON, message="")
    assert found.meaning == meaning
