"""
`querygauge store backup`, `verify` and `restore`: a store into files, and back.

Deliberately not here: what a backup is (`storage.backup_files`).
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from querygauge.errors import StoreError
from querygauge.rendering.formats import number
from querygauge.surfaces.options import Store, store_paths
from querygauge.surfaces.progress import progress

if TYPE_CHECKING:
    from querygauge.storage.backup_files import Backup

__all__ = ["backup", "restore_backup", "verify_backup"]

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Folder = Annotated[
    Path | None,
    typer.Option("--to", help="Where backups lie; by default `backups` in the store.", show_default=False),
]


def backup(
    store: Store = None,
    folder: _Folder = None,
    keep: Annotated[
        int | None,
        typer.Option(help="Backups of this store that stay, this one included; by default all.", min=1),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Take a backup now, and read it back; the collector takes one a day."""
    from querygauge.storage.backup import back_up
    from querygauge.storage.opening import open_store

    paths = open_store(store_paths(store)).paths
    with progress() as tell:
        taken = back_up(paths, folder, keep=keep, on_step=tell)
    if taken is None:
        raise StoreError(f"store {paths.name!r} is being changed by somebody else; try again in a moment")
    _print(taken, "backed up", as_json=as_json)


def verify_backup(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="BACKUP", help="Folder of a backup; by default the newest one of the store."),
    ] = None,
    store: Store = None,
    as_json: _AsJson = False,
) -> None:
    """Read a backup, each of its files, and compare it with what was written."""
    from querygauge.storage.backup_files import verify

    with progress() as tell:
        verified = verify(path or _newest(store), on_step=tell)
    _print(verified, "verified", as_json=as_json)


def restore_backup(
    path: Annotated[Path, typer.Argument(metavar="BACKUP", help="Folder of the backup.")],
    store: Store = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put a database that is there aside, into the folder `replaced`.")
    ] = False,
    as_json: _AsJson = False,
) -> None:
    """Make the database of a store from a backup, which is verified first."""
    from querygauge.storage.restore import restore

    with progress() as tell:
        restored = restore(path, store_paths(store), replace=replace, on_step=tell)
    _print(restored, "restored", as_json=as_json)


def _newest(store: str | None) -> Path:
    from querygauge.storage.backup_files import backups_in

    folder = store_paths(store).backups
    found = backups_in(folder)
    if not found:
        raise StoreError(f"there is no backup in {str(folder)!r}; take one with querygauge store backup, or name one")
    return found[-1]


def _print(found: "Backup", verb: str, *, as_json: bool) -> None:
    if as_json:
        told = {**found._asdict(), "path": str(found.path), "created_at": found.created_at.isoformat()}
        typer.echo(json.dumps(told, indent=1))
        return
    typer.echo(
        f"{verb} {number(found.rows)} rows of {number(found.tables)} tables, {found.bytes / 1e6:,.1f} MB, as of "
        f"{found.created_at:%Y-%m-%d %H:%M:%S} UTC: {found.path}"
    )
