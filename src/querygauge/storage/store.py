"""
What a store answers: every question opens the database, asks, and closes it.

In go a range and what to choose, out comes one frozen value. Deliberately not here: how each question is answered,
which are the files of `answers`, and how values are shown.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from querygauge.errors import SettingsError, StoreError
from querygauge.settings import price_in_force
from querygauge.storage.alerting import alerts_in, silence, unsilence
from querygauge.storage.answers.comparison import MIN_CHANGE_PERCENT, compared
from querygauge.storage.answers.cost import cost_report
from querygauge.storage.answers.diagnosis import diagnosed, unopened
from querygauge.storage.answers.errors import error_report
from querygauge.storage.answers.execution import execution_statistics
from querygauge.storage.answers.marks import marks_in_force
from querygauge.storage.answers.measured import Asked
from querygauge.storage.answers.metrics import performance_metrics
from querygauge.storage.answers.performance_report import ReportLimits, performance_report
from querygauge.storage.answers.quality import quality_report
from querygauge.storage.answers.similarity import similar_patterns
from querygauge.storage.answers.status import LIMIT_MB, WARN_MB, store_status
from querygauge.storage.marking import mark, unmark
from querygauge.storage.objectives import objective_states
from querygauge.storage.ranges import Range, Span, span_of
from querygauge.storage.reader import Reader, query_stats
from querygauge.values import QueryStats
from querygauge.values.alerts import Alerts, Silence
from querygauge.values.answers.comparison import Comparison
from querygauge.values.answers.cost import CostReport
from querygauge.values.answers.diagnosis import Diagnosis
from querygauge.values.answers.errors import ErrorReport
from querygauge.values.answers.execution import ExecutionStatistics
from querygauge.values.answers.marks import MarkedPattern, MarkKind, Marks
from querygauge.values.answers.metrics import PerformanceMetrics
from querygauge.values.answers.performance_report import PerformanceReport, ReportSpan
from querygauge.values.answers.quality import QualityReport
from querygauge.values.answers.similarity import SimilarPatterns
from querygauge.values.answers.status import StoreStatus
from querygauge.values.objectives import Objective, ObjectiveStates

__all__ = ["Store"]


class Store(Reader):
    """
    Answers questions about one store; safe to keep, nothing of it is open. Made by `open_store`.

    A range is a length that ends now, such as `24h`, or two moments; whole minutes, because rows are.
    """

    def status(self, *, warn_mb: float = WARN_MB, limit_mb: float = LIMIT_MB) -> StoreStatus:
        """Whether the store is well: from `warn_mb` megabytes on its size is a warning, from `limit_mb` on an error."""
        with self._open() as connection:
            return store_status(connection, self.paths, datetime.now(UTC), warn_mb, limit_mb)

    def doctor(self, *, warn_mb: float = WARN_MB, limit_mb: float = LIMIT_MB) -> Diagnosis:
        """
        Looks through the whole store: whether its numbers are in order, how it grows, and why it may have none.

        It reads every row, and raises nothing: that the database cannot be opened is a finding, too.
        """
        try:
            with self._open() as connection:
                now = datetime.now(UTC).replace(tzinfo=None)
                return diagnosed(connection, self.paths, now, warn_mb, limit_mb, self.folded.held)
        except StoreError as error:
            return unopened(self.paths, error)

    def execution_statistics(
        self, range_: Range = "24h", *, service: str | None = None, limit: int = 10
    ) -> ExecutionStatistics:
        """
        What was executed in a range, over time and by tag, pool, operation, service, pattern and line.

        Args:
            range_: Such as `24h` or `7d`, or two moments.
            service: One service; None is all of them.
            limit: Services, patterns and lines at most.

        Raises:
            SettingsError: If the range is none, or the limit is less than 1.
            StoreError: If the store has never heard of the service, or cannot be read.
        """
        with self._asking(range_, service) as question:
            return execution_statistics(question, _possible(limit))

    def performance_metrics(
        self, range_: Range = "24h", *, service: str | None = None, price_per_hour: float | None = None
    ) -> PerformanceMetrics:
        """
        Durations, cost, memory and CPU time of a range; raises as `execution_statistics` does.

        Args:
            range_: Such as `24h` or `7d`, or two moments.
            service: One service; None is all of them.
            price_per_hour: Of database time; by default the setting.
        """
        with self._asking(range_, service) as question:
            return performance_metrics(question, price_in_force(price_per_hour))

    def compare(
        self,
        before: Range | None = None,
        after: Range | None = None,
        *,
        baseline: "Store | None" = None,
        service: str | None = None,
        min_change_percent: float = MIN_CHANGE_PERCENT,
    ) -> Comparison:
        """
        What has changed between two ranges, or two stores, by more than chance.

        Args:
            before: What is compared with: by default as long a range just before `after`, or all of `baseline`.
            after: What is looked at: by default 24h, or all of this store where there is a `baseline`.
            baseline: Another store, which has what was before.
            service: One service; None is all of them.
            min_change_percent: A median or 95th percentile that changed by less is left alone.

        Raises:
            SettingsError: If a range is none, or `min_change_percent` no percentage.
            StoreError: If a store has never heard of the service, or cannot be read.
        """
        if not 0 <= min_change_percent < math.inf:
            raise SettingsError(f"min_change_percent must be a finite number >= 0; got {min_change_percent:g}")
        earlier, later = _spans(before, after, has_baseline=baseline is not None)
        if baseline is None:
            sides = self._sides(service, earlier, later)
        else:
            sides = baseline._sides(service, earlier) + self._sides(service, later)  # noqa: SLF001  # one of its own kind
        (old_name, old), (name, new) = sides
        return compared(old, new, named=(old_name, name), service=service, min_change_percent=min_change_percent)

    def _sides(self, service: str | None, *spans: Span | None) -> list[tuple[str, list[QueryStats]]]:
        """What each side of a comparison is called, and its statistics, all as of one moment."""
        self.check(service)
        with self._open() as connection:
            return [
                (f"{self.paths.name}, {span}", query_stats(connection, span.since, span.until, service))
                if span is not None
                else (f"{self.paths.name}, everything", query_stats(connection, None, None, service))
                for span in spans
            ]

    def cost(
        self, range_: Range = "30d", *, service: str | None = None, price_per_hour: float | None = None
    ) -> CostReport:
        """
        What database time cost in a range, and what was expected; raises as `execution_statistics` does.

        Args:
            range_: Such as `24h` or `7d`, or two moments.
            service: One service; None is all of them.
            price_per_hour: Of database time; by default the setting.
        """
        with self._asking(range_, service) as question:
            return cost_report(question, price_in_force(price_per_hour))

    def quality(self, range_: Range = "7d", *, service: str | None = None) -> QualityReport:
        """
        A score from 0 to 100 by pattern, operation, complexity and hour of the week; raises as `cost` does.

        Args:
            range_: Such as `24h` or `7d`, or two moments.
            service: One service; None is all of them.
        """
        with self._asking(range_, service) as question:
            return quality_report(question)

    def errors(self, range_: Range = "24h", *, service: str | None = None, limit: int = 10) -> ErrorReport:
        """
        How statements failed in a range, by code, pattern and time; raises as `cost` does.

        Args:
            range_: Such as `24h` or `7d`, or two moments.
            service: One service; None is all of them.
            limit: Examples at most.
        """
        with self._asking(range_, service) as question:
            return error_report(question, _possible(limit))

    def performance_report(
        self, span: ReportSpan, *, service: str | None = None, limits: ReportLimits | None = None
    ) -> PerformanceReport:
        """
        What was slow, new, worse than in the week before, repeated and failed in a span, and which pools suffered.

        Args:
            span: Which, and what it is compared with.
            service: One service; None is all of them.
            limits: From where on something is told, and how much of it.

        Raises:
            StoreError: If the store has never heard of the service, or cannot be read.
        """
        self.check(service)
        with self._open() as connection:
            return performance_report(connection, span, service, limits or ReportLimits())

    def similar(self, pattern_id: str, *, limit: int = 5) -> SimilarPatterns:
        """
        The patterns that are like one: the same query with other columns or filters, the most similar first.

        Args:
            pattern_id: Its id, or the beginning of it.
            limit: How many at most.

        Raises:
            SettingsError: If the limit is less than 1.
            StoreError: If no pattern's id begins so, several do, or the store cannot be read.
        """
        with self._open() as connection:
            return similar_patterns(connection, pattern_id, _possible(limit))

    def mark(
        self, pattern_id: str, kind: MarkKind, *, until: datetime | None = None, note: str | None = None
    ) -> MarkedPattern:
        """
        Marks a query as known: reports are quiet about it until it gets worse; an earlier mark of it is replaced.

        Args:
            pattern_id: Its id, or the beginning of it.
            kind: `accepted` and `expected` ask for quiet until it gets worse, `fixed` until it is found again.
            until: From then on it is as if nobody had.
            note: Why.

        Raises:
            SettingsError: If there is no such kind, or `until` is over already.
            StoreError: If no pattern's id begins so, several do, or the store cannot be written.
        """
        return mark(self.paths, pattern_id, kind, until=until, note=note)

    def unmark(self, pattern_id: str) -> None:
        """Takes back what was said of a query; raises as `mark` does, or if nothing was."""
        unmark(self.paths, pattern_id)

    def marks(self) -> Marks:
        """What was said of queries and is in force, the latest first, and which have become worse since."""
        with self._open() as connection:
            return marks_in_force(connection, datetime.now(UTC))

    def alerts(self, range_: Range | None = None, *, service: str | None = None) -> Alerts:
        """
        What is wrong now, or what was at some time in a range.

        Args:
            range_: Such as `24h` or `7d`, or two moments; None is what fires now.
            service: One service; None is all of them, and the store.

        Raises:
            SettingsError: If the range is none.
            StoreError: If the store has never heard of the service, or cannot be read.
        """
        now = datetime.now(UTC)
        span = None if range_ is None else span_of(range_, now)
        self.check(service)
        with self._open() as connection:
            return alerts_in(connection, span, service, now)

    def objectives(self, objectives: Iterable[Objective]) -> ObjectiveStates:
        """
        How far objectives are attained, and how fast their budgets are used; of what nobody executed there is nothing.

        Args:
            objectives: What is to be attained.

        Raises:
            StoreError: If the store cannot be read.
        """
        with self._open() as connection:
            return ObjectiveStates(objective_states(connection, objectives, datetime.now(UTC), with_period=True))

    def silence(
        self,
        until: datetime,
        *,
        rule: str | None = None,
        service: str | None = None,
        subject: str | None = None,
        note: str | None = None,
    ) -> Silence:
        """
        Has nobody told of some alerts for a while; what still lasts when it ends is told then.

        Args:
            until: When it ends; an aware datetime.
            rule: Name of a rule, `*` standing for any part of it, here and below; None is any.
            service: Name of an application.
            subject: Id of a pattern, or name of a pool.
            note: Why.

        Raises:
            SettingsError: If `until` is over already.
            StoreError: If the store cannot be written.
        """
        return silence(self.paths, until, rule=rule, service=service, subject=subject, note=note)

    def unsilence(self, silence_id: str) -> None:
        """Ends a silence; raises StoreError if there is none of that id."""
        unsilence(self.paths, silence_id)

    def check(self, service: str | None) -> None:
        """Raises StoreError if the store has never heard of a service; None is all of them."""
        if service is not None and service not in (known := self.services()):
            root, names = self.paths.name, ", ".join(known) or "none yet"
            raise StoreError(f"no service {service!r} in store {root!r}; it knows {names}")

    @contextmanager
    def _asking(self, range_: Range, service: str | None) -> Iterator[Asked]:
        span = span_of(range_, datetime.now(UTC))
        self.check(service)
        with self._open() as connection:
            yield Asked(connection, span, service)


def _spans(before: Range | None, after: Range | None, *, has_baseline: bool) -> tuple[Span | None, Span | None]:
    """What is compared with, and what is looked at; None is everything."""
    now = datetime.now(UTC)
    if has_baseline:
        return None if before is None else span_of(before, now), None if after is None else span_of(after, now)
    later = span_of(after or "24h", now)
    return later.before() if before is None else span_of(before, now), later


def _possible(limit: int) -> int:
    if limit < 1:
        raise SettingsError(f"limit must be >= 1; got {limit}")
    return limit
