"""
Where a store is that is no directory: in goes what somebody wrote, out come its parts, and a form without secrets.

Deliberately not here: reaching it.
"""

import re
from pathlib import Path
from typing import Final, NamedTuple

from querygauge.errors import SettingsError

__all__ = ["RemoteStore", "is_remote"]

_LAKE: Final = "ducklake:"
_POSTGRES: Final = "ducklake:postgres:"
_MOTHERDUCK: Final = "md:"
# However it is spelled: who mistypes a name is told of all of it in an error.
_NAMED: Final = r"(?:pass\w*|pwd|token|secret)\s*=\s*"
# In `?password=secret&…` and `motherduck_token=secret`.
_SECRETS_OF_URL: Final = re.compile(rf"{_NAMED}([^\s&'?]+)", re.IGNORECASE)
# In `//user:sec@ret@host`: whoever forgets to escape an @ is told of it in an error, which has what comes after it.
_SECRET_OF_USER: Final = re.compile(r"//[^:/@]*:(.+)@", re.DOTALL)
# In `password=sec&ret\ ` and `password = 'it is \' secret'`: there only a blank ends one, and a backslash saves it. One
# whose quote is not closed has all that follows.
_SECRETS_OF_PAIRS: Final = re.compile(
    rf"{_NAMED}(?:'((?:[^'\\]|\\.)*)(?:'|$)|((?:[^\s\\]|\\.)+))", re.IGNORECASE | re.DOTALL
)
_URL: Final = re.compile("postgres(?:ql)?://")
_HIDDEN: Final = "***"


def is_remote(store: str) -> bool:
    """Whether a store is named that is no directory."""
    return store.startswith((_LAKE, _MOTHERDUCK))


class RemoteStore(NamedTuple):
    """
    A store that several machines write: a DuckLake whose catalog is in PostgreSQL, or a database of MotherDuck.

    Attributes:
        uri: Such as `ducklake:postgres:dbname=querygauge host=db` or `md:querygauge`; may hold a password.
        data_path: Where a DuckLake keeps its files: an absolute path, or `s3://bucket/prefix/`. It is needed to make
            one, which then knows it.
    """

    uri: str
    data_path: str | None = None

    @classmethod
    def of(cls, uri: str, data_path: str | None = None) -> "RemoteStore":
        """
        What is named by a text.

        Raises:
            SettingsError: If it names no such store, or one whose files have no place.
        """
        found = cls(uri, None)
        if not uri.startswith((_POSTGRES, _MOTHERDUCK)):
            raise SettingsError(
                "store must be a directory, ducklake:postgres:… or md:…; got "
                f"{found.shown!r}, and a catalog must let several machines write"
            )
        if uri.startswith(_MOTHERDUCK):
            if data_path is not None:
                raise SettingsError(f"data_path must be None for {found.shown!r}, which keeps its files itself")
            return found
        if data_path is None:
            return found
        is_local = "://" not in data_path
        place = str(Path(data_path).absolute()) if is_local else data_path
        return cls(uri, place if place.endswith("/") else f"{place}/")

    def __repr__(self) -> str:
        return repr(self.shown)

    def __str__(self) -> str:
        return self.shown

    @property
    def is_lake(self) -> bool:
        """Whether it is a DuckLake."""
        return self.uri.startswith(_LAKE)

    @property
    def catalog(self) -> str:
        """How the catalog of a DuckLake is reached, as libpq takes it."""
        return self.uri.removeprefix(_POSTGRES)

    @property
    def shown(self) -> str:
        """Its name without secrets."""
        return self.without_secrets(self.uri)

    def without_secrets(self, text: str) -> str:
        """A text, such as an error of somebody else, in which no secret of the name is left."""
        is_url = not self.is_lake or _URL.match(self.catalog)
        named = (_SECRETS_OF_URL if is_url else _SECRETS_OF_PAIRS).finditer(self.uri)
        secrets = {next(filter(None, match.groups()), "") for match in named}
        for match in _SECRET_OF_USER.finditer(self.uri):
            secrets |= {match[1], *match[1].split("@")}
        # The longest first, as a shorter one may be a part of it.
        for secret in sorted(secrets - {""}, key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return text
