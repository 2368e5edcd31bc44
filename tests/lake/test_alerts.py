"""What is wrong in a lake: every machine looks, and somebody is told once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lake.conftest import Machine
from querygauge.collector import tick
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import OutcomeCounts
from storage.making import snapshot, stats

_OBJECTIVE = "[[alerts.objectives]]\nname = 'orders are found'\nservice = 'shop'\nsuccess_percent = 99\n"


def _fail(paths: StorePaths) -> None:
    """Sixty statements failed two minutes ago, which is less than any rule asks for."""
    ended = datetime.now(UTC) - timedelta(minutes=2)
    failed = replace(stats(60, at=ended), outcomes=OutcomeCounts(error=60))
    SpoolSink(paths.root, 10).write(replace(snapshot(service="shop", ended=ended), queries=(failed,)))


def test_one_machine_tells_what_all_of_them_saw(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers are those of all machines, the memory is in the lake, and so is a silence."""
    (tmp_path / "querygauge.toml").write_text(_OBJECTIVE)
    monkeypatch.chdir(tmp_path)
    web, jobs = machine("web"), machine("jobs")
    _fail(web)
    assert tick(web.root, remote=web.remote).told == ()
    _fail(jobs)
    with capture_logs() as logs:
        (alert,) = tick(jobs.root, remote=jobs.remote).told
        assert tick(web.root, remote=web.remote).told == ()
        assert tick(jobs.root, remote=jobs.remote).told == ()
    assert (alert.finding.rule, alert.finding.objective) == ("burn_rate", "orders are found")
    assert "100.0 % of 120 statements" in alert.finding.sentence
    assert [log["rule"] for log in logs if log["event"] == "alert"] == ["burn_rate"]
    for paths in (web, jobs):
        assert [each.id for each in open_store(paths).alerts().alerts] == [alert.id]
    silenced = open_store(web).silence(datetime.now(UTC) + timedelta(hours=1), rule="burn_rate")
    assert [each.id for each in open_store(jobs).alerts().silences] == [silenced.id]
