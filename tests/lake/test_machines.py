"""
Three machines that write one lake, with applications and collectors that are killed at any moment: all is stored once.

It takes 12 seconds; `QUERYGAUGE_TEST_STORE_SECONDS=60` makes it a minute.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from lake.conftest import Machine
from querygauge.collector import run
from querygauge.remote import RemoteStore
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from storage.ledger import KEEPING, Ledger, flushed, kept_files, stored, summed
from storage.making import total

SECONDS: Final = float(os.environ.get("QUERYGAUGE_TEST_STORE_SECONDS", "12"))
_MACHINES: Final = ("web-1", "web-2", "jobs")
_START_S: Final = 90.0
_LONGEST_PAUSE_S: Final = 1.5

# It flushes after every burst, until its input ends.
_WRITER: Final = f"""{KEEPING}
import random, select
from sqlalchemy import create_engine, text
from querygauge import instrument
engine = create_engine("sqlite://")
with instrument(
    engine, service="shop", store=sys.argv[1], collector="external", flush_interval_s=0.8, enable_logging=False
) as gauge:
    while not select.select([sys.stdin], [], [], random.uniform(0, 0.1))[0]:
        with engine.begin() as connection:
            for _ in range(random.randrange(1, 30)):
                connection.execute(text(f"SELECT {{random.randrange(10)}} AS x{{random.randrange(10)}}"))
        gauge.flush()
"""

_COLLECTOR: Final = """
import sys
from pathlib import Path
from querygauge.collector import run
from querygauge.remote import RemoteStore
run(Path(sys.argv[1]), remote=RemoteStore(*sys.argv[3:]), interval_s=0.02, fold_interval_s=0.5)
"""


class _Machines:
    """Their processes; what they complain of is in a file for each machine."""

    def __init__(self, folder: Path, remote: RemoteStore) -> None:
        self._folder = folder
        self._remote = remote
        self._running: list[tuple[str, str, subprocess.Popen[bytes]]] = []
        self.kills: Counter[str] = Counter()

    def kept(self, machine: str) -> Path:
        """Where links to the spool files of a machine are."""
        return self._folder / f"{machine}-kept"

    def start(self, machine: str, kind: str) -> None:
        """One more process of a kind on a machine."""
        self.kept(machine).mkdir(exist_ok=True)
        code, more = (_WRITER, ()) if kind == "writer" else (_COLLECTOR, self._remote)
        command = [sys.executable, "-c", code, str(self._folder / machine), str(self.kept(machine)), *map(str, more)]
        with (self._folder / f"{machine}-{kind}.err").open("ab") as err:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=err, cwd=self._folder)
        self._running.append((machine, kind, process))

    def kill_one(self) -> None:
        """Kills any, and has another take its place."""
        machine, kind, victim = self._running.pop(random.randrange(len(self._running)))
        assert victim.poll() is None, (machine, kind)
        victim.kill()
        with victim:
            assert victim.wait(60) == -signal.SIGKILL
        self.kills[kind] += 1
        self.start(machine, kind)

    def end(self) -> None:
        """Has the applications end by themselves, and kills the collectors."""
        while self._running:
            _, kind, process = self._running.pop()
            if kind == "collector":
                process.kill()
            with process:  # closes its input
                pass
            assert process.returncode == (0 if kind == "writer" else -signal.SIGKILL)

    def stop(self) -> None:
        """Leaves nobody behind."""
        for _, _, process in self._running:
            process.kill()
            process.wait(60)

    def complaints(self, kind: str) -> str:
        """What those of a kind wrote on standard error."""
        return "".join(path.read_text(encoding="utf-8") for path in self._folder.glob(f"*-{kind}.err"))


@contextmanager
def _machines(folder: Path, remote: RemoteStore) -> Iterator[_Machines]:
    machines = _Machines(folder, remote)
    try:
        for machine in _MACHINES:
            for kind in ("writer", "writer", "collector"):
                machines.start(machine, kind)
        yield machines
    finally:
        machines.stop()


@pytest.mark.timeout(180 + 2 * SECONDS)
def test_what_was_flushed_anywhere_is_stored_once(machine: Machine, remote: RemoteStore, tmp_path: Path) -> None:
    """The lake adds up to the files that were renamed into the spools of all machines."""
    with _machines(tmp_path, remote) as machines:
        _wait_for_a_fold(machine(_MACHINES[0]))
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            time.sleep(random.uniform(0, _LONGEST_PAUSE_S))
            machines.kill_one()
        machines.end()
    expected: Ledger = Counter()
    files = 0
    for name in _MACHINES:
        run(machine(name).root, remote=remote, once=True)
        own = kept_files(machines.kept(name), machine(name))
        files += len(own)
        expected += flushed(own)
        assert waiting_files(machine(name)) == []
        assert list(machine(name).rejected.iterdir()) == []
    assert stored(machine(_MACHINES[0])) == expected
    assert total(open_store(machine("laptop")).query_stats()) == summed(expected, "executions")
    assert machines.complaints("writer") == ""
    assert "Traceback" not in machines.complaints("collector")
    assert min(machines.kills["writer"], machines.kills["collector"]) > 1
    print(
        f"{SECONDS:g} s: {dict(machines.kills)} killed on {len(_MACHINES)} machines, {files} files, "
        f"{summed(expected, 'executions')} executions, {len(expected)} sums compared"
    )


def _wait_for_a_fold(paths: StorePaths) -> None:
    """Until the collector of a machine has put something into the lake."""
    until = time.monotonic() + _START_S
    while not paths.spool.exists() or not (paths.root / "spool.id").exists():
        assert time.monotonic() < until
        time.sleep(0.2)
