"""How statements failed in a span of time."""

from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Final

from querygauge.values.base import Value
from querygauge.values.queries import SlowQuery
from querygauge.values.query_errors import QueryErrors

__all__ = ["ErrorCode", "ErrorPoint", "ErrorReport"]

_SQLSTATE_DIGITS: Final = 5
# The first two digits of an SQLSTATE, as the SQL standard and PostgreSQL name them.
_CLASSES: Final = MappingProxyType(
    {
        "08": "connection exception",
        "0A": "feature not supported",
        "21": "cardinality violation",
        "22": "data exception",
        "23": "integrity constraint violation",
        "25": "invalid transaction state",
        "28": "invalid authorization",
        "40": "transaction rolled back",
        "42": "syntax error or access rule violation",
        "53": "insufficient resources",
        "54": "program limit exceeded",
        "55": "object not in the required state",
        "57": "operator intervention",
        "58": "system error",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCode(Value):
    """
    Everything that failed with one code.

    Attributes:
        sqlstate: SQLSTATE, or the driver's own code; None if it gave none.
        error_types: The driver's exception classes that had it.
        count: Executions that failed so.
        pattern_count: Patterns that failed so.
        last_seen: Start of the last of them.
        message: The driver's message about one of them, without values.
    """

    sqlstate: str | None
    error_types: tuple[str, ...]
    count: int
    pattern_count: int
    last_seen: datetime
    message: str
    _derived: ClassVar[tuple[str, ...]] = ("meaning",)

    @property
    def meaning(self) -> str | None:
        """What the class of the SQLSTATE is called; None of a code that is none, or has no name here."""
        code = self.sqlstate or ""
        return _CLASSES.get(code[:2]) if len(code) == _SQLSTATE_DIGITS else None


@dataclass(frozen=True, slots=True)
class ErrorPoint(Value):
    """Executions that failed from the moment `at` on, for the width of the series."""

    at: datetime
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReport(Value):
    """
    The errors and timeouts of a span; what was cancelled did not fail.

    Attributes:
        since: Its begin.
        until: Its end, which is left out.
        service: The one service it is about; None is all of them.
        width_s: Seconds between two points of the series.
        execution_count: Executions, however they ended.
        error_count: Those that failed.
        error_rate: Percentage of them among those that ended by themselves.
        by_sqlstate: One per code, the most frequent first.
        by_pattern: One per pattern, target and way to fail, the most frequent first.
        over_time: Oldest first; what had none is left out.
        examples: Some of them one by one, the latest first.
    """

    since: datetime
    until: datetime
    service: str | None
    width_s: float
    execution_count: int
    error_count: int
    error_rate: float
    by_sqlstate: tuple[ErrorCode, ...]
    by_pattern: tuple[QueryErrors, ...]
    over_time: tuple[ErrorPoint, ...]
    examples: tuple[SlowQuery, ...]
