"""The page about OpenTelemetry names everything that is exported, as it is."""

import re

from project import ROOT
from querygauge.export.semconv import ATTRIBUTES, METRICS, OBSERVED

_PAGE = (ROOT / "docs" / "opentelemetry.md").read_text(encoding="utf-8")
_KINDS = {"histogram": "histogram", "counter": "counter", "updowncounter": "up-down counter"}


def _rows(columns: int) -> list[list[str]]:
    found = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in _PAGE.splitlines() if line[:2] == "| "]
    return [row for row in found if len(row) == columns]


def test_every_metric_is_in_the_table() -> None:
    """With its kind, unit and stability; and no other is."""
    told = [(row[0], row[1], row[2]) for row in _rows(4) if row[2] in {"stable", "development", "ours"}]
    made = [
        (f"`{each.name}`", f"{_KINDS[each.instrument]}, {each.unit}", each.stability)
        for each in dict.fromkeys((*METRICS, *OBSERVED))
    ]
    assert told == made


def test_every_attribute_is_in_a_table() -> None:
    """With its stability; and no other is."""
    told = {
        name: row[1]
        for row in _rows(3)
        if row[1] in {"stable", "development"}
        for name in re.findall(r"`([^`]+)`", row[0])
    }
    assert told == {each.name: each.stability for each in ATTRIBUTES}


def test_the_boundaries_are_told() -> None:
    """In the units that people say."""
    (histogram,) = (each for each in METRICS if each.stability == "stable")
    milliseconds = [f"{1_000 * boundary:g}" for boundary in histogram.boundaries if boundary < 1]
    seconds = [f"{boundary:g}" for boundary in histogram.boundaries if boundary >= 1]
    told = re.search(r"`opentelemetry_histograms = \"explicit\"`: ([\d, and]+) ms, ([\d, and]+) s", _PAGE)
    assert told is not None
    assert [re.findall(r"\d+", part) for part in told.groups()] == [milliseconds, seconds]
