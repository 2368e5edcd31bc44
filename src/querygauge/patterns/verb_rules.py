"""
Rules that a statement's first word leads to, as rows of a table: what stays after that word, and what goes then.

In go rows, out comes what finds them by the word. A rule is compiled when the first statement needs it: most processes
need few, and all of them together take a tenth of a second. Deliberately not here: any rule.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, NamedTuple

__all__ = ["Rule", "by_verb", "with_rules"]

_NO_RULES: Final = ()


class Rule(NamedTuple):
    """
    What of a statement becomes `?`.

    Attributes:
        what: What that is, for people.
        verbs: The first words of the statements, in capitals and a space apart.
        kept: An expression for what stays between the first word and what goes.
        gone: An expression for what goes.
    """

    what: str
    verbs: str
    kept: str
    gone: str


def by_verb(rules: Iterable[Rule]) -> dict[str, tuple[str, ...]]:
    """By first word, the expressions of its rules, in their order; group 1 is what stays."""
    found: dict[str, tuple[str, ...]] = {}
    for rule in rules:
        for verb in rule.verbs.split():
            found[verb] = (*found.get(verb, ()), rf"(?i)^({verb} {rule.kept}){rule.gone}")
    return found


def with_rules(rules: Mapping[str, tuple[str, ...]], verb: str, statement: str) -> str:
    """`statement`, which begins with `verb`, after the rules of that word."""
    for rule in rules.get(verb, _NO_RULES):
        statement = _compiled(rule).sub(r"\1?", statement)
    return statement


_compiled = cache(re.compile)
