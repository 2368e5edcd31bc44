"""
The report: what an application's queries cost, which of them to look at, and what to change.

In goes a `ReportData`, out comes plain text. Deliberately not here: where the numbers are from, how a terminal is
coloured, and the forms for machines, which are `rendering.interchange`.
"""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from querygauge.errors import SettingsError
from querygauge.rendering.advice import Advice, advise
from querygauge.rendering.answers.marks import mark_line
from querygauge.rendering.formats import age, duration, number, percent
from querygauge.rendering.interchange import report_to_csv, report_to_dict
from querygauge.rendering.names import name_cells, name_columns, named
from querygauge.rendering.phases import render_phases
from querygauge.rendering.pool_checks import failed_checks_of
from querygauge.rendering.pool_demand import demand_of
from querygauge.rendering.processes import render_processes
from querygauge.rendering.ranking import ORDERS, Order, mean_rows, ranked
from querygauge.rendering.repetitions import by_line, seen, told
from querygauge.rendering.report_data import ReportData
from querygauge.rendering.running import render_running
from querygauge.rendering.scopes import render_scopes, render_tags
from querygauge.rendering.statements import fold_statement
from querygauge.rendering.tables import Column, render_table, shortened, visible
from querygauge.values import QueryStats, Repetition, RunningQuery, SlowQuery

__all__ = ["ReportData", "render_report", "report_to_csv", "report_to_dict"]

_MIN_WIDTH: Final = 60
_OTHER_SCOPES: Final = 3  # of a line that repeats a query in several, besides that of most time
_MOMENT: Final = "%Y-%m-%d %H:%M:%S"
_TEXT_INDENT: Final = "     "
_ORIGIN_INDENT: Final = " " * 12  # of what stands below a row or a name, after its label

_NOTHING_SEEN: Final = "No statements were seen in this span. Look whether"
_TO_CHECK: Final = (
    "instrument(engine) was called with the engine the application uses, before its first statement",
    "QUERYGAUGE_ENABLED is not 0",
    "the span, the service and the store are the ones meant: --since, --service, --store",
    "the first numbers were written already: every 10 s by default, and when the application ends",
)
_FOOTER: Final = "Full text, history and slow executions of one query:"
_COSTS: Final = {
    "added_us": "{} added to a statement, the median of one in 257",
    "fold_us": "{} of CPU time later to count an execution",
    "flush_lag_ms": "{} from when the last flush was due until it was written",
}
_SELF_NOTES: Final = {
    "hook_errors": "errors inside querygauge's own hooks; the log names each kind once",
    "statements_dropped": "executions not counted: by a mistake of ours, or as a signal handler raised meanwhile",
    "patterns_folded": "executions counted as `other`, because max_patterns was reached",
    "scopes_folded": "executions counted as of other scopes, because max_scopes was reached",
    "slow_queries_dropped": "slow executions pushed out of the history by newer ones; raise max_history_size",
    "alerts_dropped": "alerts pushed out before a handler saw them; handlers are too slow",
    "snapshots_dropped": "snapshots that could not be kept; their numbers are missing from the store",
}


def render_report(
    report: ReportData,
    *,
    limit: int = 5,
    order_by: str | None = None,
    width: int = 100,
    show_command: str = "querygauge patterns show ID",
) -> str:
    """
    The report as plain text, starting with the line `QUERY PERFORMANCE REPORT`.

    Args:
        report: What to show.
        limit: Entries of each list.
        order_by: One of `ranking.ORDERS` for a single ranking in that order; None is by average duration, by total
            time and by frequency.
        width: Characters of a line; at least 60 are used.
        show_command: What to type for the page of one query.

    Raises:
        SettingsError: If the limit is below 1 or the order is unknown.
    """
    if limit < 1:
        raise SettingsError(f"limit must be >= 1; got {limit!r}")
    if order_by is not None and order_by not in ORDERS:
        raise SettingsError(f"order_by must be one of {', '.join(ORDERS)}; got {order_by!r}")
    page = _Page(report, limit, max(width, _MIN_WIDTH))
    parts = [page.heading(), page.overall(), page.running()]
    parts += [page.ranking(_RANKINGS[order]) for order in ((order_by,) if order_by else _DEFAULT_ORDERS)]
    parts += [
        page.phases(),
        page.failures(),
        page.slow_executions(),
        page.scopes(),
        page.tags(),
        page.repetitions(),
        page.pools(),
        render_processes(report.processes, limit=limit, width=max(width, _MIN_WIDTH)),
        page.advice(),
        page.itself(),
    ]
    parts.append(page.footer(show_command))
    return "\n\n".join("\n".join(part) for part in parts if part)


@dataclass(frozen=True, slots=True)
class _Ranking:
    """A list of queries: its title, the columns it shows, and what makes a query belong in it."""

    title: str
    order: Order
    columns: tuple[str, ...]
    belongs: Callable[[QueryStats], bool] = lambda _: True


_COMMON: Final = ("Avg", "P95", "Executions", "Total", "Share")
# Left out of a narrow page in this order, except for what a ranking is by.
_LEAST_TELLING: Final = ("Share", "P99", "Total", "Rows/exec", "P95", "Error rate", "Avg")
_DEFAULT_ORDERS: Final[tuple[Order, ...]] = ("avg_duration", "total_duration", "execution_count")
_RANKINGS: Final = {
    ranking.order: ranking
    for ranking in (
        _Ranking("TOP {} SLOWEST QUERIES (by avg duration)", "avg_duration", _COMMON),
        _Ranking("TOP {} QUERIES BY TOTAL TIME", "total_duration", ("Total", "Share", "Avg", "P95", "Executions")),
        _Ranking("TOP {} MOST FREQUENT QUERIES", "execution_count", ("Executions", "Avg", "P95", "Total", "Share")),
        _Ranking("TOP {} SLOWEST QUERIES (by p95 duration)", "p95", ("P95", "P99", "Avg", "Executions", "Total")),
        _Ranking("TOP {} SLOWEST QUERIES (by p99 duration)", "p99", ("P99", "P95", "Avg", "Executions", "Total")),
        _Ranking("TOP {} SLOWEST QUERIES (by max duration)", "max", ("Max", "P99", "Avg", "Executions", "Total")),
        _Ranking(
            "TOP {} QUERIES BY ERROR RATE",
            "error_rate",
            ("Error rate", "Errors", "Executions", "Avg", "P95"),
            lambda stats: stats.error_count > 0,
        ),
        _Ranking(
            "TOP {} QUERIES BY ROWS",
            "rows",
            ("Rows", "Rows/exec", "Executions", "Avg", "P95"),
            lambda stats: stats.rows_known_count > 0,
        ),
    )
}


class _Page:
    """The sections of one report; each is a list of lines, empty where there is nothing to say."""

    def __init__(self, report: ReportData, limit: int, width: int) -> None:
        self._report = report
        self._limit = limit
        self._width = width
        self._shown: set[str] = set()  # a pattern's text stands below its first mention only
        self._with_target = len({stats.target for stats in report.stats}) > 1

    def heading(self) -> list[str]:
        report = self._report
        span = f"{report.started.strftime(_MOMENT)} to {report.ended.strftime(_MOMENT)} UTC"
        lasted = age((report.ended - report.started).total_seconds())
        subjects = [report.service or "all services", *([] if report.scope is None else [report.scope])]
        subject = f"{', '.join(subjects)}, {span} ({lasted})"
        return ["QUERY PERFORMANCE REPORT", *self._wrapped(subject, "", "")]

    def overall(self) -> list[str]:
        report, outcomes = self._report, self._report.outcomes
        if not outcomes.total and not any(process.count for process in report.running):
            checks = [line for check in _TO_CHECK for line in self._wrapped(check, "- ", "  ")]
            return ["OVERALL METRICS", "  Total Queries   0", "", _NOTHING_SEEN, *checks]
        facts = [
            ("Total Queries", number(outcomes.total), f"{duration(report.total_duration_ms)} in all"),
            ("Slow Queries", f"{number(report.slow_count)} ({percent(report.slow_percent)})", ""),
            ("Errors", f"{number(outcomes.failed)} ({percent(outcomes.error_rate)})", _other_ends(report)),
            ("Unique Patterns", number(report.unique_patterns), ""),
            _threshold(report.threshold_ms),
        ]
        value_width = max(len(value) for _, value, _ in facts)
        lines = [line for name, value, note in facts for line in self._fact(name, f"{value:<{value_width}}", note)]
        return ["OVERALL METRICS", *lines, *self._left_out()]

    def _fact(self, name: str, value: str, note: str) -> list[str]:
        fact = f"  {name:<15}   {value}   "
        return self._wrapped(note, fact, " " * len(fact)) or [fact.rstrip()]

    def _left_out(self) -> list[str]:
        left_out = [stats for stats in self._report.stats if stats.pattern.category != "query"]
        if not left_out:
            return []
        executions = sum(stats.execution_count for stats in left_out)
        time_ms = sum(stats.total_duration_ms for stats in left_out)
        sentence = (
            f"{number(executions)} of these ({duration(time_ms)}) are transaction control, session settings or catalog"
            " reads; the lists below leave them out."
        )
        return ["", *self._wrapped(sentence, "  ", "  ")]

    def running(self) -> list[str]:
        """What no statistics know yet, because it has not ended."""
        return render_running(self._report.running, limit=self._limit, width=self._width, text_of=self._text_of)

    def ranking(self, ranking: _Ranking) -> list[str]:
        members = [stats for stats in self._report.queries if ranking.belongs(stats)]
        if not members:
            return []
        top = ranked(members, ranking.order, self._limit)
        columns = [
            Column("#"),
            *map(Column, ranking.columns),
            *name_columns(self._width, with_target=self._with_target),
        ]
        rows = [
            [
                str(place),
                *(self._cell(title, stats) for title in ranking.columns),
                *name_cells(stats, with_target=self._with_target),
            ]
            for place, stats in enumerate(top, 1)
        ]
        least_telling = [title for title in _LEAST_TELLING if title != ranking.columns[0]]
        head, *lines = render_table(columns, rows, width=self._width, least_telling=least_telling)
        body = [part for line, stats in zip(lines, top, strict=True) for part in (line, *self._text_of(stats))]
        return [ranking.title.format(self._limit), head, *body]

    def _cell(self, title: str, stats: QueryStats) -> str:
        if title == "Share":
            total = self._report.total_duration_ms
            return percent(100.0 * stats.total_duration_ms / total if total else 0.0)
        return _CELLS[title](stats)

    def _text_of(self, query: QueryStats | RunningQuery) -> list[str]:
        if query.pattern_id in self._shown:
            return []
        self._shown.add(query.pattern_id)
        text = fold_statement(query.query_pattern, self._width - len(_TEXT_INDENT))
        return [*(_TEXT_INDENT + line for line in text), *self._mark_of(query.pattern_id)]

    def _mark_of(self, pattern_id: str) -> list[str]:
        """What somebody has said of a pattern."""
        said = [entry for entry in self._report.marks if entry.pattern.id == pattern_id]
        return [
            line for entry in said for line in self._wrapped(f"[{mark_line(entry)}]", _TEXT_INDENT, f"{_TEXT_INDENT} ")
        ]

    def phases(self) -> list[str]:
        """Before, within and after the queries; an application may wait for more than its database."""
        lines = render_phases(self._report.queries, width=self._width)
        return ["WHERE THE TIME WENT (all queries)", *lines] if lines else []

    def failures(self) -> list[str]:
        """Which queries failed; the overall count alone would leave a reader searching."""
        return self.ranking(_FAILURES)

    def slow_executions(self) -> list[str]:
        slowest = sorted(self._report.slow_queries, key=lambda slow: -slow.duration_ms)[: self._limit]
        if not slowest:
            return []
        columns = [
            Column("Duration"),
            Column("Started (UTC)", "left"),
            *name_columns(self._width, with_target=False),
        ]
        rows = [
            [duration(slow.duration_ms), slow.timestamp.strftime(_MOMENT), named(slow.pattern_id, slow.summary)]
            for slow in slowest
        ]
        head, *lines = render_table(columns, rows, width=self._width)
        body = [part for line, slow in zip(lines, slowest, strict=True) for part in (line, *self._origin(slow))]
        return [f"TOP {self._limit} SLOWEST EXECUTIONS", head, *body]

    def _origin(self, slow: SlowQuery) -> list[str]:
        label = "      from  " if slow.call_site else _ORIGIN_INDENT
        outcome = f"  [{slow.outcome}]" if slow.outcome != "ok" else ""
        lag = f"  [event loop blocked for {duration(slow.loop_lag_ms)} of it]" if slow.loop_lag_ms else ""
        return self._wrapped(f"{slow.call_site or ''}{outcome}{lag}".strip(), label, _ORIGIN_INDENT)

    def scopes(self) -> list[str]:
        report = self._report
        return render_scopes(report.scopes, report.total_duration_ms, limit=self._limit, width=self._width)

    def tags(self) -> list[str]:
        report = self._report
        return render_tags(report.scopes, report.total_duration_ms, limit=self._limit, width=self._width)

    def repetitions(self) -> list[str]:
        every = by_line(self._report.repetitions)
        found = [group for group in every if group[0].pattern.id not in self._report.quiet]
        if not every:
            return []
        lines = self._wrapped("REPETITIONS (a query sent again and again from one line: often an N+1)", "", "  ")
        for place, (worst, *others) in enumerate(found[: self._limit], 1):
            lines += self._repetition(place, worst, others)
        return [*lines, *_rest(len(found) - self._limit), *self._known(len(every) - len(found))]

    def _known(self, count: int) -> list[str]:
        """That there is more, of which somebody has said that it is known."""
        verb = "is" if count == 1 else "are"
        return self._wrapped(f"{number(count)} more {verb} marked as known", "    ", "    ") if count else []

    def _repetition(self, place: int, repetition: Repetition, others: Sequence[Repetition]) -> Iterator[str]:
        scopes = "scope" if repetition.scopes_count == 1 else "scopes"
        counts = (
            f"{_most(repetition)};"
            f" {number(repetition.execution_count)} executions in {number(repetition.scopes_count)} {scopes},"
            f" {duration(repetition.total_duration_ms)}"
        )
        call_site = repetition.call_site or "an unknown line (call_sites is off)"
        name = visible(named(repetition.pattern.id, repetition.pattern.summary))
        yield shortened(f"  {place:>2}  {name}", self._width)
        yield from self._mark_of(repetition.pattern.id)
        yield from self._wrapped(told(repetition), "      ", "      ")
        yield from self._wrapped(counts, "      ", "      ")
        if others:
            more = [*map(_most, others[:_OTHER_SCOPES]), *_rest(len(others) - _OTHER_SCOPES)]
            yield from self._wrapped(f"also  {', '.join(map(str.strip, more))}", "      ", "            ")
        if evidence := seen(repetition):
            yield from self._wrapped(f"seen  {evidence}", "      ", "            ")
        yield from self._wrapped(f"from  {call_site}", "      ", "            ")
        yield from self._wrapped(f"fix   {repetition.fix}", "      ", "            ")

    def pools(self) -> list[str]:
        titles = ("Peak", "Limit", "Requests", "Timeouts", "Errors", "Avg wait", "P95 wait", "Avg use", "Opened")
        rows = []
        for window in self._report.merged_pools():
            state, metrics = window.state, window.metrics
            counts = (metrics.total_requests, metrics.total_timeouts, metrics.total_errors)
            times = (metrics.avg_wait_time_ms, metrics.p95_wait_time_ms, metrics.avg_use_time_ms)
            rows.append(
                [
                    window.pool,
                    number(metrics.peak_active),
                    number(state.max_connections) if state.max_connections else "none",
                    *map(number, counts),
                    *map(duration, times),
                    number(metrics.create.count),
                ]
            )
        columns = [Column("Pool", "left", _POOL_WIDTH), *map(Column, titles)]
        lines = render_table(columns, rows, width=self._width, least_telling=_LEAST_TELLING_OF_POOLS)
        return ["POOLS", *lines, *self._of_pools()] if rows else []

    def _of_pools(self) -> list[str]:
        """What is to be said of a pool in words."""
        lines = []
        for window in self._report.merged_pools():
            for said in (demand_of(window), failed_checks_of(window)):
                lines += self._wrapped(f"{window.pool}: {said}", "  - ", "    ") if said else []
        return ["", *lines] if lines else []

    def advice(self) -> list[str]:
        by_text: dict[str, list[Advice]] = {}
        for advice in advise(self._report):
            by_text.setdefault(advice.text, []).append(advice)
        lines = []
        for text, group in by_text.items():
            lines += [*self._wrapped(_capitalized(text), "  - ", "    ")]
            for advice in group[: self._limit]:
                lines += self._wrapped(_evidence(advice), "    ", "      ")
            lines += _rest(len(group) - self._limit)
        return ["ADVICE", *lines] if lines else []

    def itself(self) -> list[str]:
        metrics = self._report.self_metrics
        times = {name: getattr(metrics, name) / (1e3 if name.endswith("_us") else 1) for name in _COSTS}
        costs = "; ".join(_COSTS[name].format(duration(ms)) for name, ms in times.items() if ms)
        noticed = {note: number(getattr(metrics, name)) for name, note in _SELF_NOTES.items() if getattr(metrics, name)}
        width = max(map(len, noticed.values()), default=0)
        lines = [
            line
            for note, count in noticed.items()
            for line in self._wrapped(note, f"  {count:>{width}}  ", " " * (width + 4))
        ]
        return ["QUERYGAUGE ITSELF", *self._wrapped(costs, "  ", "  "), *lines] if costs or lines else []

    def footer(self, command: str) -> list[str]:
        """Where to look next; a command is not folded, because it is there to be copied."""
        if not self._shown:
            return []
        line = f"{_FOOTER} {command}"
        return [line] if len(line) <= self._width else [_FOOTER, f"  {command}"]

    def _wrapped(self, text: str, first: str, rest: str) -> list[str]:
        return textwrap.wrap(
            visible(text), self._width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
        )


_FAILURES: Final = _Ranking(
    "QUERIES THAT FAILED",
    "error_rate",
    ("Errors", "Error rate", "Executions"),
    lambda stats: stats.error_count > 0,
)
_POOL_WIDTH: Final = 12
_LEAST_TELLING_OF_POOLS: Final = ("Opened", "Avg wait", "Avg use", "Limit", "Errors")
_CELLS: Final[dict[str, Callable[[QueryStats], str]]] = {
    "Avg": lambda stats: duration(stats.avg_duration_ms),
    "P95": lambda stats: duration(stats.p95_duration_ms),
    "P99": lambda stats: duration(stats.p99_duration_ms),
    "Max": lambda stats: duration(stats.max_duration_ms),
    "Total": lambda stats: duration(stats.total_duration_ms),
    "Executions": lambda stats: number(stats.execution_count),
    "Errors": lambda stats: number(stats.error_count),
    "Error rate": lambda stats: percent(stats.error_rate),
    "Rows": lambda stats: number(stats.rows),
    "Rows/exec": lambda stats: number(round(mean_rows(stats) or 0.0, 1)),
}


def _threshold(ms: float | None) -> tuple[str, str, str]:
    if ms is None:
        return "Threshold", "as set", "slow is what each application's slow_query_threshold_ms says"
    return "Threshold", duration(ms), "from here on a query is slow"


def _other_ends(report: ReportData) -> str:
    """What the number of errors does not tell: timeouts are among them, cancelled executions are not."""
    outcomes = report.outcomes
    parts = []
    if outcomes.timeout:
        parts.append(f"{number(outcomes.timeout)} of them timeouts")
    if outcomes.cancelled:
        parts.append(f"{number(outcomes.cancelled)} more cancelled by their caller")
    return ", ".join(parts)


def _evidence(advice: Advice) -> str:
    subject = named(advice.pattern_id, advice.summary) if advice.pattern_id else advice.summary
    return f"{subject}: {advice.evidence}"


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _most(found: Repetition) -> str:
    scope = f"one {found.scope!r} scope" if found.scope else "one use of a connection"
    return f"up to {number(found.max_per_scope)} times in {scope}"


def _rest(count: int) -> Sequence[str]:
    return [f"    and {number(count)} more"] if count > 0 else []
