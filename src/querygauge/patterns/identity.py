"""
Pattern text → pattern id: 16 hex digits, the same for every spelling of one query.

In goes normalised text, out comes a hash of it and of the dialect's family. Blanks that part nothing do not count, nor
does the case of what the database reads without regard to it: of all but quoted names, and of tables where these are
files. Deliberately not here: literals, which are gone already.
"""

import re
from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from typing import Final

from querygauge.patterns.dialects import Dialect

__all__ = ["id_of"]

_ID_BYTES: Final = 8  # 16 hex digits
# Only between two words a blank is needed.
_BLANK: Final = re.compile(r" (?:(?=[^\w$])|(?<=[^\w$] ))")
_QUOTED: Final = {"`": r"`[^`]*`", '"': r"\"[^\"]*\"", "[": r"\[[^\]]*\]"}


def id_of(text: str, tables: Iterable[str], dialect: Dialect) -> str:
    """
    The id of a pattern: 64 bits of BLAKE2b, as 16 hex digits.

    Args:
        text: Of the pattern.
        tables: That it names.
        dialect: Whose quotes are meant.
    """
    pieces = _quoted(dialect).split(text) if '"' in text or "`" in text or "[" in text else [text]
    # What a quoted name holds counts as it stands; every second piece is one.
    identity = b"".join(
        piece.encode() if number % 2 else _BLANK.sub("", piece).strip().encode().lower()  # ASCII alone, as databases do
        for number, piece in enumerate(pieces)
    )
    if dialect.tables_keep_case:
        identity += "".join(f"\n{table}" for table in tables if table != table.lower()).encode()
    return blake2b(dialect.family.encode() + b"\n" + identity, digest_size=_ID_BYTES).hexdigest()


@cache
def _quoted(dialect: Dialect) -> re.Pattern[str]:
    return re.compile(f"({'|'.join(_QUOTED[opens] for opens, _ in dialect.name_quotes)})")
