"""
asyncpg's pools and connections: what is one, and the name of its database.

Told by the names of their classes, so that asyncpg is not imported into applications without it. Deliberately not here:
attaching anything.
"""

from typing import Any, Final
from urllib.parse import urlsplit

from querygauge.errors import SettingsError

__all__ = ["asyncpg_name", "is_asyncpg", "is_connection", "is_pool"]

_DEFAULT_PORT: Final = 5432


def is_asyncpg(target: Any) -> bool:
    """
    Whether `target` is an asyncpg pool, or a connection that belongs to none.

    Raises:
        SettingsError: If it is a connection that a pool has handed out.
    """
    if _is_a(target, "asyncpg.pool", "PoolConnectionProxy"):
        raise SettingsError("instrument() takes a connection of its own, or the pool; got one that a pool handed out")
    return is_pool(target) or is_connection(target)


def is_connection(target: Any) -> bool:
    """Whether `target` is an asyncpg connection itself, and not what a pool hands out for it."""
    return _is_a(target, "asyncpg.connection", "Connection")


def is_pool(target: Any) -> bool:
    """Whether `target` is an asyncpg pool."""
    return _is_a(target, "asyncpg.pool", "Pool")


def _is_a(target: Any, module: str, name: str) -> bool:
    return any(kind.__module__ == module and kind.__name__ == name for kind in type(target).__mro__)


def asyncpg_name(target: Any) -> str:
    """
    The name of a database without credentials: `host:port/database`.

    A connection over a local socket counts as `localhost`. A pool that was not initialised yet has it from its
    arguments.
    """
    connection = _first_connection(target) if is_pool(target) else target
    if connection is None:
        return _named_by(target._connect_args, target._connect_kwargs)  # noqa: SLF001  # told nowhere else
    address, database = connection._addr, connection._params.database  # noqa: SLF001
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"{host}:{port}/{database}"
    return f"localhost:{str(address).rpartition('.')[2]}/{database}"


def _first_connection(pool: Any) -> Any:
    holders = pool._holders  # noqa: SLF001
    return next((holder._con for holder in holders if holder._con is not None), None)  # noqa: SLF001


def _named_by(arguments: Any, keywords: dict[str, Any]) -> str:
    dsn = keywords.get("dsn") or next(iter(arguments), None)
    url = urlsplit(dsn if isinstance(dsn, str) else "")
    host = keywords.get("host") or url.hostname or "localhost"
    port = keywords.get("port") or url.port or _DEFAULT_PORT
    user = keywords.get("user") or url.username or ""
    database = keywords.get("database") or url.path.lstrip("/") or user
    return f"{'localhost' if str(host).startswith('/') else host}:{port}/{database}"
