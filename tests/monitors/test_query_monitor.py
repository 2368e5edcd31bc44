"""`QueryMonitor`, used alone: what it counts, what it keeps, what it says, and when."""

import asyncio
import math
import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from pymysql.err import OperationalError
from structlog.testing import capture_logs

from monitors.executions import MS, SteppingClock, Work, execute, pattern, run_python
from querygauge.clock import datetime_of
from querygauge.errors import SettingsError
from querygauge.monitors.query_monitor import QueryMonitor, initialize_query_monitor
from querygauge.values import OutcomeCounts, SlowQueryAlert

PATIENCE_S = 20.0
"""How long a test waits for what must happen; nothing depends on it while the rule holds."""

SECRET = "ann@example.org"


@pytest.fixture
def monitor(clock: SteppingClock) -> QueryMonitor:
    """A monitor with default settings on the test's clock, neither started nor heard."""
    return QueryMonitor(enable_alerting=False, enable_logging=False, clock=clock)


class Alerts:
    """A handler that keeps what it got, and tells when it got something."""

    def __init__(self) -> None:
        self.got: list[SlowQueryAlert] = []
        self.arrived = threading.Event()

    def __call__(self, alert: SlowQueryAlert) -> None:
        """Keeps the alert."""
        self.got.append(alert)
        self.arrived.set()


class UnsetClock:
    """A clock that says 1970-01-01T01:00:00Z, on a machine that has been up for longer."""

    def monotonic_ns(self) -> int:
        """As `Clock.monotonic_ns`."""
        return 10_000_000_000_000

    def now_us(self) -> int:
        """As `Clock.now_us`."""
        return 3_600_000_000


class DriverError(Exception):
    """An error as drivers raise it."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class TestRecording:
    """`record` and `track_query`."""

    async def test_a_tracked_query_is_in_every_reading(self, monitor: QueryMonitor, clock: SteppingClock) -> None:
        """What was tracked is in the statistics and the history at once; it ended when it was tracked."""
        await monitor.track_query(sql="SELECT name FROM users WHERE id = 7", duration_ms=1_500.0, rows=1)
        (stats,) = monitor.get_query_stats()
        assert (stats.execution_count, stats.slow_count, stats.rows, stats.target) == (1, 1, 1, "")
        assert (stats.operation, stats.avg_duration_ms) == ("SELECT", 1_500.0)
        (slow,) = monitor.get_slow_queries()
        assert slow.timestamp == datetime_of(clock.now_us()) - timedelta(seconds=1.5)

    def test_everything_about_an_execution_is_kept(self, monitor: QueryMonitor) -> None:
        """Trace, line and unit are where a reader looks for them."""
        unit = Work("GET /users")
        monitor.record("SELECT 1", 3.0, trace_id="4bf92f35", call_site="shop/users.py:3 in show", unit=unit)
        (kept,) = monitor.get_slow_queries(threshold_ms=0)
        assert (kept.trace_id, kept.call_site, kept.scope) == ("4bf92f35", "shop/users.py:3 in show", "GET /users")

    def test_statements_that_differ_in_literals_are_one_pattern(self, monitor: QueryMonitor) -> None:
        """The pattern is what is counted; neither it nor the history has the literal or the parameters."""
        for number in range(3):
            monitor.record(f"SELECT a FROM t WHERE b = '{SECRET}{number}'", 5.0, parameters={"email": SECRET})
        (stats,) = monitor.get_query_stats()
        assert stats.execution_count == 3
        kept = monitor.get_slow_queries(threshold_ms=0)
        assert SECRET not in repr((stats, kept, monitor.generate_report()))
        assert [one.parameters for one in kept] == [None, None, None]

    def test_literals_stay_when_asked_for(self, clock: SteppingClock) -> None:
        """With `keep_literals` the history has statement and parameters as sent; the statistics never."""
        monitor = QueryMonitor(enable_alerting=False, enable_logging=False, keep_literals=True, clock=clock)
        monitor.record(f"SELECT a FROM t WHERE b = '{SECRET}'", 5.0, parameters=[SECRET])
        (kept,) = monitor.get_slow_queries(threshold_ms=0)
        assert kept.query == f"SELECT a FROM t WHERE b = '{SECRET}'"
        assert kept.parameters == [SECRET]
        assert SECRET not in repr(monitor.get_query_stats())

    @pytest.mark.parametrize(
        ("given", "outcome"),
        [
            ({}, "ok"),
            ({"success": False}, "error"),
            ({"error": "server closed the connection"}, "error"),
            ({"error": DriverError("no such table")}, "error"),
            ({"error": TimeoutError()}, "timeout"),
            ({"error": DriverError("canceling statement due to statement timeout", "57014")}, "timeout"),
            ({"error": DriverError("could not obtain lock", "55P03")}, "timeout"),
            ({"error": OperationalError(3024, "maximum statement execution time exceeded")}, "timeout"),
            ({"error": OperationalError(1205, "Lock wait timeout exceeded")}, "timeout"),
            ({"error": OperationalError(1969, "max_statement_time exceeded")}, "timeout"),
            ({"error": KeyError(1205)}, "error"),
            ({"error": asyncio.CancelledError()}, "cancelled"),
        ],
    )
    def test_how_it_ended_follows_from_what_was_said(
        self, monitor: QueryMonitor, given: dict[str, Any], outcome: str
    ) -> None:
        """An error makes an error, a timeout or a cancellation; `success=False` alone makes an error."""
        monitor.record("SELECT 1", 1.0, **given)
        assert monitor.get_query_stats()[0].outcomes == OutcomeCounts(**{outcome: 1})
        assert monitor.get_slow_queries(threshold_ms=0)[0].outcome == outcome

    def test_an_error_keeps_its_code_and_loses_its_values(self, monitor: QueryMonitor) -> None:
        """The failure is class, code and a message without the values that drivers put into it."""
        message = f"duplicate key value violates unique constraint\nDETAIL:  Key (email)=({SECRET}) already exists."
        monitor.record("INSERT INTO users VALUES (?)", 1.0, error=DriverError(message, "23505"))
        monitor.record("INSERT INTO users VALUES (?)", 1.0, error=message)
        by_exception, by_text = (kept.error for kept in monitor.get_slow_queries(threshold_ms=0))
        assert by_exception is not None
        assert by_text is not None
        assert {(e.error_type, e.code) for e in (by_exception, by_text)} == {("DriverError", "23505"), ("Error", None)}
        assert "duplicate key" in by_text.message
        assert SECRET not in repr((by_exception, by_text))

    @pytest.mark.parametrize("duration_ms", [-0.001, math.nan, math.inf, 31_536_000_001, 1e20, 10**400])
    def test_an_impossible_duration_is_refused(self, monitor: QueryMonitor, duration_ms: float) -> None:
        """A duration is finite, not negative and at most a year; anything else is an error, and nothing is counted."""
        rule = r"^duration_ms must be a finite number >= 0 and at most a year, 31,536,000,000 ms; got "
        with pytest.raises(ValueError, match=rule + re.escape(repr(duration_ms))):
            monitor.record("SELECT 1", duration_ms)
        assert monitor.get_query_stats() == []

    def test_the_longest_duration_can_be_read(self, monitor: QueryMonitor, clock: SteppingClock) -> None:
        """A year is counted, kept and shown like a millisecond."""
        monitor.record("SELECT 1", 31_536_000_000)
        (kept,) = monitor.get_slow_queries()
        assert datetime_of(clock.now_us()) - kept.timestamp == timedelta(days=365)
        assert "QUERY PERFORMANCE REPORT" in monitor.generate_report()

    def test_nothing_began_before_1970(self) -> None:
        """Where the clock was not set yet, an execution begins with it, and took as long as it took."""
        monitor = QueryMonitor(enable_alerting=False, enable_logging=False, clock=UnsetClock())
        monitor.record("SELECT 1", 86_400_000)
        (kept,) = monitor.get_slow_queries()
        assert (kept.timestamp, kept.duration_ms) == (datetime_of(0), 86_400_000)

    @pytest.mark.parametrize(
        ("given", "kind", "message"),
        [
            ({"sql": None}, TypeError, "sql must be of type str; got NoneType"),
            ({"sql": b"SELECT 1"}, TypeError, "sql must be of type str; got bytes"),
            ({"error": 5}, TypeError, "error must be an exception, a str or None; got int"),
            ({"error": ValueError}, TypeError, "error must be an exception, a str or None; got type"),
            ({"duration_ms": "5"}, TypeError, "duration_ms must be a number; got str"),
            ({"rows": "5"}, TypeError, "rows must be a whole number or None; got str"),
            ({"rows": 2.5}, TypeError, "rows must be a whole number or None; got float"),
            ({"rows": -5}, ValueError, "rows must lie in [0, 1,000,000,000,000], or be None or -1 if unknown; got -5"),
            (
                {"rows": 10**13},
                ValueError,
                "rows must lie in [0, 1,000,000,000,000], or be None or -1 if unknown; got 10000000000000",
            ),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, monitor: QueryMonitor, given: dict[str, Any], kind: type[Exception], message: str
    ) -> None:
        """The caller is told the argument, the rule and what came, and no statement; nothing is counted."""
        with pytest.raises(kind, match=f"^{re.escape(message)}$"):
            monitor.record(**{"sql": "SELECT 1", "duration_ms": 1.0, **given})
        assert monitor.get_query_stats() == []

    @pytest.mark.parametrize("rows", [None, -1])
    def test_unknown_rows_are_none_or_what_a_cursor_says(self, monitor: QueryMonitor, rows: int | None) -> None:
        """A cursor's rowcount may be handed on as it is."""
        monitor.record("SELECT 1", 1.0, rows=rows)
        (stats,) = monitor.get_query_stats()
        assert (stats.rows, stats.rows_known_count) == (0, 0)

    def test_capture_and_callers_share_one_monitor(self, monitor: QueryMonitor) -> None:
        """What capture records on a target and what a caller measures are counted apart, in one place."""
        execute(monitor.recorder("primary"), what=pattern("SELECT 1"))
        monitor.record("SELECT 1", 1.0)
        assert sorted(stats.target for stats in monitor.get_query_stats()) == ["", "primary"]


class TestReading:
    """What can be asked."""

    def test_slow_queries_come_slowest_first(self, monitor: QueryMonitor) -> None:
        """By default those from the slow threshold on; the limit takes the slowest."""
        for duration_ms in (1_000.0, 3_000.0, 999.0, 2_000.0):
            monitor.record("SELECT 1", duration_ms)
        assert [slow.duration_ms for slow in monitor.get_slow_queries()] == [3_000.0, 2_000.0, 1_000.0]
        assert [slow.duration_ms for slow in monitor.get_slow_queries(limit=1)] == [3_000.0]
        assert len(monitor.get_slow_queries(threshold_ms=500)) == 4
        assert len(monitor.get_slow_queries(threshold_ms=1_000.1)) == 2

    def test_asking_below_the_history_is_an_error(self, clock: SteppingClock) -> None:
        """An answer that could not be complete is refused, naming the setting that would make it so."""
        monitor = QueryMonitor(history_threshold_ms=1_000.0, clock=clock)
        with pytest.raises(SettingsError, match=r"history_threshold_ms=1000.*got 500"):
            monitor.get_slow_queries(threshold_ms=500)
        assert monitor.get_slow_queries(threshold_ms=1_000.0) == []

    def test_slow_ones_can_be_asked_for_whatever_is_kept(self, clock: SteppingClock) -> None:
        """A history that begins above the slow threshold answers with what it has."""
        monitor = QueryMonitor(
            100.0, history_threshold_ms=1_000.0, enable_alerting=False, enable_logging=False, clock=clock
        )
        monitor.record("SELECT 1", 500.0)
        monitor.record("SELECT 1", 1_500.0)
        assert [slow.duration_ms for slow in monitor.get_slow_queries()] == [1_500.0]

    @pytest.mark.parametrize(
        ("order_by", "first"),
        [
            ("avg_duration", "SELECT slow"),
            ("max", "SELECT slow"),
            ("p95", "SELECT slow"),
            ("p99", "SELECT slow"),
            ("total_duration", "SELECT often"),
            ("execution_count", "SELECT often"),
            ("rows", "SELECT rows"),
            ("error_rate", "SELECT failing"),
        ],
    )
    def test_statistics_come_in_the_order_asked_for(self, monitor: QueryMonitor, order_by: str, first: str) -> None:
        """Each order puts its largest first."""
        for _ in range(100):
            monitor.record("SELECT often", 10.0)
        monitor.record("SELECT slow", 500.0)
        monitor.record("SELECT rows", 1.0, rows=1_000)
        monitor.record("SELECT failing", 1.0, success=False)
        stats = monitor.get_query_stats(order_by)
        assert stats[0].query_pattern == first
        assert len(stats) == 4
        assert monitor.get_query_stats(order_by, limit=1) == stats[:1]

    @pytest.mark.parametrize(
        "ask",
        [
            lambda monitor: monitor.get_query_stats(limit=-1),
            lambda monitor: monitor.get_slow_queries(limit=-1),
            lambda monitor: monitor.get_most_frequent_queries(-1),
        ],
    )
    def test_a_negative_limit_is_an_error(self, monitor: QueryMonitor, ask: Any) -> None:
        """A limit is at least one."""
        with pytest.raises(SettingsError, match=r"limit must be >= 1 or None; got -1"):
            ask(monitor)

    def test_an_unknown_order_names_the_known_ones(self, monitor: QueryMonitor) -> None:
        """A misspelled order is an error that lists the choices."""
        with pytest.raises(SettingsError, match=r"order_by must be one of avg_duration, .*rows; got 'average'"):
            monitor.get_query_stats("average")

    def test_the_most_frequent_queries_are_plain_mappings(self, monitor: QueryMonitor) -> None:
        """Most executions first, each a mapping of what a table shows."""
        for duration_ms in (1.0, 2.0, 3.0):
            monitor.record("SELECT often", duration_ms)
        monitor.record("SELECT once", 100.0)
        often, once = monitor.get_most_frequent_queries()
        assert (often["query_pattern"], often["execution_count"], often["total_duration_ms"]) == (
            "SELECT often",
            3,
            6.0,
        )
        assert once["execution_count"] == 1
        assert monitor.get_most_frequent_queries(limit=1) == [often]

    def test_repetitions_come_with_most_time_first(self, monitor: QueryMonitor) -> None:
        """Findings are ordered by the time they cost."""
        for statement, duration_ms in (("SELECT cheap", 1.0), ("SELECT dear", 10.0)):
            unit = Work("GET /orders")
            for _ in range(5):
                monitor.record(statement, duration_ms, call_site="shop/orders.py:12 in show", unit=unit)
        assert [found.pattern.text for found in monitor.get_repetitions()] == ["SELECT dear", "SELECT cheap"]

    def test_the_report_is_about_what_was_counted(self, monitor: QueryMonitor, clock: SteppingClock) -> None:
        """The report's data are the numbers of this monitor, from its beginning until now."""
        began = datetime_of(clock.now_us())
        monitor.record("SELECT name FROM users", 1_500.0)
        monitor.record("SELECT name FROM users", 5.0, success=False)
        clock.advance(90)
        data = monitor.report_data()
        assert (data.started, data.ended - data.started) == (began, timedelta(seconds=90))
        assert (data.outcomes, data.slow_count) == (OutcomeCounts(ok=1, error=1), 1)
        assert [slow.duration_ms for slow in data.slow_queries] == [1_500.0]
        report = monitor.generate_report()
        assert report.startswith("QUERY PERFORMANCE REPORT")
        assert "SELECT name FROM users" in report

    def test_it_tells_what_it_had_to_leave_out(self, clock: SteppingClock) -> None:
        """Patterns folded together, executions pushed out and alerts dropped are counted."""
        monitor = QueryMonitor(
            0.0, max_patterns=2, max_history_size=3, enable_alerting=False, enable_logging=False, clock=clock
        )
        for name in ("a", "b", "c", "d", "d"):
            monitor.record(f"SELECT {name}", 1.0)
        metrics = monitor.self_metrics()
        assert (metrics.patterns_folded, metrics.slow_queries_dropped, metrics.alerts_dropped) == (3, 2, 0)
        for _ in range(1_000):
            monitor.record("SELECT a", 1.0)
        assert monitor.self_metrics().alerts_dropped == 5

    def test_clear_history_begins_anew(self, monitor: QueryMonitor, clock: SteppingClock) -> None:
        """After `clear_history` nothing is left, and the report begins now."""
        monitor.record("SELECT 1", 1_500.0)
        clock.advance(60)
        monitor.clear_history()
        assert (monitor.get_query_stats(), monitor.get_slow_queries(), monitor.get_repetitions()) == ([], [], [])
        assert monitor.report_data().started == datetime_of(clock.now_us())
        assert monitor.report_data().outcomes.total == 0

    def test_its_repr_says_how_it_is(self, monitor: QueryMonitor) -> None:
        """Printing a monitor shows its main numbers."""
        monitor.record("SELECT 1", 1_500.0)
        assert repr(monitor) == "QueryMonitor(executions=1, patterns=1, slow=1, threshold_ms=1000.0)"


class TestRetention:
    """`stats_retention_hours`."""

    def test_patterns_not_seen_for_so_long_are_forgotten(self, clock: SteppingClock) -> None:
        """Alone, a monitor forgets a pattern after its retention; the overall counts and the overall time stay."""
        monitor = QueryMonitor(stats_retention_hours=2, enable_alerting=False, enable_logging=False, clock=clock)
        monitor.record("SELECT old", 50.0)
        clock.advance(3_600)
        monitor.record("SELECT new", 1.0)
        monitor.poll()
        assert len(monitor.get_query_stats()) == 2
        clock.advance(3_660)
        monitor.poll()
        assert [stats.query_pattern for stats in monitor.get_query_stats()] == ["SELECT new"]
        assert monitor.report_data().outcomes.total == 2
        assert monitor.report_data().total_duration_ms == 51.0

    def test_under_an_owner_nothing_goes_before_it_was_drained(self, clock: SteppingClock) -> None:
        """With an owner who drains, a pattern stays until its last numbers are in a window."""
        monitor = QueryMonitor(stats_retention_hours=2, clock=clock)
        monitor.start_delivery(wake=lambda: None)
        monitor.record("SELECT old", 1.0)
        clock.advance(3 * 3_600)
        monitor.poll()
        assert len(monitor.get_query_stats()) == 1
        assert len(monitor.drain().queries) == 1
        clock.advance(60)
        monitor.poll()
        assert monitor.get_query_stats() == []
        monitor.stop_delivery()


class TestAlerts:
    """Handlers and log lines."""

    async def test_a_slow_query_reaches_its_handlers(self, clock: SteppingClock) -> None:
        """A handler gets everything about a slow execution, a fast one is no alert; stop() delivers what waits."""
        alerts = Alerts()
        monitor = QueryMonitor(enable_logging=False, service="shop", clock=clock)
        monitor.add_alert_handler(alerts)
        await monitor.start()
        await monitor.track_query("SELECT name FROM users WHERE id = 7", 999.0)
        await monitor.track_query("SELECT name FROM users WHERE id = 8", 5_000.0, call_site="shop/users.py:3 in show")
        await monitor.stop()
        (alert,) = alerts.got
        assert (alert.duration_ms, alert.threshold_ms, alert.severity) == (5_000.0, 1_000.0, "high")
        assert (alert.service, alert.target, alert.call_site) == ("shop", "", "shop/users.py:3 in show")
        assert alert.timestamp == datetime_of(clock.now_us()) - timedelta(seconds=5)
        assert "7" not in alert.query
        assert alert._get_severity() == "high"
        assert alert.to_dict()["timestamp"] == alert.timestamp.isoformat()

    async def test_a_handler_is_called_without_waiting_for_stop(self) -> None:
        """A slow execution wakes the monitor's own thread, which calls the handlers."""
        alerts = Alerts()
        monitor = await initialize_query_monitor(slow_query_threshold_ms=10.0, enable_logging=False)
        monitor.add_alert_handler(alerts)
        monitor.record("SELECT 1", 10.0)
        assert await asyncio.to_thread(alerts.arrived.wait, PATIENCE_S)
        await monitor.stop()
        assert len(alerts.got) == 1

    async def test_capture_may_wake_it(self) -> None:
        """What capture found slow is delivered after `wake()`, as after `record`."""
        alerts = Alerts()
        monitor = await initialize_query_monitor(enable_logging=False)
        monitor.add_alert_handler(alerts)
        execute(monitor.recorder("primary"), 2_000.0)
        monitor.wake()
        assert await asyncio.to_thread(alerts.arrived.wait, PATIENCE_S)
        await monitor.stop()

    async def test_a_coroutine_handler_runs_on_the_loop_that_started_the_monitor(self) -> None:
        """The loop that awaited start() runs the coroutine handlers."""
        loops = []

        async def handler(_alert: SlowQueryAlert) -> None:
            loops.append(asyncio.get_running_loop())

        monitor = await initialize_query_monitor(enable_logging=False)
        monitor.add_alert_handler(handler)
        await monitor.track_query("SELECT 1", 1_000.0)
        await monitor.stop()
        assert loops == [asyncio.get_running_loop()]

    def test_an_owner_polls_and_is_woken(self, clock: SteppingClock) -> None:
        """Under an owner there is no thread: a slow record asks the owner, whose poll() delivers."""
        alerts, asked = Alerts(), []
        monitor = QueryMonitor(enable_logging=False, clock=clock)
        monitor.add_alert_handler(alerts)
        monitor.start_delivery(wake=lambda: asked.append("wake"))
        monitor.record("SELECT 1", 999.0)
        assert asked == []
        monitor.record("SELECT 1", 1_000.0)
        assert asked == ["wake"]
        assert not any(thread.name == "querygauge-queries" for thread in threading.enumerate())
        monitor.poll()
        monitor.stop_delivery()
        assert len(alerts.got) == 1

    async def test_start_under_an_owner_only_gives_the_loop(self, clock: SteppingClock) -> None:
        """A user may await start() of a monitor that has an owner: coroutine handlers then run on that loop."""
        loops = []

        async def handler(_alert: SlowQueryAlert) -> None:
            loops.append(asyncio.get_running_loop())

        monitor = QueryMonitor(enable_logging=False, clock=clock)
        monitor.start_delivery(wake=lambda: None)
        await monitor.start()
        assert not any(thread.name == "querygauge-queries" for thread in threading.enumerate())
        monitor.add_alert_handler(handler)
        monitor.record("SELECT 1", 1_000.0)
        await monitor.stop()
        assert loops == [asyncio.get_running_loop()]

    async def test_alerting_can_be_switched_off(self) -> None:
        """Without alerting no handler is called; the slow query is kept and logged all the same."""
        alerts = Alerts()
        with capture_logs() as lines:
            monitor = await initialize_query_monitor(enable_alerting=False)
            monitor.add_alert_handler(alerts)
            monitor.record("SELECT 1", 1_000.0)
            await monitor.stop()
        assert alerts.got == []
        assert [line["event"] for line in lines] == ["slow_query"]
        assert len(monitor.get_slow_queries()) == 1

    async def test_logging_can_be_switched_off(self) -> None:
        """Without logging a slow query makes no line."""
        with capture_logs() as lines:
            monitor = await initialize_query_monitor(enable_logging=False)
            monitor.record("SELECT 1", 1_000.0)
            await monitor.stop()
        assert lines == []

    async def test_a_flood_is_cut_short_and_counted(self, clock: SteppingClock) -> None:
        """Ten lines a second are written; at the end one line tells how many were not."""
        with capture_logs() as lines:
            monitor = await initialize_query_monitor(clock=clock)
            for _ in range(25):
                monitor.record("SELECT 1", 1_000.0)
            await monitor.stop()
        assert [line["event"] for line in lines] == ["slow_query"] * 10 + ["slow_queries_not_logged"]
        assert lines[-1]["count"] == 15

    async def test_before_start_it_counts_and_warns_once(self, clock: SteppingClock) -> None:
        """Tracked before start(), queries are counted; one warning says that nobody is told, and nobody is."""
        alerts = Alerts()
        monitor = QueryMonitor(clock=clock)
        monitor.add_alert_handler(alerts)
        with capture_logs() as lines:
            await monitor.track_query("SELECT 1", 1_000.0)
            await monitor.track_query("SELECT 1", 2_000.0)
            assert [line["event"] for line in lines] == ["query_monitor_not_started"]
            await monitor.start()
            await monitor.track_query("SELECT 1", 3_000.0)
            await monitor.stop()
        assert len(monitor.get_slow_queries()) == 3
        assert [alert.duration_ms for alert in alerts.got] == [3_000.0]
        assert [line["event"] for line in lines] == ["query_monitor_not_started", "slow_query"]

    async def test_start_and_stop_are_idempotent(self) -> None:
        """Starting twice is one thread, stopping twice is stopping; it can be started again."""
        alerts = Alerts()
        monitor = QueryMonitor(enable_logging=False)
        monitor.add_alert_handler(alerts)
        await monitor.stop()
        for count in (1, 2):
            await monitor.start()
            await monitor.start()
            threads = [thread for thread in threading.enumerate() if thread.name == "querygauge-queries"]
            assert len(threads) == 1
            monitor.record("SELECT 1", 1_000.0)
            await monitor.stop()
            await monitor.stop()
            assert not threads[0].is_alive()
            assert len(alerts.got) == count

    async def test_a_removed_handler_is_called_no_more(self) -> None:
        """`remove_alert_handler` undoes `add_alert_handler`."""
        alerts = Alerts()
        monitor = await initialize_query_monitor(enable_logging=False)
        monitor.add_alert_handler(alerts)
        monitor.remove_alert_handler(alerts)
        monitor.record("SELECT 1", 1_000.0)
        await monitor.stop()
        assert alerts.got == []

    def test_a_synchronous_program_gets_its_alerts(self) -> None:
        """Started by `asyncio.run`, whose loop is gone since, it calls coroutine handlers on a loop of ours."""
        alerts = Alerts()

        async def handler(alert: SlowQueryAlert) -> None:
            alerts(alert)

        monitor = QueryMonitor(enable_logging=False)
        monitor.add_alert_handler(handler)
        asyncio.run(monitor.start())
        with capture_logs() as lines:
            monitor.record("SELECT 1", 1_000.0)
            assert alerts.arrived.wait(PATIENCE_S)
            asyncio.run(monitor.stop())
        assert [line["event"] for line in lines] == ["alert_loop_closed"]


def test_what_could_not_be_counted_is_said_once(monitor: QueryMonitor) -> None:
    """A malformed record is in the monitor's own metrics and in one warning."""
    record = monitor.recorder("primary")
    with capture_logs() as lines:
        for _ in range(2):
            record(None, 0, 0, 0, 0, None, None, None, None, None)  # type: ignore[arg-type]  # the mistake under test
            monitor.poll()
    assert [line["event"] for line in lines] == ["records_not_counted"]
    assert monitor.self_metrics().statements_dropped == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"slow_query_threshold_ms": -1}, "slow_query_threshold_ms must be >= 0; got -1"),
        ({"slow_query_threshold_ms": math.nan}, "slow_query_threshold_ms must be a finite number >= 0; got nan"),
        ({"history_threshold_ms": -1}, "history_threshold_ms must be >= 0 or None; got -1"),
        ({"max_history_size": 0}, "max_history_size must be > 0; got 0"),
        ({"stats_retention_hours": 0}, "stats_retention_hours must be > 0; got 0"),
        ({"max_patterns": 0}, "max_patterns must be > 0; got 0"),
        ({"repetition_threshold": 1}, "repetition_threshold must be >= 2; got 1"),
        ({"slow_query_threshold_ms": "1 s"}, "slow_query_threshold_ms must be of type float; got '1 s'"),
        ({"max_history_size": 2.5}, "max_history_size must be of type int; got 2.5"),
        ({"stats_retention_hours": None}, "stats_retention_hours must be of type float; got None"),
        ({"enable_alerting": "no"}, "enable_alerting must be of type bool; got 'no'"),
    ],
)
def test_an_impossible_setting_is_named(setting: dict[str, Any], message: str) -> None:
    """A monitor with an impossible setting is an error naming the setting, the rule and the value."""
    with pytest.raises(SettingsError, match=message):
        QueryMonitor(**setting)


def test_severity_does_not_divide_by_a_zero_threshold(clock: SteppingClock) -> None:
    """With a threshold of zero every execution is slow, and reported."""
    monitor = QueryMonitor(0.0, enable_alerting=False, clock=clock)
    monitor.start_delivery(wake=lambda: None)
    with capture_logs() as lines:
        execute(monitor.recorder("primary"), 1 / MS)
        monitor.poll()
    monitor.stop_delivery()
    assert [line["severity"] for line in lines] == ["critical"]


def test_a_forked_child_alerts_about_its_own_queries() -> None:
    """A child has a thread of its own, the handlers, and none of its parent's queries; the parent keeps its own."""
    program = """
import asyncio, os, threading
from querygauge.monitors.query_monitor import QueryMonitor
seen, arrived = [], threading.Event()
def handler(alert):
    seen.append(alert.duration_ms)
    arrived.set()
monitor = QueryMonitor(enable_logging=False)
monitor.add_alert_handler(handler)
asyncio.run(monitor.start())
monitor.record("SELECT 1", 1_000.0)
arrived.wait(20)
child = os.fork()
if child == 0:
    arrived.clear(); seen.clear()
    monitor.record("SELECT 1", 2_000.0)
    ok = arrived.wait(20) and seen == [2_000.0] and monitor.report_data().outcomes.total == 1
    asyncio.run(monitor.stop())
    os._exit(0 if ok else 1)
_, status = os.waitpid(child, 0)
asyncio.run(monitor.stop())
print(status, seen, monitor.report_data().outcomes.total)
"""
    assert run_python(program) == "0 [1000.0] 1"
