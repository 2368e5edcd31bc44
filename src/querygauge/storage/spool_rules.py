"""
What cannot be true in the rows of a spool file, told without a database: in go rows, an error comes out.

The same rules as those of a fold (`check.sql`): what it sets aside nobody exports before, or counters would fall.
Deliberately not here: whether a file arrived as it was written.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["check_numbers", "check_rows"]

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "pattern": ("id", "text", "summary", "operation", "dialect"),
    "query": ("target",),
    "slow": ("target", "pattern_id", "summary", "query"),
    "scope": ("scope",),
    "pool": ("pool", "holders"),
    "repetition": ("target",),
    "failed": ("target", "error_type", "message"),
    "running": ("target",),
}
_CATEGORIES: Final = ("query", "transaction", "session", "catalog")
_BUCKETS: Final = "k"
_MOST: Final = 2**63 - 1
_MOST_BUCKET: Final = 2**15 - 1


def check_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    """
    Raises an error if the rows behind a header cannot be true, each by its kind.

    Raises:
        ValueError: Says which rule they break.
        KeyError, TypeError, AttributeError: If a member is absent, or something else than it should be.
    """
    for each in rows:
        ((kind, row),) = each.items()
        if kind not in _NAMES:
            raise ValueError(f"a row must be of a known kind; got {kind!r}")
        for name in _NAMES[kind]:
            if type(row[name]) is not str:
                raise ValueError(f"{name} of a {kind} must be text; got {row[name]!r}")
        if kind == "slow":  # of rows that are not known a driver may say -1
            row = {**row, "rows": 0}
        check_numbers(row)
        _check(kind, row)


def check_numbers(row: Mapping[str, Any]) -> None:
    """
    Raises an error if a number in a row, or in what it holds, is negative or takes more than 64 bits.

    Raises:
        ValueError: Says which.
    """
    for name, value in row.items():
        # This is done with every number of every file: asking for the very type takes half of the time.
        kind = type(value)
        if kind is int or kind is float:
            if value < 0 or value > _MOST:
                raise ValueError(f"{name} must be >= 0; got {value!r}")
        elif kind is dict:
            check_numbers(value)
        elif kind is list and value:
            _check_list(name, value)


def _check_list(name: str, values: list[Any]) -> None:
    if type(values[0]) is dict:
        for value in values:
            check_numbers(value)
    elif name == _BUCKETS:
        if min(values) < -_MOST_BUCKET or max(values) > _MOST_BUCKET:
            raise ValueError("buckets must be of durations that there may be")
    elif type(values[0]) is not str and (min(values) < 0 or max(values) > _MOST):
        raise ValueError(f"{name} must be >= 0; got {min(values)!r} to {max(values)!r}")


def _check(kind: str, row: Mapping[str, Any]) -> None:
    if kind == "query":
        most = row["durations"]["count"]
        is_possible = row["slow"] <= most and row["rows_known"] <= most and _is_ordered(row["durations"])
    elif kind == "pattern":
        is_possible = row["category"] in _CATEGORIES
    elif kind == "failed":
        is_possible = row["executions"] > 0
    elif kind == "pool":
        is_possible = row["health_checks_failed"] <= row["health_checks"]
        is_possible = is_possible and all(_is_ordered(row[name]) for name in ("wait", "use", "create"))
        is_possible = is_possible and all(one["duration_ms"] >= 0 for one in row["checks"])
    elif kind == "repetition":
        is_possible = row["parameters"] <= row["compared"]
    else:
        return
    if not is_possible:
        raise ValueError(f"the numbers of a {kind} must fit together")


def _is_ordered(durations: Mapping[str, Any]) -> bool:
    ordered: bool = durations["min_ns"] <= durations["max_ns"]
    return ordered
