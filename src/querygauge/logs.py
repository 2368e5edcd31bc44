"""
Loggers that write where the host's own log goes.

Through structlog if the host has configured it, else through `logging`, which prints warnings to the standard error
stream unless told otherwise. Structlog on its own prints to standard output, which may be what the host is there to
write. It is not loaded for our sake either: a host that has configured it has loaded it.
"""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["get_logger"]


class _HostsLogger:
    """Stands for a structlog logger; every use looks anew where to write, so that a later configuration counts."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        def write(event: str, **values: Any) -> None:
            # A host's log processor may need what only its requests have; that must end neither our thread nor a query.
            with suppress(Exception):
                structlog = sys.modules.get("structlog")
                if structlog is not None and structlog.is_configured():
                    getattr(structlog.get_logger(self._name), method)(event, **values)
                else:
                    import logging  # a host has it from SQLAlchemy or asyncpg; a tick seldom says anything

                    _write_plainly(getattr(logging.getLogger(self._name), method), event, values)

        return write


def _write_plainly(write: Any, event: str, values: dict[str, Any]) -> None:
    text = " ".join([event, *(f"{name}={value!r}" for name, value in values.items())])
    write("%s", text, extra={"querygauge": {"event": event, **values}})


def get_logger(name: str) -> "FilteringBoundLogger":
    """The logger of a module; `name` is its `__name__`."""
    return cast("FilteringBoundLogger", _HostsLogger(name))
