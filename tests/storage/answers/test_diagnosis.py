"""The doctor finds what is not in order, and only that."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from querygauge.storage.alerting import keep_alerts
from querygauge.storage.answers.diagnosis import other_stores
from querygauge.storage.backup import back_up
from querygauge.storage.database import open_database
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool_sink import SpoolSink
from querygauge.storage.subscribers import failing_path
from querygauge.storage.subscriptions import Subscription
from querygauge.values import SelfMetrics, Snapshot
from querygauge.values.alerts import AlertMessage
from querygauge.values.answers.diagnosis import Diagnosis, Finding
from storage.making import snapshot

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def _filled(paths: StorePaths, *given: Snapshot) -> None:
    sink = SpoolSink(paths.root, 10)
    for each in given or [snapshot(number + 1, ended=NOW - number * DAY, number=number % 3) for number in range(6)]:
        sink.write(each)
    open_store(paths)
    # Yesterday is rolled up some minutes after midnight, also for who tests just then.
    roll_up(paths, max(NOW, NOW.replace(hour=0, minute=30)))


def _change(paths: StorePaths, *statements: str) -> None:
    with open_database(paths, read_only=False, timeout_s=1) as connection:
        for statement in statements:
            connection.execute(statement)


def _found(diagnosis: Diagnosis) -> dict[str, Finding]:
    return {finding.check: finding for finding in diagnosis.findings if finding.severity != "ok"}


def test_a_sound_store_is_sound(paths: StorePaths) -> None:
    """Every check says what it looked at; how it grows is told."""
    _filled(paths)
    diagnosis = open_store(paths).doctor()
    assert diagnosis.status == "OK"
    assert len(diagnosis.findings) == 15
    assert diagnosis.growth is not None
    assert diagnosis.growth.size_mb == pytest.approx(paths.database.stat().st_size / 1e6)
    assert diagnosis.growth.mb_per_day is not None
    assert diagnosis.growth.days_until_limit == pytest.approx(
        (1_000 - diagnosis.growth.size_mb) / diagnosis.growth.mb_per_day
    )
    assert json.loads(json.dumps(diagnosis.to_dict()))["status"] == "OK"


@pytest.mark.parametrize(
    ("statement", "check", "message"),
    [
        ("UPDATE query_stats SET ok = ok + 1", "counts and buckets", "query_stats 6"),
        ("UPDATE query_stats_daily SET bucket_n = [7]", "counts and buckets", "query_stats_daily 5"),
        ("DELETE FROM patterns WHERE pattern_id LIKE '%1'", "patterns", "query_stats"),
        ("INSERT INTO query_stats FROM query_stats LIMIT 2", "duplicates", "query_stats 2"),
        ("DELETE FROM query_stats_hourly", "hours and days", "5 hours from"),
        ("UPDATE query_stats_daily SET executions = 1, ok = 1, bucket_n = [1]", "hours and days", "5 days from"),
        ("UPDATE processes SET ahead_s = 7200", "clocks", "by up to 7,200 s: shop web:1"),
        ("UPDATE processes SET snapshots_dropped = 3", "losses", "snapshots not kept 3"),
        ("INSERT INTO pending_rollups VALUES ('hour', '2026-01-01')", "collector", "1 hour or day since 2026-01-01"),
        ("UPDATE processes SET last_at = '2026-01-01'", "data", "the last snapshot is of 2026-01-01"),
    ],
)
def test_what_is_not_in_order_is_named(paths: StorePaths, statement: str, check: str, message: str) -> None:
    """With how much of it there is."""
    _filled(paths)
    _change(paths, statement)
    found = _found(open_store(paths).doctor())
    assert message in found[check].message


def test_why_there_is_no_data(paths: StorePaths) -> None:
    """No process, or one that saw no statement."""
    SpoolSink(paths.root, 10)
    found = _found(open_store(paths).doctor())
    assert found["data"].message == "no process has flushed into this store"
    quiet = replace(snapshot(ended=NOW), queries=())
    _filled(paths, quiet)
    assert "flushes, and saw no statement" in _found(open_store(paths).doctor())["data"].message


@pytest.mark.parametrize("read_only", [False, True])
def test_who_holds_it_is_named(paths: StorePaths, read_only: bool) -> None:
    """By the number of the process and its program; what waits is told. A reader keeps out only whoever folds."""
    _filled(paths)
    holding = (
        "import sys, duckdb; connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'True'); "
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(paths.database), str(read_only)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        SpoolSink(paths.root, 10).write(snapshot(ended=NOW))
        diagnosis = open_store(paths, timeout_s=0.2).doctor()
        assert process.stdin is not None
        process.stdin.close()
    assert diagnosis.status == "ERROR"
    assert f"is held open by process {process.pid}, " in diagnosis.findings[0].message
    assert "1 snapshot waits to be folded" in {finding.message for finding in diagnosis.findings[1:]} or read_only


def test_a_database_that_is_damaged_is_a_finding(paths: StorePaths) -> None:
    """And a backup is the remedy."""
    _filled(paths)
    paths.database.write_bytes(b"x" * 10_000)
    (finding, *_) = open_store(paths).doctor().findings
    assert finding.severity == "error"
    assert "must be a DuckDB database" in finding.message
    assert finding.remedy == "restore a backup: querygauge store restore BACKUP --replace"


def test_size_gaps_files_and_backups(paths: StorePaths) -> None:
    """Limits are the caller's; silence is told and is no warning."""
    _filled(paths, snapshot(ended=NOW), snapshot(ended=NOW - timedelta(hours=2)))
    (paths.rejected / "x.ndjson").write_text("")
    back_up(paths, now=NOW - 5 * DAY)
    store = open_store(paths)
    found = _found(store.doctor(warn_mb=0.1))
    assert found["size"].severity == "warning"
    assert _found(store.doctor(limit_mb=0.1))["size"].severity == "error"
    assert "1 snapshot could not be used" in found["rejected files"].message
    assert found["backups"].message.startswith("1 backup, the newest of ")
    gaps = next(one for one in store.doctor().findings if one.check == "gaps")
    assert gaps.message.endswith("shop 1, the longest of 120 min")
    _filled(paths, replace(snapshot(ended=NOW), self_metrics=SelfMetrics(hook_errors=2)))
    assert _found(store.doctor())["losses"].message == "exceptions caught in hooks 2"


def test_exports_that_fail_or_that_nobody_comes_for(paths: StorePaths) -> None:
    """By the name of who subscribed."""
    _filled(paths)
    store = open_store(paths)
    folder = paths.exports / "sums"
    told = []
    for happens in (
        lambda: None,
        lambda: Subscription(paths, "sums").begin(),
        lambda: (folder / "dropped").write_text("3"),
        lambda: failing_path(folder).write_text("http://db:1: answered 503"),
    ):
        happens()
        (found,) = (each for each in store.doctor().findings if each.check == "exports")
        told.append((found.severity, found.message))
    assert told == [
        ("ok", "nothing is exported"),
        ("ok", "to sums"),
        ("warning", "3 snapshots that nobody came for were dropped"),
        ("warning", "sums fails: http://db:1: answered 503"),
    ]


def test_messages_that_did_not_arrive(paths: StorePaths) -> None:
    """Of the channel with most of them, as long as it is news; nobody else tells where a tick has no log."""
    _filled(paths)
    store = open_store(paths)
    now = datetime.now(UTC)

    def put(key: str, status: str, error: str, at: datetime) -> None:
        keep_alerts(paths, [], (), [("team", AlertMessage(key, at, is_test=True))])
        _change(paths, f"UPDATE alert_messages SET status = '{status}', error = '{error}' WHERE message_key = '{key}'")

    told = []
    for given in (
        None,
        ("a", "failed", "answers 404", now - 2 * DAY),
        ("b", "failed", "answers 404", now - timedelta(hours=2)),
        ("c", "waiting", "answers 503", now),
    ):
        if given is not None:
            put(*given)
        (found,) = (each for each in store.doctor().findings if each.check == "alerts")
        told.append((found.severity, found.message))
    assert told == [
        ("ok", "every message of the last day arrived"),
        ("ok", "every message of the last day arrived"),
        ("warning", "1 message to team in the last day did not arrive: answers 404"),
        ("warning", "1 message to team in the last day did not arrive, and 1 waits: answers 503"),
    ]


def test_other_stores_nearby(paths: StorePaths) -> None:
    """Above, beside and below."""
    home = paths.root / "home"
    for name in ("app", "other", "."):
        (home / name / ".querygauge" / "spool").mkdir(parents=True)
    assert other_stores(home / "app" / "src" / ".querygauge") == sorted(
        [(home / "app" / ".querygauge"), (home / ".querygauge")]
    )
    assert other_stores(home / "app" / ".querygauge") == sorted(
        [(home / ".querygauge"), (home / "other" / ".querygauge")]
    )
