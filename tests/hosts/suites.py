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

__all__ = ["SUITES", "Suite", "unpacked"]


@dataclass(frozen=True, slots=True)
class Suite:
    """
    Some tests of one library.

    Attributes:
        name: What the table calls it.
        library: As the package index calls it.
        paths: Files and folders of its source distribution.
        quick: Those of them that tell most in a minute; none if the suite is left out of a quick run.
        driver: The dialect of PostgreSQL that they run on; None for what they choose themselves.
    """

    name: str
    library: str
    paths: tuple[str, ...]
    quick: tuple[str, ...] = ()
    driver: str | None = None


_POSTGRESQL: Final = ("test/engine", "test/dialect/postgresql")

SUITES: Final = (
    Suite("sqlite-engine", "sqlalchemy", ("test/engine",), quick=("test/engine",)),
    Suite("sqlite-sql", "sqlalchemy", ("test/sql",)),
    Suite("sqlite-orm", "sqlalchemy", ("test/orm",)),
    Suite("postgresql-psycopg", "sqlalchemy", _POSTGRESQL, driver="postgresql+psycopg"),
    Suite("postgresql-asyncpg", "sqlalchemy", (*_POSTGRESQL, "test/ext/asyncio"), driver="postgresql+asyncpg"),
    Suite(
        "asyncpg",
        "asyncpg",
        ("tests",),
        quick=("tests/test_pool.py", "tests/test_cursor.py", "tests/test_prepare.py", "tests/test_copy.py"),
    ),
)


def unpacked(library: str, cache: Path, into: Path) -> Path:
    """The source tree of a library at the version that is installed, unpacked anew; its archive stays in `cache`."""
    name = f"{library}-{version(library)}"
    archive = cache / f"{name}.tar.gz"
    if not archive.exists():
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        wanted = ["--no-deps", "--no-binary", library, "--dest", str(cache), f"{library}=={version(library)}"]
        subprocess.run([*pip, *wanted], check=True)
    with tarfile.open(archive) as packed:
        packed.extractall(into, filter="data")
    return into / name
