"""A DuckLake of the test's own: its catalog in PostgreSQL, its files in a folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL

from querygauge.remote import RemoteStore
from querygauge.storage.paths import StorePaths

Machine = Callable[[str], StorePaths]


def connection_string(url: URL, **more: str) -> str:
    """How libpq is told of a database, as keywords."""
    parts = {**url.translate_connect_args(username="user", database="dbname"), **url.query, **more}
    return " ".join(f"{name}='{value}'" for name, value in parts.items())


@pytest.fixture
def catalog(postgres_url: URL) -> str:
    """The connection string of an empty database."""
    return connection_string(postgres_url)


@pytest.fixture
def remote(catalog: str, tmp_path: Path) -> RemoteStore:
    """A lake that nobody has made yet, in a folder whose name SQL and wildcards would trip over."""
    return RemoteStore.of(f"ducklake:postgres:{catalog}", str(tmp_path / "it's the [data]*"))


@pytest.fixture
def machine(remote: RemoteStore, tmp_path: Path) -> Machine:
    """What a machine of a name keeps of the lake."""
    return lambda name: StorePaths(tmp_path / name, remote)
