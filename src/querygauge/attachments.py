"""
What is watched, joined to the monitors: an engine, an asyncpg pool or an asyncpg connection, each with its hooks.

In goes a target with the monitors of its database, out comes an attachment, by which a gauge ends it again. Targets are
held weakly. Deliberately not here: which target has which gauge (`instrument`), and driving the monitors (`gauge`).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from weakref import ref

from sqlalchemy.engine import Engine

from querygauge.capture.asyncpg_beneath import AsyncpgBeneath
from querygauge.capture.asyncpg_connection import ConnectionStatements
from querygauge.capture.asyncpg_pool import AsyncpgPoolHooks
from querygauge.capture.asyncpg_target import is_pool
from querygauge.capture.call_site import CallSiteFinder
from querygauge.capture.compiled_lookups import CompiledLookups
from querygauge.capture.guard import Guard
from querygauge.capture.health import ping_of
from querygauge.capture.loop_lag import LoopLag, database_loops
from querygauge.capture.other_tracing import OtherTracing
from querygauge.capture.running import Running
from querygauge.capture.sqlalchemy_engine import Statements
from querygauge.capture.sqlalchemy_pool import PoolHooks
from querygauge.capture.sqlalchemy_target import spoken_dialect
from querygauge.checkout import Checkout, new_checkout
from querygauge.export.trace_ids import current_trace_id
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor
from querygauge.monitors.query_monitor import QueryMonitor
from querygauge.patterns.cache import PatternCache
from querygauge.protocols import Record, Trace
from querygauge.settings import Settings

__all__ = ["Attachment", "Monitors", "attachment_of", "has_pool", "identity_of"]

_NS_PER_MS: Final = 1e6


@dataclass(frozen=True, slots=True)
class Monitors:
    """
    Where the hooks of one target record to.

    Attributes:
        name: Of its database.
        queries: Takes the statements of all targets.
        settings: In force.
        patterns: By dialect, what all targets remember together; for dialects in which every server reads a text alike.
    """

    name: str
    queries: QueryMonitor
    settings: Settings
    patterns: dict[str, PatternCache]


class Attachment(Protocol):
    """
    One target that is watched.

    Attributes:
        name: Of its database.
        guard: Stands before all its hooks.
        pool: The monitor of its pool; None for a single connection.
        running: What runs on it.
        patterns: What is remembered of its statements, maybe together with others.
        compiled: Counts what SQLAlchemy compiled for it; None if it does not.
    """

    name: str
    guard: Guard
    pool: ConnectionPoolMonitor | None
    running: Running
    patterns: PatternCache
    compiled: CompiledLookups | None

    def is_of(self, target: Any) -> bool:
        """Whether it is `target` that is watched."""

    def is_gone(self) -> bool:
        """Whether nobody can use the target any more."""

    def poll(self) -> None:
        """Does what can be done now and could not before."""

    def detach(self) -> None:
        """Leaves the target as it was found."""


def identity_of(target: Any) -> int:
    """What a target is told from others by, as long as it lives."""
    # An engine shares its dialect with its `execution_options` copies and the AsyncEngine over it.
    return id(target.dialect if isinstance(target, Engine) else target)


def has_pool(target: Any) -> bool:
    """Whether a target has a pool to watch."""
    return isinstance(target, Engine) or is_pool(target)


def attachment_of(target: Any, pool: ConnectionPoolMonitor | None, monitors: Monitors) -> Attachment:
    """Begins to watch one target, and its pool if it has one."""
    if pool is None:
        return _ConnectionAttachment(target, monitors)
    if isinstance(target, Engine):
        return _EngineAttachment(target, pool, monitors)
    return _PoolAttachment(target, pool, monitors)


class _EngineAttachment:
    def __init__(self, engine: Engine, pool: ConnectionPoolMonitor, monitors: Monitors) -> None:
        settings = monitors.settings
        self.name = monitors.name
        self.guard = _guard(monitors, self.detach)
        self.pool: ConnectionPoolMonitor | None = pool
        self._dialect = ref(engine.dialect)
        lag = LoopLag() if engine.dialect.is_async else None
        # What goes through asyncpg may go past SQLAlchemy.
        self._beneath: AsyncpgBeneath | None = None
        if getattr(engine.dialect, "driver", None) == "asyncpg":
            statements = _connection_statements(monitors, self.guard, pool.held, lag)
            self._beneath = AsyncpgBeneath(engine.dialect, statements)
        self._hooks = PoolHooks(
            engine,
            record=pool,
            find_call_site=_finder(settings),
            dialect=engine.dialect.name,
            guard=self.guard,
            lag=lag,
            watch_connection=None if self._beneath is None else self._beneath.watch,
        )
        self.patterns = _patterns(monitors, spoken_dialect(engine.dialect))
        self._statements = Statements(
            engine.dialect,
            monitors.name,
            record=_record(monitors, OtherTracing(getattr(engine.dialect, "driver", ""), engine)),
            ledger=monitors.queries.ledger(),
            patterns=self.patterns,
            find_call_site=_finder(settings),
            held=pool.held,
            wake=monitors.queries.wake,
            slow_ns=_slow_ns(settings),
            told_ns=_told_ns(settings),
            guard=self.guard,
            lag=lag,
            always_find=settings.call_sites == "all",
            keep_literals=settings.keep_literals,
        )
        self.compiled: CompiledLookups | None = self._statements.compiled
        loops = database_loops if engine.dialect.is_async else None
        self.running = _running(monitors, self.guard, pool.held, self._statements, loops)
        pool.set_reading(self._hooks.read, self._hooks.activity)
        self._ping: Callable[[], bool] | None = None
        if settings.health_check:
            self._ping = ping_of(engine, self._hooks, settings.health_check_timeout_s)
            # An asynchronous engine is pinged on the loop that uses it, and none does yet.
            if not engine.dialect.is_async:
                self._begin_pings()
        try:
            self._hooks.attach()
            self._statements.attach()
            if self._beneath is not None:
                self._beneath.attach()
        except BaseException:
            self.detach()
            raise

    def is_of(self, target: Any) -> bool:
        return isinstance(target, Engine) and self._dialect() is target.dialect

    def is_gone(self) -> bool:
        return self._dialect() is None

    def poll(self) -> None:
        if self._hooks.lag is not None and self._hooks.lag.loop is not None:
            self._begin_pings()

    def _begin_pings(self) -> None:
        if self._ping is not None and self.pool is not None:
            self.pool.set_health_check_callback(self._ping)
            self._ping = None

    def detach(self) -> None:
        self.running.end()
        if self._beneath is not None:
            self._beneath.detach()
        self._statements.detach()
        self._hooks.detach()


class _PoolAttachment:
    compiled: CompiledLookups | None = None

    def __init__(self, watched: Any, pool: ConnectionPoolMonitor, monitors: Monitors) -> None:
        self.name = monitors.name
        self.guard = _guard(monitors, self.detach)
        self.pool: ConnectionPoolMonitor | None = pool
        lag = LoopLag()
        self.patterns = _patterns(monitors, "postgresql")
        statements = _connection_statements(monitors, self.guard, pool.held, lag)
        self.running = _running(monitors, self.guard, pool.held, statements, database_loops)
        self._hooks = AsyncpgPoolHooks(
            watched,
            record=pool,
            statements=statements,
            find_call_site=_finder(monitors.settings),
            guard=self.guard,
            lag=lag,
        )
        pool.set_reading(self._hooks.read, self._hooks.activity)
        self._hooks.attach(watched)

    def is_of(self, target: Any) -> bool:
        return self._hooks.is_of(target)

    def is_gone(self) -> bool:
        return self._hooks.is_gone

    def poll(self) -> None:
        pass

    def detach(self) -> None:
        self.running.end()
        self._hooks.detach()


class _ConnectionAttachment:
    compiled: CompiledLookups | None = None

    def __init__(self, connection: Any, monitors: Monitors) -> None:
        self.name = monitors.name
        self.guard = _guard(monitors, self.detach)
        self.pool: ConnectionPoolMonitor | None = None
        self._connection = ref(connection)
        # Who uses a connection of their own holds it all the time.
        held = {id(connection): new_checkout(time.perf_counter_ns(), None)}
        self.patterns = _patterns(monitors, "postgresql")
        self._statements = _connection_statements(monitors, self.guard, held, LoopLag())
        self.running = _running(monitors, self.guard, held, self._statements, self._loops)
        self._statements.attach(connection)

    def _loops(self) -> list[Any]:
        connection = self._connection()
        return [] if connection is None else [connection._loop]  # noqa: SLF001  # it is told nowhere else

    def is_of(self, target: Any) -> bool:
        return self._connection() is target

    def is_gone(self) -> bool:
        connection = self._connection()
        return connection is None or connection.is_closed()

    def poll(self) -> None:
        pass

    def detach(self) -> None:
        self.running.end()
        self._statements.detach()


def _guard(monitors: Monitors, detach: Callable[[], None]) -> Guard:
    guard = Guard(monitors.name)
    guard.give_up = detach
    return guard


def _connection_statements(
    monitors: Monitors, guard: Guard, held: Mapping[Any, Checkout], lag: LoopLag | None
) -> ConnectionStatements:
    settings = monitors.settings
    return ConnectionStatements(
        monitors.name,
        record=_record(monitors, OtherTracing("asyncpg")),
        ledger=monitors.queries.ledger(),
        patterns=_patterns(monitors, "postgresql"),
        find_call_site=_finder(settings),
        held=held,
        wake=monitors.queries.wake,
        slow_ns=_slow_ns(settings),
        told_ns=_told_ns(settings),
        guard=guard,
        lag=lag,
        always_find=settings.call_sites == "all",
        keep_literals=settings.keep_literals,
    )


def _running(
    monitors: Monitors,
    guard: Guard,
    held: Mapping[Any, Checkout],
    statements: Statements | ConnectionStatements,
    loops: Callable[[], list[Any]] | None,
) -> Running:
    return Running(
        monitors.name,
        held=held,
        pattern_of=statements.pattern_of,
        call_sites=_call_sites(monitors.settings),
        loops=loops,
        guard=guard,
    )


def _patterns(monitors: Monitors, dialect: str | Callable[[], str]) -> PatternCache:
    settings = monitors.settings
    found = monitors.patterns.get(dialect) if isinstance(dialect, str) else None
    if found is None:
        found = PatternCache(dialect, settings.max_patterns, fold_numbered_names=settings.fold_numbered_names)
    if isinstance(dialect, str):
        monitors.patterns[dialect] = found
    return found


def _finder(settings: Settings) -> Callable[[], str | None]:
    # One for each hook: it remembers how deep the application's frame lies, seen from there.
    found = _call_sites(settings)
    return _find_nothing if found is None else found.find


def _call_sites(settings: Settings) -> CallSiteFinder | None:
    return None if settings.call_sites == "off" else CallSiteFinder(settings.app_root)


def _find_nothing() -> None:
    """Looks for no call site."""


def _record(monitors: Monitors, other: OtherTracing) -> Record:
    """Takes the executions of a target, and tells of some of them whoever follows requests through a system."""
    settings = monitors.settings
    trace: Trace = current_trace_id
    if settings.spans != "off":
        from querygauge.export.opentelemetry_spans import Spans  # which needs a library

        from_ns = 0 if settings.spans == "all" else round(settings.slow_query_threshold_ms * _NS_PER_MS)
        trace = Spans(monitors.name, from_ns, other)
    if settings.opentelemetry_durations:
        from querygauge.export.opentelemetry_durations import Durations  # likewise

        traced_ns = 0 if settings.spans == "all" else _slow_ns(settings)
        trace = Durations(monitors.name, settings.opentelemetry_series, trace, traced_ns)
    return monitors.queries.recorder(monitors.name, trace, _told_ns(settings))


def _told_ns(settings: Settings) -> int:
    return 0 if settings.spans == "all" or settings.opentelemetry_durations else _slow_ns(settings)


def _slow_ns(settings: Settings) -> int:
    # From here on an execution may be kept one by one, so that its line is worth finding.
    return round(min(settings.slow_query_threshold_ms, settings.effective_history_threshold_ms) * _NS_PER_MS)
