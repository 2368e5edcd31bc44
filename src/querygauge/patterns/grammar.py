"""
What a value looks like in a dialect: literals and placeholders, with their casts, as one regular expression.

In goes a dialect's data, out comes a function that puts `?` in the place of every value of a plain statement. It is
written for speed, and most of what a statement costs is spent in it. Deliberately not here: what is odd (`exact`), and
what belongs to a value without being one (`normalizer`).
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Final

from querygauge.patterns.dialects import Dialect

__all__ = ["CASTS", "NEVER_IN_A_RUN", "main_pass"]


def _any_case(word: str) -> str:
    return "".join(f"[{letter.upper()}{letter.lower()}]" for letter in word)


_TYPE_NAME: Final = r"(?:\"[^\"]*+\"|[^\W\d]\w*+)"
CASTS: Final = (
    rf"(?:\s*+::\s*+{_TYPE_NAME}(?:\.{_TYPE_NAME})?+(?:\s++(?:{_any_case('PRECISION')}|{_any_case('VARYING')})(?!\w))?+"
    rf"(?:\s*+\([0-9,?\s]*+\))?+"
    rf"(?:\s++{_any_case('WITH')}(?:{_any_case('OUT')})?+\s++{_any_case('TIME')}\s++{_any_case('ZONE')}(?!\w))?+"
    rf"(?:\s*+\[[0-9?]*+\])*+)*+"
)
"""Any number of casts after a value, in PostgreSQL's short form."""

_OPERATORS: Final = r"-+*/<>=|&^~!#@%"
NEVER_IN_A_RUN: Final = rf"(?!\s*+[{_OPERATORS}])"
"""After a value: whether it is an operand, and no element of its own."""


@cache
def main_pass(dialect: Dialect) -> Callable[[str, str], str]:
    """
    Substitutes `?` for each literal or placeholder, together with its cast and with those a comma apart.

    What begins a row goes together with the rows that follow, too. Written for speed: begins with one character class,
    looks back only after that character, ignores no case and never backtracks, so that its time is linear; what most
    lists consist of is tried before what they may.
    """
    literal = {quote: _literal(quote, dialect) for quote in dialect.string_quotes}
    adjacent = "".join((r"(?:\s*+(?:", "|".join(f"{quote}{rest}" for quote, rest in literal.items()), "))*+"))
    number = (
        r"(?:(?<=0)(?:[xX][0-9a-fA-F_]++|[bB][01_]++|[oO][0-7_]++)(?!\w)"
        r"|[0-9_]*+(?:\.[0-9_]*+)?+(?:[eE][-+]?+[0-9][0-9_]*+)?+"
        rf"{f'[{dialect.number_suffixes}]?+' if dialect.number_suffixes else ''}(?!\w))"
    )
    operators = f"(?![{dialect.question_operators}])" if dialect.question_operators else ""
    percent = r"(?:s(?!\w)|\([^()'\"`\[$?]*+\)[sbt](?!\w))"
    named = {sign: _named(sign, dialect) for sign in dialect.named_placeholders}
    named |= dict.fromkeys(dialect.numbered_placeholders, r"[0-9]++(?!\w)")
    named |= dict.fromkeys(dialect.money_signs, r"[0-9][0-9,]*+(?:\.[0-9]*+)?+")
    start = "".join((*literal, "0-9?%", *named))
    alternatives = [
        *(f"(?<={quote}){rest}{adjacent}" for quote, rest in literal.items()),
        rf"(?<=[0-9]){number}",
        rf"(?<=\?)(?<![\w\"`]\?)[0-9]*+{operators}",
        rf"(?<=%)(?:(?<!%%)|(?<=%%%)(?<!%%%%)){percent}",
        *(rf"(?<=\{sign})(?<![\w\])?\{sign}]\{sign}){rest}" for sign, rest in named.items()),
    ]
    bracket = r"\]" if dialect.brackets_doubtful or ("[", "]") in dialect.name_quotes else ""
    items = [
        *(f"{quote}{rest}{adjacent}" for quote, rest in literal.items()),
        rf"[0-9]{number}",
        rf"\?[0-9]*+(?![\w\"`]){operators}",
        rf"%{percent}",
        *(rf"\{sign}{rest}" for sign, rest in named.items()),
        rf"(?:NULL|TRUE|FALSE|null|true|false)(?![\w.(\"`{bracket}])",
    ]
    casts = CASTS if dialect.casts else ""
    item = rf"[-+]?+(?:{'|'.join(items)}){casts}"
    frequent = rf"(?:{'|'.join(_frequent_items(dialect))})(?=[,)])"
    more = rf"(?:,\x20{frequent}|\s*+,\s*+{item}{NEVER_IN_A_RUN})*+"
    row = rf"\)\s*+,\s*+\((?:{frequent}|{item}){more}(?=\))"
    # A digit of a name is nothing. Who begins right after a parenthesis may begin a row, and is remembered as group 1;
    # who is no operand may begin a run, and is remembered as group 2.
    operand = rf"(?<![{_OPERATORS[2:]}].)(?<![{_OPERATORS}]\s.)(?<![^(,\[][-+].)"
    operand += rf"(?<![{_OPERATORS}][A-Za-z]['\"])(?<![{_OPERATORS}]\s[A-Za-z]['\"])"
    begin = rf"[{start}](?<![\w$][0-9])(?:(?<=\(.)())?+(?:{operand}())?+"
    return re.compile(rf"{begin}(?:{'|'.join(alternatives)}){casts}(?(2){more}(?(1)(?:{row})*+))").sub


def _frequent_items(dialect: Dialect) -> list[str]:
    """What long lists consist of, in forms that are read at a glance."""
    cast = r"(?:::\w++)?+" if dialect.casts else ""
    text = [rf"{quote}[^{quote}\\]*+{quote}" for quote in dialect.string_quotes]
    numbered = [r"\$[0-9]++" + cast] if "$" in dialect.placeholders else []
    return [*text, r"[0-9]++", r"\?", *numbered, rf"%\(\w++\)s{cast}", "%s", "NULL"]


def _literal(quote: str, dialect: Dialect) -> str:
    """What follows an opening quote; an unterminated literal reaches to the end."""
    if dialect.backslash == "always":
        return rf"[^{quote}\\]*+(?:\\(?s:.)?+[^{quote}\\]*+)*+{quote}?+"
    return rf"[^{quote}]*+{quote}?+"


def _named(sign: str, dialect: Dialect) -> str:
    # Two colons are a cast, and `:=` assigns: a name or a number must follow at once.
    if sign == "$":
        return r"\w++(?!\$)"
    return r"(?:\w++|\"[^\"]*+\")" if dialect.quoted_placeholders else r"\w++"
