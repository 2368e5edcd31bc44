"""
Where something is set in a TOML file: in go its text, a table and a setting, out comes the line.

TOML's own reader keeps no lines. Who writes a table in another way than under a header of its own is told none.
Deliberately not here: what is wrong there.
"""

import re
from typing import Final

__all__ = ["line_of", "setting_in"]

_HEADER: Final = re.compile(r"\s*(\[{1,2})\s*([^\]]+?)\s*\]")
_BARE: Final = str.maketrans("", "", "\"' \t")


def line_of(text: str, table: str, setting: str | None = None, *, number: int = 1) -> int | None:
    """
    The line of a setting of a table, or of the table's header; None if it is not there.

    Args:
        text: Of the file.
        table: Its name, such as `alerts.channels.team`.
        setting: Name of the setting, as it stands before `=`; None is the header.
        number: Which of several tables of that name.
    """
    header, found = None, 0
    for place, line in enumerate(text.splitlines(), 1):
        begins = _HEADER.match(line)
        if begins is not None:
            if header is not None:
                break
            found += begins[2].translate(_BARE) == table.translate(_BARE)
            header = place if found == number else None
            if header is not None and setting is None:
                return header
        elif header is not None and setting is not None and _sets(line, setting):
            return place
    return None


def setting_in(error: str) -> str:
    """The setting that an error begins with, be it by its own name or behind that of a channel's type."""
    return re.split(r"[:\s]", error, maxsplit=1)[0].rpartition(".")[2]


def _sets(line: str, setting: str) -> bool:
    return line.partition("=")[0].translate(_BARE) == setting and "=" in line
