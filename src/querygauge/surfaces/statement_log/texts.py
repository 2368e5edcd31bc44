"""
A file, a compressed file or standard input as blocks of text, in bounded memory.

Comes in: a name; goes out: text in blocks of about a megabyte, or piece by piece in lines. Deliberately not here: what
the text says. Bytes that are no text are replaced by a sign, since logs hold what anybody ever sent.
"""

import codecs
import io
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from gzip import GzipFile
from io import BufferedReader
from os import fstat
from pathlib import Path
from stat import S_ISREG
from typing import Final, cast

from querygauge.errors import SettingsError

__all__ = ["STDIN", "Text", "lines_of", "open_text", "pieces_of"]

STDIN: Final = "-"

_BLOCK_BYTES: Final = 1024 * 1024
# Longer than what is read of a statement, so that a cut line loses nothing that counts.
_LONGEST_LINE: Final = 256 * 1024
_GZIP: Final = b"\x1f\x8b"
_ENCODINGS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Text:
    """
    One text that is open for reading, once.

    Attributes:
        name: As people see it.
        size: Bytes of the file; None where there is no end in sight.
        head: The beginning, which `blocks()` gives again.
    """

    def __init__(self, name: str, raw: BufferedReader, plain: BufferedReader | GzipFile, size: int | None) -> None:
        self.name = name
        self.size = size
        self._raw = raw
        self._plain = plain
        first = self._read()
        self._decoder = _decoder(first)
        self.head = self._decoder.decode(first)
        if "\0" in self.head:
            raise SettingsError(f"{name!r} must be text, gzipped or not; it holds binary data")

    def position(self) -> int:
        """Bytes of the file that were read so far, as they stand on the disk; only where there is a size."""
        return self._raw.tell()

    def blocks(self) -> Iterator[str]:
        """
        The whole text.

        Raises:
            SettingsError: If it cannot be read to its end.
        """
        yield self.head
        while data := self._read():
            yield self._decoder.decode(data)
        yield self._decoder.decode(b"", final=True)

    def _read(self) -> bytes:
        try:
            return self._plain.read1(_BLOCK_BYTES)
        except (EOFError, zlib.error, OSError) as error:
            raise _unreadable(self.name, error) from error


def open_text(name: str, stack: ExitStack) -> Text:
    """
    Opens a file for as long as `stack` lives; `-` is standard input.

    Raises:
        SettingsError: If it is missing, unreadable or binary.
    """
    try:
        raw = _opened(name, stack)
        mode = fstat(raw.fileno())
    except OSError as error:
        raise _unreadable(name, error) from error
    is_compressed = raw.peek(len(_GZIP)).startswith(_GZIP)
    plain = stack.enter_context(GzipFile(fileobj=raw)) if is_compressed else raw
    is_file = S_ISREG(mode.st_mode) and name != STDIN
    return Text("standard input" if name == STDIN else name, raw, plain, mode.st_size if is_file else None)


def pieces_of(blocks: Iterable[str]) -> Iterator[str]:
    """Lines with their ends; one that is very long comes in pieces, of which only the last has an end."""
    rest = ""
    for block in blocks:
        text = rest + block
        end = text.rfind("\n") + 1
        # Its iterator breaks at line feeds alone; str.splitlines() would at characters that literals may hold.
        yield from io.StringIO(text[:end], newline="\n")
        rest = text[end:]
        if len(rest) > _LONGEST_LINE:
            yield rest
            rest = ""
    if rest:
        yield rest


def lines_of(blocks: Iterable[str]) -> Iterator[str]:
    """Lines without their ends; of one that is very long, the beginning."""
    is_rest = False
    for piece in pieces_of(blocks):
        if not is_rest:
            yield piece.rstrip("\r\n")
        is_rest = piece[-1] != "\n"


def _opened(name: str, stack: ExitStack) -> BufferedReader:
    if name == STDIN:
        return cast("BufferedReader", sys.stdin.buffer)
    return stack.enter_context(Path(name).open("rb"))


def _decoder(first: bytes) -> codecs.IncrementalDecoder:
    encoding = next((name for mark, name in _ENCODINGS if first.startswith(mark)), "utf-8")
    return codecs.getincrementaldecoder(encoding)("replace")


def _unreadable(name: str, error: Exception) -> SettingsError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return SettingsError(f"{name!r} cannot be read: {reason}")
