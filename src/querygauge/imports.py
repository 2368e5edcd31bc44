"""
Calls a function once a package has been imported, and imports nothing itself.

A finder of ours stands first among Python's. It asks the others for the packages that are waited for, and lends the
loader which they name one step: after the package was executed the function is called, and the loader is as it was.
The finder stays, since taking one out makes imports under way in other threads pass over the next; it finds nothing.

`querygauge run` loads this file alone into every process, so it needs nothing of this project and little of the
standard library. Deliberately not here: what is done with the package.
"""

from __future__ import annotations

import _thread
import sys

TYPE_CHECKING = False  # typing alone takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

__all__ = ["forget_import", "when_imported"]


class _Finder:
    """
    A finder, as in `sys.meta_path`.

    Attributes:
        waiting: By top-level package, whom to call.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callable[[], object]]] = {}
        self._asking: set[int] = set()  # threads that ask the other finders

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the others give for a package that is waited for, its loader watched; else None."""
        thread = _thread.get_ident()
        if fullname not in self.waiting or thread in self._asking:
            return None
        self._asking.add(thread)
        try:
            spec = self._spec_of_others(fullname, path, target)
        finally:
            self._asking.discard(thread)
        if spec is not None:
            self._watch(spec.loader, fullname)
        return spec

    def _spec_of_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in tuple(sys.meta_path):
            find_spec = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find_spec is None else find_spec(fullname, path, target)
            if spec is not None:
                return spec
        return None

    def _watch(self, loader: Any, fullname: str) -> None:
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            if module.__name__ == fullname:  # a loader may load many, as that of a zip file does
                vars(loader).pop("exec_module", None)
            execute(module)
            if module.__name__ == fullname:
                for call in self.waiting.pop(fullname, ()):
                    call()

        try:
            loader.exec_module = exec_module
        except AttributeError:
            return  # it takes no attributes; the package goes unnoticed


_finder = _Finder()


def when_imported(name: str, call: Callable[[], object]) -> None:
    """
    Calls `call` once a package has been imported, on the thread that imports it; at once if it was already.

    Args:
        name: Of a top-level package.
        call: Must not raise.
    """
    if name in sys.modules:
        call()
        return
    _finder.waiting.setdefault(name, []).append(call)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def forget_import(name: str, call: Callable[[], object]) -> None:
    """Waits for the package no more on behalf of `call`."""
    calls = _finder.waiting.get(name, [])
    if call in calls:
        calls.remove(call)
    if not calls:
        _finder.waiting.pop(name, None)
