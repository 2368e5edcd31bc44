"""What goes into the spool comes out of the store."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from querygauge.storage.folding import fold
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from querygauge.storage.store import Store
from querygauge.values import (
    PoolMetrics,
    ProcessRunning,
    ProcessWindow,
    QueryErrors,
    QueryStats,
    Repetition,
    ScopeStats,
    SlowQuery,
    Snapshot,
    by_pattern,
)
from storage.making import snapshots

# A store is made anew for each example, which takes a tenth of a second; shrinking a failure would take minutes.
_few = settings(max_examples=15, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))


@_few
@given(snapshots())
def test_a_snapshot_comes_back_as_it_was(snapshot: Snapshot) -> None:
    """Spooled, folded and read, every value of a snapshot equals the original."""
    with TemporaryDirectory() as directory:
        store = _stored([[snapshot]], Path(directory))
        assert _by_key(store.query_stats()) == _by_key(by_pattern(snapshot.queries))
        for name in {stats.scope for stats in snapshot.queries} - {None}:
            of_scope = by_pattern(stats for stats in snapshot.queries if stats.scope == name)
            assert _by_key(store.query_stats(scope=name)) == _by_key(of_scope)
        assert _by_label(store.scopes()) == _by_label(snapshot.scopes)
        assert _sorted(store.slow_queries()) == _sorted(slow for slow in snapshot.slow_queries if slow.is_slow)
        assert _sorted(store.query_errors()) == _sorted(snapshot.errors)
        assert _sorted(store.repetitions()) == _sorted(snapshot.repetitions)
        assert {window.pool: window for window in store.pools()} == {window.pool: window for window in snapshot.pools}
        (process,) = store.processes()
        assert (process.first_at, process.last_at) == (snapshot.started, snapshot.ended)
        assert process.self_metrics == snapshot.self_metrics
        assert store.process_windows() == [
            ProcessWindow("shop", "web:1", snapshot.started, snapshot.ended, *asdict(snapshot.usage).values())
        ]
        states = tuple(state for state in snapshot.running if state.count)
        running = [ProcessRunning("shop", "web:1", snapshot.ended, states)] if states else []
        assert store.running(snapshot.ended) == running


@_few
@given(st.lists(snapshots(), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_batches_and_order_do_not_matter(given_snapshots: list[Snapshot], random: Random) -> None:
    """However snapshots are spread over folds, and in whatever order, the store's totals are those of merging them."""
    shuffled = random.sample(given_snapshots, len(given_snapshots))
    cut = random.randint(0, len(shuffled))
    with TemporaryDirectory() as directory:
        store = _stored([shuffled[:cut], shuffled[cut:]], Path(directory))
        assert _by_key(store.query_stats()) == _merged_queries(given_snapshots)
        assert {window.pool: window.metrics for window in store.pools()} == _merged_pools(given_snapshots)
        slow_queries = [slow for snapshot in given_snapshots for slow in snapshot.slow_queries if slow.is_slow]
        assert _sorted(store.slow_queries()) == _sorted(slow_queries)
        failed = sum(errors.count for snapshot in given_snapshots for errors in snapshot.errors)
        assert sum(errors.count for errors in store.query_errors()) == failed


def _stored(batches: Iterable[Iterable[Snapshot]], root: Path) -> Store:
    """A store into which each batch was written, and folded before the next."""
    sink = SpoolSink(root, max_mb=100)
    for batch in batches:
        for snapshot in batch:
            sink.write(snapshot)
        fold(StorePaths(root))
    return open_store(root)


def _sorted(values: Iterable[SlowQuery | Repetition | QueryErrors]) -> list[str]:
    return sorted(json.dumps(asdict(value), sort_keys=True, default=str) for value in values)


def _by_key(found: Iterable[QueryStats]) -> dict[tuple[str, str], QueryStats]:
    return {(stats.pattern_id, stats.target): stats for stats in found}


def _by_label(found: Iterable[ScopeStats]) -> dict[object, ScopeStats]:
    return {(stats.scope, tuple(stats.tags.items())): stats for stats in found}


def _merged_queries(merging: Iterable[Snapshot]) -> dict[tuple[str, str], QueryStats]:
    merged: dict[tuple[str, str], QueryStats] = {}
    for snapshot in merging:
        for key, stats in _by_key(by_pattern(snapshot.queries)).items():
            merged[key] = merged[key].merged(stats) if key in merged else stats
    return merged


def _merged_pools(merging: Iterable[Snapshot]) -> dict[str, PoolMetrics]:
    merged: dict[str, PoolMetrics] = {}
    for snapshot in merging:
        for window in snapshot.pools:
            merged[window.pool] = merged.get(window.pool, PoolMetrics()).merged(window.metrics)
    return merged
