"""
Pattern text → OpenTelemetry's `db.query.summary`, operation, tables and category.

In goes normalised text, so that every word is a keyword, a name or `?`; out comes what it does and to what, in the
order of the text. Deliberately not here: reading the text. `summary_plain` reads what is frequent, `summary_reader`
everything.
"""

import re
from typing import Final, NamedTuple

from querygauge.patterns.categories import category_of
from querygauge.patterns.dialects import dialect_of
from querygauge.patterns.summary_plain import read_plain
from querygauge.patterns.summary_reader import NAME, read_tokens
from querygauge.values import Category

__all__ = ["MAX_SUMMARY_CHARACTERS", "Description", "describe", "summarize"]

# OpenTelemetry's limit; a token that does not fit is left out whole.
MAX_SUMMARY_CHARACTERS: Final = 255
_SUMMARY_TOKEN: Final = re.compile(rf"{NAME}|\S+")


class Description(NamedTuple):
    """
    What a pattern does.

    Attributes:
        summary: OpenTelemetry's `db.query.summary`: operations and targets in the order of the text.
        operation: First keyword in upper case; of a statement behind `WITH …` or `SET …`, its own.
        tables: Tables named, without quotes, in order of appearance, without repetition.
        category: As `values.Category`.
    """

    summary: str
    operation: str
    tables: tuple[str, ...]
    category: Category


def summarize(statement_or_pattern_text: str, dialect: str) -> str:
    """
    OpenTelemetry's `db.query.summary`, such as `SELECT orders` or `INSERT shipping_details SELECT orders`.

    Case and quotes are kept as written; at most 255 characters, never cut inside a token.

    Args:
        statement_or_pattern_text: Normalised text. Of a raw statement the names are found as well, but a literal that
            looks like a name is taken for one.
        dialect: SQLAlchemy's name of the dialect.
    """
    return describe(statement_or_pattern_text, dialect).summary


def describe(text: str, dialect: str) -> Description:
    """What normalised text does."""
    operation, summary, tables = read_plain(text) or read_tokens(text)
    if len(summary) > MAX_SUMMARY_CHARACTERS:
        summary = _shortened(summary)
    return Description(summary, operation, tables, category_of(text, operation, tables, dialect_of(dialect)))


def _shortened(summary: str) -> str:
    end = 0
    for token in _SUMMARY_TOKEN.finditer(summary, 0, 2 * MAX_SUMMARY_CHARACTERS):
        if token.end() > MAX_SUMMARY_CHARACTERS:
            break
        end = token.end()
    return summary[:end]
