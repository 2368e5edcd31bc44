"""
What a tick costs where the store is a DuckLake: the whole of it, and how long no other machine can have its turn.

`make bench-lake`; PostgreSQL and the files are on this machine.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from databases.postgres import new_postgres_database, running_postgres
from lake.conftest import connection_string
from querygauge.remote import RemoteStore
from querygauge.storage import election, folding
from querygauge.storage.database import has_turn
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from storage.making import snapshot, stats

_PATTERNS: Final = 200
_UNTOLD: Final = 2  # the first makes the tables


def measure(rounds: int) -> dict[str, float]:
    """Milliseconds, medians."""
    with running_postgres() as server, new_postgres_database(server) as url, TemporaryDirectory() as folder:
        remote = RemoteStore.of(f"ducklake:postgres:{connection_string(url)}", f"{folder}/data")
        paths = StorePaths(Path(folder) / "machine", remote)
        sink, begin = SpoolSink(paths.root, 100), datetime.now(UTC) - timedelta(hours=6)
        whole: list[float] = []
        alone: list[float] = []
        with _watched(alone):
            for number in range(rounds + _UNTOLD):
                ended = begin + timedelta(minutes=number)
                queries = tuple(stats(5, number=each, at=ended) for each in range(_PATTERNS))
                sink.write(replace(snapshot(ended=ended), queries=queries))
                started = time.perf_counter()
                folding.fold(paths)
                whole.append(1e3 * (time.perf_counter() - started))
    return {
        f"fold of {_PATTERNS} patterns": statistics.median(whole[_UNTOLD:]),
        "of it alone with the lake": statistics.median(alone[_UNTOLD:]),
    }


@contextmanager
def _watched(alone: list[float]) -> Iterator[None]:
    """Notes how long each turn takes."""

    @contextmanager
    def timed(paths: StorePaths, remote: RemoteStore, timeout_s: float) -> Iterator[bool]:
        with has_turn(paths, remote, timeout_s) as is_ours:
            started = time.perf_counter()
            yield is_ours
            alone.append(1e3 * (time.perf_counter() - started))

    vars(election)["has_turn"] = timed
    try:
        yield
    finally:
        vars(election)["has_turn"] = has_turn


def main() -> None:
    """Prints a line for each figure, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.rounds)
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        print("\n".join(f"{name:<32} {ms:>8,.0f} ms" for name, ms in found.items()))


if __name__ == "__main__":
    main()
