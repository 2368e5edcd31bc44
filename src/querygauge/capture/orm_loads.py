"""
What SQLAlchemy's ORM sends a statement for: a relationship, an object to refresh, a flush.

In goes the execution context of a statement, out come the object it is sent for and the name of what is loaded. The
ORM tells it in the execution options; their members are private, so that whoever asks has to expect any error.
Deliberately not here: counting.
"""

import sys
from types import FrameType
from typing import Any, Final

from querygauge.values.repetitions import Cause

__all__ = ["described", "flush_under_way", "is_of_flush", "load_under_way", "object_of"]

_LOAD: Final = "_sa_orm_load_options"
# The statement belongs to one that is under way, as an eager load does.
_WITHIN: Final = "sa_top_level_orm_context"
# A flush compiles for its mapper.
_OF_FLUSH: Final = "compiled_cache"
_FRAMES_LIMIT: Final = 40  # from the cursor to the flush there are about ten


def load_under_way(context: Any) -> Any:
    """What the ORM says about a SELECT; None if it is not the ORM's."""
    return context.execution_options.get(_LOAD)


def object_of(load: Any) -> Any:
    """The state of the object that is loaded, or whose relationship is; None if the application selects."""
    parent = load._lazy_loaded_from  # noqa: SLF001
    return load._refresh_state if parent is None else parent  # noqa: SLF001


def described(load: Any, context: Any) -> tuple[Cause, str]:
    """Why an object's state, or a relationship of it, is loaded, and the name of what is."""
    options = context.compiled.compile_state.compile_options
    if load._lazy_loaded_from is not None:  # noqa: SLF001
        relationship = options._current_path.prop  # noqa: SLF001
        name = f"{relationship.parent.class_.__name__}.{relationship.key}"
        return ("immediate" if _WITHIN in context.execution_options else "lazy"), name
    state = load._refresh_state  # noqa: SLF001
    name = state.class_.__name__
    if getattr(load, "_is_user_refresh", False):  # not before 2.0.4
        return "refreshed", name
    if state.expired:
        return "expired", name
    columns = options._only_load_props  # noqa: SLF001
    if columns <= state.expired_attributes:
        return "partial", name
    return "deferred", f"{name}.{min(columns)}"


def is_of_flush(context: Any) -> bool:
    """Whether a flush may have sent the statement."""
    return _OF_FLUSH in context.execution_options


def flush_under_way() -> Any:
    """The flush that sends the statement under way; None if none does."""
    unit_of_work = sys.modules.get("sqlalchemy.orm.unitofwork")
    if unit_of_work is None:
        return None
    flushing = unit_of_work.UOWTransaction.execute.__code__
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # inspect.currentframe() would be one more
    for _ in range(_FRAMES_LIMIT):
        if frame is None:
            return None
        if frame.f_code is flushing:
            return frame.f_locals.get("self")
        frame = frame.f_back
    return None
