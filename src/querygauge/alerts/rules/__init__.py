"""
The rules: in goes what was observed and from where on it is wrong, out comes what is.

Each is a pure function of one service or of the store, and yields a finding for each thing that is wrong now; for how
long it must be so, and who is told, is for `lifecycle`. A rule has the name of its function, and a page in
`docs/runbooks`.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from querygauge.alerts.lifecycle import Patience
from querygauge.alerts.rules import failing, machine, objectives, pools, slow
from querygauge.alerts.thresholds import Thresholds
from querygauge.errors import SettingsError
from querygauge.values.alerts import Finding
from querygauge.values.choosing import is_chosen
from querygauge.values.observed import Observation, ObservedService, ObservedStore

__all__ = ["PATIENCE", "RULES", "check_is_rule", "findings"]

ServiceRule = Callable[[ObservedService, Thresholds], Iterator[Finding]]
StoreRule = Callable[[ObservedStore, Thresholds], Iterator[Finding]]

_AT_ONCE: Final = timedelta(0)
_HAPPENED: Final = Patience(_AT_ONCE, timedelta(hours=1), tells_end=False)
_LASTS: Final = Patience()

_OF_SERVICES: Final[Mapping[ServiceRule, Patience]] = {
    failing.error_rate: _LASTS,
    failing.success_rate: _LASTS,
    failing.errors_per_second: _LASTS,
    failing.no_queries: Patience(timedelta(minutes=10)),
    slow.slow_query: _HAPPENED,
    slow.slow_pattern: _LASTS,
    slow.new_slow_pattern: _LASTS,
    slow.regression: _LASTS,
    slow.p99_latency: _LASTS,
    slow.slow_rate: _LASTS,
    slow.loop_lag: _LASTS,
    slow.repetition: _HAPPENED,
    pools.pool_saturation: _LASTS,
    pools.pool_wait: _LASTS,
    pools.pool_pending: Patience(timedelta(minutes=1)),
    pools.pool_timeout: Patience(_AT_ONCE),
    pools.health_check_failed: Patience(_AT_ONCE),
    pools.connection_leak: _HAPPENED,
    pools.lost_to_cancellation: _HAPPENED,
    pools.long_checkout: Patience(_AT_ONCE),
    machine.memory_high: _LASTS,
    objectives.burn_rate: Patience(_AT_ONCE),
}
_OF_STORES: Final[Mapping[StoreRule, Patience]] = {
    machine.store_too_large: _LASTS,
    machine.spool_backlog: _LASTS,
    machine.store_stalled: Patience(_AT_ONCE),
    machine.disk_low: _LASTS,
}

PATIENCE: Final[Mapping[str, Patience]] = MappingProxyType(
    {rule.__name__: patience for rules in (_OF_SERVICES, _OF_STORES) for rule, patience in rules.items()}
)
"""For how long each rule waits, by its name."""

RULES: Final = tuple(sorted(PATIENCE))
"""The names of all rules."""


def findings(observation: Observation, limits: Thresholds) -> Iterator[Finding]:
    """Everything that is wrong now."""
    for service in observation.services:
        for rule in _OF_SERVICES:
            yield from rule(service, limits)
    for store_rule in _OF_STORES:
        yield from store_rule(observation.store, limits)


def check_is_rule(setting: str, wanted: str) -> None:
    """
    Checks that a name, or one with `*` for any part of it, is of at least one rule.

    Raises:
        SettingsError: If nobody would ever be told of it; it begins with the setting's name.
    """
    if not any(is_chosen(rule, wanted) for rule in RULES):
        raise SettingsError(f"{setting} must name rules; got {wanted!r}, known are {', '.join(RULES)}")
