"""What the tests of this room use: what makes an application fail, over a database of the test's own."""

from collections.abc import Iterator

import pytest
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from databases.postgres import OwnServer, new_postgres_database
from faults.proxy import tcp_proxy
from faults.scenarios import Faults


def _faults(url: URL, server: OwnServer | None) -> Iterator[Faults]:
    arguments = {"application_name": "assistant"}
    assistant = create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool, connect_args=arguments)
    with tcp_proxy(url) as proxy:
        yield Faults(proxy, assistant, server)


@pytest.fixture
def faults(postgres_url: URL) -> Iterator[Faults]:
    """In front of the tests' server."""
    yield from _faults(postgres_url, None)


@pytest.fixture
def faults_of_server(mortal_postgres: OwnServer) -> Iterator[Faults]:
    """In front of a server that may be killed."""
    with new_postgres_database(mortal_postgres.url) as url:
        yield from _faults(url, mortal_postgres)
