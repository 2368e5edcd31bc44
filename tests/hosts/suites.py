"""
The foreign tests there are to run, and where they come from.

A suite is some test files of one library, on one database. The sources are those of the very version that is installed,
fetched once into a directory that git ignores. Deliberately not here: running them.
"""

import subprocess
import sys
import tarfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from project import ROOT

__all__ = ["CACHE", "SUITES", "NoSourceError", "Suite", "unpacked"]

CACHE: Final = ROOT / ".hosts"


class NoSourceError(RuntimeError):
    """A library whose tests cannot be had."""


@dataclass(frozen=True, slots=True)
class Suite:
    """
    Some tests of one library.

    Attributes:
        name: What the table calls it.
        library: As the package index calls it.
        paths: Files and folders of its source distribution.
        quick: What of them tells most in half a minute; nothing if the suite is left out of a quick run.
        driver: The dialect of PostgreSQL that they run on; None for what they choose themselves.
    """

    name: str
    library: str
    paths: tuple[str, ...]
    quick: tuple[str, ...] = ()
    driver: str | None = None


_POSTGRESQL: Final = ("test/engine", "test/dialect/postgresql")

SUITES: Final = (
    Suite(
        "sqlite-engine",
        "sqlalchemy",
        ("test/engine",),
        quick=tuple(f"test/engine/test_{name}.py" for name in ("execute", "pool", "transaction")),
    ),
    Suite("sqlite-sql", "sqlalchemy", ("test/sql",)),
    Suite("sqlite-orm", "sqlalchemy", ("test/orm",)),
    Suite("postgresql-psycopg", "sqlalchemy", _POSTGRESQL, driver="postgresql+psycopg"),
    Suite("postgresql-asyncpg", "sqlalchemy", (*_POSTGRESQL, "test/ext/asyncio"), driver="postgresql+asyncpg"),
    Suite(
        "asyncpg",
        "asyncpg",
        ("tests",),
        quick=(
            "tests/test_pool.py::TestPool",  # and not those that have a standby server
            *(f"tests/test_{name}.py" for name in ("prepare", "cursor", "copy", "execute", "cache_invalidation")),
        ),
    ),
)


def unpacked(library: str, into: Path) -> Path:
    """
    The source tree of a library at the version that is installed, unpacked anew; its archive stays in `CACHE`.

    Raises:
        NoSourceError: If the package index does not give the archive.
    """
    name = f"{library}-{version(library)}"
    archive = CACHE / f"{name}.tar.gz"
    if not archive.exists():
        CACHE.mkdir(exist_ok=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        wanted = ["--no-deps", "--no-binary", library, "--dest", str(CACHE), f"{library}=={version(library)}"]
        try:
            subprocess.run([*pip, *wanted], check=True)
        except subprocess.CalledProcessError as error:
            raise NoSourceError(f"the package index does not give the sources of {name}") from error
    with tarfile.open(archive) as packed:
        packed.extractall(into, filter="data")
    return into / name
