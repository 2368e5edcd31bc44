"""What a process takes of its machine, as the system tells it, and as much of it as other systems tell."""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from processes.programs import run
from querygauge import instrument
from querygauge.process_usage import ProcessWatch, memory_limit_bytes, process_usage
from querygauge.values import ProcessUsage

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is told by Linux's /proc")
def test_this_process() -> None:
    """Memory that is taken is seen, and so is CPU time that is spent; the limit is the machine's memory at most."""
    before = process_usage()
    taken = bytearray(os.urandom(64_000_000))
    busy_until = time.process_time() + 0.05
    while time.process_time() < busy_until:
        pass
    after = process_usage()
    assert before.memory_bytes is not None
    assert after.memory_bytes is not None
    assert len(taken) * 0.9 < after.memory_bytes - before.memory_bytes < len(taken) * 1.5
    assert 0.05 <= after.cpu_s - before.cpu_s < 30  # type: ignore[operator]  # both are known on every system
    assert after.memory_limit_bytes is not None
    assert after.memory_bytes < after.memory_limit_bytes <= MACHINE


def groups(folder: Path, lines: str, limits: dict[str, str]) -> int | None:
    """The limit of a process whose groups are these lines, under files with these limits."""
    (folder / "cgroup").write_text(lines, encoding="ascii")
    for name, limit in limits.items():
        path = folder / "mounted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{limit}\n", encoding="ascii")
    return memory_limit_bytes(folder, folder / "mounted")


NO_LIMIT = str(2**63 - 4096)  # what version 1 says


@pytest.mark.parametrize(
    ("lines", "limits", "expected"),
    [
        ("0::/\n", {"memory.max": "1000"}, 1_000),
        ("0::/shop/web\n", {"shop/web/memory.max": "max", "shop/memory.max": "2000"}, 2_000),
        ("0::/shop/web\n", {"shop/web/memory.max": "3000", "shop/memory.max": "2000"}, 2_000),
        ("0::/shop\n", {"shop/memory.max": "max"}, MACHINE),
        ("7:cpu:/x\n4:memory:/shop\n0::/\n", {"memory/shop/memory.limit_in_bytes": "4000"}, 4_000),
        ("4:cpu,memory:/shop\n", {"memory/shop/memory.limit_in_bytes": NO_LIMIT}, MACHINE),
        (
            "4:memory:/docker/0f3a\n",
            {"memory/memory.limit_in_bytes": "5000", "memory/other/memory.limit_in_bytes": "1"},
            5_000,
        ),
        ("4:memory:/a:b\n", {"memory/a:b/memory.limit_in_bytes": "6000"}, 6_000),
        ("0::/\n", {}, MACHINE),
        ("", {}, MACHINE),
    ],
    ids=[
        "version 2 in a container", "of a group above", "the lowest", "no limit", "version 1", "no limit in version 1",
        "version 1 in a container", "a colon in a name", "no controller", "no groups",
    ],
)  # fmt: skip
def test_the_limit_of_control_groups(tmp_path: Path, lines: str, limits: dict[str, str], expected: int) -> None:
    """The lowest of a process's own group and those around it, in either version; else the machine's memory."""
    assert groups(tmp_path, lines, limits) == expected


def test_a_system_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not tell is None; CPU time is known everywhere."""
    monkeypatch.setattr("querygauge.process_usage._PROCESS", tmp_path / "nowhere")
    assert process_usage().memory_bytes is None
    monkeypatch.delattr(os, "sysconf")
    assert memory_limit_bytes(tmp_path / "nowhere", tmp_path / "nowhere") is None
    usage = process_usage()
    assert usage.cpu_s is not None
    assert usage.memory_bytes is None


def test_a_watch_remembers_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak of what was seen, and the CPU time since it began."""
    seen = iter([ProcessUsage(10, 99, 5.0), ProcessUsage(30, 99, 5.0), ProcessUsage(20, 99, 7.5)])
    monkeypatch.setattr("querygauge.process_usage.process_usage", lambda: next(seen))
    monkeypatch.setattr(time, "process_time", lambda: 4.0)
    watch = ProcessWatch()
    assert watch.look() == ProcessUsage(10, 99, 1.0)
    watch.look()
    now = datetime.now(UTC)
    window = watch.window("shop", "web:1", now, now)
    assert (window.memory_bytes, window.memory_limit_bytes, window.cpu_s) == (30, 99, 3.5)


def test_snapshots_and_reports_have_it() -> None:
    """Of this process, as it is at that moment."""
    with instrument(create_engine("sqlite://"), store=None) as gauge:
        snapshot, (process,) = gauge.snapshot(), gauge.report_data().processes
        assert snapshot.usage.cpu_s is not None
        assert process.process == snapshot.process
        assert process.cpu_s is not None
        assert "\nPROCESSES\n" in gauge.report()


def test_a_forked_child_is_a_process_of_its_own(tmp_path: Path) -> None:
    """Its CPU time begins at zero, whatever the parent has spent before."""
    program = """
    import time
    gauge = instrument(create_engine("sqlite://"), store=None)
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    assert gauge.report_data().processes[0].cpu_s >= 0.3
    child = os.fork()
    if not child:
        process = gauge.report_data().processes[0]
        assert process.process.endswith(f":{os.getpid()}")
        assert process.cpu_s < 0.2, process
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    """
    assert run(program, folder=tmp_path) == ("", "")
