"""Rules about connection pools: whether callers get a connection, and whether it comes back."""

from collections.abc import Iterator
from typing import Final

from querygauge.alerts.thresholds import Thresholds
from querygauge.rendering.formats import age, counted, duration, number, percent
from querygauge.values.alerts import AlertSeverity, Finding
from querygauge.values.observed import ObservedService
from querygauge.values.pools import Holder, PoolWindow

__all__ = [
    "connection_leak",
    "health_check_failed",
    "long_checkout",
    "lost_to_cancellation",
    "pool_pending",
    "pool_saturation",
    "pool_timeout",
    "pool_wait",
]

_HOLDERS_NAMED: Final = 3
_CRITICAL_FAILURES: Final = 3  # checks in a row


def pool_saturation(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """Nearly all connections are in use."""
    for window in service.pools:
        state, used = window.state, window.state.utilization_percent
        if used >= limits.pool_warning_percent:
            is_critical = used >= limits.pool_critical_percent
            yield _finding(
                "pool_saturation",
                "critical" if is_critical else "warning",
                service,
                window,
                f"{number(state.active_connections)} of {number(state.max_connections)} connections are in use, "
                f"{percent(used)}{_held_by(window.state.holders)}",
                "hold connections for less long before making the pool larger; querygauge report says how many do",
                value=used,
                threshold=limits.pool_critical_percent if is_critical else limits.pool_warning_percent,
                unit="%",
                call_site=_oldest_line(window.state.holders),
            )


def pool_wait(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """Callers wait long for a connection."""
    for window in service.pools:
        waits = window.metrics.wait
        if waits.count >= limits.min_executions and (p95_ms := waits.quantile_ms(0.95)) > limits.pool_wait_ms:
            yield _finding(
                "pool_wait",
                "warning",
                service,
                window,
                f"5 % of {number(waits.count)} callers waited {duration(p95_ms)} or longer for a connection in the "
                f"last five minutes{_held_by(window.state.holders)}",
                "querygauge report says how many connections would serve nearly all at once",
                value=p95_ms,
                threshold=limits.pool_wait_ms,
                unit="ms",
                call_site=_oldest_line(window.state.holders),
            )


def pool_pending(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """Many callers wait for a connection right now."""
    for window in service.pools:
        waiting, size = window.state.waiting_count, window.state.pool_size
        is_critical = waiting > limits.pending_critical
        if is_critical or (size and waiting > size):
            have = f", and the pool has {number(size)}" if size else ""
            yield _finding(
                "pool_pending",
                "critical" if is_critical else "warning",
                service,
                window,
                f"{counted(waiting, 'caller')} waiting for a connection{have}{_held_by(window.state.holders)}",
                "what holds the connections is the first thing to look at; more requests are let in than can be served",
                value=float(waiting),
                threshold=float(limits.pending_critical if is_critical else size),
                call_site=_oldest_line(window.state.holders),
            )


def pool_timeout(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:  # noqa: ARG001  # one is too many
    """Callers gave up waiting for a connection."""
    for window in service.pools:
        timeouts = window.metrics.total_timeouts
        if timeouts:
            yield _finding(
                "pool_timeout",
                "critical",
                service,
                window,
                f"{number(timeouts)} of {number(window.metrics.total_requests)} requests for a connection timed out in "
                f"the last five minutes{_held_by(window.timeout_holders, 'then held')}",
                "querygauge report says how many connections would do; look first at what held them for long",
                value=float(timeouts),
                call_site=_oldest_line(window.timeout_holders),
            )


def health_check_failed(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:  # noqa: ARG001
    """The last checks of a pool failed, in one of the processes that have it."""
    for failed in service.failed_checks:
        last = f"{number(failed.in_row)} health checks" if failed.in_row > 1 else "health check"
        yield Finding(
            "health_check_failed",
            "critical" if failed.in_row >= _CRITICAL_FAILURES else "warning",
            f"pool {failed.pool}: the last {last} of process {failed.process} failed: {failed.error}",
            "see whether the database answers from where the application runs",
            service.service,
            pool=failed.pool,
            value=float(failed.in_row),
        )


def connection_leak(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:  # noqa: ARG001
    """Connections were forgotten instead of given back."""
    for window in service.pools:
        if window.metrics.leaks:
            yield _finding(
                "connection_leak",
                "warning",
                service,
                window,
                f"{counted(window.metrics.leaks, 'connection')} garbage-collected instead of given back in the last "
                "five minutes",
                "take each connection in a with block; an alert handler of the pool is told the line of each leak",
                value=float(window.metrics.leaks),
            )


def lost_to_cancellation(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:  # noqa: ARG001
    """Connections were thrown away because a statement on them was cancelled."""
    for window in service.pools:
        lost = window.metrics.lost_to_cancellation
        if lost:
            most = max(window.metrics.lost_by_pattern.items(), key=lambda item: item[1], default=None)
            named = f"; {number(most[1])} of them during pattern {most[0]}" if most else ""
            yield _finding(
                "lost_to_cancellation",
                "warning",
                service,
                window,
                f"{counted(lost, 'connection')} thrown away in the last five minutes, each as a statement on it was "
                f"cancelled{named}",
                "a client that leaves costs a connection each time: shield what is short, or limit it by a statement "
                "timeout of the server",
                value=float(lost),
            )


def long_checkout(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """A connection is held for long, and nobody said why."""
    for window in service.pools:
        held = [
            holder for holder in window.state.holders if holder.age_s >= limits.checkout_s and holder.reason is None
        ]
        if held:
            oldest = max(held, key=lambda holder: holder.age_s)
            idle = [holder for holder in held if holder.activity == "idle in transaction"]
            within = f", {number(len(idle))} of them idle in a transaction" if idle else ""
            yield _finding(
                "long_checkout",
                "warning",
                service,
                window,
                f"{counted(len(held), 'connection')} checked out for {age(limits.checkout_s)} or longer{within}; the "
                f"oldest for {age(oldest.age_s)}",
                "do what needs no connection before or after; if it has to be, say so with long_hold(reason)",
                value=oldest.age_s,
                threshold=limits.checkout_s,
                unit="s",
                call_site=oldest.call_site,
            )


def _finding(
    rule: str,
    severity: AlertSeverity,
    service: ObservedService,
    window: PoolWindow,
    sentence: str,
    advice: str,
    *,
    value: float,
    threshold: float | None = None,
    unit: str = "",
    call_site: str | None = None,
) -> Finding:
    return Finding(
        rule,
        severity,
        f"pool {window.pool}: {sentence}",
        advice,
        service.service,
        pool=window.pool,
        call_site=call_site,
        value=value,
        threshold=threshold,
        unit=unit,
    )


def _oldest_line(holders: tuple[Holder, ...]) -> str | None:
    """The line that has held a connection for longest."""
    return next((holder.call_site for holder in holders), None)


def _held_by(holders: tuple[Holder, ...], held: str = "held") -> str:
    """The lines that hold most of the connections."""
    named: dict[str, list[Holder]] = {}
    for holder in holders:
        named.setdefault(holder.call_site or "an unknown line", []).append(holder)
    most = sorted(named.items(), key=lambda item: (-len(item[1]), -max(holder.age_s for holder in item[1])))
    told = [
        f"{number(len(some))} by {line}, for up to {age(max(holder.age_s for holder in some))}"
        for line, some in most[:_HOLDERS_NAMED]
    ]
    return f"; {held} {'; '.join(told)}" if told else ""
