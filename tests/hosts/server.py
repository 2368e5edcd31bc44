"""
PostgreSQL for the foreign tests: the one that is installed on this machine, with the extensions they ask for.

`programs` gives where its programs are; `sqlalchemy_server` runs one for SQLAlchemy's tests, in the way in which those
of asyncpg run their own: with `asyncpg.cluster`, from the directory that `PGINSTALLATION` names. The server that other
tests start has neither extensions nor TLS.
"""

import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from asyncpg.cluster import TempCluster  # type: ignore[import-untyped]  # it has no stubs

__all__ = ["VARIABLE", "new_database", "programs", "sqlalchemy_server"]

VARIABLE: Final = "PGINSTALLATION"
_AS_ROOT: Final = ("pg_ctl", "postgres", "pg_resetwal")
_BECOME: Final = """#!/bin/sh
# A server refuses to be root's. What root has made in its directory becomes the server's.
previous=
for argument; do
    if [ "$previous" = -D ] && [ -d "$argument" ]; then chown -R {user}:{group} "$argument"; fi
    previous=$argument
done
exec setpriv --reuid {user} --regid {group} --clear-groups {program} "$@"
"""
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "max_prepared_transactions": "10",
    "max_connections": "200",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
# What SQLAlchemy's README.unittests.rst asks for.
_DATABASE: Final = (
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION citext",
    "CREATE SCHEMA test_schema",
    "CREATE SCHEMA test_schema_2",
    "ALTER DATABASE test SET default_text_search_config = 'pg_catalog.english'",
)


def programs(directory: Path) -> Path:
    """
    The directory of PostgreSQL's programs; for root one made in `directory`, whose servers run as another user.

    Raises:
        SystemExit: If there are none.
    """
    installed = _installed()
    if installed is None:
        raise SystemExit(
            f"PostgreSQL's server is needed with its extensions, and {VARIABLE} names no directory with initdb: "
            "apt-get install postgresql"
        )
    if os.geteuid() != 0:
        return installed
    made = directory / "bin"
    made.mkdir()
    nobody = pwd.getpwnam("nobody")
    for program in installed.iterdir():
        if program.name not in _AS_ROOT:
            (made / program.name).symlink_to(program)
            continue
        text = _BECOME.format(user=nobody.pw_uid, group=nobody.pw_gid, program=program)
        (made / program.name).write_text(text)
        (made / program.name).chmod(0o755)
    return made


@contextmanager
def sqlalchemy_server(bin_directory: Path) -> Iterator[str]:
    """A running server, by its URL without dialect and database."""
    os.environ[VARIABLE] = str(bin_directory)  # asyncpg is told in no other way
    cluster = TempCluster()
    cluster.init(username="postgres")
    cluster.trust_local_connections()
    cluster.start(port="dynamic", server_settings=dict(_SETTINGS))
    try:
        yield f"://postgres:unasked@127.0.0.1:{cluster.get_connection_spec()['port']}/"
    finally:
        cluster.stop()
        cluster.destroy()


def new_database(server: str) -> str:
    """The URL, without dialect, of an empty database as SQLAlchemy's tests want it, in the place of the last."""
    with psycopg.connect(f"postgresql{server}postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS test WITH (FORCE)")
        connection.execute("CREATE DATABASE test ENCODING 'UTF8' TEMPLATE template0")
    with psycopg.connect(f"postgresql{server}test", autocommit=True) as connection:
        for statement in _DATABASE:
            connection.execute(statement.encode())
    return f"{server}test"


def _installed() -> Path | None:
    named = os.environ.get(VARIABLE)
    on_path = shutil.which("initdb")
    candidates = [Path(named)] if named else [Path(on_path).resolve().parent] if on_path else _of_debian()
    return next((candidate for candidate in candidates if (candidate / "initdb").exists()), None)


def _of_debian() -> list[Path]:
    # By the number of their version, the newest first.
    return sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda bin_: float(bin_.parent.name), reverse=True)
