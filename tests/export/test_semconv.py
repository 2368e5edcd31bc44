"""The words are those of the conventions that are installed, of the version that is named."""

from typing import Any

import pytest
from opentelemetry import semconv as published
from opentelemetry.semconv import schemas
from opentelemetry.semconv._incubating.attributes import db_attributes as developing_attributes
from opentelemetry.semconv._incubating.attributes.db_attributes import DbSystemNameValues
from opentelemetry.semconv._incubating.metrics import db_metrics as developing
from opentelemetry.semconv.attributes import (
    code_attributes,
    db_attributes,
    error_attributes,
    exception_attributes,
    server_attributes,
)
from opentelemetry.semconv.metrics import db_metrics as stable

from querygauge.export import semconv
from querygauge.export.semconv import AttributeName, MetricName
from querygauge.values import Pattern

_STABLE_ATTRIBUTES = {
    value
    for module in (code_attributes, db_attributes, error_attributes, exception_attributes, server_attributes)
    for name, value in vars(module).items()
    if name.isupper()
}


class _Meter:
    """Takes note of what an instrument is made with."""

    def __getattr__(self, name: str) -> Any:
        return lambda **made: (name.removeprefix("create_").replace("up_down_counter", "updowncounter"), made)


@pytest.mark.parametrize(
    "metric", [each for each in semconv.METRICS if each.stability != "ours"], ids=lambda it: it.name
)
def test_a_metric_is_what_the_conventions_make(metric: MetricName) -> None:
    """Name, kind, unit and description."""
    made = getattr(developing, f"create_{metric.name.replace('.', '_')}")(_Meter())
    known = {"name": metric.name, "unit": metric.unit, "description": metric.description}
    assert made == (metric.instrument, known)


@pytest.mark.parametrize("metric", semconv.METRICS, ids=lambda it: it.name)
def test_a_metric_is_as_stable_as_they_say(metric: MetricName) -> None:
    """What is ours has a name of ours."""
    if metric.name in vars(stable).values():
        assert metric.stability == "stable"
    elif metric.name in vars(developing).values():
        assert metric.stability == "development"
    else:
        assert metric.stability == "ours"
        assert metric.name.startswith("querygauge.")


@pytest.mark.parametrize("attribute", semconv.ATTRIBUTES, ids=lambda it: it.name)
def test_an_attribute_is_as_stable_as_they_say(attribute: AttributeName) -> None:
    """`otel.metric.overflow` is of the specification of metrics, which is stable."""
    if attribute.name in _STABLE_ATTRIBUTES | {"otel.metric.overflow"}:
        assert attribute.stability == "stable"
    else:
        assert attribute.name in vars(developing_attributes).values()
        assert attribute.stability == "development"


def test_the_version_is_one_that_is_published() -> None:
    """Whoever reads the schema's address finds it."""
    assert published.__path__
    assert semconv.SCHEMA_URL in {each.value for each in schemas.Schemas}


@pytest.mark.parametrize("family", ["postgresql", "mysql", "sqlite", "mssql", "oracle", "unknown"])
def test_a_system_is_a_well_known_one(family: str) -> None:
    """Of every family of dialects."""
    system = dict(semconv.operation_attributes(Pattern("1", "SELECT ?", "SELECT", "SELECT", (), family), "t"))
    assert system["db.system.name"] in {each.value for each in DbSystemNameValues}


def _known(target: str, pattern: Pattern) -> dict[str, object]:
    return dict(semconv.operation_attributes(pattern, target))


def test_a_target_that_nobody_named_is_a_server_and_a_database() -> None:
    """A port is told unless it is the usual one."""
    pattern = Pattern("1", "SELECT * FROM t", "SELECT t", "SELECT", ("t",), "postgresql")
    assert _known("db.internal:5433/shop", pattern) == {
        "db.system.name": "postgresql",
        "server.address": "db.internal",
        "server.port": 5433,
        "db.namespace": "shop",
        "db.collection.name": "t",
        "db.operation.name": "SELECT",
        "db.query.summary": "SELECT t",
    }
    assert "server.port" not in _known("db.internal:5432/shop", pattern)
    assert _known("[::1]:5433/shop", pattern)["server.address"] == "[::1]"


def test_a_name_stands_for_the_database() -> None:
    """And of several tables none is the one."""
    pattern = Pattern("1", "SELECT * FROM a, b", "SELECT a b", "SELECT", ("a", "b"), "sqlite")
    assert _known("primary", pattern) == {
        "db.system.name": "sqlite",
        "db.namespace": "primary",
        "db.operation.name": "SELECT",
        "db.query.summary": "SELECT a b",
    }


def test_what_is_not_known_is_left_out() -> None:
    """An empty attribute tells nothing."""
    assert _known("", Pattern("1", "?", "", "", (), "unknown")) == {"db.system.name": "other_sql"}


def test_a_line_is_told_by_its_parts() -> None:
    """As the finder writes it, whatever the path holds."""
    assert dict(semconv.code_attributes("app/a:1 in b.py:12 in <lambda>")) == {
        "code.file.path": "app/a:1 in b.py",
        "code.line.number": 12,
        "code.function.name": "<lambda>",
    }
    assert semconv.code_attributes(None) == ()


def test_names_are_told_as_utf_8() -> None:
    """What is not cannot be sent: of a file whose name is in another encoding, as of a line in one."""
    pattern = Pattern("1", "SELECT ?", "SELECT", "SELECT", (), "sqlite")
    told = {
        **dict(semconv.operation_attributes(pattern, "caf\udce9.db")),
        **dict(semconv.code_attributes("\udce9.py:3 in f")),
    }
    assert (told["db.namespace"], told["code.file.path"]) == ("caf?.db", "?.py")
