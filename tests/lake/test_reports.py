"""Reports of a lake: of all machines together, and once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lake.conftest import Machine
from querygauge.collector import tick
from querygauge.storage.folding import fold
from querygauge.storage.report_times import keep_reports, reported_until
from querygauge.storage.spool_sink import SpoolSink
from storage.making import snapshot


def test_one_machine_tells_what_all_of_them_did(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a collector, and the memory of what was told is in the lake."""
    (tmp_path / "querygauge.toml").write_text(
        '[alerts]\nreport_daily_at = "00:00"\n[alerts.channels.log]\ntype = "log"\nreports = ["daily"]\nrules = []\n'
    )
    monkeypatch.chdir(tmp_path)
    web, jobs = machine("web"), machine("jobs")
    yesterday = datetime.now(UTC).replace(hour=12, minute=0, second=0) - timedelta(days=1)
    for paths, executions in ((web, 3), (jobs, 4)):
        SpoolSink(paths.root, 10).write(snapshot(executions, process=f"{paths.root.name}:1", ended=yesterday))
        fold(paths)
    keep_reports(web, {("log", "daily"): yesterday - timedelta(days=3)}, [])
    with capture_logs() as logs:
        for paths in (jobs, web, jobs):
            tick(paths.root, remote=paths.remote)
    told = [log for log in logs if log["event"] == "performance_report"]
    assert [log["executions"] for log in told] == [7]
    assert reported_until(web) == reported_until(jobs)
