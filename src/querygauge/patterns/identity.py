"""
Pattern text → pattern id: 16 hex digits, the same for every spelling of one query.

In goes normalised text, out comes a hash of it and of the dialect's family. Blanks that part nothing do not count, nor
does the case of what the database reads without regard to it. Deliberately not here: literals, which are gone already.
"""

import re
from functools import cache
from hashlib import blake2b
from typing import Final

from querygauge.patterns.dialects import Dialect
from querygauge.patterns.words import words

__all__ = ["id_of"]

_ID_BYTES: Final = 8  # 16 hex digits
# Only between two words a blank is needed.
_BLANK: Final = re.compile(r" (?:(?=[^\w$])|(?<=[^\w$] ))")
_MARKS: Final = "(),*=<>"
_WORD: Final = re.compile(r"(?<![\w.@$#])[A-Za-z]++(?:_[A-Za-z_]++)?+(?![\w.$])")
_EXACT_CASE: Final = {"`": r"`[^`]*`", '"': r"\"[^\"]*\"", "[": r"\[[^\]]*\]"}

# Words that mean the same in any case where names do not: MySQL's tables have files, whose case may count, and SQL
# Server's names go by a collation.
_KEYWORDS: Final = words(
    "ABORT ABSOLUTE ACTION ADD AFTER ALGORITHM ALL ALTER ALWAYS ANALYZE AND ANY APPLY ARRAY AS ASC AT AUTHORIZATION "
    "AUTO_INCREMENT AVG BEFORE BEGIN BETWEEN BIGINT BINARY BIT BLOB BOOLEAN BOTH BY CALL CASCADE CASE CAST CHAR "
    "CHARACTER CHECK CLOSE COALESCE COLLATE COLUMN COMMIT COMMITTED CONCAT CONFLICT CONSTRAINT CONVERT COUNT CREATE "
    "CROSS CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURSOR DATABASE DATE DATETIME DATETIMEOFFSET DAY "
    "DEALLOCATE DECIMAL DECLARE DEFAULT DEFERRABLE DELETE DENSE_RANK DESC DESCRIBE DISTINCT DIV DO DOUBLE DROP "
    "DUPLICATE ELSE END ESCAPE EXCEPT EXCLUSIVE EXEC EXECUTE EXISTS EXPLAIN EXTRACT FALSE FETCH FILTER FIRST FLOAT FOR "
    "FORCE FOREIGN FROM FULL FUNCTION GETDATE GLOB GRANT GREATEST GROUP GROUP_CONCAT HAVING HOUR IDENTITY IF IFNULL "
    "IGNORE ILIKE IMMEDIATE IN INDEX INNER INSERT INT INTEGER INTERSECT INTERVAL INTO IS ISNULL ISOLATION JOIN JSON "
    "JSON_EXTRACT KEY LAST LATERAL LEADING LEAST LEFT LENGTH LEVEL LIKE LIMIT LOCAL LOCK LOCKED LOWER MATCH MATCHED "
    "MAX MEDIUMTEXT MERGE MIN MINUTE MOD MONTH NATURAL NCHAR NEXT NO NOCOUNT NOCYCLE NOLOCK NOT NOTHING NOW NOWAIT "
    "NULL NULLIF NULLS NUMERIC NVARCHAR OF OFF OFFSET ON ONLY OPEN OPTIMIZE OPTION OR ORDER OUTER OUTPUT OVER OVERLAPS "
    "PARTITION PERCENT PIVOT PRECISION PREPARE PRIMARY PRIOR PROCEDURE QUALIFY RANGE RANK READ READONLY REAL RECURSIVE "
    "REFERENCES REGEXP RELEASE REPEATABLE REPLACE RESTRICT RETURN RETURNING REVOKE RIGHT RLIKE ROLLBACK ROLLUP ROUND "
    "ROW ROW_NUMBER ROWS SAVE SAVEPOINT SCHEMA SECOND SELECT SERIALIZABLE SESSION SET SHARE SHOW SIGNED SIMILAR "
    "SKIP SMALLINT SOME SOUNDS START STRAIGHT_JOIN SUBSTRING SUM TABLE TEMPORARY TEXT THEN TIES TIME TIMESTAMP TINYINT "
    "TO TOP TRAILING TRANSACTION TRIGGER TRIM TRUE TRUNCATE UNCOMMITTED UNION UNIQUE UNLOCK UNPIVOT UNSIGNED UPDATE "
    "UPPER USE USING VALUE VALUES VARBINARY VARCHAR VARYING VIEW WHEN WHERE WHILE WINDOW WITH WITHIN WITHOUT WORK "
    "WRITE XOR YEAR ZONE"
)


def id_of(text: str, dialect: Dialect) -> str:
    """The id of a pattern with that text: 64 bits of BLAKE2b, as 16 hex digits."""
    exact = _exact(dialect)
    pieces = exact.split(text) if '"' in text or "`" in text or "[" in text else [text]
    # What a quoted name holds counts as it stands, every second piece is one.
    pieces[::2] = [_folded(piece, dialect) for piece in pieces[::2]]
    return blake2b(f"{dialect.family}\n{''.join(pieces)}".encode(), digest_size=_ID_BYTES).hexdigest()


@cache
def _exact(dialect: Dialect) -> re.Pattern[str]:
    return re.compile(f"({'|'.join(_EXACT_CASE[opens] for opens, _ in dialect.name_quotes)})")


def _folded(text: str, dialect: Dialect) -> str:
    folded = _BLANK.sub("", text).strip()
    if dialect.names_fold_case:
        return folded.encode().lower().decode()  # only letters of ASCII, as databases do
    return _WORD.sub(_in_upper_case, folded) if _has_keyword_in_lower_case(text) else folded


def _has_keyword_in_lower_case(text: str) -> bool:
    # A substitution word by word costs four times as much, and most texts have their keywords in upper case.
    for mark in _MARKS:
        text = text.replace(mark, " ")
    return any(word.upper() in _KEYWORDS for word in set(text.split()).difference(_KEYWORDS))


def _in_upper_case(found: re.Match[str]) -> str:
    word = found.group()
    upper = word.upper()
    return upper if upper in _KEYWORDS else word
