"""Real workers of Celery: each task is a unit of its name, and no execution is lost when a worker ends."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from processes.programs import environment
from querygauge.storage.opening import open_store

_DEADLINE_S = 60
_TASKS = 12

# Files are the broker, as there is no server. A task that has ended leaves one, too.
_JOBS = """
import os, uuid
from pathlib import Path
from celery import Celery, Task
from celery.signals import worker_process_init
from sqlalchemy import create_engine, text
from querygauge import instrument, scope

folder = Path(os.environ["FOLDER"])
engine = create_engine(f"sqlite:///{folder}/data.sqlite")

def watch(**_):
    # So long that nothing is written before a process ends.
    never_s = 315_360_000
    instrument(engine, name="shop", service="shop", store=folder / "store", collector="off", flush_interval_s=never_s)


if "IN_WORKER" in os.environ:
    worker_process_init.connect(watch)
else:
    watch()


class ScopedTask(Task):
    def __call__(self, *args, **kwargs):
        with scope(self.name):
            return super().__call__(*args, **kwargs)


jobs = Celery("shop", task_cls=ScopedTask, broker="filesystem://")
queue = str(folder / "queue")
jobs.conf.broker_transport_options = {
    "data_folder_in": queue, "data_folder_out": queue, "control_folder": str(folder / "control")
}


@jobs.task(name="send invoices", bind=True, default_retry_delay=0)
def send_invoices(self, count):
    with engine.connect() as connection:
        for _ in range(count):
            connection.execute(text("SELECT 1"))
    if count == 3 and not self.request.retries:
        raise self.retry()
    (folder / f"done-{uuid.uuid4().hex}").touch()


@jobs.task(name="fail")
def fail():
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    (folder / f"done-{uuid.uuid4().hex}").touch()
    raise ValueError
"""


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (["--pool", "prefork", "--max-tasks-per-child", "2"], {}),
        (["--pool", "prefork"], {"IN_WORKER": "1"}),
        (["--pool", "threads"], {}),
    ],
    ids=["instrumented before the fork, two tasks a child", "instrumented in each child", "threads"],
)
def test_all_tasks_add_up(tmp_path: Path, options: list[str], variables: dict[str, str]) -> None:
    """Units and executions are those of the tasks, retries and failures among them, however the worker runs them."""
    counts = [number % 4 for number in range(_TASKS)]
    _send(tmp_path, counts)
    with _worker(tmp_path, *options, **variables) as worker:
        _wait_for(tmp_path, _TASKS + 1)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(_DEADLINE_S) == 0
    store = open_store(tmp_path / "store")
    retried = counts.count(3)
    assert {stats.scope: (stats.unit_count, stats.execution_count) for stats in store.scopes()} == {
        "send invoices": (_TASKS + retried, sum(counts) + 3 * retried),
        "fail": (1, 1),
    }


def _send(folder: Path, counts: list[int]) -> None:
    (folder / "queue").mkdir()
    (folder / "jobs.py").write_text(_JOBS, encoding="utf-8")
    program = f"import jobs\nfor count in {counts}: jobs.send_invoices.delay(count)\njobs.fail.delay()"
    subprocess.run([sys.executable, "-c", program], cwd=folder, env=_environment(folder), check=True, timeout=60)


@contextmanager
def _worker(folder: Path, *options: str, **variables: str) -> "Iterator[subprocess.Popen[str]]":
    log = folder / "worker.log"
    command = [sys.executable, "-m", "celery", "-A", "jobs", "worker", "--concurrency", "2", *options]
    with log.open("w") as output:
        worker = subprocess.Popen(
            command, cwd=folder, env={**_environment(folder), **variables}, stdout=output, stderr=output, text=True
        )
    with worker:
        try:
            yield worker
        finally:
            if worker.poll() is None:
                worker.kill()
            print(log.read_text())


def _wait_for(folder: Path, tasks: int) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while len(done := list(folder.glob("done-*"))) < tasks:
        assert time.monotonic() < deadline, f"only {len(done)} of {tasks} tasks ended"
        time.sleep(0.1)


def _environment(folder: Path) -> dict[str, str]:
    return environment(FOLDER=str(folder), PYTHONPATH=str(folder))
