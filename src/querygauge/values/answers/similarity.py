"""Which patterns are like one: the same query with other columns or filters."""

from dataclasses import dataclass

from querygauge.values.base import Value
from querygauge.values.queries import Pattern

__all__ = ["SimilarPattern", "SimilarPatterns"]


@dataclass(frozen=True, slots=True)
class SimilarPattern(Value):
    """
    A pattern that has words in common with another.

    Attributes:
        pattern: The pattern.
        similarity: Share of their words that both have, from 0 to 1; a word that few patterns have counts more.
        adds: Words that only this one has.
        lacks: Words that only the other one has.
    """

    pattern: Pattern
    similarity: float
    adds: tuple[str, ...]
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SimilarPatterns(Value):
    """
    A pattern, and those like it.

    Attributes:
        pattern: The pattern.
        similar: The most similar first.
    """

    pattern: Pattern
    similar: tuple[SimilarPattern, ...]
