"""
What people hand to `instrument` → the engines behind it, and the names they go by.

Deliberately not here: attaching anything.
"""

from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any, Final
from weakref import ref

from sqlalchemy.engine import Engine
from sqlalchemy.engine.base import OptionEngine
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.pool import Pool

from querygauge.errors import SettingsError

__all__ = ["engines_of", "is_watchable", "spoken_dialect", "target_name"]

_DEFAULT_PORTS: Final = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433, "oracle": 1521}
# By SQLAlchemy's name of the dialect, and whether a backslash escapes.
_MODES: Final[dict[tuple[str, bool | None], str]] = {
    ("postgresql", True): "postgresql+backslash_escapes",
    ("mysql", False): "mysql+no_backslash_escapes",
    ("mariadb", False): "mysql+no_backslash_escapes",
}


def engines_of(target: Any) -> list[Engine]:
    """
    The engines behind an `Engine`, an `AsyncEngine`, or a session maker of either.

    Raises:
        SettingsError: If it is something else, or a session maker without an engine.
    """
    engines: list[Engine] = []
    for bound in _bound_to(target):
        engine = _base_of(getattr(bound, "sync_engine", bound))
        if not isinstance(engine, Engine) or not is_watchable(engine):
            raise SettingsError(
                "instrument() takes an Engine, an AsyncEngine, a sessionmaker or an async_sessionmaker; "
                f"got {_described(target)}"
            )
        if not any(engine.dialect is known.dialect for known in engines):
            engines.append(engine)
    if not engines:
        raise SettingsError(f"{_described(target)} is bound to no engine yet: instrument the engine, or bind it first")
    return engines


def is_watchable(engine: Engine) -> bool:
    """Whether an engine is a real one: those of some tests have stand-ins for a dialect or a pool."""
    return isinstance(engine.dialect, Dialect) and isinstance(engine.pool, Pool)


def spoken_dialect(dialect: Dialect) -> str | Callable[[], str]:
    """
    Gives the name under which `patterns` knows what a server speaks; a function that does, where servers differ.

    SQLAlchemy asks at the first connection whether a backslash escapes in a plain literal there. A session that
    changes its mode later is not noticed.
    """
    known = ref(dialect)
    name = dialect.name
    if not any(name == differing for differing, _ in _MODES):
        return name

    def spoken() -> str:
        escapes = getattr(known(), "_backslash_escapes", None)
        return _MODES.get((name, escapes), name)

    return spoken


def _bound_to(target: Any) -> Iterator[Any]:
    maker = getattr(target, "session_factory", target)  # of a scoped session
    keywords: Any = getattr(maker, "kw", None)
    # An async_sessionmaker is told by its shape: importing it would load greenlet into applications without it.
    if not isinstance(keywords, dict) or not hasattr(maker, "configure"):
        yield target
        return
    if keywords.get("bind") is not None:
        yield keywords["bind"]
    yield from (keywords.get("binds") or {}).values()


def _base_of(engine: Any) -> Any:
    """The engine behind its copies with other `execution_options`, which come and go."""
    while isinstance(engine, OptionEngine):
        engine = engine._proxied  # noqa: SLF001  # the one way back, the same in 2.0 and 2.1
    return engine


def _described(target: Any) -> str:
    # Never its repr: that of a URL or a connection may hold a password.
    kind = type(target)
    return f"{kind.__module__}.{kind.__qualname__}"


def target_name(engine: Engine) -> str:
    """
    The name of a database without credentials: `host:port/database`, or the file's name for SQLite.

    A connection over a local socket counts as `localhost`.
    """
    url = engine.url
    database = url.database or ""
    if url.get_backend_name() == "sqlite":
        is_memory = database in {"", ":memory:"} or "mode=memory" in database
        return ":memory:" if is_memory else PurePath(database.split("?")[0]).name
    host = url.host or "localhost"
    port = url.port or _DEFAULT_PORTS.get(url.get_backend_name())
    return f"{host}:{port}/{database}" if port else f"{host}/{database}"
