"""
The files of a spool as they are read: in goes a store's directory, out come the files that wait, and what each holds.

One file is newline-delimited JSON. Its first line is the header: format, id, number of the lines that follow and
their checksum, whose numbers they are and which span they cover. Every further line is an object with one member,
named for its kind: `pattern`, `query`, `scope`, `slow`, `pool`, `repetition` or `running`. Times are microseconds since
1970-01-01 UTC.

Deliberately not here: writing them (`spool_sink`), which takes the values that they are made of; a fold needs none.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from querygauge.errors import StoreError
from querygauge.storage.paths import StorePaths

__all__ = ["FORMAT", "SUFFIX", "TEMPORARY_SUFFIX", "SpoolHeader", "checksum_of", "read_spool_file", "waiting_files"]

FORMAT: Final = 1
SUFFIX: Final = ".ndjson"
TEMPORARY_SUFFIX: Final = ".tmp"
_CHECKSUM_BYTES: Final = 16


class SpoolHeader(NamedTuple):
    """First line of a spool file, after the rest was found to agree with it."""

    id: str
    rows: int
    checksum: str
    service: str
    process: str
    started_us: int
    ended_us: int


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
    if file_format != FORMAT:
        raise StoreError(f"format must be {FORMAT}; got {file_format!r}; a newer querygauge wrote it")
    if (count := rest.count(b"\n")) != header.rows:
        raise StoreError(f"must have {header.rows} rows; got {count}")
    if (checksum := checksum_of(rest)) != header.checksum:
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


def checksum_of(content: bytes) -> str:
    """The checksum of everything after the header."""
    return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES).hexdigest()
