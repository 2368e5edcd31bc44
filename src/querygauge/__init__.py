"""
Which SQL an application sends, how often, how slow and from where.

A name is loaded when it is asked for, so that a process which reads or folds a store pays for nothing that measures.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from querygauge.capture.scope import scope
    from querygauge.errors import MissingExtraError, QueryGaugeError, SettingsError, StoreError
    from querygauge.everything import instrument_all
    from querygauge.gauge import Instrumentation
    from querygauge.instrumenting import instrument, uninstrument
    from querygauge.middleware.asgi import ASGIMiddleware
    from querygauge.middleware.wsgi import WSGIMiddleware
    from querygauge.monitors.delivery import RateLimitedAlertHandler
    from querygauge.monitors.pool_monitor import ConnectionPoolMonitor, initialize_pool_monitor
    from querygauge.monitors.query_monitor import QueryMonitor, initialize_query_monitor
    from querygauge.settings import Settings
    from querygauge.storage.opening import open_store
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
    "open_store",
    "scope",
    "uninstrument",
]

# No submodule may have the name of one of these: importing it would put it in the name's place.
_HOMES: Final = {
    "ASGIMiddleware": "middleware.asgi",
    "ConnectionPoolMonitor": "monitors.pool_monitor",
    "Instrumentation": "gauge",
    "MissingExtraError": "errors",
    "QueryGaugeError": "errors",
    "QueryMonitor": "monitors.query_monitor",
    "RateLimitedAlertHandler": "monitors.delivery",
    "Settings": "settings",
    "SettingsError": "errors",
    "StoreError": "errors",
    "WSGIMiddleware": "middleware.wsgi",
    "initialize_pool_monitor": "monitors.pool_monitor",
    "initialize_query_monitor": "monitors.query_monitor",
    "instrument": "instrumenting",
    "instrument_all": "everything",
    "open_store": "storage.opening",
    "scope": "capture.scope",
    "uninstrument": "instrumenting",
}

# Type checkers must not see it, or they would take every name for a public one.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'values')}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
