"""
The scope of one request: it begins before the route is known, and is named as soon as somebody asks who can tell.

Deliberately not here: how a framework tells the route, and how ASGI and WSGI hand requests on.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from querygauge.capture.guard import Guard
from querygauge.capture.scope import Scope, label_of
from querygauge.middleware.routes import NO_ROUTE
from querygauge.values import ScopeLabel

__all__ = ["GUARD", "FindName", "RequestScope", "Tags"]

GUARD: Final = Guard("middleware")
"""Counts what failed in a middleware, or in what it was given to make tags."""

FindName = Callable[[Mapping[str, Any], bool], str | None]
"""The name of a request, as far as its route is known; the second argument tells whether nobody asks again."""

Tags = Callable[[Any], Mapping[str, Any]]
"""The tags of a request: from its ASGI scope, or from its WSGI environment."""


class RequestScope(Scope):
    """A scope that is named by the route that the request takes."""

    __slots__ = ("_find_name", "_request", "_tags")

    def __init__(
        self, request: Mapping[str, Any], find_name: FindName, tags: Tags | None, *, has_pauses: bool = False
    ) -> None:
        super().__init__(None, has_pauses=has_pauses)
        self._request: Mapping[str, Any] | None = request
        self._find_name = find_name
        # Once, before the application runs: what is told of a request later would part it in two.
        self._tags = {} if tags is None else _called(tags, request)

    def find_label(self, *, is_last: bool = False) -> ScopeLabel | None:
        """As `protocols.Scope.find_label`."""
        request = self._request
        if request is None:
            return self.label
        name = self._name_of(request, is_last=is_last)
        if name is None:
            return label_of(NO_ROUTE, self._tags) if is_last else None
        label = label_of(name, self._tags)
        if not is_last:
            self.label, self._request = label, None  # a request holds whatever the application has put there
        return label

    def _name_of(self, request: Mapping[str, Any], *, is_last: bool) -> str | None:
        try:
            return self._find_name(request, is_last)
        except Exception as error:  # noqa: BLE001  # another version of a framework may keep its routes in another way
            GUARD.caught("route", error)
            return None

    def finish(self) -> None:
        """Names it by what is known now, and ends it."""
        try:
            self.label = self.find_label() or self.find_label(is_last=True)
        finally:
            self._request = None
            super().finish()


def _called(tags: Tags, request: Mapping[str, Any]) -> dict[str, str]:
    try:
        return {str(key): str(value) for key, value in tags(request).items()}
    except Exception as error:  # noqa: BLE001  # the request must not fail for a tag
        GUARD.caught("tags", error)
        return {}
