"""Spool files as values."""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from querygauge.errors import StoreError
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import checksum_of, waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.storage.spool_values import read_snapshot
from querygauge.values import Holder, PoolMetrics, PoolSnapshot, PoolWindow, ProcessUsage, Snapshot
from storage.making import NOON, snapshot, snapshots


@settings(max_examples=100, deadline=None)
@given(snapshots())
def test_a_file_holds_the_snapshot_that_was_written(written: Snapshot) -> None:
    """What is read equals what was written, in every value of it."""
    with TemporaryDirectory() as directory:
        paths = StorePaths(Path(directory))
        SpoolSink(paths.root, 100).write(written)
        (path,) = waiting_files(paths)
        assert read_snapshot(path) == written


def test_what_no_table_has_is_in_the_file(paths: StorePaths) -> None:
    """As whoever exports it reads files."""
    state = PoolSnapshot(NOON, 5, 0, 0, 0, 0, 5, 0.0)
    window = PoolWindow("main", state, PoolMetrics(total_errors=2, errors_by_type={"OSError": 2}))
    written = replace(
        snapshot(),
        pools=(window,),
        instance="0a1b2c3d.7",
        hook_errors={"statement": 1},
        pattern_cache={"miss": 3, "evicted": 1},
        compiled_cache={"main": {"miss": 2, "uncached": 0}},
    )
    SpoolSink(paths.root, 100).write(written)
    (path,) = waiting_files(paths)
    assert read_snapshot(path) == written


@pytest.mark.parametrize(
    ("kind", "member", "value"),
    [
        ("query", "ok", 4),
        ("query", "ok", -3),
        ("query", "pattern_id", "unknown"),
        ("query", "durations", {"count": 3, "total_ns": 1, "min_ns": 1, "max_ns": 1, "k": [1], "n": [2]}),
        ("query", "durations", {"count": 3, "total_ns": 1, "min_ns": 1, "max_ns": 1, "k": [1, 2], "n": [3]}),
        ("query", "first_us", None),
        ("query", "phases", []),
    ],
)
def test_numbers_that_contradict_each_other_are_an_error(
    paths: StorePaths, kind: str, member: str, value: object
) -> None:
    """A file is used as a whole or not at all, and whoever adds it up is told why not."""
    SpoolSink(paths.root, 100).write(snapshot())
    (path,) = waiting_files(paths)
    header, *rows = (json.loads(line) for line in path.read_text().splitlines())
    for row in rows:
        if kind in row:
            row[kind][member] = value
    rest = "".join(json.dumps(row) + "\n" for row in rows).encode()
    header["header"]["checksum"] = checksum_of(rest)
    path.write_bytes(json.dumps(header).encode() + b"\n" + rest)
    with pytest.raises(StoreError, match="every row must be one of a snapshot"):
        read_snapshot(path)


def test_what_a_later_version_adds_is_left_out(paths: StorePaths) -> None:
    """As a fold does: an application may be newer than the collector beside it."""
    state = PoolSnapshot(NOON, 5, 1, 0, 0, 0, 5, 0.0, (Holder(2.0),))
    written = replace(
        snapshot(), pools=(PoolWindow("main", state, PoolMetrics(), (), (Holder(3.0),)),), usage=ProcessUsage(1, 2, 0.5)
    )
    SpoolSink(paths.root, 100).write(written)
    (path,) = waiting_files(paths)
    header, *rows = (json.loads(line) for line in path.read_text().splitlines())
    header["header"]["usage"]["invented_later"] = 1
    for row in rows:
        for name in ("holders", "timeout_holders") if "pool" in row else ():
            row["pool"][name] = json.dumps([{**each, "invented_later": 1} for each in json.loads(row["pool"][name])])
    rest = "".join(json.dumps(row) + "\n" for row in rows).encode()
    header["header"]["checksum"] = checksum_of(rest)
    path.write_bytes(json.dumps(header).encode() + b"\n" + rest)
    assert read_snapshot(path) == written


def test_what_an_older_version_wrote_is_read(paths: StorePaths) -> None:
    """A header without what was added to it later, or with what a later version adds to our own metrics, is enough."""
    written = replace(snapshot(), flush_interval_s=None)
    SpoolSink(paths.root, 100).write(written)
    (path,) = waiting_files(paths)
    first, _, rest = path.read_bytes().partition(b"\n")
    header = json.loads(first)
    for name in ("slow_threshold_ms", "usage", "flush_interval_s"):
        del header["header"][name]
    header["header"]["self_metrics"] = {"hook_errors": 0, "invented_later": 1}
    path.write_bytes(json.dumps(header).encode() + b"\n" + rest)
    assert read_snapshot(path) == written
