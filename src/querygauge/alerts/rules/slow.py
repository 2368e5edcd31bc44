"""Rules about statements that take long: one by one, by pattern, and all of a service together."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from querygauge.alerts.thresholds import Thresholds
from querygauge.histogram import EMPTY, Histogram
from querygauge.rendering.formats import counted, duration, number, percent
from querygauge.values.alerts import AlertSeverity, Finding
from querygauge.values.observed import ObservedService
from querygauge.values.queries import QueryStats, Severity, SlowQuery, severity_of

__all__ = [
    "loop_lag",
    "new_slow_pattern",
    "p99_latency",
    "regression",
    "repetition",
    "slow_pattern",
    "slow_query",
    "slow_rate",
]

_SEVERITIES: Final[dict[Severity, AlertSeverity]] = {
    "low": "info",
    "medium": "warning",
    "high": "warning",
    "critical": "critical",
}
_ADVICE: Final = "look at its plan (EXPLAIN), and in its history since when it is slow and which lines send it"
_MOST: Final = 0.5  # of a statement's time


def slow_query(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """Single executions over the slow threshold, the worst of each pattern that is not slow as such."""
    threshold_ms = service.slow_threshold_ms
    if not threshold_ms:
        return
    others = (new_slow_pattern, regression, slow_pattern)
    told = {finding.pattern_id for rule in others for finding in rule(service, limits)}
    # The text of the pattern: that of an execution may be the statement as it was sent.
    texts = {stats.pattern_id: stats.pattern.text for stats in (*service.hour, *service.recent)}
    worst: dict[tuple[str, str], tuple[float, SlowQuery, float]] = {}
    for slow in service.slow_queries:
        allowed_ms = limits.slow_query_ms_of(service.service, slow, threshold_ms)
        place, times = (slow.target, slow.pattern_id), slow.duration_ms / allowed_ms
        if times >= 1 and (place not in worst or times > worst[place][0]):
            worst[place] = times, slow, allowed_ms
    for times, slow, allowed_ms in worst.values():
        if slow.pattern_id in told or slow.pattern_id in service.quiet_ids:
            continue
        yield Finding(
            "slow_query",
            _SEVERITIES[severity_of(slow.duration_ms, allowed_ms)],
            f"{slow.summary} took {duration(slow.duration_ms)}, {times:,.1f} times the threshold",
            _ADVICE,
            service.service,
            slow.target,
            slow.pattern_id,
            pattern=texts.get(slow.pattern_id),
            call_site=slow.call_site,
            value=slow.duration_ms,
            threshold=allowed_ms,
            unit="ms",
            tags=tuple(f"{key}={value}" for key, value in slow.tags.items()),
        )


def slow_pattern(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """Patterns whose 95th percentile is high, and that neither are new nor have just become so."""
    told = {finding.pattern_id for rule in (new_slow_pattern, regression) for finding in rule(service, limits)}
    for stats in _slow(service.recent, service, limits):
        if stats.pattern_id not in told:
            executions = f"{number(stats.execution_count)} executions of the last five minutes"
            sentence = f"95 % of {executions} took up to {duration(stats.p95_duration_ms)}"
            yield _finding("slow_pattern", service, stats, limits, sentence)


def new_slow_pattern(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """Patterns nobody had seen before the last 24 hours, that are executed often, and take long."""
    for stats in _slow(service.hour, service, replace(limits, min_executions=limits.min_statements)):
        if stats.pattern_id in service.new_ids:
            executions = f"{number(stats.execution_count)} executions of the last hour"
            sentence = f"new since yesterday, and 95 % of {executions} took up to {duration(stats.p95_duration_ms)}"
            yield _finding("new_slow_pattern", service, stats, limits, sentence)


def regression(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """Patterns that are slow, and slower than in the same hour of the week before by more than chance."""
    slower = {change.pattern.id: change for change in service.regressed if {"median", "p95"} & {*change.measures}}
    for stats in _slow(service.hour, service, limits):
        change = slower.get(stats.pattern_id)
        if change is None or change.before is None or change.after is None or stats.pattern_id in service.new_ids:
            continue
        then, now = change.before, change.after
        medians = f"median {duration(then.median_duration_ms)} then and {duration(now.median_duration_ms)} now"
        tails = f"p95 {duration(then.p95_duration_ms)} then and {duration(now.p95_duration_ms)} now"
        found = _finding("regression", service, stats, limits, f"slower than a week before: {medians}, {tails}")
        yield replace(found, threshold=then.p95_duration_ms)


def p99_latency(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """One query in a hundred of the whole service takes long."""
    durations: Histogram = EMPTY
    queries = [stats for stats in service.recent if stats.pattern.category == "query"]
    for stats in queries:
        durations = durations.merged(stats.durations)
    if durations.count < limits.min_statements or (p99_ms := durations.quantile_ms(0.99)) <= limits.p99_ms:
        return
    most = max(queries, key=lambda stats: (stats.p99_duration_ms, stats.pattern_id))
    yield Finding(
        "p99_latency",
        "warning",
        f"1 % of {number(durations.count)} queries of the last five minutes took {duration(p99_ms)} or more; "
        f"the slowest is {most.pattern.summary} ({most.pattern_id})",
        f"querygauge patterns show {most.pattern_id} has the history of the slowest, and the lines that send it",
        service.service,
        value=p99_ms,
        threshold=limits.p99_ms,
        unit="ms",
    )


def slow_rate(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """Many statements a second are slow."""
    slow = sum(stats.slow_count for stats in service.recent)
    rate = slow / service.recent_s
    if rate <= limits.slow_per_s:
        return
    most = max(service.recent, key=lambda stats: (stats.slow_count, stats.pattern_id))
    yield Finding(
        "slow_rate",
        "warning",
        f"{rate:,.1f} statements a second were slow in the last five minutes, {number(slow)} together; "
        f"{most.pattern.summary} ({most.pattern_id}) {counted(most.slow_count, 'time')}",
        "if everything became slow at once, look at the server and at what else runs there; else at that pattern: "
        f"querygauge patterns show {most.pattern_id}",
        service.service,
        value=rate,
        threshold=limits.slow_per_s,
        unit="/s",
    )


def loop_lag(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """Statements are slow because something blocks the event loop, and not in the database."""
    executions = sum(stats.execution_count for stats in service.recent)
    lag_ms = sum(stats.phases.loop_lag_ns for stats in service.recent) / 1e6
    total_ms = sum(stats.total_duration_ms for stats in service.recent)
    if executions < limits.min_statements or lag_ms < limits.loop_lag_ms * executions or lag_ms < _MOST * total_ms:
        return
    yield Finding(
        "loop_lag",
        "warning",
        f"a blocked event loop made {number(executions)} statements of the last five minutes "
        f"{duration(lag_ms / executions)} longer on average, {percent(100 * lag_ms / total_ms)} of their time",
        "something computes or waits on the event loop without await: move it to a thread, or run it with "
        "PYTHONASYNCIODEBUG=1, which names it",
        service.service,
        value=lag_ms / executions,
        threshold=limits.loop_lag_ms,
        unit="ms",
    )


def repetition(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """The same query again and again within one unit of work, from one line: an N+1."""
    for found in service.repetitions:
        is_told = found.confidence == "certain" and found.scopes_count >= limits.repeated_scopes
        if is_told and found.pattern.id not in service.quiet_ids:
            yield Finding(
                "repetition",
                "info",
                f"{found.pattern.summary} was sent {number(found.execution_count)} times in "
                f"{number(found.scopes_count)} units of work, up to {number(found.max_per_scope)} times in one",
                found.fix,
                service.service,
                found.target,
                found.pattern.id,
                pattern=found.pattern.text,
                call_site=found.call_site,
                value=float(found.max_per_scope),
            )


def _slow(stats: tuple[QueryStats, ...], service: ObservedService, limits: Thresholds) -> Iterator[QueryStats]:
    for each in stats:
        is_told = each.pattern.category == "query" and each.pattern_id not in service.quiet_ids
        has_percentiles = each.execution_count >= limits.min_executions
        if is_told and has_percentiles and each.p95_duration_ms > limits.p95_ms_of(service.service, each):
            yield each


def _finding(rule: str, service: ObservedService, stats: QueryStats, limits: Thresholds, told: str) -> Finding:
    return Finding(
        rule,
        "warning",
        f"{stats.pattern.summary}: {told}",
        _ADVICE,
        service.service,
        stats.target,
        stats.pattern_id,
        pattern=stats.pattern.text,
        call_site=next(iter(stats.lines), None),
        value=stats.p95_duration_ms,
        threshold=limits.p95_ms_of(service.service, stats),
        unit="ms",
    )
