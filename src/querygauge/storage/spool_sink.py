"""
Snapshots as small files: in goes a `Snapshot`, out comes a file that a fold will find, whole or not at all.

Deliberately not here: DuckDB, and any lock. A host process that only writes pays for neither.
"""

import os
import re
import secrets
import socket
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from querygauge.clock import microseconds_of
from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import FORMAT, SUFFIX, TEMPORARY_SUFFIX, checksum_of, waiting_files
from querygauge.storage.spool_rows import line, rows
from querygauge.values import Snapshot

__all__ = ["SpoolSink"]

log = get_logger(__name__)

_BYTES_PER_MB: Final = 1_000_000


class SpoolSink:
    """
    Keeps every snapshot as one file in the spool of a store.

    A file is made visible by renaming it, so that nobody reads a half-written one. It is not forced to the disk: a
    killed process loses nothing, the page cache survives it, and a power cut may cost the last seconds; waiting for
    the disk would cost every flush of every process.
    """

    def __init__(self, root: Path, max_mb: float) -> None:
        """
        Makes the store's directories.

        Args:
            root: Directory of the store.
            max_mb: Files waiting may take so much; beyond it the oldest are dropped, and counted in `dropped`.

        Raises:
            StoreError: If the directories cannot be made.
        """
        self.dropped = 0
        self._named: tuple[Snapshot | None, str] = (None, "")
        self._paths = StorePaths(root)
        self._max_bytes = int(max_mb * _BYTES_PER_MB)
        self._paths.create()

    def write(self, snapshot: Snapshot) -> None:
        """
        Keeps one snapshot, whole or not at all; the same one again is the same file.

        Raises:
            StoreError: If it could not be written; nothing of it is left behind.
        """
        content = _file_content(snapshot)
        named, name = self._named
        if named is not snapshot:
            name = _file_name(snapshot)
            self._named = snapshot, name
        temporary = self._paths.spool / f".{name}{TEMPORARY_SUFFIX}"
        try:
            self._write_renamed(temporary, content, self._paths.spool / name)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise StoreError(
                f"a snapshot could not be written to {str(self._paths.spool)!r}: {error.strerror or error}"
            ) from error
        # The snapshot is kept by now: whatever fails from here on must not have it written again.
        with suppress(OSError, StoreError):
            self._drop_oldest()
        self._named = None, ""

    def _write_renamed(self, temporary: Path, content: bytes, final: Path) -> None:
        try:
            temporary.write_bytes(content)
        except FileNotFoundError:
            self._paths.create()  # somebody removed the store while we ran
            temporary.write_bytes(content)
        temporary.replace(final)

    def _drop_oldest(self) -> None:
        sizes = {}
        for path in waiting_files(self._paths):
            with suppress(OSError):  # folded meanwhile
                sizes[path] = path.stat().st_size
        excess = sum(sizes.values()) - self._max_bytes
        newest = max(sizes, default=None)
        for path in sorted(sizes):
            if excess <= 0 or path == newest:
                return
            with suppress(OSError):
                path.unlink()
                self._count_dropped()
            excess -= sizes[path]

    def _count_dropped(self) -> None:
        if not self.dropped:
            log.warning(
                "spool_full",
                spool=str(self._paths.spool),
                max_mb=self._max_bytes / _BYTES_PER_MB,
                advice="nothing folds it; run 'querygauge collect', or raise spool_max_mb",
            )
        self.dropped += 1


def _file_name(snapshot: Snapshot) -> str:
    """A name that sorts by time and that no other process, machine or moment shares."""
    host = re.sub(r"[^A-Za-z0-9.]+", "_", socket.gethostname())[:64]
    # Containers share host names and process numbers, so these two alone do not make a name unique.
    return f"{microseconds_of(snapshot.ended):017d}-{host}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"


def _file_content(snapshot: Snapshot) -> bytes:
    lines = [line(row) for row in rows(snapshot)]
    rest = b"".join(lines)
    header = {
        "format": FORMAT,
        "id": secrets.token_hex(8),
        "rows": len(lines),
        "checksum": checksum_of(rest),
        "service": snapshot.service,
        "process": snapshot.process,
        "started_us": microseconds_of(snapshot.started),
        "ended_us": microseconds_of(snapshot.ended),
        "self_metrics": asdict(snapshot.self_metrics),
        "slow_threshold_ms": snapshot.slow_threshold_ms,
        "usage": asdict(snapshot.usage),
        "flush_interval_s": snapshot.flush_interval_s,
        "instance": snapshot.instance,
        "hook_errors": dict(snapshot.hook_errors),
        "pattern_cache": dict(snapshot.pattern_cache),
        "compiled_cache": {target: dict(counts) for target, counts in snapshot.compiled_cache.items()},
    }
    return line({"header": header}) + rest
