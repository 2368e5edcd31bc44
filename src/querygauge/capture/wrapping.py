"""
Replacing methods on an instance, and putting back what was found.

Deliberately not here: what a replacement does.
"""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, ref

__all__ = ["Replacement", "Wraps"]

Replacement = Callable[..., Any]
"""What stands in a method's place; it hands on and does no more once it is switched off."""

_Found = ref[Callable[..., Any]] | None
"""What a method was before, if that was not the class's own."""

_Replaced = tuple[str, ref[Replacement], _Found]

# By each replacement, its switch and what it replaced.
_replacements: WeakKeyDictionary[Replacement, tuple[list[bool], _Found]] = WeakKeyDictionary()


class Wraps:
    """
    The methods replaced on one object.

    Somebody else may replace a method after us. Then restoring ours would throw theirs away, so ours stays in the
    chain and becomes a pass-through: `is_off` is a list that is empty until then, the cheapest switch there is.
    """

    def __init__(self, owner: Any) -> None:
        # Weak, all: a replacement holds the bound original, and with it the owner, which must stay free to go.
        self._owner = ref(owner)
        self._replaced: list[_Replaced] = []
        self._is_off: list[bool] = []

    @property
    def owner(self) -> Any:
        """The object; None once it is gone, and there is nothing to restore."""
        return self._owner()

    def replace(self, name: str, wrap: Callable[[Callable[..., Any], list[bool]], Replacement]) -> None:
        """
        Puts `wrap(original, is_off)` in the place of the method `name`.

        Args:
            name: Attribute to shadow on the instance.
            wrap: Takes the method found and the switch; gives the replacement.
        """
        owner = self._owner()
        found = getattr(owner, name)
        replacement = wrap(found, self._is_off)
        own = None if _is_of_class(owner, name, found) else ref(found)
        _replacements[replacement] = self._is_off, own
        self._replaced.append((name, ref(replacement), own))
        setattr(owner, name, replacement)

    def restore(self) -> None:
        """Puts back what was found, wherever ours is still what stands there."""
        owner = self._owner()
        self._is_off.append(True)
        while self._replaced:
            name, replacement, own = self._replaced[-1]
            if owner is not None and getattr(owner, name, None) is replacement():
                found = _below_switched_off(own)
                if found is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, found)
            # Not before: a signal handler may raise, and what restores again goes on here.
            del self._replaced[-1]


def _below_switched_off(own: _Found) -> Callable[..., Any] | None:
    """What was found, or what lies below it if that is a wrap of ours that could not be taken off when it ended."""
    # A replacement holds what it replaced, so that it is alive as long as there is anything to restore.
    found = None if own is None else own()
    while found is not None:
        is_off, below = _replacements.get(found, ([], None))
        if not is_off:
            return found
        found = None if below is None else below()
    return None


def _is_of_class(owner: Any, name: str, found: Callable[..., Any]) -> bool:
    # Not by `__dict__`: looking at one makes Python build it, and every later access to the owner slower.
    of_class = getattr(type(owner), name, None)
    return of_class is not None and getattr(found, "__func__", found) is of_class
