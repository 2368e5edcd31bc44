"""The report of a store says which slow threshold was in force, where there was but one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from querygauge.storage.spool_sink import SpoolSink
from querygauge.surfaces.stored import read_report
from querygauge.values import Snapshot


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [([250.0], 250.0), ([250.0, 250.0], 250.0), ([250.0, 500.0], None), ([250.0, None], None)],
)
def test_the_threshold(tmp_path: Path, thresholds: list[float | None], said: float | None) -> None:
    """Of every process that reported within the span."""
    now = datetime.now(UTC)
    sink = SpoolSink(tmp_path / "store", max_mb=1.0)
    for number, threshold in enumerate(thresholds):
        sink.write(Snapshot("shop", f"host:{number}", now - timedelta(seconds=9), now, slow_threshold_ms=threshold))
    assert read_report(tmp_path / "store", "1h", None).threshold_ms == said
