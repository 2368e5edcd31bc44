"""
What a statement is for: the application's own query, or what counts and budgets may leave out.

In goes a pattern's text with its operation and tables, out comes a category. In doubt a statement is a query: one that
is counted in vain does less harm than one that nobody sees. Deliberately not here: reading operation and tables.
"""

import re
from typing import Final

from querygauge.patterns.dialects import Dialect
from querygauge.patterns.words import words
from querygauge.values import Category

__all__ = ["category_of"]

_TRANSACTION: Final = words("ABORT BEGIN COMMIT END RELEASE ROLLBACK SAVE SAVEPOINT START XA")
# What may follow BEGIN where it begins a transaction; anything else begins a block of statements.
_BLOCK: Final = re.compile(
    r"(?i)BEGIN (?!(?:TRAN|TRANSACTION|WORK|ISOLATION|READ|DEFERRED|IMMEDIATE|EXCLUSIVE|CONCURRENT|NOT|DEFERRABLE)\b)"
).match
_SESSION: Final = words("CLOSE DEALLOCATE DISCARD KILL LISTEN NOTIFY PRAGMA RESET SET SHOW UNLISTEN USE")
# A setting for one statement, and one that a statement follows without a semicolon.
_SET_ALONG: Final = re.compile(r"(?i)SET .*?(?<!\w)(?:SELECT|INSERT|UPDATE|DELETE|MERGE|EXEC|EXECUTE) ").match
_DESCRIBES: Final = frozenset({"DESCRIBE", "DESC"})
_READS: Final = frozenset({"SELECT", "WITH", "TABLE", "VALUES"})
# Asked by drivers and by SQLAlchemy when a connection is made or returned; no table is read.
_FUNCTIONS: Final = (
    "version|current_schemas?|current_database|database|schema|connection_id|pg_backend_pid|pg_advisory_unlock_all|"
    "pg_is_in_recovery|quote_literal|quote_ident|sqlite_version|current_setting|set_config|scope_identity|schema_name|"
    "db_name|sys_context"
)
_ANSWER: Final = (
    rf"(?:(?:pg_catalog\.)?(?:{_FUNCTIONS})\([?, ]*+\)|CAST\(SERVERPROPERTY\(\?\) AS \w+(?:\(\?\))?\)|"
    r"@@[\w.]++|current_user|session_user)(?: AS \w++)?+"
)
_ANSWERS: Final = re.compile(rf"(?i){_ANSWER}(?:, {_ANSWER})*+(?: FROM DUAL)?").fullmatch
# The first is how SQLAlchemy begins on SQL Server.
_TRANSACTION_IN_OTHER_WORDS: Final = re.compile(r"(?i)IF @@TRANCOUNT = \? BEGIN TRAN|PREPARE TRANSACTION ").match


def category_of(text: str, operation: str, tables: tuple[str, ...], dialect: Dialect) -> Category:
    """The category of a pattern with that text, operation and tables."""
    if "; " in text and not all(map(_is_control, text.split("; "))):
        return "query"
    if tables and operation in _READS and tables[0].upper() != "DUAL":
        return "catalog" if _are_of_the_catalog(tables, dialect) else "query"
    if operation in _DESCRIBES:
        return "catalog"
    return _control(text, operation) or "query"


def _is_control(statement: str) -> bool:
    return _control(statement, statement.partition(" ")[0].upper()) is not None


def _control(text: str, operation: str) -> Category | None:
    """`transaction` or `session`, told by the first words; None if it is neither."""
    if operation in _TRANSACTION:
        return None if _BLOCK(text) else "transaction"
    if operation in _SESSION:
        return None if _SET_ALONG(text) else "session"
    if operation == "SELECT":
        return "session" if _ANSWERS(text.partition("; ")[0], len("SELECT ")) else None
    return "transaction" if _TRANSACTION_IN_OTHER_WORDS(text) else None


def _are_of_the_catalog(tables: tuple[str, ...], dialect: Dialect) -> bool:
    for table in tables:
        schema, _, name = table.lower().rpartition(".")
        if schema:
            # A schema that is named and not the catalogue's is the application's.
            is_of_the_catalog = schema.rpartition(".")[2] in dialect.catalog_schemas
        else:
            is_of_the_catalog = name in dialect.catalog_tables or name.startswith(dialect.catalog_prefixes)
        if not is_of_the_catalog:
            return False
    return True
