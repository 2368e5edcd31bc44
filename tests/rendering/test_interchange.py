"""Machines get every number, unrounded and under a fixed name."""

import csv
import io
import json

from querygauge.rendering.interchange import CSV_COLUMNS, report_to_csv, report_to_dict
from rendering.making import Make


def test_a_report_is_json(make: Make) -> None:
    """Everything survives being written and read as JSON."""
    report = make.report(
        make.stats("SELECT * FROM t", 3, 1.5, errors=1),
        make.stats("COMMIT", category="transaction"),
        repetitions=(make.repetition(),),
        pools=(make.pool(),),
    )
    given = report_to_dict(report)
    read = json.loads(json.dumps(given))
    assert read == given
    assert read["overall"]["total_queries"] == 4
    assert read["overall"]["total_duration_ms"] == 5.5
    assert [query["summary"] for query in read["queries"]] == ["SELECT t", "COMMIT"]
    assert {advice["rule"] for advice in read["advice"]} == {"name_the_columns", "stop_repeating"}
    assert read["pools"][0]["pool"] == "primary"


def test_a_limit_cuts_the_list_and_not_the_totals(make: Make) -> None:
    """Overall numbers are of everything."""
    report = make.report(make.stats("SELECT a FROM t", 3), make.stats("SELECT a FROM u", 5))
    read = report_to_dict(report, order_by="execution_count", limit=1)
    assert [query["execution_count"] for query in read["queries"]] == [5]
    assert read["overall"]["total_queries"] == 8


def test_csv_has_one_row_each(make: Make) -> None:
    """Commas, quotes and line ends inside a statement stay inside their field."""
    text = 'SELECT a, "b ""c""" FROM t WHERE d = ?\nAND e = ?'
    entry = make.stats(text, 2, 1.25)
    (row,) = csv.DictReader(io.StringIO(report_to_csv([entry])))
    assert row["query_pattern"] == text
    assert row["execution_count"] == "2"
    assert float(row["avg_duration_ms"]) == 1.25
    assert row["tables"] == "t"


def test_the_header_is_what_statistics_have(make: Make) -> None:
    """A member added to the statistics needs its column, and an empty report has the same header."""
    assert tuple(make.stats().to_dict()) == CSV_COLUMNS
    assert report_to_csv([]) == ",".join(CSV_COLUMNS) + "\n"
