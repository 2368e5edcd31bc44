"""
`instrument_all`: one gauge for whatever the application makes, and for what it has made before.

In go engines, pools and connections as they are made; each joins the gauge under the name of its database. Deliberately
not here: how they are caught (`capture.makers`) and found (`capture.living`), and what a gauge does.
"""

import itertools
from typing import Any, Final

from sqlalchemy.engine import Engine

from querygauge.attachments import has_pool
from querygauge.capture.guard import Guard
from querygauge.capture.living import living_targets
from querygauge.capture.makers import Makers
from querygauge.capture.sqlalchemy_target import is_watchable
from querygauge.clock import SystemClock
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import check_agrees
from querygauge.logs import get_logger
from querygauge.registry import name_of, registry
from querygauge.settings import Settings, load_settings

__all__ = ["Everything", "instrument_all"]

log = get_logger(__name__)

_NAME: Final = "instrument_all"
# An application that makes a database for each of its tests would fill the memory and the store with their names.
_MOST_NAMES: Final = 1_000
_FURTHER: Final = "(other databases)"
_ALWAYS_ASKED: Final = 8  # numbers of a name; beyond them, those that were taken are not asked about again for so long
_TRUSTED_NS: Final = 1_000_000_000


class Everything:
    """
    The attachment to all that the application makes.

    Args:
        settings: Of the gauge.
        yields: Whether a call of `instrument_all` in the application takes its place.

    Attributes:
        gauge: Of all of it.
        count: Targets that joined so far.
    """

    def __init__(self, settings: Settings, *, yields: bool = False) -> None:
        self.gauge = Instrumentation(settings, self._end, SystemClock(), is_lasting=True)
        self.yields = yields
        self.count = 0
        self._guard = Guard(_NAME)
        self.gauge.count_failures_of(self._guard)
        self._makers = Makers(self._join, self._guard)
        self._guard.give_up = self._makers.detach
        self._names: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._numbers_since_ns = 0

    def begin(self) -> None:
        """Measures what there is, and whatever is made from now on; the caller holds the registry's lock."""
        _current[:] = [self]
        if not self.gauge.settings.enabled:
            return
        registry.add(self.gauge)
        self._makers.attach()
        try:
            self._join_living()
        except Exception as error:  # noqa: BLE001  # what is made later is measured nevertheless
            self._guard.caught("living", error)

    def _join_living(self) -> None:
        missed = []
        for target in living_targets():
            try:
                self._join(target)
            except Exception as error:  # noqa: BLE001  # the others are measured nevertheless
                self._guard.caught("living", error)
                missed.append(_described(target))
        if missed:
            log.warning("targets_missed", targets=sorted(missed), remedy="call instrument_all() before they are made")

    def _join(self, target: Any) -> None:
        if isinstance(target, Engine) and not is_watchable(target):
            return  # of a test's own making
        with registry.lock:
            if self.gauge.is_closed or registry.gauge_of(target) is not None:
                return
            name = self._name_of(target)
            self.gauge.attach(target, name, self._pool_name(name) if has_pool(target) else None)
            self.count += 1
            self.gauge.start()

    def _name_of(self, target: Any) -> str:
        name = name_of(target)
        if name not in self._names and len(self._names) >= _MOST_NAMES:
            return _FURTHER
        self._names.add(name)
        return name

    def _pool_name(self, database: str) -> str:
        # Of thousands of engines over one database, those before the last are not asked each time.
        now_ns = self.gauge.clock.monotonic_ns()
        if now_ns - self._numbers_since_ns >= _TRUSTED_NS:
            self._numbers_since_ns = now_ns
            self._numbers.clear()
        beyond = itertools.count(max(_ALWAYS_ASKED, self._numbers.get(database, 0)) + 1)
        numbers = itertools.chain(range(1, _ALWAYS_ASKED + 1), beyond)
        name, self._numbers[database] = registry.free_name(database, numbers)
        return name

    def _end(self, gauge: Instrumentation) -> None:
        self._makers.detach()
        registry.remove(gauge)
        if self in _current:
            _current.remove(self)


_current: Final[list[Everything]] = []


def instrument_all(**settings: Any) -> Instrumentation:
    """
    Times every statement of every engine, asyncpg pool and asyncpg connection of this process.

    Those that are made later join as they are made, those there are already are looked for; a log line names any that
    could not be measured. An engine that the application hands to `instrument` has a gauge of its own. Doing it twice
    changes nothing. Closing what it gives leaves everything as it was found.

    Args:
        **settings: As for `instrument`.

    Raises:
        SettingsError: If a setting is unknown or impossible, or not the one in force.
    """
    wanted = load_settings(settings)
    for everything in tuple(_current):
        if everything.yields:
            everything.gauge.close()
    with registry.lock:
        for everything in _current:
            check_agrees(everything.gauge.settings, settings, wanted)
            return everything.gauge
        everything = Everything(wanted)
        everything.begin()
        return everything.gauge


def _described(target: Any) -> str:
    try:
        return name_of(target)
    except Exception:  # noqa: BLE001  # it may be what made it fail
        return type(target).__qualname__
