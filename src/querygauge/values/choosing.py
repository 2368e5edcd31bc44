"""
Names that somebody chooses with `*`: in go a name and what is wanted, out comes whether it is that.

Deliberately not here: anything else that a shell reads into a name. Scopes and tags are called `GET /[id]?page=`.
"""

from fnmatch import fnmatchcase
from typing import Final

__all__ = ["is_chosen"]

_LITERAL: Final = str.maketrans({"[": "[[]", "?": "[?]"})


def is_chosen(name: str, wanted: str) -> bool:
    """Whether a name is the wanted one, in which `*` stands for any part, and all else for itself."""
    return fnmatchcase(name, wanted.translate(_LITERAL))
