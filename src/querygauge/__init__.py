"""Which SQL an application sends, how often, how slow and from where."""

from querygauge.capture.scope import scope
from querygauge.errors import MissingExtraError, QueryGaugeError, SettingsError, StoreError
from querygauge.gauge import Instrumentation
from querygauge.instrument import instrument, uninstrument
from querygauge.instrument_all import instrument_all
from querygauge.middleware.asgi import ASGIMiddleware
from querygauge.middleware.wsgi import WSGIMiddleware
from querygauge.monitors.delivery import RateLimitedAlertHandler
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor, initialize_pool_monitor
from querygauge.monitors.query_monitor import QueryMonitor, initialize_query_monitor
from querygauge.settings import Settings
from querygauge.values import (
    Pattern,
    PoolMetrics,
    PoolSnapshot,
    QueryStats,
    Repetition,
    RunningQuery,
    RunningState,
    ScopeStats,
    SlowQuery,
    SlowQueryAlert,
    Snapshot,
)

__version__ = "0.1.0"

__all__ = [
    "ASGIMiddleware",
    "ConnectionPoolMonitor",
    "Instrumentation",
    "MissingExtraError",
    "Pattern",
    "PoolMetrics",
    "PoolSnapshot",
    "QueryGaugeError",
    "QueryMonitor",
    "QueryStats",
    "RateLimitedAlertHandler",
    "Repetition",
    "RunningQuery",
    "RunningState",
    "ScopeStats",
    "Settings",
    "SettingsError",
    "SlowQuery",
    "SlowQueryAlert",
    "Snapshot",
    "StoreError",
    "WSGIMiddleware",
    "initialize_pool_monitor",
    "initialize_query_monitor",
    "instrument",
    "instrument_all",
    "scope",
    "uninstrument",
]
