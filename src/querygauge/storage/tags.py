"""
Under which tags a pattern was executed: in go a store, patterns and a moment, out come tags.

Deliberately not here: what tags are good for.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from querygauge.clock import microseconds_of
from querygauge.errors import StoreError
from querygauge.storage.asking import asked
from querygauge.storage.database import DatabaseError, first_line, open_database
from querygauge.storage.paths import StorePaths

__all__ = ["read_tags"]

_TIMEOUT_S: Final = 10.0
_TAGS: Final = """
SELECT DISTINCT service, pattern_id, entry.key AS key, entry.value AS value
FROM (
    SELECT service, pattern_id, unnest(map_entries(tags)) AS entry
    FROM store.query_stats
    WHERE "minute" >= date_trunc('minute', make_timestamp($since)) AND pattern_id IN (SELECT unnest($pattern_ids))
)
ORDER BY ALL
"""


def read_tags(paths: StorePaths, pattern_ids: Iterable[str], since: datetime) -> Mapping[tuple[str, str], list[str]]:
    """
    By service and pattern the tags of the scopes in which it was executed, as `key=value`, in their order.

    Args:
        paths: The store.
        pattern_ids: Ids of patterns.
        since: From when on; UTC.

    Raises:
        StoreError: If it cannot be read.
    """
    try:
        with open_database(paths, read_only=True, timeout_s=_TIMEOUT_S) as connection:
            rows = asked(connection, _TAGS, {"since": microseconds_of(since), "pattern_ids": list(pattern_ids)})
    except DatabaseError as error:
        raise StoreError(f"store {paths.database_name!r} could not be read: {first_line(error)}") from None
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        found.setdefault((row["service"], row["pattern_id"]), []).append(f"{row['key']}={row['value']}")
    return found
