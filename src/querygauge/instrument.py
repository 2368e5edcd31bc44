"""
Which engine has which gauge: `instrument` makes or finds it, `uninstrument` ends it.

Deliberately not here: what a gauge does.
"""

import itertools
import threading
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy.engine import Engine

from querygauge.attachments import Attachment
from querygauge.capture.asyncpg_target import asyncpg_name, is_asyncpg
from querygauge.capture.sqlalchemy_target import engines_of, target_name
from querygauge.clock import SystemClock
from querygauge.errors import SettingsError
from querygauge.forking import survive_forks
from querygauge.gauge import Instrumentation
from querygauge.settings import Settings, load_settings

__all__ = ["instrument", "uninstrument"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One target that is watched, under its name."""

    attachment: Attachment
    name: str
    gauge: Instrumentation


class _Registry:
    """The gauges of this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.entries: list[_Entry] = []
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """Replaces the lock, which another thread may have held."""
        self.lock = threading.RLock()


_registry: Final = _Registry()


def instrument(*targets: Any, name: str | None = None, **settings: Any) -> Instrumentation:
    """
    Times every statement and every checkout of some engines, asyncpg pools or asyncpg connections from now on.

    Doing it twice changes nothing: the second call gives the gauge of the first.

    Args:
        *targets: Each an `Engine`, an `AsyncEngine`, a session maker of either, an `asyncpg.Pool` or an
            `asyncpg.Connection`.
        name: What the database is called in every report; by default `host:port/database`. For one target only.
        **settings: Any of `Settings`, each over its `QUERYGAUGE_*` variable and its entry in `[tool.querygauge]`.

    Raises:
        SettingsError: If a target is of no supported kind, a setting is unknown or impossible, or an engine is
            instrumented already in another way.
    """
    wanted = load_settings(settings)
    watched = _distinct(each for target in targets for each in _targets_of(target))
    if not watched:
        raise SettingsError("instrument() needs an engine; got nothing")
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise SettingsError(f"name must be a text that is not empty; got {name!r}")
    if name is not None and len(watched) > 1:
        raise SettingsError(f"name must be left out for several engines; got {name!r} for {len(watched)}")
    with _registry.lock:
        known = [_gauge_of(target) for target in watched]
        if known[0] is not None and all(gauge is known[0] for gauge in known):
            _check_agrees(known[0], name, settings, wanted)
            return known[0]
        if any(gauge is not None for gauge in known):
            raise SettingsError("some of the engines are instrumented already: close their gauge, or leave them out")
        return _made(watched, name, wanted)


def uninstrument(*targets: Any) -> None:
    """
    Closes the gauges of some engines, pools or connections; one without a gauge is left alone.

    Raises:
        SettingsError: If a target is of no supported kind.
    """
    for target in targets:
        for watched in _targets_of(target):
            gauge = _gauge_of(watched)
            if gauge is not None:
                gauge.close()


def _made(targets: list[Any], name: str | None, settings: Settings) -> Instrumentation:
    gauge = Instrumentation(settings, _forget, SystemClock())
    try:
        for target in targets:
            free_name = _free_name(name or _name_of(target), gauge)
            attachment = gauge.attach(target, free_name)
            if attachment is not None:
                _registry.entries.append(_Entry(attachment, free_name, gauge))
        gauge.start()
    except BaseException:
        gauge.close()
        raise
    return gauge


def _targets_of(target: Any) -> list[Any]:
    return [target] if is_asyncpg(target) else list(engines_of(target))


def _name_of(target: Any) -> str:
    return target_name(target) if isinstance(target, Engine) else asyncpg_name(target)


def _distinct(targets: Iterable[Any]) -> list[Any]:
    # An engine shares its dialect with its `execution_options` copies and the AsyncEngine over it.
    return list({id(target.dialect if isinstance(target, Engine) else target): target for target in targets}.values())


def _gauge_of(target: Any) -> Instrumentation | None:
    # A gauge may be closing in another thread.
    found = (entry.gauge for entry in tuple(_registry.entries) if entry.attachment.is_of(target))
    return next((gauge for gauge in found if not gauge.is_closed), None)


def _free_name(name: str, gauge: Instrumentation) -> str:
    taken = {entry.name for entry in _registry.entries if not entry.attachment.is_gone()} | set(gauge.targets)
    numbered = (f"{name}#{number}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([name], numbered) if candidate not in taken)


def _check_agrees(gauge: Instrumentation, name: str | None, given: dict[str, Any], wanted: Settings) -> None:
    # The name asked for at first may have been given away, and then got a number.
    if name is not None and not any(name in {target, target.rpartition("#")[0]} for target in gauge.targets):
        raise SettingsError(f"name must stay {gauge.targets[0]!r} until the gauge is closed; got {name!r}")
    for setting in fields(Settings):
        mine, theirs = getattr(gauge.settings, setting.name), getattr(wanted, setting.name)
        if setting.name in given and mine != theirs:
            raise SettingsError(f"{setting.name} must stay {mine!r} until the gauge is closed; got {theirs!r}")


def _forget(gauge: Instrumentation) -> None:
    with _registry.lock:
        _registry.entries = [entry for entry in _registry.entries if entry.gauge is not gauge]
