"""
What the numbers of a report suggest to change.

Each rule is a pure function from a report to findings; `RULES` lists them, `advise` runs them all. A rule speaks only
of what was measured: where a driver does not tell how many rows a query returned, no rule guesses.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from querygauge.rendering.formats import duration, number, percent
from querygauge.rendering.pool_demand import demand_of, is_too_small
from querygauge.rendering.ranking import mean_rows
from querygauge.rendering.repetitions import by_line
from querygauge.rendering.report_data import ReportData
from querygauge.values import PoolMetrics, PoolWindow, QueryStats

__all__ = ["RULES", "Advice", "advise"]

_UNFILTERED_EXECUTIONS: Final = 100  # below, a whole-table read is more likely a start-up or a job than a habit
_CACHE_EXECUTIONS: Final = 1_000
_CACHE_ROWS: Final = 10.0  # mean rows of an answer small enough to keep
_PAGE_ROWS: Final = 1_000.0  # mean rows from which a reader hardly wants all of them at once
_POOL_WAIT_PERCENT: Final = 20.0  # of the queries' own time
_POOL_WAIT_MS: Final = 1.0  # on average; handing out an idle connection takes tens of microseconds, and is no waiting
_CREATE_SHARE: Final = 0.5  # of the wait, from which opening connections is the cause
_KEEP_OPEN: Final = (
    "the time goes into opening connections, not into the queries: keep them open (pool_size, no NullPool)"
)
_HOLD_SHORTER: Final = (
    "callers wait for a connection, not for the queries: hold connections shorter, or enlarge the pool"
)

# `*` or `t.*` as a column of its own; `count(*)` and a product have something else before or after it.
_STAR: Final = re.compile(
    r"(?:\bSELECT\s+(?:DISTINCT\s+|ALL\s+)?|,\s*)(?:[\w\"`]+\.)*\*(?=\s*(?:,|\)|FROM\b|$))", re.IGNORECASE
)
_EXISTS: Final = re.compile(r"\bEXISTS\s*\(\s*SELECT\s+\*", re.IGNORECASE)  # the database reads no column for it
_FROM: Final = re.compile(r"\bFROM\b", re.IGNORECASE)
_WHERE: Final = re.compile(r"\bWHERE\b", re.IGNORECASE)
_ORDER: Final = re.compile(r"\bORDER\s+BY\b", re.IGNORECASE)
_BOUNDED: Final = re.compile(r"\bLIMIT\b|\bFETCH\s+(?:FIRST|NEXT)\b", re.IGNORECASE)
_LOCKING: Final = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?(?:UPDATE|SHARE)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Advice:
    """
    One thing to change, and the number that says so.

    Attributes:
        rule: Name of the rule.
        pattern_id: The pattern it is about; None if it is about a pool.
        summary: The pattern's summary, or the pool's name.
        text: What to change.
        evidence: The measured number.
        total_duration_ms: Time this is about; findings are listed by it.
    """

    rule: str
    pattern_id: str | None
    summary: str
    text: str
    evidence: str
    total_duration_ms: float

    def to_dict(self) -> dict[str, str | float | None]:
        """This value as JSON types."""
        return {
            "rule": self.rule,
            "pattern_id": self.pattern_id,
            "summary": self.summary,
            "text": self.text,
            "evidence": self.evidence,
            "total_duration_ms": self.total_duration_ms,
        }


def advise(report: ReportData) -> list[Advice]:
    """The findings of all rules, those about the most time first; none is about what is marked as known."""
    found = [advice for rule in RULES for advice in rule(report) if advice.pattern_id not in report.quiet]
    return sorted(found, key=lambda advice: (-advice.total_duration_ms, advice.pattern_id or "", advice.rule))


def name_the_columns(report: ReportData) -> list[Advice]:
    """`SELECT *` reads, sends and builds columns that nobody may need."""
    return [
        _about(stats, "name_the_columns", "it selects *: name the columns that are needed", _executions(stats))
        for stats in report.queries
        if _STAR.search(_EXISTS.sub("", stats.query_pattern))
    ]


def filter_or_index(report: ReportData) -> list[Advice]:
    """A query without WHERE touches every row, each time."""
    return [
        _about(
            stats,
            "filter_or_index",
            "it has no WHERE and touches every row: filter, or let an index serve what it asks for",
            _executions(stats),
        )
        for stats in report.queries
        if stats.execution_count > _UNFILTERED_EXECUTIONS and _touches_every_row(stats)
    ]


def _touches_every_row(stats: QueryStats) -> bool:
    text = stats.query_pattern
    if stats.operation not in {"SELECT", "UPDATE", "DELETE"} or _WHERE.search(text):
        return False
    if stats.operation == "SELECT" and not _FROM.search(text):
        return False
    # With a limit and no order the database stops at the first rows it meets.
    return not (_BOUNDED.search(text) and not _ORDER.search(text))


def cache_candidate(report: ReportData) -> list[Advice]:
    """A small answer that is asked for again and again can be kept."""
    return [
        _about(
            stats,
            "cache_candidate",
            "a small answer, asked for often: a candidate for a cache in the application",
            f"{_executions(stats)} of {number(round(rows, 1))} rows on average",
        )
        for stats, rows in _selects_with_rows(report)
        if stats.execution_count > _CACHE_EXECUTIONS
        and rows <= _CACHE_ROWS
        and not _LOCKING.search(stats.query_pattern)
    ]


def read_in_pages(report: ReportData) -> list[Advice]:
    """An answer of thousands of rows costs memory and time on both sides."""
    return [
        _about(
            stats,
            "read_in_pages",
            "it returns very many rows: read them in pages (LIMIT, or a server-side cursor), or aggregate in SQL",
            f"{number(round(rows))} rows on average over {_executions(stats)}",
        )
        for stats, rows in _selects_with_rows(report)
        if rows > _PAGE_ROWS
    ]


def _selects_with_rows(report: ReportData) -> Iterator[tuple[QueryStats, float]]:
    for stats in report.queries:
        rows = mean_rows(stats)
        if stats.operation == "SELECT" and rows is not None and _FROM.search(stats.query_pattern):
            yield stats, rows


def stop_repeating(report: ReportData) -> list[Advice]:
    """A repetition comes with its own fix, unless it is merely possible."""
    return [
        Advice(
            "stop_repeating",
            worst.pattern.id,
            worst.pattern.summary,
            worst.fix,
            f"up to {number(max(found.max_per_scope for found in (worst, *others)))} times in one scope",
            sum(found.total_duration_ms for found in (worst, *others)),
        )
        for worst, *others in by_line(report.repetitions)
        if worst.confidence != "possible"
    ]


def look_at_the_pool(report: ReportData) -> list[Advice]:
    """Where callers wait long for a connection, a faster query helps little."""
    found = []
    for window in report.merged_pools():
        query_ms = _query_ms_beside(report, window)
        wait_ms = window.metrics.wait.total_ms
        remedy = _remedy(window.metrics) if window.metrics.avg_wait_time_ms >= _POOL_WAIT_MS else None
        if remedy and query_ms and 100.0 * wait_ms / query_ms > _POOL_WAIT_PERCENT:
            share = percent(100.0 * wait_ms / query_ms)
            evidence = f"waited {duration(wait_ms)}, {share} of the {duration(query_ms)} in queries"
            found.append(Advice("look_at_the_pool", None, f"pool {window.pool}", remedy, evidence, wait_ms))
    return found


def size_the_pool(report: ReportData) -> list[Advice]:
    """Where more connections are wanted at once than the pool may open, somebody waits."""
    return [
        Advice(
            "size_the_pool",
            None,
            f"pool {window.pool}",
            _HOLD_SHORTER,
            demand_of(window) or "",
            window.metrics.wait.total_ms,
        )
        for window in report.merged_pools()
        if is_too_small(window)
    ]


def _query_ms_beside(report: ReportData, window: PoolWindow) -> float:
    """Time of the statements that ran over this pool; of all of them if its name is no target's."""
    return report.durations_ms.get(window.pool, report.total_duration_ms)


def _remedy(metrics: PoolMetrics) -> str | None:
    """What would shorten the waits; None if each connection was opened once and nobody waited for one in use."""
    if metrics.create.total_ms >= _CREATE_SHARE * metrics.wait.total_ms:
        return _KEEP_OPEN if metrics.create.count > metrics.peak_active else None
    return _HOLD_SHORTER if metrics.peak_waiting else None


def _about(stats: QueryStats, rule: str, text: str, evidence: str) -> Advice:
    return Advice(rule, stats.pattern_id, stats.pattern.summary, text, evidence, stats.total_duration_ms)


def _executions(stats: QueryStats) -> str:
    plural = "" if stats.execution_count == 1 else "s"
    return f"{number(stats.execution_count)} execution{plural}"


RULES: Final[tuple[Callable[[ReportData], list[Advice]], ...]] = (
    name_the_columns,
    filter_or_index,
    cache_candidate,
    stop_repeating,
    read_in_pages,
    look_at_the_pool,
    size_the_pool,
)
