"""
What no server sees of a SQL file: commands and separators that the programs reading it keep for themselves.

Psql, mysql, sqlite3, SQL*Plus and sqlcmd each have their own. None of them is SQL in any dialect where it is looked
for, so all of them are known whatever the dialect. They hold names of files, hosts and users, and sometimes passwords;
nothing of them is kept. Deliberately not here: running any of it.
"""

import re
from typing import Final

__all__ = ["BATCH_END", "COMMAND", "COPIES_DATA", "DELIMITER", "ENDS_STATEMENT", "END_OF_DATA", "USE"]

# On a line of its own: sqlcmd's GO, SQL*Plus's slash.
BATCH_END: Final = r"[ \t]*(?:(?i:GO)(?:[ \t]+[0-9]+)?|/)[ \t]*;?[ \t]*\r?(?=\n|\Z)"

_SQLPLUS: Final = (
    "REM|REMARK|PROMPT|SPOOL|ACCEPT|DEFINE|UNDEFINE|COLUMN|TTITLE|BTITLE|WHENEVER|VARIABLE|PAUSE|TIMING|EXIT|QUIT|"
    r"SET[ \t]+(?:AUTOTRACE|DEFINE|ECHO|FEEDBACK|HEADING|LINESIZE|LONG|PAGESIZE|SCAN|SERVEROUTPUT|SQLBLANKLINES|"
    "SQLPROMPT|TERMOUT|TIMING|TRIMSPOOL|VERIFY)"
)
_SQLCMD: Final = "setvar|r|connect|on|out|error|list|listvar|help|reset|serverlist|xml|perftrace"
# Where a statement may begin: commands of SQL*Plus, sqlcmd and sqlite3, each up to the end of its line.
COMMAND: Final = re.compile(
    rf"(?:(?i:{_SQLPLUS})(?![\w.(])|@@?[^\s@]|:(?i:{_SQLCMD})(?!\w)|!!|\.[a-z]+(?![\w.]))[^\n]*"
).match
DELIMITER: Final = re.compile(r"(?i:DELIMITER)[ \t]+(\S+)[^\n]*").match
# The one command of mysql and sqlcmd that is SQL as well, and needs no separator.
USE: Final = re.compile(r"(?i:USE)[ \t]+[^\s;]+[ \t]*\r?(?=\n|\Z)").match

# Those of psql's and mysql's commands that send what stands before them.
ENDS_STATEMENT: Final = re.compile(r"\\(?:[gG]|gx|gset|gexec|gdesc|crosstabview|watch)(?![a-z])").match
# What is followed by rows of data, whether it is a statement or psql's own command.
COPIES_DATA: Final = re.compile(r"(?is)\\?COPY\b.*\bFROM\s+P?STDIN\b").match
END_OF_DATA: Final = re.compile(r"(?m:^)\\\.[ \t]*\r?(?:\n|\Z)").search
