"""A tick that is killed at any of its steps makes no counter fall, and counts nothing twice."""

import random
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from querygauge.export.prometheus_reading import TotalsReader
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from storage.making import snapshot
from storage.recovering import copied
from storage.test_killed_steps import IS_FULL, nursery, ticked

__all__ = ["nursery"]

_TRIALS = 6


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    """A store."""
    return StorePaths(tmp_path / "store")


def _counts(paths: StorePaths) -> dict[tuple[str, ...], float]:
    """Every counter and every part of a histogram, by family and labels."""
    found: dict[tuple[str, ...], float] = {}
    for series in TotalsReader(paths).series():
        for labels, value in series.values.items() if series.family.kind != "gauge" else ():
            parts = value if isinstance(value, list) else [value]
            found |= {(series.family.name, *labels, str(place)): part for place, part in enumerate(parts)}
    return found


@pytest.mark.timeout(3_600 if IS_FULL else 180)
@pytest.mark.parametrize("is_new", [True, False], ids=["first", "later"])
def test_killed_at_each_step(is_new: bool, paths: StorePaths, tmp_path: Path, nursery: "subprocess.Popen[str]") -> None:
    """Whoever is asked after it, and after the tick that follows."""
    TotalsReader(paths)
    sink, now = SpoolSink(paths.root, 10), datetime.now(UTC)
    executed = 0
    for minute in range(3):
        if minute == 1 and not is_new:
            assert ticked(nursery, paths.root)[0] == 0
        sink.write(snapshot(minute + 3, number=minute, ended=now + timedelta(seconds=minute)))
        executed += minute + 3
    before = _counts(paths)
    sent = ("querygauge_queries_total", "shop", "main", "SELECT", "ok", "0")
    assert before[sent] == executed
    template = paths.root.rename(tmp_path / "template")
    with copied(template, paths):
        status, (steps, lasting) = ticked(nursery, paths.root)
        assert status == 0
    moments = [half / 2 for half in range(2, 2 * steps + 2)]
    chosen = (
        moments if IS_FULL else random.sample(moments, _TRIALS) + random.sample(lasting, min(_TRIALS, len(lasting)))
    )
    kills = 0
    for last in chosen:
        with copied(template, paths):
            status, _ = ticked(nursery, paths.root, last)
            kills += status == -signal.SIGKILL
            killed = _counts(paths)
            assert ticked(nursery, paths.root)[0] == 0
            after = _counts(paths)
            for earlier, later in ((before, killed), (killed, after)):
                assert {key: value for key, value in earlier.items() if later.get(key, 0.0) < value} == {}, last
            assert (killed[sent], after[sent]) == (executed, executed), last
            of_patterns = sum(value for key, value in after.items() if key[0] == "querygauge_pattern_queries_total")
            assert of_patterns == executed, last
    print(f"{steps} steps, {kills} of {len(chosen)} ticks killed")
    assert kills > len(chosen) / 3
