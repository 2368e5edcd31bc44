"""
What a performance report says, section by section, before anybody lays it out.

In goes the report, out come words and numbers as text, in the same order for a terminal, a mail and a chat. Nothing
here has a line break or a control character in it. Deliberately not here: layout, markup, and limits of a service.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from querygauge.rendering.charts import chart_row
from querygauge.rendering.formats import age, counted, duration, number, percent
from querygauge.rendering.names import named
from querygauge.rendering.statements import one_line
from querygauge.rendering.tables import visible
from querygauge.values.answers.execution import Performance, PoolPerformance
from querygauge.values.answers.performance_report import (
    PerformanceReport,
    ReportedError,
    ReportedPart,
    ReportedPattern,
    ReportedPool,
    ReportedRepetition,
)

__all__ = [
    "Chart",
    "Detail",
    "Entry",
    "Fact",
    "Section",
    "charts",
    "commands",
    "facts",
    "headline",
    "notes",
    "sections",
    "span_told",
    "spark",
    "summary",
]

_LONGEST: Final = 500  # characters of a detail; nobody reads more of one
_LONGEST_NAME: Final = 100
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TITLES: Final = {"daily": "Daily performance report", "weekly": "Weekly performance report"}
_MOMENT: Final = "%Y-%m-%d %H:%M"
_TICK: Final = timedelta(microseconds=1)


class Detail(NamedTuple):
    """One more thing about an entry; `is_code` is to be read letter by letter."""

    label: str
    text: str
    is_code: bool = False


class Entry(NamedTuple):
    """
    A row of a section.

    Attributes:
        name: What it is about.
        cells: Its numbers, one for each column.
        share: Percentage of everything, for a bar; None where that says nothing.
        details: What else there is to say.
    """

    name: str
    cells: tuple[str, ...]
    share: float | None
    details: tuple[Detail, ...]


class Section(NamedTuple):
    """
    A list of one kind.

    Attributes:
        title: What the entries have in common.
        columns: Titles of their cells.
        entries: The first of them.
        left: How many more there are.
    """

    title: str
    columns: tuple[str, ...]
    entries: tuple[Entry, ...]
    left: int


class Fact(NamedTuple):
    """One number of everything together, the same of the week before, and the change; empty where there is none."""

    name: str
    now: str
    before: str
    change: str


class Chart(NamedTuple):
    """
    A number over the parts of the span.

    Attributes:
        name: What it is.
        values: Oldest first; None where there is none.
        reach: From the lowest to the highest of them.
    """

    name: str
    values: tuple[float | None, ...]
    reach: str


def headline(report: PerformanceReport) -> str:
    """What it is in one line, such as `Daily performance report: Thursday 2026-11-26 (shop)`."""
    title = _TITLES.get(report.span.period, "Performance report")
    service = f" ({_name(report.service)})" if report.service is not None else ""
    return f"{title}: {span_told(report.span.since, report.span.until)}{service}"


def span_told(since: datetime, until: datetime) -> str:
    """A span by the calendar of its zone: a day, days from one to another, or two moments."""
    if _is_midnight(since) and _is_midnight(until):
        first, last = since.date(), (until - _TICK).date()
        return f"{_DAYS[first.weekday()]} {first}" if first == last else f"{first} to {last}"
    return f"{since.strftime(_MOMENT)} to {until.strftime(_MOMENT)}"


def _name(name: str) -> str:
    return one_line(name, _LONGEST_NAME)


def _is_midnight(moment: datetime) -> bool:
    return moment.hour == moment.minute == moment.second == moment.microsecond == 0


def summary(report: PerformanceReport) -> str:
    """What is most worth knowing, in a sentence."""
    if not report.performance.execution_count:
        return "No queries were executed."
    now, counts = report.performance, report.counts
    p95 = f"95 % took up to {duration(now.p95_duration_ms)}"
    executed = "1 query" if now.execution_count == 1 else f"{number(now.execution_count)} queries"
    told = f"{executed}; {p95}; {percent(now.error_rate)} failed."
    found = [
        f"{number(counts[name])} {words}"
        for name, words in (
            ("slower", "slower than the week before"),
            ("new", "new"),
            ("slow", "slow"),
            ("repeated", "repeated"),
        )
        if counts.get(name)
    ]
    pools = f"{counted(counts['pools'], 'pool')} suffered" if counts.get("pools") else ""
    alerts = f"{counted(sum(report.alerts.values()), 'alert')} began" if report.alerts else ""
    patterns = f"Patterns: {', '.join(found)}" if found else "Nothing became slower, and nothing is new or slow"
    return f"{told} {'; '.join(part for part in (patterns, pools, alerts) if part)}."


def notes(report: PerformanceReport) -> Iterator[str]:
    """What a reader must know to read the numbers."""
    span = report.span
    service = "All services" if report.service is None else _name(report.service)
    about = f"{service}, {span_told(span.since, span.until)}, {visible(span.zone)}"
    yield f"{about}; compared with {span_told(span.before_since, span.before_until)}."
    if report.known_since is not None and report.known_since > span.since:
        yield f"Nothing is known of the time before {report.known_since.astimezone(UTC).strftime(_MOMENT)} UTC."
    if report.before is None:
        yield "There is nothing to compare with: no queries were executed in the week before."
    yield "Transaction control, session settings and catalog reads are left out."


_FACTS: Final[dict[str, tuple[Callable[[Performance], float], Callable[[float], str]]]] = {
    "Queries": (lambda performance: performance.execution_count, number),
    "Database time": (lambda performance: performance.total_duration_ms, duration),
    "P50": (lambda performance: performance.median_duration_ms, duration),
    "P95": (lambda performance: performance.p95_duration_ms, duration),
    "P99": (lambda performance: performance.p99_duration_ms, duration),
    "Slow executions": (lambda performance: performance.slow_count, number),
    "Failed": (lambda performance: performance.error_count, number),
}


def facts(report: PerformanceReport) -> list[Fact]:
    """Everything together."""
    before = report.before
    told = []
    for name, (measure, shown) in _FACTS.items():
        now, then = measure(report.performance), None if before is None else measure(before)
        told.append(Fact(name, shown(now), "" if then is None else shown(then), _change(now, then)))
    return told


def _change(now: float, then: float | None) -> str:
    return "" if not then else f"{100 * (now / then - 1):+.1f} %"


def charts(report: PerformanceReport) -> list[Chart]:
    """How it went over time; without queries there is nothing to draw."""
    if not report.performance.execution_count:
        return []
    each = age(report.part_s).removesuffix(" 00 min").removesuffix(" 00 s").removesuffix(" 0 h")
    measures: tuple[tuple[str, Callable[[ReportedPart], float | None], Callable[[float], str]], ...] = (
        ("Queries", lambda part: float(part.execution_count), number),
        ("P95", lambda part: part.p95_ms, duration),
        ("Failed", lambda part: float(part.error_count), number),
    )
    drawn = [(name, tuple(map(measure, report.parts)), shown) for name, measure, shown in measures]
    return [Chart(f"{name} per {each}", values, _reach(values, shown)) for name, values, shown in drawn if any(values)]


def _reach(values: Sequence[float | None], shown: Callable[[float], str]) -> str:
    known = [value for value in values if value is not None]
    lowest, highest = shown(min(known, default=0.0)), shown(max(known, default=0.0))
    return f"always {highest}" if lowest == highest else f"{lowest} to {highest}"


def spark(values: Sequence[float | None]) -> str:
    """A chart of one line of blocks, a dot where there is nothing."""
    return chart_row(values, max((value for value in values if value is not None), default=0.0)).replace(" ", "·")


_OF_PATTERNS: Final = ("Total", "Share", "Executions", "P50", "P95", "P99", "Before", "Change", "Failed")


def sections(report: PerformanceReport) -> list[Section]:
    """Those that have anything to say, what changed first; the text of a pattern stands where it is first named."""
    named_already: set[str] = set()
    worse = "Slower than the week before, by more than chance"
    slow = f"Slow: 95th percentile over {duration(report.slow_ms)}"
    found = [
        _of_patterns(report, name, title, named_already)
        for name, title in (
            ("slower", worse),
            ("new", "New: never executed before"),
            ("slow", slow),
            ("most_time", "Most time"),
        )
    ]
    found += [_repeated(report), _pools(report), _errors(report), _alerts(report)]
    return [section for section in found if section.entries]


def _of_patterns(report: PerformanceReport, name: str, title: str, named_already: set[str]) -> Section:
    patterns: tuple[ReportedPattern, ...] = getattr(report, name)
    entries = tuple(_pattern(pattern, is_first=not _seen(pattern, named_already)) for pattern in patterns)
    return Section(title, _OF_PATTERNS, entries, report.counts.get(name, 0) - len(entries))


def _seen(pattern: ReportedPattern, named_already: set[str]) -> bool:
    is_seen = pattern.pattern_id in named_already
    named_already.add(pattern.pattern_id)
    return is_seen


def _pattern(pattern: ReportedPattern, *, is_first: bool) -> Entry:
    did, before = pattern.performance, pattern.before
    change = pattern.p95_change_percent
    cells = (
        duration(did.total_duration_ms),
        percent(pattern.share_percent),
        number(did.execution_count),
        duration(did.median_duration_ms),
        duration(did.p95_duration_ms),
        duration(did.p99_duration_ms),
        "" if before is None else duration(before.p95_duration_ms),
        "new" if pattern.is_new else "" if change is None else f"{change:+.1f} %",
        number(did.error_count),
    )
    details = tuple(_details(pattern)) if is_first else ()
    return Entry(_named(pattern.pattern_id, pattern.summary), cells, pattern.share_percent, details)


def _details(pattern: ReportedPattern) -> Iterator[Detail]:
    if pattern.worse:
        yield Detail("Worse", ", ".join(pattern.worse))
    known = [value for value in pattern.p95_trend if value is not None]
    if len(known) > 1:
        yield Detail("P95", f"{spark(pattern.p95_trend)} {_reach(pattern.p95_trend, duration)}", is_code=True)
    if pattern.services:
        yield Detail("In", _cut(", ".join(pattern.services)))
    for site in pattern.call_sites:
        yield Detail("From", _cut(site), is_code=True)
    yield Detail("SQL", one_line(pattern.text, _LONGEST), is_code=True)


def _repeated(report: PerformanceReport) -> Section:
    entries = tuple(map(_repetition, report.repeated))
    columns = ("Total", "Executions", "In", "Most in one")
    return Section("Repeated: the same query from one line", columns, entries, _left(report, "repeated", entries))


def _repetition(found: ReportedRepetition) -> Entry:
    cells = (
        duration(found.total_duration_ms),
        number(found.execution_count),
        counted(found.scopes_count, "unit"),
        number(found.max_per_scope),
    )
    details = [Detail("Within", _cut(found.scope))] if found.scope else []
    details += [Detail("From", _cut(found.call_site), is_code=True)] if found.call_site else []
    details.append(Detail("Fix", f"{_cut(found.fix)} ({found.confidence})"))
    return Entry(_named(found.pattern_id, found.summary), cells, None, tuple(details))


def _pools(report: PerformanceReport) -> Section:
    entries = tuple(map(_pool, report.pools))
    columns = ("Requests", "Timeouts", "Errors", "P95 wait", "Before", "Peak", "Limit")
    return Section("Pools that suffered", columns, entries, _left(report, "pools", entries))


def _pool(pool: ReportedPool) -> Entry:
    did, before = pool.performance, pool.before
    cells = (
        number(did.request_count),
        number(did.timeout_count),
        number(did.error_count),
        duration(did.p95_wait_ms),
        "" if before is None else duration(before.p95_wait_ms),
        number(did.peak_active),
        number(pool.max_connections) if pool.max_connections else "none",
    )
    name = one_line(f"{did.pool} of {did.service}", _LONGEST_NAME)
    return Entry(name, cells, None, tuple(_troubles(pool, did)))


def _troubles(pool: ReportedPool, did: PoolPerformance) -> Iterator[Detail]:
    told = [
        f"{counted(count, noun)} {what}"
        for count, noun, what in (
            (pool.leaks, "connection", "leaked"),
            (pool.lost_to_cancellation, "connection", "lost as a statement was cancelled"),
            (pool.failed_checks, "health check", "failed"),
        )
        if count
    ]
    if 0 < pool.max_connections <= did.peak_active and pool.peak_waiting:
        told.append(f"used up, with up to {counted(pool.peak_waiting, 'caller')} waiting")
    if told:
        yield Detail("Besides", "; ".join(told))


def _errors(report: PerformanceReport) -> Section:
    entries = tuple(map(_error, report.errors))
    return Section("How queries failed", ("Times", "Code"), entries, _left(report, "errors", entries))


def _error(error: ReportedError) -> Entry:
    kind = ": ".join(part for part in (error.error_type, error.message) if part)
    details = (Detail("Error", one_line(kind, _LONGEST)),) if kind else ()
    return Entry(
        _named(error.pattern_id, error.summary), (number(error.count), _name(error.sqlstate or "")), None, details
    )


def _alerts(report: PerformanceReport) -> Section:
    entries = tuple(Entry(_name(rule), (number(count),), None, ()) for rule, count in report.alerts.items())
    return Section("Alerts that began", ("Times",), entries, 0)


def _left(report: PerformanceReport, name: str, entries: Sequence[Entry]) -> int:
    return report.counts.get(name, 0) - len(entries)


def _named(pattern_id: str, summary_: str) -> str:
    return one_line(named(pattern_id, summary_), _LONGEST_NAME)


def _cut(text: str) -> str:
    return one_line(text, _LONGEST)


def commands(report: PerformanceReport) -> list[str]:
    """What to type to know more."""
    span = report.span
    now, then = _range(span.since, span.until), _range(span.before_since, span.before_until)
    service = "" if report.service is None else f" --service {shlex.quote(_name(report.service))}"
    return [
        "querygauge patterns show ID",
        f"querygauge compare --after {now} --before {then}{service}",
        *([f"querygauge errors --range {now}{service}"] if report.errors else []),
        *([f"querygauge alerts history --range {now}{service}"] if report.alerts else []),
    ]


def _range(since: datetime, until: datetime) -> str:
    return "/".join(moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M") for moment in (since, until))
