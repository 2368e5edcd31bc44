"""Ticks send what was flushed, through whatever happens to the receiver or to them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from structlog.testing import capture_logs

from export.making import MS, busy, of, stats
from export.receivers import Receiver, http_receiver, series_of
from querygauge.collector import tick
from querygauge.export import backlog
from querygauge.export.backlog import Backlog
from querygauge.histogram import EMPTY, Histogram
from querygauge.settings import Settings
from querygauge.storage.election import elected
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from querygauge.storage.subscriptions import Subscription
from querygauge.telemetry import SUBSCRIBER
from querygauge.ticks import limits_of
from querygauge.values import Snapshot

_DURATION = "db.client.operation.duration"
Logs = list[MutableMapping[str, Any]]
_LIMITS = Limits(opentelemetry="otlp", backups=0, publishes=False)


@pytest.fixture(autouse=True)
def _variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of OpenTelemetry's but those of the test, and no settings of a project."""
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    # Long enough to try again, of which exporters tell the reason.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1.5")


@pytest.fixture
def logs() -> Iterator[Logs]:
    """What is logged meanwhile."""
    with capture_logs() as found:
        yield found


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """One that the variables name, with secrets in all places that have room for any."""
    with http_receiver() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url.replace("://", "://user:hunter2@"))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret")
        yield found


@pytest.fixture(params=["cumulative", "delta"])
def temporality(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the variables ask for."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", request.param)
    found: str = request.param
    return found


def _flush(store: Path, *snapshots: Snapshot) -> None:
    for each in snapshots:
        SpoolSink(store, 100).write(each)


def _told(receiver: Receiver, temporality: str) -> dict[str, Histogram]:
    """What a receiver knows of each process that takes what it has already for the same."""
    found: dict[str, Histogram] = {}
    known: set[tuple[str, int]] = set()
    for request in receiver.metrics:
        for (resource, _), point in series_of([request], _DURATION).items():
            process = dict(resource)["service.instance.id"]
            if (process, point.start_time_unix_nano) in known and temporality == "delta":
                continue
            known.add((process, point.start_time_unix_nano))
            before = found.get(process, EMPTY) if temporality == "delta" else EMPTY
            found[process] = before.merged(_histogram_of(point))
    return found


def _histogram_of(point: Any) -> Histogram:
    offset = point.positive.offset + 1
    buckets = {offset + place: count for place, count in enumerate(point.positive.bucket_counts) if count}
    total_ns, min_ns, max_ns = (round(1e9 * seconds) for seconds in (point.sum, point.min, point.max))
    return Histogram(point.count, total_ns, min_ns, max_ns, buckets)


def _exports(store: Path) -> tuple[str, str]:
    """What a look through the store finds of them."""
    (found,) = (each for each in open_store(store).doctor().findings if each.check == "exports")
    return found.severity, found.message


def test_each_tick_sends_what_is_new(tmp_path: Path, receiver: Receiver, temporality: str) -> None:
    """Of every process, exactly; the database has the same."""
    store = tmp_path / "store"
    _flush(store, busy(stats([MS, 2 * MS]), process="web:1"), busy(stats([3 * MS]), process="web:2"))
    assert tick(store, _LIMITS).folded.files == 2
    _flush(store, busy(stats([5 * MS]), process="web:1", minutes=1))
    assert tick(store, _LIMITS).folded.files == 1
    tick(store, _LIMITS)
    assert len(receiver.metrics) == 2
    assert _told(receiver, temporality) == {
        "web:1": Histogram.of([MS, 2 * MS, 5 * MS]),
        "web:2": Histogram.of([3 * MS]),
    }


def test_nothing_is_sent_unless_somebody_wants_it(tmp_path: Path, receiver: Receiver) -> None:
    """It is off, and a tick within an application sends nothing."""
    store = tmp_path / "store"
    _flush(store, busy(stats([MS])))
    tick(store)
    tick(store, _LIMITS, sends=False)
    assert receiver.headers == []
    assert not StorePaths(store).exports.exists()


def test_what_a_receiver_does_not_take_is_sent_later(
    tmp_path: Path, receiver: Receiver, temporality: str, logs: Logs
) -> None:
    """Nothing is lost or told twice, and it is said once, without a secret, that it fails."""
    store = tmp_path / "store"
    receiver.status = 503
    for minutes in range(3):
        _flush(store, busy(stats([(minutes + 1) * MS]), minutes=minutes))
        assert tick(store, _LIMITS).folded.files == 1
    assert receiver.refused >= 3
    (said,) = logs
    why = "answered 503 Service Unavailable"
    assert (said["event"], said["endpoint"], said["error"]) == ("telemetry_not_sent", receiver.url, why)
    assert _exports(store) == ("warning", f"opentelemetry fails: {receiver.url}: {why}")
    assert "hunter2" not in str(logs)
    assert "s3cret" not in str(logs)
    receiver.status = 200
    tick(store, _LIMITS)
    tick(store, _LIMITS)
    assert _told(receiver, temporality) == {"web:1": Histogram.of([MS, 2 * MS, 3 * MS])}
    assert [said["event"] for said in logs] == ["telemetry_not_sent", "telemetry_sent_again"]
    assert _exports(store) == ("ok", "to opentelemetry")


def test_a_receiver_that_is_down_comes_back(
    tmp_path: Path, temporality: str, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    """On the port where it was."""
    store = tmp_path / "store"
    with http_receiver() as receiver:
        port = int(receiver.url.rpartition(":")[2])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    _flush(store, busy(stats([MS])))
    tick(store, _LIMITS)
    assert [said["error"] for said in logs] == ["failed with ConnectionRefusedError"]
    with http_receiver(port) as receiver:
        _flush(store, busy(stats([2 * MS]), minutes=1))
        tick(store, _LIMITS)
        tick(store, _LIMITS)
    assert _told(receiver, temporality) == {"web:1": Histogram.of([MS, 2 * MS])}


def test_a_receiver_that_hangs_holds_up_no_fold(tmp_path: Path, receiver: Receiver, temporality: str) -> None:
    """What is flushed meanwhile is folded by another tick, which sends nothing, and is sent by a later one."""
    store = tmp_path / "store"
    receiver.goes_on.clear()
    _flush(store, busy(stats([MS])))
    first = _started(store)
    receiver.wait_for_request()
    _flush(store, busy(stats([2 * MS]), minutes=1))
    # The other one may be at its alerts just now, for which it holds the lock for a moment.
    assert tick(store, _LIMITS, lock_timeout_s=30).folded.files == 1
    assert len(receiver.headers) == 1
    assert first.wait(60) == 0
    receiver.goes_on.set()
    tick(store, _LIMITS)
    tick(store, _LIMITS)
    assert _told(receiver, temporality) == {"web:1": Histogram.of([MS, 2 * MS])}


def test_a_tick_that_is_killed_before_it_notes_what_was_taken_has_it_sent_again(
    tmp_path: Path, receiver: Receiver, temporality: str
) -> None:
    """Of deltas the very same, by which a receiver may know them; totals tell nothing twice."""
    store = tmp_path / "store"
    receiver.answers.clear()
    _flush(store, busy(stats([MS])))
    first = _started(store)
    receiver.wait_for_metrics()
    first.kill()
    first.wait()
    receiver.answers.set()
    _flush(store, busy(stats([2 * MS]), minutes=1))
    tick(store, _LIMITS)
    tick(store, _LIMITS)
    tick(store, _LIMITS)
    if temporality == "delta":
        killed, again, _ = receiver.metrics
        assert killed == again
    else:
        assert len(receiver.metrics) == 2
    assert _told(receiver, temporality) == {"web:1": Histogram.of([MS, 2 * MS])}


_KILLED = """
import os, sys, threading
from pathlib import Path
from querygauge.collector import tick
from querygauge.storage.limits import Limits

left = int(sys.argv[2])
calls = 0
def count(frame, event, argument):
    global calls
    if event in ("call", "return") and frame.f_code.co_filename.endswith(_FILES):
        calls += 1
        if calls == left:
            os._exit(9)

_FILES = ("telemetry.py", "subscriptions.py", "subscribers.py", "backlog.py", "election.py")
threading.setprofile(count)
sys.setprofile(count)
tick(Path(sys.argv[1]), Limits(opentelemetry="otlp", backups=0, publishes=False))
sys.setprofile(None)
print(calls)
"""


def test_ticks_that_are_killed_at_their_steps_lose_nothing(
    tmp_path: Path, receiver: Receiver, temporality: str
) -> None:
    """Wherever that is; of what arrived twice a receiver knows by its times that it has it."""
    store = tmp_path / "store"
    _flush(store, busy(stats([MS])))
    steps = int(_killed_at(store, 0).stdout)
    moments = range(1, steps, steps // 12)
    for minutes, moment in enumerate(moments, 1):
        _flush(store, busy(stats([MS]), minutes=minutes))
        assert _killed_at(store, moment).returncode == 9
    for _ in range(3):
        tick(store, _LIMITS)
    told = _told(receiver, temporality)["web:1"]
    assert told == Histogram.of([MS] * (1 + len(moments)))
    assert open_store(store).status().executions.total == told.count


def _killed_at(store: Path, moment: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", _KILLED, str(store), str(moment)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)


def test_a_database_that_is_held_open_keeps_nothing_from_being_sent(
    tmp_path: Path, receiver: Receiver, temporality: str
) -> None:
    """What waits in the spool is sent from there, and not again when it is folded."""
    store = tmp_path / "store"
    tick(store, _LIMITS)
    with duckdb.connect(str(StorePaths(store).database)):
        _flush(store, busy(stats([MS])))
        impatient = "from querygauge.storage.folding import fold; fold.__kwdefaults__['database_timeout_s'] = 0.1"
        assert _started(store, impatient).wait(60) == 0
        receiver.wait_for_metrics()
    assert tick(store, _LIMITS).folded.files == 1
    assert _told(receiver, temporality) == {"web:1": Histogram.of([MS])}
    assert len(receiver.metrics) == 1


def test_what_is_missing_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    """A library that is not installed, with the remedy; everything else is done."""
    store = tmp_path / "store"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.metric_exporter", None)
    for minutes in range(2):
        _flush(store, busy(stats([MS]), minutes=minutes))
        assert tick(store, _LIMITS).folded.files == 1
    (said,) = logs
    assert "OTLP over grpc needs opentelemetry-exporter-otlp-proto-grpc: pip install" in said["error"]


def test_without_the_libraries_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    """Everything else is done, and what is flushed waits."""
    monkeypatch.delitem(sys.modules, "querygauge.export.opentelemetry_exporter", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.metrics", None)
    _flush(tmp_path / "store", busy(stats([MS])))
    assert tick(tmp_path / "store", _LIMITS).folded.files == 1
    (said,) = logs
    assert "pip install 'querygauge[opentelemetry]'" in said["error"]
    assert len(Subscription(StorePaths(tmp_path / "store"), SUBSCRIBER).unread().snapshots) == 1


def test_a_protocol_that_nobody_speaks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    """With those that can be spoken."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    _flush(tmp_path / "store", busy(stats([MS])))
    tick(tmp_path / "store", _LIMITS)
    assert logs[0]["error"] == "OTEL_EXPORTER_OTLP_PROTOCOL must be one of http/protobuf, grpc; got 'http/json'"


def test_the_console_takes_it_too(tmp_path: Path) -> None:
    """As JSON, to see what would be sent."""
    _flush(tmp_path / "store", busy(stats([MS])))
    with _started(tmp_path / "store", kind="console", stdout=subprocess.PIPE) as ticking:
        printed, _ = ticking.communicate()
    (resource,) = json.loads(printed)["resource_metrics"]
    assert resource["resource"]["attributes"]["service.name"] == "shop"


def test_collecting_goes_by_the_settings(tmp_path: Path, receiver: Receiver) -> None:
    """As hosts do, which hand the same to the ticks that they start."""
    store = tmp_path / "store"
    _flush(store, *(busy(stats([MS] * number, of(number)), minutes=number) for number in (1, 2, 3)))
    wanted = {"OPENTELEMETRY": "otlp", "OPENTELEMETRY_HISTOGRAMS": "explicit", "OPENTELEMETRY_SERIES": "1"}
    subprocess.run(
        [sys.executable, "-m", "querygauge", "collect", "--once", "--store", str(store)],
        env={**os.environ, **{f"QUERYGAUGE_{name}": value for name, value in wanted.items()}},
        check=True,
    )
    counts = {
        dict(series).get("db.query.summary"): (point.count, len(point.explicit_bounds))
        for (_, series), point in series_of(receiver.metrics, _DURATION).items()
    }
    assert counts == {"SELECT t1": (1, 9), None: (5, 9)}
    assert limits_of(Settings(opentelemetry="otlp", opentelemetry_series=1)) == Limits(opentelemetry="otlp", series=1)


_APPLICATION = """
import sys
from sqlalchemy import create_engine, text
from querygauge import instrument

engine = create_engine("sqlite://")
with (
    instrument(engine, service="shop", store=sys.argv[1], opentelemetry="otlp", tick_interval_s=0.1) as gauge,
    engine.connect() as connection,
):
    for number in range(int(sys.argv[2])):
        connection.execute(text("SELECT :number AS n"), {"number": number})
    gauge.flush()
    connection.execute(text("SELECT 1 AS n"))
"""


def test_applications_need_no_more_than_a_setting(tmp_path: Path, receiver: Receiver, temporality: str) -> None:
    """The ticks that they start send; what is left at their end is sent by the next, and all is what the store has."""
    store = tmp_path / "store"
    times = (300, 20, 1)
    working = [subprocess.Popen([sys.executable, "-c", _APPLICATION, str(store), str(number)]) for number in times]
    for each in working:
        assert each.wait(60) == 0
    receiver.wait_for_metrics()
    # A tick that one of them started may be under way.
    while not _is_settled(store):
        tick(store, _LIMITS)
    told = _told(receiver, temporality)
    assert sorted(each.count for each in told.values()) == [2, 21, 301]
    assert open_store(store).status().executions.total == 324


def _is_settled(store: Path) -> bool:
    """Whether everything was sent, and nobody is at it."""
    paths = StorePaths(store)
    unread = Subscription(paths, SUBSCRIBER).unread()
    kept = Backlog.of(unread.state, is_delta=json.loads(unread.state or b"{}").get("is_delta", False))
    return not unread.snapshots and not kept.ready()[1]


def test_a_state_that_is_none_is_said(tmp_path: Path, receiver: Receiver, logs: Logs) -> None:
    """With the remedy, once."""
    store = tmp_path / "store"
    tick(store, _LIMITS)
    paths = StorePaths(store)
    with elected(paths, 10.0):
        Subscription(paths, SUBSCRIBER).keep(b"{}", ())
    for minutes in range(2):
        _flush(store, busy(stats([MS]), minutes=minutes))
        assert tick(store, _LIMITS).folded.files == 1
    (said,) = logs
    assert "what is kept to be sent must be as it was written" in said["error"]
    assert f"remove {str(paths.exports / SUBSCRIBER)!r} to begin anew" in said["error"]


def test_too_many_processes_are_given_up_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    """Those that were silent longest."""
    monkeypatch.setattr(backlog, "_MOST_PROCESSES", 2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    _flush(tmp_path / "store", *(busy(stats([MS]), process=f"web:{number}", minutes=number) for number in range(5)))
    tick(tmp_path / "store", _LIMITS)
    assert [said["processes"] for said in logs if said["event"] == "telemetry_dropped"] == [3]


def test_a_mistake_of_an_exporter_holds_up_nothing(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    """Whatever it raises; and its words, in which there may be anything, are not repeated."""
    monkeypatch.setattr(OTLPMetricExporter, "export", _fails)
    _flush(tmp_path / "store", busy(stats([MS])))
    assert tick(tmp_path / "store", _LIMITS).folded.files == 1
    assert [said["error"] for said in logs] == ["failed with ZeroDivisionError"]


def _fails(*_arguments: object, **_keywords: object) -> None:
    raise ZeroDivisionError("s3cret")


def _started(store: Path, before: str = "pass", *, kind: str = "otlp", **keywords: Any) -> "subprocess.Popen[bytes]":
    program = (
        f"import sys; from pathlib import Path; {before}; from querygauge.collector import tick; "
        "from querygauge.storage.limits import Limits; "
        f"tick(Path(sys.argv[1]), Limits(opentelemetry={kind!r}, backups=0, publishes=False))"
    )
    return subprocess.Popen([sys.executable, "-c", program, str(store)], **keywords)
