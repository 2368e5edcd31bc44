"""
Which engine has which gauge: `instrument` makes or finds it, `uninstrument` ends it.

Deliberately not here: what a gauge does.
"""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from querygauge.attachments import identity_of
from querygauge.capture.asyncpg_target import is_asyncpg
from querygauge.capture.sqlalchemy_target import engines_of
from querygauge.clock import SystemClock
from querygauge.errors import SettingsError
from querygauge.gauge import Instrumentation
from querygauge.registry import name_of, registry
from querygauge.settings import Settings, load_settings

__all__ = ["check_agrees", "instrument", "uninstrument"]


def instrument(*targets: Any, name: str | None = None, **settings: Any) -> Instrumentation:
    """
    Times every statement and every checkout of some engines, asyncpg pools or asyncpg connections from now on.

    Doing it twice changes nothing: the second call gives the gauge of the first. What `instrument_all` measures gets a
    gauge of its own, and leaves that one.

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
    with registry.lock:
        known = [_own_gauge_of(target) for target in watched]
        if known[0] is not None and all(gauge is known[0] for gauge in known):
            _check_name(known[0], name)
            check_agrees(known[0].settings, settings, wanted)
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
            gauge = registry.gauge_of(watched)
            if gauge is not None and gauge.is_lasting:
                gauge.detach(watched)
            elif gauge is not None:
                gauge.close()


def check_agrees(mine: Settings, given: dict[str, Any], wanted: Settings) -> None:
    """
    Raises if a setting that was given differs from the one in force.

    Raises:
        SettingsError: It names the setting and both values.
    """
    for setting in fields(Settings):
        kept, asked = getattr(mine, setting.name), getattr(wanted, setting.name)
        if setting.name in given and kept != asked:
            raise SettingsError(f"{setting.name} must stay {kept!r} until the gauge is closed; got {asked!r}")


def _made(targets: list[Any], name: str | None, settings: Settings) -> Instrumentation:
    gauge = Instrumentation(settings, registry.remove, SystemClock())
    registry.add(gauge)
    try:
        for target in targets:
            before = registry.gauge_of(target)
            if before is not None:
                before.detach(target)
            free_name, _ = registry.free_name(name or name_of(target))
            gauge.attach(target, free_name)
        gauge.start()
    except BaseException:
        gauge.close()
        raise
    return gauge


def _targets_of(target: Any) -> list[Any]:
    return [target] if is_asyncpg(target) else list(engines_of(target))


def _distinct(targets: Iterable[Any]) -> list[Any]:
    return list({identity_of(target): target for target in targets}.values())


def _own_gauge_of(target: Any) -> Instrumentation | None:
    gauge = registry.gauge_of(target)
    return None if gauge is None or gauge.is_lasting else gauge


def _check_name(gauge: Instrumentation, name: str | None) -> None:
    # The name asked for at first may have been given away, and then got a number.
    if name is not None and not any(name in {target, target.rpartition("#")[0]} for target in gauge.targets):
        raise SettingsError(f"name must stay {gauge.targets[0]!r} until the gauge is closed; got {name!r}")
