"""
A statement that ends in a comment → the statement without it, where that changes no pattern.

Instrumentation tags a statement with a comment at its end: a route, a trace, the number of a request. Each makes a text
of its own, and all are one query. Whether the last `/*` opens a comment, or stands within a literal, a name or another
comment, is read as `exact` reads it; in doubt the statement stays as it is.

Deliberately not here: comments before a statement or within it; and those that a server may read: hints, and what MySQL
executes.
"""

import re
from typing import Final

from querygauge.patterns.dialects import Dialect, dialect_of
from querygauge.patterns.exact import is_odd, to_plain

__all__ = ["without_comment_tail"]

# From the last `/*` of a statement on; a comment that ends before the end leaves something after it.
_TAIL: Final = re.compile(r"/\*(?!\+|M?!)[^*]*+(?:\*(?!/)[^*]*+)*+\*/\s*+;?\s*+").fullmatch
# Stays at the end of what `exact` reads unless something is open there.
_MARK: Final = "\x01"
# What is replaced before a statement is read, and might open or close something else by then; what is read in another
# way if there is a comment behind it, since no database reads it at all; and the mark.
_UNCLEAR: Final = re.compile('__\\[|[\0\x01\ud800-\udfff]|"\\?').search


def without_comment_tail(statement: str, dialect: str) -> str:
    """
    `statement` without the comment at its end and the blanks before it; itself if there is none that may go.

    Args:
        statement: As it was sent.
        dialect: SQLAlchemy's name of the dialect.
    """
    start = statement.rfind("/*")
    if start < 0 or not _TAIL(statement, start):
        return statement
    head = statement[:start]
    # The end of a line may belong to a backslash before it.
    return head.rstrip(" ") if _is_closed(head, dialect_of(dialect)) else statement


def _is_closed(head: str, dialect: Dialect) -> bool:
    """Whether no literal, name or comment that begins in `head` goes on after it."""
    if not is_odd(head, dialect) and not any(quote in head for quote in dialect.string_quotes):
        return True
    # Nobody knows of some dialects whether what is in double quotes is a literal, or the name of a type.
    has_doubtful_types = dialect.casts and '"' in dialect.string_quotes and '"' in head
    return not has_doubtful_types and not _UNCLEAR(head) and to_plain(head + _MARK, dialect)[0].endswith(_MARK)
