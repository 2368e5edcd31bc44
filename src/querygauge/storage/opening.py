"""Where reading a store begins; DuckDB is loaded when a store is opened, and not by naming the function."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from querygauge.errors import StoreError
from querygauge.storage.paths import Location, paths_of

if TYPE_CHECKING:
    from querygauge.storage.store import Store

__all__ = ["open_store"]

_TIMEOUT_S: Final = 10.0
_SPOOL: Final = ".querygauge"


def open_store(path: Location, *, spool: str | os.PathLike[str] = _SPOOL, timeout_s: float = _TIMEOUT_S) -> "Store":
    """
    The store in a directory, or a remote one, with what waited in its spool folded in.

    If somebody else folds, or the directory cannot be written, it is read as it is.

    Args:
        path: Directory of the store, `ducklake:postgres:…` or `md:…`.
        spool: Directory of what this machine keeps of a remote store.
        timeout_s: How long every call waits for a writer to finish.

    Raises:
        StoreError: If there is no store, or its database is no store of ours.
    """
    paths = paths_of(path, Path(spool))
    if paths.root.exists() and not paths.root.is_dir():
        raise StoreError(f"store must be a directory; got the file {str(paths.root)!r}")
    if paths.remote is None and not paths.spool.is_dir() and not paths.database.exists():
        raise StoreError(
            f"store {str(paths.root)!r} does not exist; instrument an application and let it run, or name another "
            "store with --store"
        )
    from querygauge.storage.store import Store

    return Store(paths, timeout_s)
