"""What a request is called, by every framework that is supported, and how it was routed."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from flask import Blueprint, Flask
from litestar import Litestar, Router, get
from litestar.params import FromPath
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from querygauge import ASGIMiddleware, WSGIMiddleware

Ask = Callable[..., str | None]


class Outside:
    """An ASGI or WSGI application around another one, which remembers the names of the scopes."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.names: list[str | None] = []

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        """Hands on, and looks at the scope."""
        await self.app(scope, receive, send)
        if "querygauge.scope" in scope:
            self.names.append(scope["querygauge.scope"].name)

    def wsgi(self, environ: Any, start_response: Any) -> Any:
        """Hands on, and looks at the scope once the response is closed."""
        response = self.app(environ, start_response)
        yield from response
        response.close()
        self.names.append(environ["querygauge.scope"].name)


def asked_of(app: Any) -> Ask:
    """Asks a Starlette application, and gives the name of the scope."""
    outside = Outside(ASGIMiddleware(app))

    def ask(path: str, method: str = "GET", **headers: str) -> str | None:
        TestClient(outside.asgi).request(method, path, headers=headers, follow_redirects=False)
        return outside.names[-1]

    return ask


async def answer(request: Request) -> PlainTextResponse:
    """Answers anything."""
    return PlainTextResponse("yes")


async def greet(websocket: WebSocket) -> None:
    """Says one word."""
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


def starlette() -> Starlette:
    """An application with routes at every depth."""
    orders = [Route("/", answer), Route("/{id:int}", answer, methods=["GET", "POST"]), Route("/{rest:path}", answer)]
    shop = Starlette(routes=[Mount("/orders", routes=orders), Route("/{id}", answer)])
    return Starlette(
        routes=[
            Route("/", answer),
            Route("/users/{id:int}/posts/{post:uuid}", answer),
            WebSocketRoute("/rooms/{room}", greet),
            Mount("/v1/{tenant}", shop),
            Mount("/v2/{tenant}", shop),
            Mount("/opaque/{key}", answer_any),
            Host("{tenant}.example", shop),
        ]
    )


async def answer_any(scope: Any, receive: Any, send: Any) -> None:
    """An application whose routes nobody knows."""
    await PlainTextResponse("yes")(scope, receive, send)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "GET /"),
        ("/users/7/posts/6F9619FF-8B86-D011-B42D-00CF4FC964FF", "GET /users/{id}/posts/{post}"),
        ("/v1/acme/orders/", "GET /v1/{tenant}/orders/"),
        ("/v1/acme/orders/007", "GET /v1/{tenant}/orders/{id}"),
        ("/v1/7/7", "GET /v1/{tenant}/{id}"),
        ("/v2/acme/orders/7", "GET /v2/{tenant}/orders/{id}"),
        ("/v2/acme/orders/7/items/8", "GET /v2/{tenant}/orders/{rest}"),
        ("/opaque/4711/7/8", "GET /opaque/{key}/{path}"),
        ("/v1/acme/no/such", "GET /v1/{tenant}/{path}"),
        ("/nowhere/4711", "(no route)"),
        ("/v1/acme/orders", "GET /v1/{tenant}/{id}"),
    ],
)
def test_starlette(path: str, name: str) -> None:
    """A route with all it is mounted under, each parameter by its name; what no route takes has one name."""
    assert asked_of(starlette())(path) == name


def test_an_application_that_a_host_chooses() -> None:
    """The host is no part of the name."""
    assert asked_of(starlette())("/orders/7", host="acme.example") == "GET /orders/{id}"


def test_a_prefix_that_the_server_takes_off() -> None:
    """What a proxy puts before all paths is not part of the routes, nor of a name."""
    outside = Outside(ASGIMiddleware(starlette()))
    TestClient(outside.asgi, root_path="/behind/4711").get("/behind/4711/v1/acme/orders/7")
    assert outside.names == ["GET /v1/{tenant}/orders/{id}"]


@pytest.mark.parametrize(
    ("method", "name"), [("POST", "POST /v1/{tenant}/orders/{id}"), ("MINE4711", "HTTP /v1/{tenant}/orders/{id}")]
)
def test_methods(method: str, name: str) -> None:
    """A method that nobody knows is not part of a name, as anybody may send any."""
    assert asked_of(starlette())("/v1/acme/orders/7", method) == name


def test_a_websocket() -> None:
    """It is named by its route."""
    outside = Outside(ASGIMiddleware(starlette()))
    with TestClient(outside.asgi).websocket_connect("/rooms/4711") as websocket:
        assert websocket.receive_text() == "hello"
    assert outside.names == ["WEBSOCKET /rooms/{room}"]


def fastapi() -> FastAPI:
    """An application with routers included in routers, and applications mounted."""
    app, outer, orders, inner = FastAPI(), APIRouter(prefix="/v1/{tenant}"), APIRouter(prefix="/orders"), FastAPI()

    @orders.get("/{id:int}")
    @inner.get("/items/{id}")
    @app.get("/items/{id}")
    async def read(id: int) -> int:  # noqa: A002  # as people name it
        return id

    orders.add_route("/plain/{id}", answer)
    outer.include_router(orders)
    app.include_router(outer)
    app.add_route("/plain/{id}", answer)
    app.mount("/inner/{key}", inner)
    return app


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/items/7", "GET /items/{id}"),
        ("/items/seven", "GET /items/{id}"),
        ("/v1/acme/orders/7", "GET /v1/{tenant}/orders/{id}"),
        ("/v1/acme/plain/7", "GET /v1/{tenant}/plain/{id}"),
        ("/plain/7", "GET /plain/{id}"),
        ("/inner/4711/items/7", "GET /inner/{key}/items/{id}"),
        ("/inner/4711/docs", "GET /inner/{key}/docs"),
        ("/inner/4711/no/such", "GET /inner/{key}/{path}"),
        ("/docs", "GET /docs"),
        ("/v1/acme/orders/7/", "(no route)"),
        ("/nowhere", "(no route)"),
    ],
)
def test_fastapi(path: str, name: str) -> None:
    """The prefixes of included routers and of mounted applications belong to the name."""
    assert asked_of(fastapi())(path) == name


@get("/{id:int}")
async def read_order(id: FromPath[int]) -> int:  # noqa: A002  # as people name it
    """One order."""
    return id


@pytest.mark.parametrize(
    ("path", "name"), [("/v1/acme/7", "GET /v1/{tenant}/{id}"), ("/nowhere", "(no route)"), ("/v1/a/x", "(no route)")]
)
def test_litestar(path: str, name: str) -> None:
    """Around the application."""
    outside = Outside(ASGIMiddleware(Litestar([Router("/v1/{tenant:str}", route_handlers=[read_order])])))
    with LitestarClient(outside.asgi) as client:
        client.get(path)
    assert outside.names[-1] == name


def test_litestar_in_its_list_of_middleware() -> None:
    """Inside of it, where only requests arrive that have a route."""
    app = Litestar([read_order], middleware=[ASGIMiddleware])
    outside = Outside(app)
    with LitestarClient(outside.asgi) as client:
        client.get("/7")
    assert outside.names[-1] == "GET /{id}"


def flask() -> Flask:
    """An application with a blueprint."""
    app, orders = Flask(__name__), Blueprint("orders", __name__, url_prefix="/v1/<tenant>")

    @orders.get("/<int:id>")
    @orders.get("/<any(new, 'o:d'):state>/<path:rest>")
    @app.get("/")
    def read(**_parameters: object) -> str:
        return "yes"

    app.register_blueprint(orders)
    return app


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "GET /"),
        ("/v1/acme/7", "GET /v1/{tenant}/{id}"),
        ("/v1/acme/new/7/8", "GET /v1/{tenant}/{state}/{rest}"),
        ("/nowhere/4711", "(no route)"),
        ("/v1/acme/seven", "(no route)"),
    ],
)
def test_flask(path: str, name: str) -> None:
    """The rule, its parameters written as everywhere else."""
    app = flask()
    outside = Outside(WSGIMiddleware(app.wsgi_app))
    app.wsgi_app = outside.wsgi  # type: ignore[method-assign]  # as Flask says
    app.test_client().get(path, buffered=True)
    assert outside.names == [name]
