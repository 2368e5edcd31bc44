"""
What a request is called: its method and the template of its route, such as `GET /orders/{id}`.

In goes what a framework has left in an ASGI scope or a WSGI environment, out comes a name, or None while no route is
known. A path that was asked for is never part of a name: it would make a name per value, and tell the values.

Litestar, Starlette and FastAPI write the route they took into the ASGI scope; of what it is mounted under only the path
that was asked for, whose template is looked up among the routes. Flask keeps the route on its request, which Werkzeug
keeps in the environment.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["NO_ROUTE", "asgi_name", "wsgi_name"]

NO_ROUTE: Final = "(no route)"

# Anybody may send any word for a method.
_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_OTHER_METHOD: Final = "HTTP"
# A parameter with its converter: {id:int}, or Werkzeug's <id>, <int:id> and <any(a, b):id>.
_CONVERTED: Final = re.compile(r"\{(\w+):[^{}]*\}")
_ANGLED: Final = re.compile(r"<(?:[^<>]*:)?(\w+)>")
_PARAMETER: Final = r"{\1}"
_UNKNOWN_MOUNT: Final = "/…"
_NOTHING: Final[Mapping[str, Any]] = {}


def asgi_name(connection: Mapping[str, Any], is_last: bool) -> str | None:
    """
    The name of a request, or of a WebSocket.

    Args:
        connection: The ASGI scope.
        is_last: Whether to give what is known so far: the application that has the route, if not the route.
    """
    template = connection.get("path_template") or _starlette_template(connection, is_last=is_last)
    if not template:
        return None
    method = "WEBSOCKET" if connection["type"] == "websocket" else _method(connection.get("method"))
    return f"{method} {_CONVERTED.sub(_PARAMETER, template)}"


def wsgi_name(environ: Mapping[str, Any], _is_last: bool) -> str | None:
    """The name of a request."""
    rule = getattr(getattr(environ.get("werkzeug.request"), "url_rule", None), "rule", None)
    return f"{_method(environ.get('REQUEST_METHOD'))} {_ANGLED.sub(_PARAMETER, rule)}" if rule else None


def _method(method: object) -> str:
    return method if isinstance(method, str) and method in _METHODS else _OTHER_METHOD


def _starlette_template(connection: Mapping[str, Any], *, is_last: bool) -> str | None:
    route = _route_taken(connection)
    if route is None:
        return None
    if not hasattr(route, "routes"):
        path = getattr(route, "path_format", None) or getattr(route, "path", None)
        return None if path is None else _mounted_at(connection) + path
    # An application is mounted there, which may have routes of its own, and not have looked for the one to take yet.
    return f"{_mounted_at(connection)}/{{path}}" if is_last or not route.routes else None


def _route_taken(connection: Mapping[str, Any]) -> Any:
    """The route to the endpoint; only the endpoint is told for sure."""
    endpoint, route = connection.get("endpoint"), connection.get("route")
    if endpoint is None:
        return None
    # FastAPI keeps the prefixes of the routers that were included beside the route.
    included = connection.get("fastapi", _NOTHING).get("effective_route_context")
    for candidate in (included, getattr(included, "starlette_route", None), route):
        if candidate is not None and _leads_to(candidate, endpoint):
            return candidate
    return _route_among(_routes(connection), endpoint)


def _leads_to(route: Any, endpoint: Any) -> bool:
    return getattr(route, "endpoint", None) is endpoint or (
        hasattr(route, "routes") and getattr(route, "app", None) is endpoint
    )


def _routes(connection: Mapping[str, Any]) -> Iterable[Any]:
    return getattr(connection.get("router"), "routes", None) or ()


def _route_among(routes: Iterable[Any], endpoint: Any) -> Any:
    for route in routes:
        if _leads_to(route, endpoint):
            return route
        found = _route_among(getattr(route, "routes", None) or (), endpoint)
        if found is not None:
            return found
    return None


def _mounted_at(connection: Mapping[str, Any]) -> str:
    """The template of what the application is mounted under that has the endpoint; empty for the outermost."""
    before = connection.get("app_root_path")
    if before is None:
        return ""
    mounted = connection["root_path"][len(before) :]
    found = _mount_template(_routes(connection), mounted)
    return _UNKNOWN_MOUNT if found is None else found


def _mount_template(routes: Iterable[Any], mounted: str) -> str | None:
    for route in routes:
        nested = getattr(route, "routes", None)
        if nested is None:
            continue
        pattern = getattr(route, "path_regex", None)
        match = None if pattern is None else pattern.match(f"{mounted}/")
        if pattern is None:  # chosen by host, so that nothing of the path is used up
            found = _mount_template(nested, mounted)
        elif match is None:
            continue
        else:
            rest = match["path"].rstrip("/")
            found = route.path if not rest else _after(route.path, _mount_template(nested, f"/{rest}"))
        if found is not None:
            return str(found)
    return None


def _after(path: str, nested: str | None) -> str | None:
    return None if nested is None else path + nested
