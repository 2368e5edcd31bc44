"""Every request to a WSGI application is one scope until its response is closed, and the server notices nothing."""

import gc
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from flask import Flask, request, stream_with_context

from databases.engines import NewEngine
from middleware.observed import failures, observed, scopes, send
from querygauge import WSGIMiddleware, scope
from querygauge.capture.scope import CURRENT


def start_response(*_arguments: Any) -> None:
    """Takes what the application says."""


def environ() -> dict[str, Any]:
    """The least that a request has."""
    return {"REQUEST_METHOD": "GET", "PATH_INFO": "/orders/7", "wsgi.file_wrapper": FileWrapper}


def test_concurrent_requests(new_engine: NewEngine) -> None:
    """Statements of many threads are each counted in the request of their own."""
    engine, app = new_engine("sqlite3"), Flask(__name__)

    @app.get("/orders/<int:id>")
    def read(id: int) -> str:  # noqa: A002  # as people name it
        send(engine, 2)
        return "yes"

    @app.get("/items/<id>")
    def item(id: str) -> str:  # noqa: A002  # as people name it
        send(engine, 3)
        return "yes"

    app.wsgi_app = WSGIMiddleware(app.wsgi_app)  # type: ignore[method-assign]  # as Flask says

    def ask(number: int) -> int:
        with app.test_client().get(f"/{'orders' if number % 2 else 'items'}/{number}") as answer:
            return answer.status_code

    with observed(engine) as gauge:
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(ask, range(40))) == {200}
        assert scopes(gauge) == {"GET /orders/{id}": 40, "GET /items/{id}": 60}
        # Every thread is left without a scope.
        assert CURRENT.get() is None


def test_what_is_sent_before_the_route_is_known(new_engine: NewEngine) -> None:
    """A query that a middleware of the application sends first is counted under the route that follows."""
    engine, app = new_engine("sqlite3"), Flask(__name__)
    inner = app.wsgi_app

    def authenticating(environ: Any, start_response: Any) -> Any:
        send(engine)
        gauge.poll()
        return inner(environ, start_response)

    @app.get("/orders/<id>")
    def read(id: str) -> str:  # noqa: A002  # as people name it
        send(engine)
        return "yes"

    app.wsgi_app = WSGIMiddleware(authenticating)  # type: ignore[method-assign]  # as Flask says
    with observed(engine) as gauge:
        for path in ("/orders/7", "/nowhere/7", "/nowhere/8"):
            app.test_client().get(path).close()
        assert scopes(gauge) == {"GET /orders/{id}": 2, "(no route)": 2}


def test_streaming(new_engine: NewEngine) -> None:
    """What is sent while the response is produced belongs to the request; so does what is sent when it is closed."""
    engine, app = new_engine("sqlite3"), Flask(__name__)

    @app.get("/export/<kind>")
    def export(kind: str) -> Any:
        def rows() -> Iterator[str]:
            send(engine)
            yield request.path
            with scope("inner"):
                for _ in range(3):
                    send(engine)
                    yield "row"
            send(engine)

        response = app.response_class(stream_with_context(rows()))
        response.call_on_close(lambda: send(engine))
        return response

    app.wsgi_app = WSGIMiddleware(app.wsgi_app)  # type: ignore[method-assign]  # as Flask says
    with observed(engine) as gauge:
        with app.test_client().get("/export/all") as answer:
            assert answer.get_data(as_text=True) == "/export/allrowrowrow"
        assert scopes(gauge) == {"GET /export/{kind}": 3, "inner": 3}
        assert CURRENT.get() is None


def test_parts_taken_in_several_threads(new_engine: NewEngine) -> None:
    """A server may take each part in another thread, and close in another again."""
    engine = new_engine("sqlite3")

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        for _ in range(3):
            send(engine)
            yield b"part"

    with observed(engine) as gauge:
        response: Any = WSGIMiddleware(app)(environ(), start_response)
        for _ in range(3):
            with ThreadPoolExecutor(1) as thread:
                assert thread.submit(next, response).result() == b"part"
        with ThreadPoolExecutor(1) as thread:
            thread.submit(response.close).result()
        assert scopes(gauge) == {"(no route)": 3}


def test_an_exception_of_the_application() -> None:
    """It arrives as it is, from wherever it comes, and the scope has ended where the request has."""
    raised = [ValueError("called"), ValueError("produced"), ValueError("closed")]

    def calling(_environ: Any, _start_response: Any) -> Any:
        raise raised[0]

    class Response:
        def __iter__(self) -> Iterator[bytes]:
            raise raised[1]

        def close(self) -> None:
            raise raised[2]

    asked = environ()
    with pytest.raises(ValueError, match="called") as caught:
        WSGIMiddleware(calling)(asked, start_response)
    assert caught.value is raised[0]
    assert asked["querygauge.scope"].is_over
    asked = environ()
    response: Any = WSGIMiddleware(lambda *_: Response())(asked, start_response)
    for step, error in ((lambda: next(iter(response)), raised[1]), (response.close, raised[2])):
        assert not asked["querygauge.scope"].is_over
        with pytest.raises(ValueError, match=str(error)) as caught:
            step()
        assert caught.value is error
        assert CURRENT.get() is None
    assert asked["querygauge.scope"].is_over


def test_a_response_that_nobody_closes(new_engine: NewEngine) -> None:
    """A request whose response a test client drops has ended, and is counted once."""
    app = Flask(__name__)
    app.get("/")(lambda: "yes")
    app.wsgi_app = WSGIMiddleware(app.wsgi_app)  # type: ignore[method-assign]  # as Flask says
    with observed(new_engine("sqlite3")) as gauge:
        app.test_client().get("/")
        app.test_client().get("/").close()
        gc.collect()
        (stats,) = gauge.queries.get_scope_stats()
        assert (stats.scope, stats.unit_count) == ("GET /", 2)


def test_a_response_is_closed_once() -> None:
    """The application's `close()` is called when the server calls it, and a response that has none needs none."""
    closed = []

    class Response(io.BytesIO):
        def close(self) -> None:
            closed.append(self)

    given = Response(b"part")
    response: Any = WSGIMiddleware(lambda *_: given)(environ(), start_response)
    assert list(response) == [b"part"]
    assert closed == []
    response.close()
    assert closed == [given]
    plain: Any = WSGIMiddleware(lambda *_: iter([b"part"]))(environ(), start_response)
    assert list(plain) == [b"part"]
    plain.close()


@pytest.mark.parametrize("given", [[b"whole"], (b"whole",), [], FileWrapper(io.BytesIO(b"whole")), object()], ids=type)
def test_what_a_server_knows_by_itself_stays_itself(given: Any) -> None:
    """A server tells a list's length, and sends a file with the system's own call: both only if it gets that object."""
    asked = environ()
    assert WSGIMiddleware(lambda *_: given)(asked, start_response) is given
    assert asked["querygauge.scope"].is_over


def test_start_response_gives_what_the_server_gave() -> None:
    """Its arguments, its `write` and its exceptions pass through."""
    written: list[Any] = []

    def starting(*arguments: Any) -> Any:
        written.append(arguments)
        return written.append

    def app(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [("a", "b")], None)(b"part")
        return []

    WSGIMiddleware(app)(environ(), starting)
    assert written == [("200 OK", [("a", "b")], None), b"part"]


def test_tags() -> None:
    """They come from a function of the environment; one that fails is counted, and the request goes on without."""
    asked, other = environ() | {"HTTP_X_TENANT": "acme"}, environ()
    with failures(1):
        for each in (asked, other):
            WSGIMiddleware(lambda *_: [], tags=lambda environ: {"tenant": environ["HTTP_X_TENANT"]})(
                each, start_response
            )
    assert asked["querygauge.scope"].tags == {"tenant": "acme"}
    assert other["querygauge.scope"].tags == {}


def test_added_twice() -> None:
    """A request is one scope."""
    seen = []

    def app(environ: Any, _start_response: Any) -> list[bytes]:
        seen.append((CURRENT.get(), environ["querygauge.scope"]))
        return []

    WSGIMiddleware(WSGIMiddleware(app))(environ(), start_response)
    assert seen[0][0] is seen[0][1]
