"""A value about failed statements: how often one failed in one way."""

from dataclasses import dataclass
from datetime import datetime

from querygauge.values.base import Value
from querygauge.values.queries import Pattern

__all__ = ["QueryErrors"]


@dataclass(frozen=True, slots=True)
class QueryErrors(Value):
    """
    How often one pattern failed on one target in one way, timeouts included; a cancelled execution did not fail.

    Attributes:
        pattern: What was executed.
        target: Name of the database.
        error_type: Name of the driver's exception class, such as `UniqueViolation`; empty if it is not known.
        sqlstate: SQLSTATE, or the driver's own code; None if it gave none.
        count: Executions.
        last_seen: Start of the last of them.
        message: The driver's message about one of them, with every value replaced by `?`.
    """

    pattern: Pattern
    target: str
    error_type: str
    sqlstate: str | None
    count: int
    last_seen: datetime
    message: str
