"""
WSGI: every request is a scope until the server closes the response, streaming included.

Deliberately not here: threads. A server may take the parts of one response in several of them, with a context each, so
that the scope is entered for each part.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from querygauge.capture.scope import CURRENT, Scope, left
from querygauge.middleware.request_scope import GUARD, RequestScope, Tags
from querygauge.middleware.routes import wsgi_name

__all__ = ["WSGIMiddleware"]

_StartResponse = Callable[..., Any]
_App = Callable[[Any, Any], Iterable[bytes]]

_KEY: Final = "querygauge.scope"  # in the environment: somebody names this request already


class WSGIMiddleware:
    """
    Names a scope for every request to a WSGI application, such as `GET /orders/{id}`.

    Args:
        app: The application.
        tags: Gives the tags of a request, from its WSGI environment as the server made it; None is no tags.
    """

    def __init__(self, app: _App, *, tags: Tags | None = None) -> None:
        self.app = app
        self._tags = tags

    def __call__(self, environ: dict[str, Any], start_response: _StartResponse) -> Iterable[bytes]:
        """Hands one request on, within its scope."""
        entered = None if _KEY in environ else self._entered(environ)
        if entered is None:
            return self.app(environ, start_response)
        token = CURRENT.set(entered)
        try:
            response = self.app(environ, partial(_started, start_response, entered))
        except BaseException:
            left(entered, token)
            raise
        following = _following(response, environ, entered)
        if following is None:
            left(entered, token)
            return response
        CURRENT.reset(token)
        return following

    def _entered(self, environ: dict[str, Any]) -> RequestScope | None:
        try:
            entered = environ[_KEY] = RequestScope(environ, wsgi_name, self._tags)
        except Exception as error:  # noqa: BLE001  # the request must not fail for its name
            GUARD.caught("request", error)
            return None
        return entered


def _started(start_response: _StartResponse, entered: RequestScope, *arguments: Any, **keywords: Any) -> Any:
    """As `start_response`; looks at the route first: Flask has forgotten it by the time the application returns."""
    try:
        entered.find_label()
    except Exception as error:  # noqa: BLE001  # the response must not fail for a name
        GUARD.caught("route", error)
    return start_response(*arguments, **keywords)


def _following(response: Any, environ: dict[str, Any], entered: RequestScope) -> Iterable[bytes] | None:
    """A response with its scope, which lasts until it is sent; None for one that is sent as it is."""
    try:
        return None if _is_sent_as_it_is(response, environ) else _Response(response, entered)
    except Exception as error:  # noqa: BLE001  # a response of the application's own may do anything when it is asked
        GUARD.caught("response", error)
        return None


def _is_sent_as_it_is(response: Any, environ: dict[str, Any]) -> bool:
    """Whether nothing runs while it is sent, or the server knows it by its class, or by being the same object."""
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(wrapper, type) and isinstance(response, wrapper):
        return True
    is_whole = hasattr(response, "__len__") and not hasattr(response, "close")
    return is_whole or not hasattr(response, "__iter__")


class _Response:
    """The parts of a response, each produced within the scope, which ends when the server closes it."""

    __slots__ = ("_entered", "_innermost", "_parts", "_response")

    def __init__(self, response: Iterable[bytes], entered: RequestScope) -> None:
        self._response = response
        self._entered = entered
        self._innermost: Scope | None = entered
        self._parts: Iterator[bytes] | None = None

    def __iter__(self) -> "_Response":
        return self

    def __next__(self) -> bytes:
        token = CURRENT.set(self._innermost)
        try:
            if self._parts is None:
                self._parts = iter(self._response)
            return next(self._parts)
        finally:
            self._innermost = CURRENT.get()  # one that the application opens between two parts stays open
            CURRENT.reset(token)

    def close(self) -> None:
        """Closes what the application returned, as servers do in any case."""
        token = CURRENT.set(self._entered)
        try:
            close = getattr(self._response, "close", None)
            if close is not None:
                close()
        finally:
            left(self._entered, token)

    def __del__(self) -> None:
        # Test clients drop a response without closing it; what it belonged to is over then.
        if not self._entered.is_over:
            left(self._entered, CURRENT.set(self._entered))
