"""What may be said of a text that is to be read: its dialect and its kind, as arguments of a command."""

from typing import Final, Literal, get_args

from querygauge.patterns.dialects import DIALECT_NAMES

__all__ = ["DIALECTS", "INPUTS", "UNKNOWN", "Input"]

Input = Literal["auto", "sql", "postgresql-log", "mysql-slow-log"]
INPUTS: Final[tuple[Input, ...]] = get_args(Input)
UNKNOWN: Final = "unknown"
DIALECTS: Final = (*DIALECT_NAMES, UNKNOWN)
