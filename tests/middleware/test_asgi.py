"""Every request to an ASGI application is one scope, whatever it does, and nothing of it reaches the application."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from databases.engines import NewAsyncEngine, NewEngine
from middleware.observed import asend, failures, observed, scopes, send
from querygauge import ASGIMiddleware, scope
from querygauge.capture.scope import CURRENT, Streak

_CONNECTION: dict[str, Any] = {"type": "http", "method": "GET", "path": "/orders/7", "headers": []}


async def receive() -> dict[str, Any]:
    """Nothing is ever sent to the application."""
    raise AssertionError


async def discard(_message: Any) -> None:
    """Takes what the application sends."""


async def test_concurrent_requests(new_async_engine: NewAsyncEngine, new_engine: NewEngine) -> None:
    """Statements of many requests at once, sent from tasks and from threads, are each counted in their own."""
    engine, sync_engine, app = new_async_engine("asyncpg"), new_engine("sqlite3"), FastAPI()

    @app.get("/orders/{id}")
    async def read(id: int) -> None:  # noqa: A002  # as people name it
        await asend(engine, 2)
        await asyncio.gather(asend(engine), asyncio.to_thread(send, sync_engine))

    @app.get("/items/{id}")
    def item(id: int) -> None:  # noqa: A002  # as people name it
        send(sync_engine, 3)

    app.add_middleware(ASGIMiddleware)
    with observed(engine, sync_engine) as gauge:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
            paths = [f"/{'orders' if number % 2 else 'items'}/{number}" for number in range(40)]
            answers = await asyncio.gather(*map(client.get, paths))
        assert {answer.status_code for answer in answers} == {200}
        assert scopes(gauge) == {"GET /orders/{id}": 80, "GET /items/{id}": 60}
    await engine.dispose()


def test_what_is_repeated_within_one_request(new_engine: NewEngine) -> None:
    """Two requests that send a query four times each repeat nothing; one that sends it five times does."""
    engine, app = new_engine("sqlite3"), FastAPI()

    @app.get("/orders/{times}")
    def read(times: int) -> None:
        send(engine, times)

    client = TestClient(ASGIMiddleware(app))
    with observed(engine) as gauge:
        client.get("/orders/4")
        client.get("/orders/4")
        assert gauge.queries.get_repetitions() == []
        client.get("/orders/5")
        (found,) = gauge.queries.get_repetitions()
    assert (found.scope, found.max_per_scope) == ("GET /orders/{times}", 5)


def test_what_is_sent_before_the_route_is_known(new_engine: NewEngine) -> None:
    """A middleware that asks the database who it is does so for the route that follows; unrouted, it has one name."""
    engine, app = new_engine("sqlite3"), FastAPI()

    @app.get("/orders/{id}")
    def read(id: int) -> None:  # noqa: A002  # as people name it
        send(engine)

    @app.middleware("http")
    async def authenticate(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        await asyncio.to_thread(send, engine)
        gauge.poll()
        return await go_on(request)

    app.add_middleware(ASGIMiddleware)
    client = TestClient(app)
    with observed(engine) as gauge:
        for path in ("/orders/7", "/nowhere/7", "/nowhere/8"):
            client.get(path)
        assert scopes(gauge) == {"GET /orders/{id}": 2, "(no route)": 2}


def test_streaming_and_background_tasks(new_engine: NewEngine) -> None:
    """What is sent while the response is, and what Starlette runs after it, belongs to the request."""
    engine, app = new_engine("sqlite3"), FastAPI()

    @app.get("/export")
    def export(tasks: BackgroundTasks) -> StreamingResponse:
        def rows() -> Any:
            for _ in range(3):
                send(engine)
                yield "row"

        tasks.add_task(send, engine)
        return StreamingResponse(rows())

    app.add_middleware(ASGIMiddleware)
    with observed(engine) as gauge:
        assert TestClient(app).get("/export").text == "rowrowrow"
        assert scopes(gauge) == {"GET /export": 4}


async def test_an_exception_of_the_application() -> None:
    """It arrives as it is, and the scope has ended."""
    raised, entered = ValueError("theirs"), []

    async def app(connection: Scope, receive: Receive, send: Send) -> None:
        entered.append(CURRENT.get())
        raise raised

    with pytest.raises(ValueError, match="theirs") as caught:
        await ASGIMiddleware(app)(dict(_CONNECTION), receive, discard)
    assert caught.value is raised
    assert entered[0] is not None
    assert entered[0].is_over
    assert CURRENT.get() is None


def test_tags(new_engine: NewEngine) -> None:
    """They come from a function of the request, and nothing of the request is a tag without one."""
    seen: list[dict[str, str]] = []

    async def app(connection: Scope, receive: Receive, send: Send) -> None:
        await Response()(connection, receive, send)
        seen.append(dict(connection["querygauge.scope"].find_label(is_last=True).tags))

    client = TestClient(ASGIMiddleware(app, tags=lambda request: {"tenant": dict(request["headers"])[b"x-tenant"]}))
    client.get("/", headers={"x-tenant": "acme"})
    TestClient(ASGIMiddleware(app)).get("/", headers={"x-tenant": "acme"})
    assert seen == [{"tenant": "b'acme'"}, {}]


def test_tags_that_cannot_be_made() -> None:
    """The request goes on without; it is counted, and told in the report of every gauge."""

    def tenant(request: Any) -> dict[str, str]:
        raise KeyError("x-tenant")

    with failures(2):
        client = TestClient(ASGIMiddleware(Response("yes"), tags=tenant))
        assert [client.get("/").text for _ in range(2)] == ["yes", "yes"]


def test_a_route_that_cannot_be_read(new_engine: NewEngine) -> None:
    """Another version of a framework costs the name, and nothing else."""

    class Route:
        @property
        def endpoint(self) -> str:
            raise RuntimeError

    async def app(connection: Scope, receive: Receive, send: Send) -> None:
        connection.update(endpoint=app, route=Route())
        await asyncio.to_thread(lambda: scope_names.append(connection["querygauge.scope"].find_label(is_last=True)))
        await Response("yes")(connection, receive, send)

    scope_names: list[Any] = []
    with failures(3):
        assert TestClient(ASGIMiddleware(app)).get("/").text == "yes"
    assert scope_names == [("(no route)", ())]


async def test_a_lifespan_is_no_scope() -> None:
    """What begins there runs for as long as the process."""
    seen = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        seen.append(CURRENT.get())
        yield
        seen.append(CURRENT.get())

    with TestClient(ASGIMiddleware(FastAPI(lifespan=lifespan))):
        pass
    assert seen == [None, None]


def test_a_websocket(new_engine: NewEngine) -> None:
    """It is one scope for as long as it is open; a query that comes with a message now and then repeats nothing."""
    engine, app = new_engine("sqlite3"), FastAPI()

    @app.websocket("/rooms/{room}")
    async def chat(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        async for message in websocket.iter_text():
            entered = CURRENT.get()
            assert entered is not None
            send(engine, int(message))
            (streak,) = (each for each in entered.seen[gauge.targets[0]].values() if isinstance(each, Streak))
            streak.last_ns -= 2_000_000_000  # as if the next message came two seconds later
            await websocket.send_text("done")

    with observed(engine) as gauge, TestClient(ASGIMiddleware(app)).websocket_connect("/rooms/7") as websocket:
        for times in (2, 2, 2):
            websocket.send_text(str(times))
            assert websocket.receive_text() == "done"
        assert scopes(gauge) == {"WEBSOCKET /rooms/{room}": 6}
        assert gauge.queries.get_repetitions() == []


def test_added_twice() -> None:
    """A request is one scope, also where the middleware stands around the application and in it."""
    app, seen = FastAPI(), []

    @app.get("/")
    async def read(request: Request) -> None:
        seen.append((CURRENT.get(), request.scope["querygauge.scope"]))

    app.add_middleware(ASGIMiddleware)
    TestClient(ASGIMiddleware(app)).get("/")
    assert seen[0][0] is seen[0][1]


def test_a_scope_of_the_application(new_engine: NewEngine) -> None:
    """The innermost counts."""
    engine, app = new_engine("sqlite3"), FastAPI()

    @app.get("/")
    def read() -> None:
        send(engine)
        with scope("rebuild the index"):
            send(engine, 2)

    with observed(engine) as gauge:
        TestClient(ASGIMiddleware(app)).get("/")
        assert scopes(gauge) == Counter({"GET /": 1, "rebuild the index": 2})
