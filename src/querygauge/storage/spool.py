"""
Snapshots as small files: in goes a `Snapshot`, out comes a file that a fold will find, whole or not at all.

One file is newline-delimited JSON. Its first line is the header: format, id, number of the lines that follow and
their checksum, whose numbers they are and which span they cover. Every further line is an object with one member,
named for its kind: `pattern`, `query`, `scope`, `slow`, `pool`, `repetition` or `running`. Times are microseconds since
1970-01-01 UTC.

Deliberately not here: DuckDB, and any lock. A host process that only writes pays for neither.
"""

import hashlib
import json
import os
import re
import secrets
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from querygauge.clock import microseconds_of
from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_rows import line, rows
from querygauge.values import Snapshot

__all__ = ["SUFFIX", "TEMPORARY_SUFFIX", "SpoolHeader", "SpoolSink", "read_spool_file", "waiting_files"]

log = get_logger(__name__)

SUFFIX: Final = ".ndjson"
TEMPORARY_SUFFIX: Final = ".tmp"
_FORMAT: Final = 1
_CHECKSUM_BYTES: Final = 16
_BYTES_PER_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class SpoolHeader:
    """First line of a spool file, after the rest was found to agree with it."""

    id: str
    rows: int
    checksum: str
    service: str
    process: str
    started_us: int
    ended_us: int


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
        self._paths = StorePaths(root)
        self._max_bytes = int(max_mb * _BYTES_PER_MB)
        self._paths.create()

    def write(self, snapshot: Snapshot) -> None:
        """
        Keeps one snapshot, whole or not at all.

        Raises:
            StoreError: If it could not be written; nothing of it is left behind.
        """
        content = _file_content(snapshot)
        name = _file_name(snapshot)
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


def waiting_files(paths: StorePaths) -> list[Path]:
    """
    The files that wait to be folded, oldest first.

    Raises:
        StoreError: If the directory cannot be read; one that is absent holds no files.
    """
    try:
        with os.scandir(paths.spool) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.name.endswith(SUFFIX))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"spool {str(paths.spool)!r} could not be read: {error.strerror or error}") from error


def read_spool_file(path: Path) -> tuple[SpoolHeader, bytes]:
    """
    The header and the content of a spool file, once the number of its lines and their checksum agree.

    Raises:
        FileNotFoundError: If there is no such file.
        StoreError: If it cannot be read, or is not a whole spool file of a known format.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"not readable: {error.strerror or error}") from error
    first, _, rest = content.partition(b"\n")
    header, file_format = _parsed_header(first)
    if file_format != _FORMAT:
        raise StoreError(f"format must be {_FORMAT}; got {file_format!r}; a newer querygauge wrote it")
    if (count := rest.count(b"\n")) != header.rows:
        raise StoreError(f"must have {header.rows} rows; got {count}")
    if (checksum := _checksum(rest)) != header.checksum:
        raise StoreError(f"checksum must be {header.checksum}; got {checksum}")
    if content.count(b"\n{") != header.rows:
        raise StoreError("every row must be an object; got something else")
    return header, content


def _parsed_header(first: bytes) -> tuple[SpoolHeader, Any]:
    try:
        values = json.loads(first)["header"]
        header = SpoolHeader(
            id=str(values["id"]),
            rows=int(values["rows"]),
            checksum=str(values["checksum"]),
            service=str(values["service"]),
            process=str(values["process"]),
            started_us=int(values["started_us"]),
            ended_us=int(values["ended_us"]),
        )
        return header, values["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"must begin with a header; got {first[:60]!r}") from error


def _file_name(snapshot: Snapshot) -> str:
    """A name that sorts by time and that no other process, machine or moment shares."""
    host = re.sub(r"[^A-Za-z0-9.]+", "_", socket.gethostname())[:64]
    # Containers share host names and process numbers, so these two alone do not make a name unique.
    return f"{microseconds_of(snapshot.ended):017d}-{host}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"


def _file_content(snapshot: Snapshot) -> bytes:
    lines = [line(row) for row in rows(snapshot)]
    rest = b"".join(lines)
    header = {
        "format": _FORMAT,
        "id": secrets.token_hex(8),
        "rows": len(lines),
        "checksum": _checksum(rest),
        "service": snapshot.service,
        "process": snapshot.process,
        "started_us": microseconds_of(snapshot.started),
        "ended_us": microseconds_of(snapshot.ended),
        "self_metrics": asdict(snapshot.self_metrics),
        "slow_threshold_ms": snapshot.slow_threshold_ms,
        "usage": asdict(snapshot.usage),
        "flush_interval_s": snapshot.flush_interval_s,
    }
    return line({"header": header}) + rest


def _checksum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES).hexdigest()
