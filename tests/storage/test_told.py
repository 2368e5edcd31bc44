"""Values from their JSON."""

import json

import pytest

from querygauge.storage.told import value_of
from querygauge.values.answers.performance_report import PerformanceReport
from report_cases import EMPTY_REPORT, REPORT, long_report


@pytest.mark.parametrize("report", [REPORT, EMPTY_REPORT, long_report(500, "SELECT é 漢 <b>")])
def test_a_report_comes_back_as_it_was(report: PerformanceReport) -> None:
    """Every member of it, moments with their offsets among them."""
    assert value_of(PerformanceReport, json.loads(json.dumps(report.to_dict()))) == report


def test_what_an_older_version_wrote() -> None:
    """Has the defaults where something is missing, and what is derived is worked out anew."""
    told = REPORT.to_dict()
    del told["alerts"], told["errors"]
    told["slow"][0]["p95_change_percent"] = "nonsense"
    read = value_of(PerformanceReport, told)
    assert (read.alerts, read.errors) == ({}, ())
    assert read.slow == REPORT.slow
