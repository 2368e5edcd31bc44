"""
Which engine has which gauge: `instrument` makes or finds it, `uninstrument` ends it.

Deliberately not here: what a gauge does.
"""

import itertools
import threading
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Final
from weakref import ref

from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import Dialect

from querygauge.capture.sqlalchemy_target import engines_of, target_name
from querygauge.clock import SystemClock
from querygauge.errors import SettingsError
from querygauge.forking import survive_forks
from querygauge.gauge import Instrumentation
from querygauge.settings import Settings, load_settings

__all__ = ["instrument", "uninstrument"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One instrumented engine, known by its dialect, under its name."""

    dialect: ref[Dialect]
    name: str
    gauge: Instrumentation


class _Registry:
    """
    The gauges of this process.

    By the id of the dialect, which an engine shares with its `execution_options` copies and the AsyncEngine over it.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.entries: dict[int, _Entry] = {}
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """Replaces the lock, which another thread may have held."""
        self.lock = threading.RLock()


_registry: Final = _Registry()


def instrument(*targets: Any, name: str | None = None, **settings: Any) -> Instrumentation:
    """
    Times every statement and every checkout of some engines from now on.

    Doing it twice changes nothing: the second call gives the gauge of the first.

    Args:
        *targets: Each an `Engine`, an `AsyncEngine`, or a session maker of either.
        name: What the database is called in every report; by default `host:port/database`. For one engine only.
        **settings: Any of `Settings`, each over its `QUERYGAUGE_*` variable and its entry in `[tool.querygauge]`.

    Raises:
        SettingsError: If a target is of no supported kind, a setting is unknown or impossible, or an engine is
            instrumented already in another way.
    """
    wanted = load_settings(settings)
    engines = _distinct(engine for target in targets for engine in engines_of(target))
    if not engines:
        raise SettingsError("instrument() needs an engine; got nothing")
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise SettingsError(f"name must be a text that is not empty; got {name!r}")
    if name is not None and len(engines) > 1:
        raise SettingsError(f"name must be left out for several engines; got {name!r} for {len(engines)}")
    with _registry.lock:
        known = [_gauge_of(engine) for engine in engines]
        if known[0] is not None and all(gauge is known[0] for gauge in known):
            _check_agrees(known[0], name, settings, wanted)
            return known[0]
        if any(gauge is not None for gauge in known):
            raise SettingsError("some of the engines are instrumented already: close their gauge, or leave them out")
        return _made(engines, name, wanted)


def uninstrument(*targets: Any) -> None:
    """
    Closes the gauges of some engines; an engine without one is left alone.

    Raises:
        SettingsError: If a target is of no supported kind.
    """
    for target in targets:
        for engine in engines_of(target):
            gauge = _gauge_of(engine)
            if gauge is not None:
                gauge.close()


def _made(engines: list[Engine], name: str | None, settings: Settings) -> Instrumentation:
    gauge = Instrumentation(settings, _forget, SystemClock())
    try:
        for engine in engines:
            free_name = _free_name(name or target_name(engine), gauge)
            gauge.attach(engine, free_name)
            if settings.enabled:
                _registry.entries[id(engine.dialect)] = _Entry(ref(engine.dialect), free_name, gauge)
        gauge.start()
    except BaseException:
        gauge.close()
        raise
    return gauge


def _distinct(engines: Iterable[Engine]) -> list[Engine]:
    by_dialect = {id(engine.dialect): engine for engine in engines}
    return list(by_dialect.values())


def _gauge_of(engine: Engine) -> Instrumentation | None:
    entry = _registry.entries.get(id(engine.dialect))
    # An id is given again once its owner is gone, and a gauge may be closing in another thread.
    if entry is None or entry.dialect() is not engine.dialect or entry.gauge.is_closed:
        return None
    return entry.gauge


def _free_name(name: str, gauge: Instrumentation) -> str:
    taken = {entry.name for entry in _registry.entries.values() if entry.dialect() is not None} | set(gauge.pools)
    numbered = (f"{name}#{number}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([name], numbered) if candidate not in taken)


def _check_agrees(gauge: Instrumentation, name: str | None, given: dict[str, Any], wanted: Settings) -> None:
    # The name asked for at first may have been given away, and then got a number.
    if name is not None and not any(name in {target, target.rpartition("#")[0]} for target in gauge.pools):
        raise SettingsError(f"name must stay {next(iter(gauge.pools))!r} until the gauge is closed; got {name!r}")
    for setting in fields(Settings):
        mine, theirs = getattr(gauge.settings, setting.name), getattr(wanted, setting.name)
        if setting.name in given and mine != theirs:
            raise SettingsError(f"{setting.name} must stay {mine!r} until the gauge is closed; got {theirs!r}")


def _forget(gauge: Instrumentation) -> None:
    with _registry.lock:
        for key in [key for key, entry in _registry.entries.items() if entry.gauge is gauge]:
            del _registry.entries[key]
