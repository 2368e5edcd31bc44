"""A storm: 100,000 slow statements of 50 patterns within a minute, from real processes to a real receiver."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts.receivers import KeptReceiver
from querygauge.collector import tick
from querygauge.storage.database import open_database
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths

HOST = Path(__file__).with_name("storm_host.py")
SERVICES = ("blog", "mail", "shop", "stock", "users")
EACH = 20_000
PATTERNS = 50
MOST = 3  # messages in ten minutes
MINUTE = timedelta(minutes=1)
WINDOW = timedelta(minutes=10)


def _storm(root: Path) -> list[dict[str, Any]]:
    """All processes at once; what each prints."""
    commands = [[sys.executable, str(HOST), str(root), service, str(EACH), str(PATTERNS)] for service in SERVICES]
    hosts = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    told = [host.communicate(timeout=300)[0] for host in hosts]
    assert [host.returncode for host in hosts] == [0] * len(hosts)
    return [json.loads(each) for each in told]


@pytest.fixture
def told_by_hosts(tmp_path: Path) -> list[dict[str, Any]]:
    """What the processes say of themselves, after the storm."""
    return _storm(tmp_path / "store")


def test_every_slow_statement_is_told_or_counted(
    told_by_hosts: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    later: Callable[[timedelta], datetime],
) -> None:
    """By few messages and a digest, by few calls of a handler and a count, in memory that is bounded."""
    for host in told_by_hosts:
        # A handler was called at most so often in a minute, of which there was one, or the beginning of some more.
        assert 0 < host["told"] < host["suppressed"] + host["dropped"]
        assert host["told"] + host["suppressed"] + host["dropped"] == EACH
        # Ten thousand slow executions are kept; twice as many are not twice as much.
        assert host["grown_bytes"] < 40_000_000
    monkeypatch.chdir(tmp_path)
    paths = StorePaths(tmp_path / "store")
    with KeptReceiver().serving() as receiver:
        Path("querygauge.toml").write_text(
            "[alerts.thresholds]\np95_ms = 0.0001\nslow_per_s = 5\ndisk_free_percent = 0\ndisk_critical_percent = 0\n"
            f'[alerts.channels.web]\ntype = "webhook"\nurl = "{receiver.url}"\nmax_messages = {MOST}\n'
        )
        assert _memory_of_a_tick(paths) < 500_000_000
        expected: Counter[str] = Counter()
        sent_at: list[datetime] = []
        for _ in range(45):
            for alert in tick(paths.root).told:
                expected[alert.finding.rule] += 1
            now = later(MINUTE)
            sent_at += [now] * (len(receiver.bodies) - len(sent_at))
        assert _told_of(receiver) == expected
        assert expected["slow_pattern"] == 2 * PATTERNS * len(SERVICES)  # they begin, and end
    assert all(sum(moment <= each < moment + WINDOW for each in sent_at) <= MOST for moment in sent_at)
    assert any(json.loads(body)["type"] == "digest" for body in receiver.bodies)
    assert _waiting(paths) == 0
    stats = open_store(paths).query_stats()
    assert sum(each.execution_count for each in stats) == EACH * len(SERVICES)
    assert len({each.pattern_id for each in stats}) == PATTERNS


def _memory_of_a_tick(paths: StorePaths) -> int:
    """The most bytes that a collector has which folds all of it; it finds what is wrong, and tells of nothing yet."""
    command = [sys.executable, "-m", "querygauge", "collect", "--once", "--store", str(paths.root)]
    _, status, used = os.wait4(os.spawnv(os.P_NOWAIT, sys.executable, command), 0)
    assert status == 0
    return used.ru_maxrss * 1_024


def _told_of(receiver: KeptReceiver) -> Counter[str]:
    """Of how many alerts of each rule there was word, in full or as a number."""
    found: Counter[str] = Counter()
    for body in map(json.loads, receiver.bodies):
        assert body["alerts_left_out"] == 0
        found.update(alert["rule"] for alert in body["alerts"])
        found.update(body["held_back"])
    return found


def _waiting(paths: StorePaths) -> int:
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        found = connection.execute(
            "SELECT count(*) FROM alert_messages WHERE status NOT IN ('sent', 'told')"
        ).fetchall()
    count: int = found[0][0]
    return count
