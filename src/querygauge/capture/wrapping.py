"""
Replacing methods on an instance, and putting back what was found.

Deliberately not here: what a replacement does.
"""

from collections.abc import Callable
from typing import Any
from weakref import ref

__all__ = ["Replacement", "Wraps"]

Replacement = tuple[Callable[..., Any], Callable[[], None]]


class Wraps:
    """
    The methods replaced on one object.

    Somebody else may replace a method after us. Then restoring ours would throw theirs away, so ours stays in the
    chain and becomes a pass-through.
    """

    def __init__(self, owner: Any) -> None:
        # Weak, both: a replacement holds the bound original, and with it the owner, which must stay free to go.
        self._owner = ref(owner)
        self._replaced: list[tuple[str, ref[Callable[..., Any]], Any, Callable[[], None]]] = []

    def replace(self, name: str, wrap: Callable[[Callable[..., Any]], Replacement]) -> None:
        """
        Puts `wrap(original)` in the place of the method `name`.

        Args:
            name: Attribute to shadow on the instance.
            wrap: Takes the method found; gives the replacement, and a function that turns it into a pass-through.
        """
        owner = self._owner()
        found = owner.__dict__.get(name, _ABSENT)
        replacement, pass_through = wrap(getattr(owner, name))
        setattr(owner, name, replacement)
        self._replaced.append((name, ref(replacement), found, pass_through))

    def restore(self) -> None:
        """Puts back what was found, wherever ours is still what stands there."""
        owner = self._owner()
        while self._replaced:
            name, replacement, found, pass_through = self._replaced.pop()
            pass_through()
            if owner is None or owner.__dict__.get(name, _ABSENT) is not replacement():
                continue
            if found is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, found)


_ABSENT = object()
