"""
Loggers that load structlog when they first have something to say.

Importing structlog loads rich and greenlet if they are there, and takes longer than all the rest of this package;
a host that never meets a slow query need not pay for it. What is logged goes through the host's own configuration.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["get_logger"]


class _LazyLogger:
    """Stands for a structlog logger; every use asks structlog anew, so that a later configuration counts."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        def write(event: str, **values: Any) -> None:
            # A host's log processor may need what only its requests have; that must end neither our thread nor a query.
            with suppress(Exception):
                import structlog

                getattr(structlog.get_logger(self._name), method)(event, **values)

        return write


def get_logger(name: str) -> "FilteringBoundLogger":
    """The logger of a module; `name` is its `__name__`."""
    return cast("FilteringBoundLogger", _LazyLogger(name))
