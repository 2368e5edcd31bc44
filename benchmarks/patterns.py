"""
How fast statements become patterns: megabytes a second over a mix, an ORM select on a miss, a hit in the cache.

Run with `python benchmarks/patterns.py`. Times are the best of several rounds, since noise only ever adds.
"""

from collections.abc import Callable
from time import perf_counter_ns
from typing import Final

from querygauge.patterns.cache import PatternCache, pattern_of
from querygauge.patterns.normalizer import normalize

ROUNDS: Final = 7
HIT_CALLS: Final = 200_000

ORM_SELECT: Final = (
    "SELECT users.id AS users_id, users.name AS users_name, users.email AS users_email, users.created_at AS "
    "users_created_at, addresses_1.id AS addresses_1_id, addresses_1.city AS addresses_1_city \nFROM users LEFT OUTER "
    "JOIN addresses AS addresses_1 ON users.id = addresses_1.user_id \nWHERE users.id = %(id_1)s::INTEGER AND "
    "users.name = %(name_1)s::VARCHAR"
)
MIX: Final = [
    ("postgresql", "BEGIN"),
    ("postgresql", "COMMIT"),
    ("postgresql", "ROLLBACK"),
    ("sqlite", "SAVEPOINT sa_savepoint_1"),
    ("sqlite", "RELEASE SAVEPOINT sa_savepoint_1"),
    ("postgresql", "select pg_catalog.version()"),
    ("postgresql", "SET search_path TO shop, public"),
    ("mysql", "SELECT @@session.sql_mode"),
    ("sqlite", 'PRAGMA main.table_info("users")'),
    ("postgresql", ORM_SELECT),
    ("postgresql", ORM_SELECT.replace("%(id_1)s", "$1").replace("%(name_1)s", "$2")),
    ("mysql", ORM_SELECT.replace("%(id_1)s::INTEGER", "%s").replace("%(name_1)s::VARCHAR", "%s")),
    ("sqlite", ORM_SELECT.replace("%(id_1)s::INTEGER", "?").replace("%(name_1)s::VARCHAR", "?")),
    ("postgresql", ORM_SELECT.replace("users.", '"user".')),
    ("mysql", ORM_SELECT.replace("%(id_1)s::INTEGER", "%s").replace("users.", "`user`.").replace("::VARCHAR", "")),
    (
        "postgresql",
        ORM_SELECT + " AND users.deleted_at IS NULL AND users.is_active IS true ORDER BY users.id \n LIMIT $3",
    ),
    ("postgresql", "SELECT count(*) AS count_1 \nFROM (SELECT users.id \nFROM users \nWHERE users.id > $1) AS anon_1"),
    (
        "postgresql",
        "SELECT o.id, o.total FROM orders AS o WHERE o.id IN (" + ", ".join(f"${n}" for n in range(1, 500)) + ")",
    ),
    ("mysql", "SELECT o.id, o.total FROM orders AS o WHERE o.id IN (" + ", ".join(["%s"] * 700) + ")"),
    ("sqlite", "SELECT o.id FROM orders AS o WHERE o.id IN (" + ", ".join(str(n * 37) for n in range(500)) + ")"),
    ("postgresql", "INSERT INTO users (name, email) VALUES (%(name)s::VARCHAR, %(email)s::VARCHAR) RETURNING users.id"),
    (
        "postgresql",
        "INSERT INTO users (name, email) VALUES "
        + ", ".join(f"(%(name__{n})s::VARCHAR, %(email__{n})s::VARCHAR)" for n in range(200)),
    ),
    ("mysql", "INSERT INTO users (name, n, at) VALUES " + ", ".join(f"('name {n}', {n}, now())" for n in range(300))),
    ("sqlite", "INSERT INTO users (name, n) VALUES " + ", ".join(f"('it''s {n}', NULL)" for n in range(400))),
    ("postgresql", "UPDATE users SET name=$1::VARCHAR, updated_at=now() WHERE users.id = $2::INTEGER"),
    ("mysql", "UPDATE `users` SET `name`='ann', `n`=`n`-1 WHERE `id` = 42"),
    ("sqlite", "DELETE FROM sessions WHERE expires_at < '2024-01-01 00:00:00' AND user_id != -1"),
    ("postgresql", "SELECT $$it's$$, E'a\\'b' FROM t -- a comment\nWHERE a = 'x' /* another */ AND b = 1.5e-3"),
    ("mysql", "SELECT \"it's\", 'a\\'b' FROM t # a comment\nWHERE a = 'x' /* another */ AND b = 0xFF"),
    ("postgresql", "WITH recent AS (SELECT id FROM orders WHERE at > now() - interval '1 day') SELECT * FROM recent"),
    ("sqlite", "SELECT " + ", ".join(f"'value {n}' AS c{n}" for n in range(200))),
]


def main() -> None:
    """Prints the three numbers."""
    size = sum(len(statement) for _, statement in MIX)
    mix_ns = _best_ns(lambda: [normalize(statement, dialect) for dialect, statement in MIX], calls=20)
    print(f"mix of {len(MIX)} statements, {size / 1000:.0f} KB: {size / mix_ns * 1000:6.1f} MB/s")

    normalize_ns = _best_ns(lambda: normalize(ORM_SELECT, "postgresql"), calls=2_000)
    miss_ns = _best_ns(lambda: pattern_of(ORM_SELECT, "postgresql"), calls=2_000)
    print(f"ORM select of {len(ORM_SELECT)} B, normalized:      {normalize_ns / 1000:6.1f} µs")
    print(
        f"ORM select of {len(ORM_SELECT)} B, as a miss:       {miss_ns / 1000:6.1f} µs  (with summary, tables and id)"
    )

    cache = PatternCache("postgresql")
    cache.pattern_for(ORM_SELECT)
    print(f"the same as a hit:                    {_hit_ns(cache.pattern_for, ORM_SELECT):6.0f} ns")

    for piece in ("'", '"', "/*", "(", "$a$", "1,", "''", "'a',", "((1),"):
        slowest, dialect = max((_hostile_ns(piece, dialect), dialect) for dialect in ("postgresql", "mysql", "unknown"))
        print(f"1 MB of {piece!r:8} ({dialect:10}):        {slowest / 1e6:6.1f} ms")


def _hostile_ns(piece: str, dialect: str) -> float:
    statement = piece * (1_000_000 // len(piece))
    return _best_ns(lambda: normalize(statement, dialect), calls=1)


def _best_ns(function: Callable[[], object], *, calls: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        started = perf_counter_ns()
        for _ in range(calls):
            function()
        best = min(best, (perf_counter_ns() - started) / calls)
    return best


def _hit_ns(pattern_for: Callable[[str], object], statement: str) -> float:
    """Nanoseconds of one hit, less those of the empty loop."""
    best = bare = float("inf")
    calls = range(HIT_CALLS)
    for _ in range(ROUNDS):
        started = perf_counter_ns()
        for _ in calls:
            pattern_for(statement)
        best = min(best, perf_counter_ns() - started)
        started = perf_counter_ns()
        for _ in calls:
            pass
        bare = min(bare, perf_counter_ns() - started)
    return (best - bare) / HIT_CALLS


if __name__ == "__main__":
    main()
