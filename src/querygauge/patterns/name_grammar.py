"""
How a name looks to every dialect at once, and the words of SQL Server that no name is, as pieces of expressions.

For texts without literals, in which a `?` may stand for a name. Deliberately not here: what the names are of.
"""

from typing import Final

__all__ = ["NAME", "NO_STATEMENT", "QUALIFIED_NAME", "RESERVED", "UP_TO_A_STATEMENT"]

# Quotes are doubled inside, and PostgreSQL takes whatever is beyond ASCII for a letter. No longer than names can be, or
# a quote that never ends is looked for again and again.
NAME: Final = (
    r"(?:(?:[uU]&)?(?:\"[^\"]{0,128}+\")++|(?:`[^`]{0,128}+`)++|\[[^\]]{0,128}+\](?:\][^\]]{0,128}+\])*+"
    r"|[\w$#?\x80-\U0010ffff]++)"
)
"""A name in quotes of any kind or in none."""

QUALIFIED_NAME: Final = rf"(?:{NAME}(?:\.++{NAME})*+)"
"""A name with those before it that points part."""

RESERVED: Final = (
    "ALTER BACKUP BEGIN BREAK BULK CHECKPOINT CLOSE COMMIT CONTINUE CREATE DBCC DEALLOCATE DECLARE DELETE DENY DROP "
    "ELSE END EXEC EXECUTE FETCH GOTO GRANT IF INSERT KILL MERGE OPEN PRINT RAISERROR READTEXT RECONFIGURE RESTORE "
    "RETURN REVERT REVOKE ROLLBACK SAVE SELECT SET SHUTDOWN TRUNCATE UPDATE UPDATETEXT USE WAITFOR WHILE WITH WRITETEXT"
)
"""Words that SQL Server reserves and statements begin or end with, so that none of them is a string without quotes."""

_ANY_RESERVED: Final = RESERVED.replace(" ", "|")
NO_STATEMENT: Final = rf"(?!(?:{_ANY_RESERVED})\b)"
"""Before a name: that it is none of those words."""

UP_TO_A_STATEMENT: Final = rf".+?(?= (?:{_ANY_RESERVED})\b|$)"
"""Whatever a statement still says; in a batch of SQL Server's the next follows without a semicolon."""
