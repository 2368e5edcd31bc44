"""Whether a store is well."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from querygauge.errors import StoreError
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import OutcomeCounts, Snapshot
from storage.making import snapshot, stats


def test_executions_are_counted_by_how_long_ago_they_were(paths: StorePaths) -> None:
    """Each of hour, day and week has those of the shorter ones, and all of them are in the total."""
    now = datetime.now(UTC)
    for executions, days in [(1, 0), (10, 0.5), (100, 5), (1_000, 40)]:
        _write(paths, snapshot(executions, ended=now - timedelta(days=days)))
    status = open_store(paths).status()
    counts = status.executions
    assert (counts.recent_1h, counts.daily, counts.weekly, counts.total) == (1, 11, 111, 1_111)
    assert (status.status, status.warnings, status.errors) == ("OK", (), ())
    assert status.performance.avg_duration_ms == pytest.approx(2.0)
    assert status.database.size_mb == pytest.approx(paths.database.stat().st_size / 1e6)


def test_the_rate_of_success_leaves_out_what_was_cancelled(paths: StorePaths) -> None:
    """A caller who leaves says nothing about the database."""
    ended = stats(10, at=datetime.now(UTC))
    outcomes = OutcomeCounts(ok=6, error=1, timeout=1, cancelled=2)
    _write(paths, replace(snapshot(ended=ended.last_seen), queries=(replace(ended, outcomes=outcomes),)))
    assert open_store(paths).status().performance.daily_success_rate == pytest.approx(75.0)


def test_an_empty_store_says_so(paths: StorePaths) -> None:
    """It is an error, as whoever asks expects numbers; what cannot be known is None."""
    _write(paths)
    status = open_store(paths).status()
    assert (status.status, status.errors) == ("ERROR", ("no executions recorded yet",))
    assert (status.performance.daily_success_rate, status.performance.avg_duration_ms) == (None, None)
    assert json.loads(json.dumps(status.to_dict()))["executions"]["total"] == 0


def test_a_store_that_is_large_warns_and_then_fails(paths: StorePaths) -> None:
    """The two limits are the caller's."""
    _write(paths, snapshot(ended=datetime.now(UTC)))
    store = open_store(paths)
    assert [store.status(warn_mb=warn, limit_mb=limit).status for warn, limit in [(0, 9e9), (0, 0)]] == [
        "WARNING",
        "ERROR",
    ]
    assert "MB is the limit" in store.status(warn_mb=0, limit_mb=0).errors[0]
    assert store.status(warn_mb=0, limit_mb=0).warnings == ()


def test_silence_and_files_set_aside_are_warnings(paths: StorePaths) -> None:
    """An application that has stopped to report, and a snapshot that was no use, are worth a look."""
    _write(paths, snapshot(ended=datetime.now(UTC) - timedelta(days=2)))
    (paths.spool / "00000000000000001-damaged.ndjson").write_text("no header\n")
    status = open_store(paths).status()
    assert status.status == "WARNING"
    assert status.warnings[0] == "no executions recorded in the last 24 hours"
    assert status.warnings[1].startswith("snapshots that could not be used: 1, in ")


def test_what_cannot_be_folded_is_a_warning(paths: StorePaths) -> None:
    """The numbers are older than they could be."""
    _write(paths, snapshot(ended=datetime.now(UTC)))
    store = open_store(paths)
    SpoolSink(paths.root, 10).write(snapshot(2))
    assert store.status().warnings[0].startswith("snapshots that wait to be folded: 1;")


def test_no_store_is_no_status(paths: StorePaths) -> None:
    """There is nothing to be well."""
    with pytest.raises(StoreError, match="does not exist"):
        open_store(paths)


def _write(paths: StorePaths, *written: Snapshot) -> None:
    sink = SpoolSink(paths.root, 10)
    for each in written:
        sink.write(each)
