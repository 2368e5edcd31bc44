"""Sets of words, written as text: in goes a line of words, out comes the set."""

__all__ = ["words"]


def words(text: str) -> frozenset[str]:
    """The words of `text`, which white space parts."""
    return frozenset(text.split())
