"""Prometheus and a store of many machines: each machine tells of its own processes."""

from collections.abc import Mapping
from datetime import UTC, datetime

from lake.conftest import Machine
from querygauge.collector import tick
from querygauge.export.prometheus_reading import TotalsReader
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from storage.making import snapshot


def _flush(paths: StorePaths, executions: int) -> None:
    SpoolSink(paths.root, 100).write(snapshot(executions, process=f"{paths.root.name}:1", ended=datetime.now(UTC)))


def _served(reader: TotalsReader) -> dict[str, Mapping[tuple[str, ...], object]]:
    return {series.family.name: series.values for series in reader.series()}


def test_each_machine_tells_of_its_own(machine: Machine) -> None:
    """Before and after a tick; what only the store knows is that of the lake."""
    readers = {name: TotalsReader(machine(name)) for name in ("web-1", "web-2")}
    for executions, name in enumerate(readers, start=3):
        _flush(machine(name), executions)
        tick(machine(name).root, Limits(), remote=machine(name).remote, sends=False)
        _flush(machine(name), 10)
    found = {name: _served(reader) for name, reader in readers.items()}
    key = ("shop", "main", "SELECT", "ok")
    assert [each["querygauge_queries_total"][key] for each in found.values()] == [13, 14]
    for each in found.values():
        assert each["querygauge_folds_total"] == {("ok",): 1}
        sizes = {labels[1]: size for labels, size in each["querygauge_store_size_bytes"].items()}
        assert isinstance(sizes["database"], float)
        assert sizes["database"] > 0
