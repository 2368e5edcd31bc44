"""
ASGI: every request, and every WebSocket, is a scope until the application has returned.

By then the response is sent, and Starlette's background tasks have run, which so belong to their request. Deliberately
not here: a lifespan, which begins what runs for as long as the process does.
"""

from collections.abc import Awaitable, Callable
from contextvars import Token
from typing import Any, Final

from querygauge.capture.scope import CURRENT, Scope, left
from querygauge.middleware.request_scope import GUARD, RequestScope, Tags
from querygauge.middleware.routes import asgi_name

__all__ = ["ASGIMiddleware"]

# Every framework types a connection, and what is received and sent, in its own way.
_App = Callable[[Any, Any, Any], Awaitable[None]]

_KEY: Final = "querygauge.scope"  # in the ASGI scope: somebody names this request already


class ASGIMiddleware:
    """
    Names a scope for every request to an ASGI application, such as `GET /orders/{id}`.

    Args:
        app: The application.
        tags: Gives the tags of a request, from its ASGI scope as the server made it; None is no tags.
    """

    def __init__(self, app: _App, *, tags: Tags | None = None) -> None:
        self.app = app
        self._tags = tags

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hands one connection on, within its scope."""
        if scope["type"] not in {"http", "websocket"} or _KEY in scope:
            await self.app(scope, receive, send)
            return
        entered = self._entered(scope)
        try:
            await self.app(scope, receive, send)
        finally:
            if entered is not None:
                left(*entered)

    def _entered(self, connection: Any) -> tuple[Scope, Token[Scope | None]] | None:
        try:
            entered = RequestScope(connection, asgi_name, self._tags, has_pauses=connection["type"] == "websocket")
            connection[_KEY] = entered
            return entered, CURRENT.set(entered)
        except Exception as error:  # noqa: BLE001  # the request must not fail for its name
            GUARD.caught("request", error)
            return None
