"""
SQL text → pattern text: every literal and placeholder becomes `?`, comments go, spacing folds.

In goes a statement as it was sent and the dialect's name; out comes text without a single value, the same for every
driver, list length, row count and spelling of a literal. One pass of a large regular expression does nearly all of it;
each later pass runs only if the text holds what it looks for. Deliberately not here: hashing, caching, and reading
dialects' odd corners (`exact`).

What cannot be read safely becomes its first word and `?`. Reading is bounded to the first 64 KB of a statement.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from querygauge.patterns.dialects import Dialect, dialect_of
from querygauge.patterns.exact import is_odd, to_plain
from querygauge.patterns.grammar import CASTS, NEVER_IN_A_RUN, main_pass
from querygauge.patterns.lists import MAX_LIST_CHARACTERS, first_rows, shortened, without_long_lists, without_repetition
from querygauge.patterns.session_names import without_session_names
from querygauge.patterns.words import words

__all__ = ["MAX_STATEMENT_CHARACTERS", "normalize"]

# Beyond this a statement is read as if it had been cut there; no pattern needs more to be told apart.
MAX_STATEMENT_CHARACTERS: Final = 64 * 1024

# First words that may stand in front of a pattern that fails closed; any other first word might be a value.
_VERBS: Final = words(
    "ALTER ANALYZE BEGIN CALL CLOSE COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE DELETE DESCRIBE DISCARD DO "
    "DROP END EXECUTE EXPLAIN FETCH GRANT INSERT KILL LISTEN LOAD LOCK MERGE MOVE NOTIFY OPTIMIZE PRAGMA "
    "PREPARE REFRESH REINDEX RELEASE REPLACE RESET REVOKE ROLLBACK SAVEPOINT SELECT SET SHOW START TABLE "
    "TRUNCATE UNLISTEN UPDATE USE VACUUM VALUES WITH"
)

_KEYWORDS_BEFORE_A_VALUE: Final = words(
    "ABSOLUTE ALL AND ANY AS ASYMMETRIC BACKWARD BETWEEN BY CASE DEFAULT DISTINCT DIV ELSE ESCAPE FETCH FIRST FORWARD "
    "FROM GLOB HAVING ILIKE IN INTERVAL IS LIKE LIMIT MAXVALUE MINVALUE MOD MOVE NEXT NOT OFFSET ON OR PRINT PRIOR "
    "REGEXP RELATIVE RESTART RETURN RETURNING RLIKE SELECT SET START SYMMETRIC THEN TO TOP USING VALUES WHEN WHERE "
    "WITH XOR"
)

# Something beside a `?` that may belong to it: a prefix, a sign, a point, a cast or another `?`.
_NEIGHBOUR: Final = re.compile(r"\?(?:(?=,|:| :)(?=, \?| ?::)|(?<=[a-zA-Z0-9_$&.+\-]\?)|(?<=[+\-] \?))")
_GLUED_BEFORE: Final = re.compile(r"\?(?<=[\w&.]\?)")
_PREFIX: Final = re.compile(r"(?<![\w.$@\"`])(?:[ENXBenxb]|(?:[Uu]&[NXnx]?)|_[A-Za-z][A-Za-z0-9]*+)(?=\?(?![|&]))")
_TYPED: Final = re.compile(r"(?<![\w.$@\"`])((?i:DATE|TIME|TIMESTAMP|INTERVAL))\?")
_CHARSET: Final = re.compile(r"_(?<![\w.$@\"`]_)[A-Za-z][A-Za-z0-9]*+ (?:_[A-Za-z][A-Za-z0-9]*+ ){0,2}+(?=\?)")
_BARE_POINT: Final = re.compile(r"(?<![\w)\]\"`?.])\.\?")


def _constant(word: str, *, has_brackets: bool) -> re.Pattern[str]:
    before = rf"(?<![\w.\"`$@:]{word})(?i:(?<!\bIS {word})(?<!\bNOT {word})(?<!\bSET {word}))"
    bracket = r"\]" if has_brackets else ""
    return re.compile(rf"{word}{before}(?![\w.\"`({bracket}])")


# By whether brackets may hold a name.
_CONSTANTS: Final = {
    has_brackets: tuple(
        (word, _constant(word, has_brackets=has_brackets))
        for name in ("NULL", "TRUE", "FALSE")
        for word in (name, name.lower(), name.title())
    )
    for has_brackets in (False, True)
}
_ODD_COMMA: Final = re.compile(r",(?:(?! )|(?<= ,))").search
_SIGNS: Final = re.compile(r"[-+](?<![-+].)(?<![-+] .)( ?)(?:[-+] ?)*+\?")
_AFTER_WHAT_A_SIGN_MAY_BE: Final = frozenset("=<>(,*/%|&!~[^{;#:@")
_WORD_BEFORE: Final = re.compile(r"(?<![\w\"`.])[A-Za-z]++ ?\Z")
_LONGEST_KEYWORD: Final = 10
_RUN: Final = re.compile(
    rf"\?(?<![\w\"`]\?)(?<![*/<>=|&^~!#@%+\-]\?)(?<![*/<>=|&^~!#@%+\-] \?)(?:, \?(?![\w\"`]){NEVER_IN_A_RUN})++"
)
# psycopg's placeholders for binary and text, where no operand is before them that a column's name could divide.
_TYPED_MARK: Final = re.compile(r"%(?:(?<=[=<>(,]%)|(?<=[=<>,] %))[bt](?!\w)")
# A percent sign that is doubled for a driver; where it would seem to begin a placeholder it stays two.
_MODULO: Final = re.compile(r"%%++(?!(?:[sbt]|\([^()?]*+\)[sbt])(?!\w))")
_GLUED: Final = re.compile(r"\?(?=[a-zA-Z0-9$\x80-\U0010ffff])(?<!\w\?)")
_DIGIT: Final = re.compile(r"[0-9]")
# Around a digit a run of eight may have begun up to seven letters before. A run of eight has three characters after any
# of its own, or four before it; hardly a name passes that.
_AROUND_A_DIGIT: Final = (
    r"(?:(?<![\w$].)|(?<=_.)[0-9]|(?:(?=[0-9a-fA-F]{3})|(?<=[0-9a-fA-F]{4}.))(?:"
    + "|".join(rf"(?<=[0-9a-fA-F]{{{before}}}.)[0-9a-fA-F]{{{7 - before}}}" for before in range(8))
    + "))"
)
# By digit, since a search for one character takes a tenth of the time of one for any of ten.
_LOOSE_OR_LONG: Final = tuple((digit, re.compile(digit + _AROUND_A_DIGIT).search) for digit in "0123456789")
_LOOSE: Final = re.compile(r"[0-9](?<![\w$].)")
_PREFIX_ALONE: Final = re.compile(r"(?s).*(?<![\w$])[ENXBUenxbu]\Z").match
_NUMBER_IN_A_NAME: Final = re.compile(r"(?<=_)[0-9]{2,}+|[0-9]{8,}+|(?<![^\W_])[0-9a-fA-F]{8,}+(?![^\W_])")
_STATEMENT_WORD: Final = re.compile(r"[A-Za-z]+")
_CAST: Final = re.compile(rf"\?(?<![\w\"`]\?){CASTS}")


def normalize(statement: str, dialect: str, *, fold_numbered_names: bool = True) -> str:
    """
    The pattern of a statement: its text without values.

    Never raises, whatever the text; takes time linear in its length. The result is a fixed point: normalised again it
    stays as it is. It has at most twice as many characters as were read, and no lone surrogate.

    Args:
        statement: As it was sent, with placeholders or literals, or as SQLAlchemy compiled it.
        dialect: SQLAlchemy's name of the dialect. With a name nobody knows, what may be a literal is taken for one.
        fold_numbered_names: Whether names that differ by a number of two digits after `_`, or of eight hexadecimal
            ones, are one name: partitions, temporary tables, tenants. Not so, each of them is a pattern of its own.
    """
    text, is_certain = _pass(statement, dialect, fold_numbered_names)
    if is_certain:
        return text
    again, _ = _pass(text, dialect, fold_numbered_names)
    return again if again == text or _pass(again, dialect, fold_numbered_names)[0] == again else _verb_alone(text)


def _pass(statement: str, dialect: str, folds_names: bool) -> tuple[str, bool]:
    """A statement's pattern, and whether it is certain that a further pass would change nothing."""
    spoken, main_pass = _grammar(dialect)
    text, is_cut = (statement, False) if len(statement) <= MAX_STATEMENT_CHARACTERS else _cut(statement, spoken)
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8").replace("\ufeff", " ")  # a file's mark of its byte order
    if "\0" in text:
        text = text.replace("\0", " ")  # not away: a backslash before it would escape what comes next
    was_odd = is_odd(text, spoken)
    if was_odd:
        text, is_cut_there = to_plain(text, spoken)
        is_cut = is_cut or is_cut_there
    text = main_pass("?", shortened(_single_spaced(text)))
    if ")" in text and "), (" in text:
        text = first_rows(text)  # what is dropped here, no later pass need read
    text = _spaced(text)
    text, was_glued = _folded(text, spoken)
    if ")" in text or "[" in text or "{" in text or text[:1] in "Ii":
        text = without_repetition(text, is_cut=is_cut)
    named = without_session_names(text, spoken)
    closed = _closed(named, spoken, folds_names)
    is_certain = closed == text and not was_glued and not (was_odd and is_odd(text, spoken))
    return closed, is_certain


def _cut(statement: str, dialect: Dialect) -> tuple[str, bool]:
    """What is read of a long statement, and whether its end is missing: it is not if its lists made it long."""
    text = statement[:MAX_STATEMENT_CHARACTERS]
    more = statement[:MAX_LIST_CHARACTERS]
    # Where nothing is odd every quote is a literal's, and elements may be left out without reading what is before them.
    quotes = sum(quote in more for quote in dialect.string_quotes)
    if quotes > 1 or is_odd(text, dialect) or is_odd(more, dialect):
        return text, True
    shorter = without_long_lists(more, dialect)
    return shorter[:MAX_STATEMENT_CHARACTERS], len(more) < len(statement) or len(shorter) > MAX_STATEMENT_CHARACTERS


@lru_cache(maxsize=64)
def _grammar(name: str) -> tuple[Dialect, Callable[[str, str], str]]:
    """The dialect of a name, and its main pass; names of unknown dialects come from outside and are bounded."""
    return dialect_of(name), main_pass(dialect_of(name))


def _single_spaced(text: str) -> str:
    """`text` with one space for each run of white space, and none at its ends."""
    # Looking for what there may be is quicker than a split at every blank: by a fifth for SQLAlchemy's statements, by
    # four fifths for long ones on a single line.
    if "\n" in text:
        text = " ".join(map(str.strip, text.split("\n")))
    is_odd_otherwise = "\r" in text or "\v" in text or "\f" in text or not text.isascii() or _has_separators(text)
    if is_odd_otherwise or "\t" in text or "  " in text or text[:1] == " " or text[-1:] == " ":
        return " ".join(text.split())
    return text


def _has_separators(text: str) -> bool:
    """Whether one of the four characters is there with which files, groups, records and units were once told apart."""
    return "\x1c" in text or "\x1d" in text or "\x1e" in text or "\x1f" in text


def _spaced(text: str) -> str:
    """`text` with the spacing around parentheses and commas that most statements have."""
    if "(" in text:
        text = text.replace("( ", "(").replace(" )", ")")
    if "," in text and _ODD_COMMA(text):
        text = text.replace(" ,", ",").replace(", ", ",").replace(",", ", ").rstrip()
    return text


def _folded(text: str, dialect: Dialect) -> tuple[str, bool]:
    """
    `text` with constants, prefixes, casts, signs and comma runs folded into the `?` they belong to.

    And whether something was glued to a `?`: what is left may be glued to it in turn.
    """
    text = _without_constants(text, dialect)
    if "%" in text:
        text = _MODULO.sub("%", _TYPED_MARK.sub("?", text))
    has_neighbours = _NEIGHBOUR.search(text) is not None
    is_glued = has_neighbours and _GLUED_BEFORE.search(text) is not None
    if is_glued:
        text = _TYPED.sub(r"\1 ?", _BARE_POINT.sub("?", _PREFIX.sub("", text)))
    if dialect.charset_prefixes and "_" in text:
        text, folded = _CHARSET.subn("", text)
        has_neighbours, is_glued = has_neighbours or folded > 0, is_glued or folded > 0
    if not has_neighbours:
        return text, "%%" in text
    if dialect.casts and "::" in text:
        text, folded = _CAST.subn("?", text)
        is_glued = is_glued or folded > 0
    if "-?" in text or "- ?" in text or "+?" in text or "+ ?" in text:
        text = _SIGNS.sub(_unsigned, text)
        is_glued = is_glued or _GLUED_BEFORE.search(text) is not None
    return _RUN.sub("?", text) if "?, ?" in text else text, is_glued


def _unsigned(found: re.Match[str]) -> str:
    text, start = found.string, found.start()
    last = text[start - 2 : start].rstrip()[-1:] if start > 1 else text[:start]
    if not last or last in _AFTER_WHAT_A_SIGN_MAY_BE:
        return "?"
    if last.isalpha():
        word = _WORD_BEFORE.search(text, max(0, start - _LONGEST_KEYWORD - 1), start)
        if word is not None and word.group().rstrip().upper() in _KEYWORDS_BEFORE_A_VALUE:
            return "?"
    return f"{found[0][0]}{found[1]}?"


def _without_constants(text: str, dialect: Dialect) -> str:
    upper = text.upper()
    if "NULL" in upper or "TRUE" in upper or "FALSE" in upper:
        has_brackets = dialect.brackets_doubtful or ("[", "]") in dialect.name_quotes
        for word, constant in _CONSTANTS[has_brackets]:
            if word in text:
                text = constant.sub("?", text)
    return text


def _closed(text: str, dialect: Dialect, folds_names: bool) -> str:
    """`text`, or its first word alone if a value may have survived in it; numbers inside of names may be folded."""
    if "'" in text or ('"' in text and '"' in dialect.string_quotes) or _GLUED.search(text):
        return _verb_alone(text)
    if not any(digit in text and search(text) for digit, search in _LOOSE_OR_LONG):
        return text
    if _LOOSE.search(text):
        return _verb_alone(text)
    return _NUMBER_IN_A_NAME.sub(_folded_number, text) if folds_names else text


def _folded_number(found: re.Match[str]) -> str:
    # Eight letters from a to f are a word, until a digit is among them.
    if not _DIGIT.search(found.group()):
        return found.group()
    # A single letter before it would look like the prefix of a literal.
    return "_?" if _PREFIX_ALONE(found.string, 0, found.start()) else "?"


def _verb_alone(text: str) -> str:
    word = _STATEMENT_WORD.match(text)
    return f"{word.group()} ?" if word and word.group().upper() in _VERBS else "?"
