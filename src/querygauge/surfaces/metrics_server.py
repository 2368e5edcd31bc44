"""The `/metrics` of `querygauge collect`: in goes a store and where to listen; it is served while a block runs."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from querygauge.storage.paths import StorePaths

__all__ = ["serving"]


@contextmanager
def serving(paths: StorePaths, host: str, port: int | None) -> Iterator[None]:
    """
    Serves the numbers of a store while the block runs.

    Args:
        paths: The store.
        host: Address to listen at.
        port: Port to listen at; None serves nothing.

    Raises:
        MissingExtraError: If `prometheus-client` is not installed.
        SettingsError: If nobody can listen there.
    """
    if port is None:
        yield
        return
    from querygauge.export.prometheus import MetricsServer

    server = MetricsServer(paths, host, port)
    typer.echo(f"serving http://{host}:{server.port}/metrics")
    try:
        yield
    finally:
        server.close()
