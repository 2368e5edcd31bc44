"""What somebody said of a query is kept, is told to whoever reads a report, and is quiet until it gets worse."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from querygauge.errors import SettingsError, StoreError
from querygauge.histogram import Histogram
from querygauge.rendering.advice import Advice, advise
from querygauge.rendering.pattern_page import render_pattern
from querygauge.rendering.report import render_report
from querygauge.rendering.report_data import ReportData
from querygauge.storage.backup import back_up
from querygauge.storage.folding import fold
from querygauge.storage.limits import Limits
from querygauge.storage.marking import mark
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.restore import restore
from querygauge.storage.retention import retain
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool_sink import SpoolSink
from querygauge.surfaces.cli import app
from querygauge.surfaces.stored import read_pattern, read_report
from querygauge.values import Repetition, Snapshot
from querygauge.values.answers.marks import MarkKind
from storage.making import pattern, snapshot, stats

NOW: Final = datetime.now(UTC)
ID: Final = f"{1:016x}"


def _seen(ended: datetime, *, ms: float = 2.0, per_scope: int = 0, number: int = 1) -> Snapshot:
    """Thirty executions of so many milliseconds, in scopes that repeat them so often."""
    named = replace(pattern(number), text=f"SELECT * FROM t{number}")
    durations = Histogram.of([round(1e6 * ms)] * 30)
    entry = replace(stats(30, number=number, at=ended), pattern=named, durations=durations)
    found = Repetition(named, "main", "app.py:1 in f", "GET /", 3, 3 * per_scope, per_scope, 5.0)
    made = replace(snapshot(ended=ended, number=number), queries=(entry,))
    return replace(made, repetitions=(found,)) if per_scope else made


def _stored(paths: StorePaths, *snapshots: Snapshot) -> None:
    sink = SpoolSink(paths.root, 100)
    for each in snapshots:
        sink.write(each)
    fold(paths)


def _report(paths: StorePaths) -> ReportData:
    return read_report(paths, "7d", None)


@pytest.mark.parametrize("kind", ["accepted", "expected"])
def test_a_known_finding_is_quiet_until_worse(paths: StorePaths, kind: MarkKind) -> None:
    """It is counted, with its mark below its text; it comes back with what is worse."""
    hour = timedelta(hours=1)
    _stored(paths, _seen(NOW - 3 * hour, per_scope=20), _seen(NOW - 3 * hour, per_scope=9, number=2))
    assert "20 times" in render_report(_report(paths))
    mark(paths, ID, kind, note="until the importer is gone", now=NOW - 2 * hour)
    quiet = render_report(_report(paths))
    assert "20 times" not in quiet
    assert "9 times" in quiet
    assert "1 more is marked as known" in quiet
    assert f"[{kind} on {NOW - 2 * hour:%Y-%m-%d}: until the importer is gone]" in quiet
    assert [advice.pattern_id for advice in _advice(paths)] == [f"{2:016x}"]
    _stored(paths, _seen(NOW - hour, per_scope=30))
    assert "30 times" not in render_report(_report(paths))
    _stored(paths, _seen(NOW - hour, per_scope=40, ms=2.1))
    worse = render_report(_report(paths))
    assert "repeated 35.0 times in a scope, 20.0 before" in " ".join(worse.split())
    assert ID in {advice.pattern_id for advice in _advice(paths)}


def _advice(paths: StorePaths) -> list[Advice]:
    return advise(_report(paths))


def test_what_is_fixed_is_quiet_unless_it_returns(paths: StorePaths) -> None:
    """What was flushed within a minute may be of before."""
    _stored(paths, _seen(NOW - timedelta(hours=3), per_scope=20))
    fixed_at = NOW - timedelta(hours=2)
    mark(paths, ID, "fixed", now=fixed_at)
    _stored(paths, _seen(fixed_at + timedelta(seconds=50), per_scope=20), _seen(NOW - timedelta(minutes=70)))
    (entry,) = open_store(paths).marks().patterns
    assert (entry.is_worse, entry.per_scope) == (False, None)
    _stored(paths, _seen(NOW - timedelta(minutes=60), per_scope=6))
    (entry,) = open_store(paths).marks().patterns
    assert entry.reason == "repeated again: 6.0 times in a scope"


def test_a_slower_one_is_worse(paths: StorePaths) -> None:
    """By its 95th percentile since, if there are enough executions to have one."""
    _stored(paths, _seen(NOW - timedelta(hours=3), ms=10))
    mark(paths, ID, "accepted", now=NOW - timedelta(hours=2))
    _stored(paths, _seen(NOW - timedelta(hours=1), ms=14))
    assert not open_store(paths).marks().patterns[0].is_worse
    _stored(paths, _seen(NOW - timedelta(hours=1), ms=16))
    assert open_store(paths).marks().patterns[0].reason == "p95 is 16.0 ms, 10.0 before"
    mark(paths, ID, "accepted")
    assert [entry.is_worse for entry in open_store(paths).marks().patterns] == [False]


def test_a_mark_has_an_end(paths: StorePaths) -> None:
    """From then on it is as if nobody had said anything; it may be taken back before."""
    _stored(paths, _seen(NOW - timedelta(hours=3), per_scope=20))
    store = open_store(paths)
    store.mark(ID, "accepted", until=NOW + timedelta(days=1))
    assert "accepted on" in render_pattern(read_pattern(paths, ID, "7d"))
    mark(paths, ID, "accepted", until=NOW - timedelta(seconds=1), now=NOW - timedelta(days=1))
    assert store.marks().patterns == ()
    assert "20 times" in render_report(_report(paths))
    store.mark(ID, "accepted")
    store.unmark(ID)
    assert store.marks().patterns == ()
    with pytest.raises(StoreError, match="is not marked; querygauge patterns marks lists"):
        store.unmark(ID)


def test_what_cannot_be_marked_is_named(paths: StorePaths) -> None:
    """Which query, which kind, which moment."""
    _stored(paths, _seen(NOW))
    store = open_store(paths)
    with pytest.raises(StoreError, match="no pattern's id begins with 'ff'"):
        store.mark("ff", "accepted")
    with pytest.raises(SettingsError, match="one of accepted, fixed, expected; got 'ignored'"):
        store.mark(ID, "ignored")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="until must be in the future; got 2020-01-01"):
        store.mark(ID, "fixed", until=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(SettingsError, match="until must have a zone; got 2120-01-01"):
        store.mark(ID, "fixed", until=datetime(2120, 1, 1))  # noqa: DTZ001  # which is what it is about
    assert store.marks().patterns == ()


def test_marks_are_backed_up_and_go_with_their_pattern(paths: StorePaths, tmp_path: Path) -> None:
    """Years later."""
    _stored(paths, _seen(NOW))
    mark(paths, ID, "expected", note="nightly")
    taken = back_up(paths)
    assert taken is not None
    other = StorePaths(tmp_path / "other")
    restore(taken.path, other)
    assert open_store(other).marks() == open_store(paths).marks()
    later = NOW + timedelta(days=4_000)
    roll_up(paths, later)
    retain(paths, Limits(), later)
    assert open_store(paths).marks().patterns == ()


def test_commands(paths: StorePaths) -> None:
    """Mark, list as text, JSON and CSV, take back."""
    _stored(paths, _seen(NOW - timedelta(hours=1), per_scope=20))

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["patterns", *words, "--store", str(paths.root)])
        assert done.exit_code == 0, done.output
        return done.output

    assert f"{ID}  SELECT t1: accepted on " in run("mark", ID, "accepted", "--until", "30d", "--note", "known")
    assert "known" in run("marks")
    (entry,) = json.loads(run("marks", "--format", "json"))["patterns"]
    assert (entry["mark"]["kind"], entry["mark"]["note"], entry["is_worse"]) == ("accepted", "known", False)
    assert run("marks", "--format", "csv").splitlines()[0].startswith("pattern_id,summary,kind,marked_at,until,note")
    run("unmark", ID)
    assert "no query is marked" in run("marks")
    done = CliRunner().invoke(app, ["patterns", "mark", ID, "fixed", "--until", "soon", "--store", str(paths.root)])
    assert "--until must be a day, a moment or a length" in f"{done.output}{done.exception}"


def test_each_is_measured_since_its_own_mark(paths: StorePaths) -> None:
    """However many are marked, each has what came after its mark; of one nobody executed since, nothing."""
    for number, days in ((1, 3), (2, 2), (3, 1)):
        for age in range(5):
            at = NOW - timedelta(days=age, minutes=5)
            _stored(paths, _seen(at, ms=number + age, number=number, per_scope=4 if age == 0 else 0))
        mark(paths, f"{number:016x}", "accepted", now=NOW - timedelta(days=days))
    _stored(paths, _seen(NOW - timedelta(days=5), number=4))
    mark(paths, f"{4:016x}", "accepted", now=NOW - timedelta(days=1))
    marks = {each.pattern.id[-1]: each for each in open_store(paths).marks().patterns}
    assert {number: each.execution_count for number, each in marks.items()} == {"1": 90, "2": 60, "3": 30, "4": 0}
    assert {number: each.per_scope for number, each in marks.items()} == {"1": 4.0, "2": 4.0, "3": 4.0, "4": None}
    assert [marks[last].p95_ms for last in "123"] == pytest.approx([3.0] * 3, rel=0.02)
