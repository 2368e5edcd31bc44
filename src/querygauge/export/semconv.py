"""
OpenTelemetry's words for what is measured here: names, units and stability of metrics and attributes.

Semantic conventions 1.44. What the conventions call stable keeps its name; what is in development may be renamed by
them. Names that begin with `querygauge.` are ours, for what they have no word for. Pure: no library is needed to know
them. Deliberately not here: values.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from querygauge.export.names import readable
from querygauge.values import Pattern

__all__ = [
    "ATTRIBUTES",
    "CODE_FILE_PATH",
    "CODE_FUNCTION_NAME",
    "CODE_LINE_NUMBER",
    "CONNECTION_COUNT",
    "CONNECTION_CREATE_TIME",
    "CONNECTION_IDLE_MAX",
    "CONNECTION_IDLE_MIN",
    "CONNECTION_MAX",
    "CONNECTION_PENDING_REQUESTS",
    "CONNECTION_TIMEOUTS",
    "CONNECTION_USE_TIME",
    "CONNECTION_WAIT_TIME",
    "DB_QUERY_TEXT",
    "DB_RESPONSE_STATUS_CODE",
    "ERROR_TYPE",
    "EXCEPTION_MESSAGE",
    "EXCEPTION_TYPE",
    "METRICS",
    "OBSERVED",
    "OPERATIONS",
    "OPERATION_DURATION",
    "OPERATION_FAILURES",
    "OPERATION_TIME",
    "OVERFLOW",
    "POOL_NAME",
    "RETURNED_ROWS",
    "SCHEMA_URL",
    "STATE",
    "AttributeName",
    "Attributes",
    "MetricName",
    "Stability",
    "code_attributes",
    "error_attributes",
    "operation_attributes",
    "returns_rows",
]

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

Stability = Literal["stable", "development", "ours"]
Attributes = tuple[tuple[str, str | int | bool], ...]
"""Names and values, sorted by name: what tells one series of a metric from the others."""


class MetricName(NamedTuple):
    """
    One metric.

    Attributes:
        name: As it is exported.
        instrument: What it is.
        unit: In UCUM.
        description: The conventions' own.
        stability: How much of it they promise.
        boundaries: Upper ends of its buckets, where they are explicit.
    """

    name: str
    instrument: Literal["histogram", "counter", "updowncounter"]
    unit: str
    description: str
    stability: Stability
    boundaries: tuple[float, ...] = ()


class AttributeName(NamedTuple):
    """One attribute, and how much the conventions promise of it."""

    name: str
    stability: Stability


_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)

OPERATION_DURATION: Final = MetricName(
    "db.client.operation.duration", "histogram", "s", "Duration of database client operations.", "stable", _SECONDS
)
RETURNED_ROWS: Final = MetricName(
    "db.client.response.returned_rows",
    "histogram",
    "{row}",
    "The actual number of records returned by the database operation.",
    "development",
)
OPERATION_FAILURES: Final = MetricName(
    "querygauge.client.operation.failures",
    "counter",
    "{operation}",
    "Database client operations that failed, timeouts included.",
    "ours",
)
OPERATIONS: Final = MetricName(
    "querygauge.client.operations", "counter", "{operation}", "Database client operations.", "ours"
)
OPERATION_TIME: Final = MetricName(
    "querygauge.client.operation.time", "counter", "s", "Time that database client operations took together.", "ours"
)
CONNECTION_COUNT: Final = MetricName(
    "db.client.connection.count",
    "updowncounter",
    "{connection}",
    "The number of connections that are currently in state described by the `state` attribute.",
    "development",
)
CONNECTION_IDLE_MAX: Final = MetricName(
    "db.client.connection.idle.max",
    "updowncounter",
    "{connection}",
    "The maximum number of idle open connections allowed.",
    "development",
)
CONNECTION_IDLE_MIN: Final = MetricName(
    "db.client.connection.idle.min",
    "updowncounter",
    "{connection}",
    "The minimum number of idle open connections allowed.",
    "development",
)
CONNECTION_MAX: Final = MetricName(
    "db.client.connection.max",
    "updowncounter",
    "{connection}",
    "The maximum number of open connections allowed.",
    "development",
)
CONNECTION_PENDING_REQUESTS: Final = MetricName(
    "db.client.connection.pending_requests",
    "updowncounter",
    "{request}",
    "The number of current pending requests for an open connection.",
    "development",
)
CONNECTION_TIMEOUTS: Final = MetricName(
    "db.client.connection.timeouts",
    "counter",
    "{timeout}",
    "The number of connection timeouts that have occurred trying to obtain a connection from the pool.",
    "development",
)
CONNECTION_CREATE_TIME: Final = MetricName(
    "db.client.connection.create_time",
    "histogram",
    "s",
    "The time it took to create a new connection.",
    "development",
    _SECONDS,
)
CONNECTION_WAIT_TIME: Final = MetricName(
    "db.client.connection.wait_time",
    "histogram",
    "s",
    "The time it took to obtain an open connection from the pool.",
    "development",
    _SECONDS,
)
CONNECTION_USE_TIME: Final = MetricName(
    "db.client.connection.use_time",
    "histogram",
    "s",
    "The time between borrowing a connection and returning it to the pool.",
    "development",
    _SECONDS,
)
METRICS: Final = (
    OPERATION_DURATION,
    RETURNED_ROWS,
    OPERATION_FAILURES,
    CONNECTION_COUNT,
    CONNECTION_IDLE_MAX,
    CONNECTION_IDLE_MIN,
    CONNECTION_MAX,
    CONNECTION_PENDING_REQUESTS,
    CONNECTION_TIMEOUTS,
    CONNECTION_CREATE_TIME,
    CONNECTION_WAIT_TIME,
    CONNECTION_USE_TIME,
)
"""Every metric that the collector sends."""

OBSERVED: Final = (
    OPERATIONS,
    OPERATION_TIME,
    OPERATION_FAILURES,
    CONNECTION_TIMEOUTS,
    CONNECTION_COUNT,
    CONNECTION_IDLE_MAX,
    CONNECTION_IDLE_MIN,
    CONNECTION_MAX,
    CONNECTION_PENDING_REQUESTS,
)
"""Every metric that a provider of the application can be asked for."""

_DB_SYSTEM_NAME: Final = "db.system.name"
_DB_NAMESPACE: Final = "db.namespace"
_DB_COLLECTION_NAME: Final = "db.collection.name"
_DB_OPERATION_NAME: Final = "db.operation.name"
_DB_QUERY_SUMMARY: Final = "db.query.summary"
_SERVER_ADDRESS: Final = "server.address"
_SERVER_PORT: Final = "server.port"
DB_QUERY_TEXT: Final = "db.query.text"
DB_RESPONSE_STATUS_CODE: Final = "db.response.status_code"
ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
CODE_FILE_PATH: Final = "code.file.path"
CODE_LINE_NUMBER: Final = "code.line.number"
CODE_FUNCTION_NAME: Final = "code.function.name"
POOL_NAME: Final = "db.client.connection.pool.name"
STATE: Final = "db.client.connection.state"
OVERFLOW: Final[Attributes] = (("otel.metric.overflow", True),)
"""What is counted together, since there are too many to be told apart."""

ATTRIBUTES: Final = (
    AttributeName(_DB_SYSTEM_NAME, "stable"),
    AttributeName(_DB_NAMESPACE, "stable"),
    AttributeName(_DB_COLLECTION_NAME, "stable"),
    AttributeName(_DB_OPERATION_NAME, "stable"),
    AttributeName(_DB_QUERY_SUMMARY, "stable"),
    AttributeName(DB_QUERY_TEXT, "stable"),
    AttributeName(DB_RESPONSE_STATUS_CODE, "stable"),
    AttributeName(_SERVER_ADDRESS, "stable"),
    AttributeName(_SERVER_PORT, "stable"),
    AttributeName(ERROR_TYPE, "stable"),
    AttributeName(EXCEPTION_TYPE, "stable"),
    AttributeName(EXCEPTION_MESSAGE, "stable"),
    AttributeName(CODE_FILE_PATH, "stable"),
    AttributeName(CODE_LINE_NUMBER, "stable"),
    AttributeName(CODE_FUNCTION_NAME, "stable"),
    AttributeName(POOL_NAME, "development"),
    AttributeName(STATE, "development"),
    AttributeName(OVERFLOW[0][0], "stable"),
)
"""Every attribute of a metric or a span."""

# By the family that a pattern names. MariaDB is read as MySQL is, and called so.
_SYSTEMS: Final[Mapping[str, tuple[str, int | None]]] = MappingProxyType(
    {
        "postgresql": ("postgresql", 5432),
        "mysql": ("mysql", 3306),
        "sqlite": ("sqlite", None),
        "mssql": ("microsoft.sql_server", 1433),
        "oracle": ("oracle.db", 1521),
    }
)
_OTHER_SYSTEM: Final = ("other_sql", None)
_PLACE: Final = re.compile(r"(?P<address>[^/]+?)(?::(?P<port>\d+))?/(?P<namespace>.*)", re.DOTALL)
_CALL_SITE: Final = re.compile(r"(?P<path>.*):(?P<line>\d+) in (?P<function>.*)", re.DOTALL)
_RETURNING: Final = frozenset({"SELECT", "VALUES", "TABLE", "SHOW", "FETCH"})
_OTHER_ERROR: Final = "_OTHER"


def operation_attributes(pattern: Pattern, target: str) -> Attributes:
    """
    What the executions of a pattern on a target are known by.

    A target called `host:port/database`, as it is where nobody named it, is a server and a database; else the name
    stands for the database. A table is told only where there is one.
    """
    system, default_port = _SYSTEMS.get(pattern.dialect, _OTHER_SYSTEM)
    known: dict[str, str | int] = {_DB_SYSTEM_NAME: system, _DB_QUERY_SUMMARY: pattern.summary}
    if pattern.operation:
        known[_DB_OPERATION_NAME] = pattern.operation
    if len(pattern.tables) == 1:
        known[_DB_COLLECTION_NAME] = pattern.tables[0]
    known.update(_place(readable(target), default_port))
    return tuple(sorted((name, value) for name, value in known.items() if value != ""))


def _place(target: str, default_port: int | None) -> Iterator[tuple[str, str | int]]:
    place = _PLACE.fullmatch(target)
    if place is None:
        yield _DB_NAMESPACE, target
        return
    yield _SERVER_ADDRESS, place["address"]
    yield _DB_NAMESPACE, place["namespace"]
    if place["port"] and int(place["port"]) != default_port:
        yield _SERVER_PORT, int(place["port"])


def error_attributes(error_type: str, code: str | None) -> Attributes:
    """What is told of a failure: the driver's exception, and what the database answered."""
    status: Attributes = () if code is None else ((DB_RESPONSE_STATUS_CODE, code),)
    return (*status, (ERROR_TYPE, error_type or _OTHER_ERROR))


def code_attributes(call_site: str | None) -> Attributes:
    """What is told of the line `path:line in function` that sent a statement; nothing if it is not known."""
    site = None if call_site is None else _CALL_SITE.fullmatch(readable(call_site))
    if site is None:
        return ()
    return (
        (CODE_FILE_PATH, site["path"]),
        (CODE_FUNCTION_NAME, site["function"]),
        (CODE_LINE_NUMBER, int(site["line"])),
    )


def returns_rows(pattern: Pattern) -> bool:
    """Whether what a pattern's rows count was returned, and not affected."""
    return pattern.operation in _RETURNING
