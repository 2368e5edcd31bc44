"""
The words of SQL that tell operations, clauses and names apart, as data for `summary_reader`.

All are in upper case, and of every dialect together. Deliberately not here: reading a statement.
"""

from typing import Final

from querygauge.patterns.words import words

__all__ = [
    "BEFORE_A_CLAUSE_TABLE",
    "BEFORE_A_TABLE",
    "BEFORE_A_TARGET",
    "BLOCKS",
    "DEFINITIONS",
    "ENDS_A_LIST",
    "EXPLAINED",
    "INNER_OPERATIONS",
    "LISTS_TABLES",
    "NEVER_A_NAME",
    "NEVER_A_TABLE",
    "NO_OPERATION_AFTER",
    "NO_OPERATION_BEFORE",
    "NO_QUERY_BEFORE",
    "OBJECTS",
    "OBJECT_PROPERTIES",
    "OPERATIONS_ALONG",
    "READS_CLAUSES",
    "SECOND_WORDS",
    "TABLE_CLAUSES",
    "UNREAD",
]

_MAINTENANCE: Final = words("TABLE TABLES LOCAL NO_WRITE_TO_BINLOG")

# Operations that name a table, and what may stand between the two.
BEFORE_A_TABLE: Final = {
    "INSERT": words("INTO OR ABORT FAIL IGNORE REPLACE ROLLBACK LOW_PRIORITY HIGH_PRIORITY DELAYED OVERWRITE TABLE"),
    "UPDATE": words("ONLY OR ABORT FAIL IGNORE REPLACE ROLLBACK LOW_PRIORITY STATISTICS"),
    "DELETE": words("FROM ONLY IGNORE LOW_PRIORITY QUICK"),
    "MERGE": words("INTO ONLY"),
    "REPLACE": words("INTO LOW_PRIORITY DELAYED"),
    "TRUNCATE": words("TABLE ONLY"),
    "COPY": words("BINARY"),
    "LOCK": words("TABLE TABLES ONLY"),
    "VACUUM": words("FULL FREEZE VERBOSE ANALYZE ONLY"),
    "ANALYZE": _MAINTENANCE | words("VERBOSE ONLY"),
    "OPTIMIZE": _MAINTENANCE,
    "CHECK": _MAINTENANCE,
    "CHECKSUM": _MAINTENANCE,
    "REPAIR": _MAINTENANCE,
    "CLUSTER": words("VERBOSE"),
    "REFRESH": words("MATERIALIZED VIEW CONCURRENTLY"),
    "DESCRIBE": words("TABLE EXTENDED FORMATTED"),
    "DESC": words("TABLE EXTENDED FORMATTED"),
    "TABLE": words("ONLY"),
}
# Operations that name something else.
BEFORE_A_TARGET: Final = {
    "CALL": words(""),
    "EXEC": words(""),
    "EXECUTE": words("PROCEDURE"),
    "LISTEN": words(""),
    "NOTIFY": words(""),
    "PRAGMA": words(""),
    "SET": words("GLOBAL LOCAL SESSION"),
    "SHOW": words("EXTENDED FULL GLOBAL SESSION"),
    "UNLISTEN": words(""),
    "USE": words(""),
}
# Operations in which FROM, JOIN and the like open a clause.
READS_CLAUSES: Final = words("SELECT INSERT UPDATE DELETE MERGE REPLACE LOAD")
# Operations that can stand inside a statement, and those that may follow another one and are its purpose.
INNER_OPERATIONS: Final = words("SELECT INSERT UPDATE DELETE MERGE")
EXPLAINED: Final = words("SELECT INSERT UPDATE DELETE MERGE REPLACE CALL EXECUTE CREATE REFRESH TABLE VALUES WITH")
OPERATIONS_ALONG: Final = {
    "EXPLAIN": EXPLAINED,
    "SET": words("SELECT INSERT UPDATE DELETE MERGE EXEC EXECUTE WITH"),
    "INSERT": words("EXEC EXECUTE"),
}
# Words behind an operation that belong to it.
SECOND_WORDS: Final = {
    "EXPLAIN": words("ANALYZE"),
    "GRANT": INNER_OPERATIONS,
    "REVOKE": INNER_OPERATIONS,
    "DENY": INNER_OPERATIONS,
}
# Statements in which the words of operations are privileges or prose.
UNREAD: Final = words("GRANT REVOKE DENY COMMENT")
# Statements that hold others, in which INTO may name a variable.
BLOCKS: Final = words("BEGIN DECLARE DO IF")

DEFINITIONS: Final = words("CREATE DROP ALTER REINDEX RENAME")
OBJECTS: Final = words(
    "TABLE INDEX VIEW SEQUENCE SCHEMA DATABASE FUNCTION PROCEDURE TRIGGER TYPE EXTENSION USER ROLE DOMAIN"
)
# What may stand between CREATE or the like and the kind of object, and between that and its name.
OBJECT_PROPERTIES: Final = words(
    "IF NOT EXISTS OR REPLACE TEMP TEMPORARY GLOBAL LOCAL UNLOGGED UNIQUE MATERIALIZED CONCURRENTLY RECURSIVE "
    "FOREIGN VIRTUAL ONLY FULLTEXT SPATIAL CLUSTERED NONCLUSTERED COLUMNSTORE BITMAP "
    "FORCE EDITIONABLE NONEDITIONABLE"
)

TABLE_CLAUSES: Final = words("FROM JOIN STRAIGHT_JOIN INTO APPLY")
# What may stand between a clause and its table.
BEFORE_A_CLAUSE_TABLE: Final = {
    "FROM": words("ONLY LATERAL TABLE"),
    "JOIN": words("ONLY LATERAL TABLE"),
    "APPLY": words("TABLE"),
    "USING": words("ONLY LATERAL TABLE"),
    "INTO": words("TABLE TEMP TEMPORARY UNLOGGED"),
    "INDEX": words("ONLY"),
}
# Operations and clauses in which a comma brings another table.
LISTS_TABLES: Final = words(
    "FROM JOIN USING APPLY UPDATE DELETE TRUNCATE LOCK VACUUM ANALYZE OPTIMIZE CHECK CHECKSUM REPAIR"
)
ENDS_A_LIST: Final = words(
    "WHERE SET GROUP ORDER HAVING LIMIT OFFSET UNION INTERSECT EXCEPT MINUS RETURNING OUTPUT VALUES WINDOW FETCH "
    "DEFAULT WHEN QUALIFY CONNECT START MODEL OPTION"
)
NEVER_A_NAME: Final = words("? AS GROUP HAVING IMMEDIATE JOIN ON ORDER SELECT SET UNION USING VALUES WHEN WHERE WITH")
NEVER_A_TABLE: Final = words("DATABASE DUMPFILE INDEX OUTFILE PROGRAM STDIN STDOUT")
# Beside these a word is no operation: `FOR UPDATE`, `ON DELETE`, `KEY UPDATE`, `THEN INSERT`, `SELECT a, update`,
# `ON COMMIT DELETE ROWS`; and SELECT is a privilege: `FOR SELECT USING`.
NO_OPERATION_AFTER: Final = words(
    "FOR ON DO KEY THEN AFTER BEFORE OF OR AS BY , = SELECT DISTINCT WHERE AND NOT SET HAVING CASE"
)
NO_OPERATION_BEFORE: Final = words(", = ) ( WHERE ROWS")
NO_QUERY_BEFORE: Final = words(", = ) USING")
