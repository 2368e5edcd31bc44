"""
Which patterns are like one: in goes the beginning of its id, out come those that share its words.

A word weighs as much as it is rare: that two queries name the same column says more than that both say SELECT.
"""

from typing import Final

from querygauge.storage.answers.pattern import one_pattern
from querygauge.storage.asking import asked
from querygauge.storage.database import Connection
from querygauge.storage.rows import pattern_of
from querygauge.values.answers.similarity import SimilarPattern, SimilarPatterns

__all__ = ["similar_patterns"]

# What parts words beside blanks. `string_split` and `replace` take a quarter of the time of a regular expression.
_PARTING: Final = ',()."`[]'
_COMMON_WEIGHT: Final = 0.1  # of a word that every pattern has


def _split(text: str) -> str:
    """SQL that splits the text of a pattern as `_words_of` does."""
    for character in _PARTING:
        text = f"replace({text}, '{character}', ' ')"
    return f"string_split(lower({text}), ' ')"


_SIMILAR: Final = f"""
WITH words AS (
    SELECT rowid AS n, pattern_id = $id AS is_wanted, unnest({_split("text")}) AS word FROM store.patterns
),
-- By their hashes, 64 bits, words are counted in a tenth less of the time that all of it takes.
tokens AS MATERIALIZED (
    SELECT DISTINCT n, is_wanted, hash(word) AS word FROM words WHERE word <> ''
),
weights AS (
    SELECT
        word, ln((SELECT count(*) FROM store.patterns) / count(*)) + {_COMMON_WEIGHT} AS weight,
        bool_or(is_wanted) AS is_shared
    FROM tokens
    GROUP BY word
),
scored AS (
    SELECT
        n, any_value(is_wanted) AS is_wanted, sum(weight) AS total, sum(weight) FILTER (is_shared) AS shared
    FROM tokens JOIN weights USING (word)
    GROUP BY n
),
best AS (
    SELECT n, shared / (total + (SELECT total FROM scored WHERE is_wanted) - shared) AS similarity
    FROM scored
    WHERE NOT is_wanted AND shared > 0
)
SELECT p.*, similarity
FROM best JOIN store.patterns AS p ON p.rowid = n
ORDER BY similarity DESC, pattern_id
LIMIT $limit
"""  # noqa: S608  # built of constants


def similar_patterns(connection: Connection, prefix: str, limit: int) -> SimilarPatterns:
    """
    Those that have words in common with the one pattern whose id begins with `prefix`, the most similar first.

    Raises:
        StoreError: If no pattern's id begins so, or several do; the message names them.
    """
    pattern = pattern_of(one_pattern(connection, prefix))
    words = _words_of(pattern.text)
    similar = []
    for row in asked(connection, _SIMILAR, {"id": pattern.id, "limit": limit}):
        found = pattern_of(row)
        others = _words_of(found.text)
        adds, lacks = (tuple(word for word in a if word not in b) for a, b in ((others, words), (words, others)))
        similar.append(SimilarPattern(found, row["similarity"], adds, lacks))
    return SimilarPatterns(pattern, tuple(similar))


def _words_of(text: str) -> dict[str, None]:
    """The words of a text, each once, in their order."""
    blanks = str.maketrans(dict.fromkeys(_PARTING, " "))
    return dict.fromkeys(text.translate(blanks).lower().split())
