"""
The options that several commands have, and what they stand for.

Comes in: what was typed; goes out: a value. Deliberately not here: any command.
"""

from enum import StrEnum
from typing import Annotated

import typer

from querygauge.errors import SettingsError
from querygauge.settings import load_settings
from querygauge.storage.paths import StorePaths, paths_of

__all__ = ["Format", "Price", "Scope", "Service", "Since", "Span", "Store", "store_paths"]


class Format(StrEnum):
    """How an answer is written."""

    text = "text"
    json = "json"
    csv = "csv"


Store = Annotated[
    str | None,
    typer.Option(
        help="Directory of the store, or that of many machines; by default the `store` setting, else .querygauge.",
        show_default=False,
    ),
]
Since = Annotated[str, typer.Option(help="How far back: 30m, 24h, 7d.")]
Span = Annotated[
    str,
    typer.Option("--range", help="The last 1h, 24h, 7d, 30d or 90d, or two moments: 2026-01-05/2026-01-12."),
]
Price = Annotated[
    float | None,
    typer.Option(
        "--price-per-hour",
        help="Of an hour of database time; by default the `price_per_hour` setting.",
        show_default=False,
    ),
]
Scope = Annotated[
    str | None,
    typer.Option(help="Only this scope, by its name: a request, a job or a test.", show_default=False),
]
Service = Annotated[str | None, typer.Option(help="Only this service; by default all of them.", show_default=False)]


def store_paths(given: str | None) -> StorePaths:
    """The store to read: the one named, else the one the settings of this directory name."""
    settings = load_settings({})
    location = settings.store if given is None else given
    if location is None:
        raise SettingsError("store is switched off in the settings here; name the directory with --store")
    return paths_of(location, settings.spool, settings.data_path)
