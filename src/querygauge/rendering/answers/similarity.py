"""Patterns that are like one, as a page and as rows."""

import textwrap
from collections.abc import Iterator
from typing import Any, Final

from querygauge.rendering.charts import share_bar
from querygauge.rendering.formats import percent
from querygauge.rendering.names import named
from querygauge.rendering.tables import visible
from querygauge.values.answers.similarity import SimilarPattern, SimilarPatterns

__all__ = ["SIMILAR_COLUMNS", "render_similar", "similar_rows"]

SIMILAR_COLUMNS: Final = ("pattern_id", "summary", "similarity", "adds", "lacks", "text")
_BAR_WIDTH: Final = 12
_INDENT: Final = 5


def render_similar(answer: SimilarPatterns, *, width: int) -> str:
    """The pattern, and below it each that is like it, with the words by which they differ."""
    heading = ["SIMILAR PATTERNS", f"to {named(answer.pattern.id, visible(answer.pattern.summary))}"]
    if not answer.similar:
        return "\n".join([*heading, "", "no other pattern has a word in common with it"])
    entries = [line for place, entry in enumerate(answer.similar, 1) for line in _entry(place, entry, width)]
    return "\n".join([*heading, *_wrapped(answer.pattern.text, width), "", *entries])


def _entry(place: int, entry: SimilarPattern, width: int) -> Iterator[str]:
    share = f"{share_bar(entry.similarity, _BAR_WIDTH)} {percent(100 * entry.similarity):>7}"
    yield f"{place:>3}  {share}  {named(entry.pattern.id, visible(entry.pattern.summary))}"
    for name, words in (("adds", entry.adds), ("lacks", entry.lacks)):
        if words:
            yield from _wrapped(f"{name:<5} {' '.join(words)}", width, len(name) + 1)


def _wrapped(text: str, width: int, hanging: int = 0) -> list[str]:
    return textwrap.wrap(
        visible(text),
        width,
        initial_indent=" " * _INDENT,
        subsequent_indent=" " * (_INDENT + hanging),
        break_on_hyphens=False,
    )


def similar_rows(answer: SimilarPatterns) -> Iterator[dict[str, Any]]:
    """One per similar pattern."""
    for entry in answer.similar:
        yield {
            "pattern_id": entry.pattern.id,
            "summary": entry.pattern.summary,
            "similarity": entry.similarity,
            "adds": " ".join(entry.adds),
            "lacks": " ".join(entry.lacks),
            "text": entry.pattern.text,
        }
