"""Texts in blocks and lines, whatever their size and bytes."""

import io
from contextlib import ExitStack
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from querygauge.surfaces.statement_log.texts import lines_of, open_text, pieces_of


@given(st.text(), st.integers(min_value=1, max_value=9))
def test_the_pieces_of_a_text_are_the_text(text: str, size: int) -> None:
    """Nothing is lost and nothing is added, and only line feeds end lines."""
    blocks = [text[start : start + size] for start in range(0, len(text), size)]
    pieces = list(pieces_of(blocks))
    assert "".join(pieces) == text
    assert pieces == list(io.StringIO(text, newline="\n"))


def test_of_a_very_long_line_the_beginning_stays() -> None:
    """A line of megabytes takes no more memory than a statement needs, and the next one is whole."""
    lines = list(lines_of(["x" * 300_000] * 9 + ["\nshort\r\n"]))
    assert [len(line) for line in lines] == [300_000, 5]


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    """Logs hold what anybody sent, in any encoding."""
    path = tmp_path / "log"
    path.write_bytes(b"SELECT '\xff\xfe\xe4'\n" + "SELECT 'ä'".encode())
    with ExitStack() as stack:
        text = open_text(str(path), stack)
        assert "".join(text.blocks()) == "SELECT '\ufffd\ufffd\ufffd'\nSELECT 'ä'"
        assert text.position() == text.size


def test_a_character_may_lie_across_two_blocks(tmp_path: Path) -> None:
    """A text of many blocks is what it was."""
    path = tmp_path / "log"
    path.write_text("äöü\n" * 500_000, encoding="utf-8")
    with ExitStack() as stack:
        assert "".join(open_text(str(path), stack).blocks()) == path.read_text(encoding="utf-8")
