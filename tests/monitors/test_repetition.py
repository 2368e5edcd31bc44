"""The same query from the same line, again and again in one unit, is found and counted exactly."""

from monitors.executions import MS, Work, pattern
from querygauge.monitors.repetition import COUNT, NS, RepetitionTable, merged
from querygauge.values import Pattern, Repetition
from querygauge.values.repetitions import Cause

LINE = "shop/orders.py:12 in show"


def repeat(
    table: RepetitionTable,
    unit: Work,
    times: int,
    what: Pattern | None = None,
    *,
    call_site: str | None = LINE,
    target: str = "primary",
    ms: int = 2,
) -> None:
    """Adds `times` executions of `ms` milliseconds."""
    what = what or pattern()
    scope = None if unit.label is None else unit.label.name
    for _ in range(times):
        key = f"{target} {what.id}"
        tally = unit.repeats.get((key, call_site))
        tally = table.tally(target, what, call_site, unit, key, scope, 1, tally)
        if tally is not None:
            tally[COUNT] += 1
            tally[NS] += ms * MS


def found(table: RepetitionTable) -> list[Repetition]:
    """All findings, drained or not."""
    return list(merged(table.totals, table.frozen_window()).values())


def test_a_finding_begins_at_the_threshold() -> None:
    """One execution below the threshold is no finding; at the threshold all executions so far are in it."""
    table, unit = RepetitionTable(5), Work("GET /orders")
    repeat(table, unit, 4)
    assert found(table) == []
    repeat(table, unit, 1)
    (finding,) = found(table)
    assert (finding.execution_count, finding.max_per_scope, finding.scopes_count) == (5, 5, 1)
    assert finding.total_duration_ms == 10.0
    assert (finding.call_site, finding.scope, finding.target) == (LINE, "GET /orders", "primary")


def test_a_finding_is_of_one_scope() -> None:
    """What one line repeats in two scopes is two findings, and neither says what the other did."""
    table = RepetitionTable(5)
    for name, times in (("GET /export", 500), ("GET /profile", 6), ("GET /export", 20)):
        repeat(table, Work(name), times)
        table.drain()
    assert {one.scope: (one.scopes_count, one.execution_count, one.max_per_scope) for one in found(table)} == {
        "GET /export": (2, 520, 500),
        "GET /profile": (1, 6, 6),
    }


def test_the_first_execution_belongs_to_the_line_that_follows() -> None:
    """The line is looked for from the second execution on; the finding has the first one too, with its time."""
    table, unit = RepetitionTable(5), Work()
    repeat(table, unit, 1, call_site=None, ms=100)
    repeat(table, unit, 4)
    (finding,) = found(table)
    assert (finding.call_site, finding.execution_count, finding.total_duration_ms) == (LINE, 5, 108.0)


def test_the_first_execution_belongs_to_one_line_only() -> None:
    """With two lines in one unit only the first that is known gets the first execution."""
    table, unit = RepetitionTable(2), Work()
    repeat(table, unit, 1, call_site=None)
    repeat(table, unit, 3)
    repeat(table, unit, 3, call_site="shop/cart.py:7 in total")
    assert {finding.call_site: finding.execution_count for finding in found(table)} == {
        LINE: 4,
        "shop/cart.py:7 in total": 3,
    }


def test_executions_whose_line_was_not_found_stay_apart() -> None:
    """Only the very first execution may lack its line for want of looking; two without one are their own count."""
    table, unit = RepetitionTable(3), Work()
    repeat(table, unit, 2, call_site=None)
    repeat(table, unit, 2)
    assert found(table) == []
    repeat(table, unit, 1, call_site=None)
    repeat(table, unit, 1)
    assert {finding.call_site: finding.execution_count for finding in found(table)} == {None: 3, LINE: 3}


def test_without_lines_the_pattern_alone_is_the_finding() -> None:
    """Where no line is looked for, the repetition of the pattern is found all the same."""
    table = RepetitionTable(5)
    repeat(table, Work(), 6, call_site=None)
    (finding,) = found(table)
    assert (finding.call_site, finding.execution_count) == (None, 6)


def test_units_are_counted_apart_and_added_up() -> None:
    """Two units below the threshold make nothing; units above it make one finding with both in it."""
    table = RepetitionTable(5)
    repeat(table, Work(), 4)
    repeat(table, Work(), 4)
    assert found(table) == []
    repeat(table, Work("GET /orders"), 7)
    repeat(table, Work("GET /orders"), 5)
    (finding,) = found(table)
    assert (finding.scopes_count, finding.execution_count, finding.max_per_scope) == (2, 12, 7)
    assert finding.scope == "GET /orders"


def test_a_unit_under_way_begins_anew_when_everything_is_forgotten() -> None:
    """A finding has no more executions within one scope than there are, and is found as in a scope that begins then."""
    table, unit = RepetitionTable(5), Work("job")
    repeat(table, unit, 20)
    table.clear()
    repeat(table, unit, 4)
    assert found(table) == []
    repeat(table, unit, 196)
    (finding,) = found(table)
    assert (finding.execution_count, finding.max_per_scope, finding.scopes_count) == (200, 200, 1)


def test_targets_share_nothing_in_one_unit() -> None:
    """The same pattern on two databases within one scope is two counts."""
    table, unit = RepetitionTable(5), Work()
    repeat(table, unit, 4, target="primary")
    repeat(table, unit, 4, target="replica")
    assert found(table) == []
    repeat(table, unit, 1, target="replica")
    assert [finding.target for finding in found(table)] == ["replica"]


def test_windows_add_up_to_the_totals() -> None:
    """A unit that goes on after a drain adds to the next window what is new; together they are the whole."""
    table, unit = RepetitionTable(5), Work()
    repeat(table, unit, 6)
    (first,) = table.drain()
    assert table.drain() == ()
    repeat(table, unit, 3)
    (second,) = table.drain()
    assert (first.scopes_count, first.execution_count, first.max_per_scope) == (1, 6, 6)
    assert (second.scopes_count, second.execution_count, second.max_per_scope) == (0, 3, 9)
    (total,) = found(table)
    assert (total.scopes_count, total.execution_count, total.max_per_scope) == (1, 9, 9)
    assert total.total_duration_ms == 18.0


def test_findings_are_bounded_and_counted() -> None:
    """A thousand findings are kept; executions of further ones are counted as dropped, those known go on."""
    table = RepetitionTable(2)
    for number in range(1_003):
        repeat(table, Work(), 2, pattern(f"SELECT a{number} FROM t"))
        if number == 500:
            table.drain()
    assert len(found(table)) == 1_000
    assert table.dropped == 3
    repeat(table, Work(), 2, pattern("SELECT a0 FROM t"))
    assert table.dropped == 3


def test_a_unit_counts_a_bounded_number_of_patterns() -> None:
    """What a long unit remembers is bounded; patterns it knows already go on being counted."""
    table, unit = RepetitionTable(2), Work()
    for number in range(2_100):
        repeat(table, unit, 1, pattern(f"SELECT a{number} FROM t"))
    assert len(unit.repeats) == 2_000
    repeat(table, unit, 1, pattern("SELECT a0 FROM t"))
    assert len(found(table)) == 1


def test_findings_about_forgotten_patterns_go() -> None:
    """When a pattern is forgotten its findings are, unless the window has more of them; there is room again."""
    table = RepetitionTable(2)
    first, second = pattern("SELECT a FROM t"), pattern("SELECT b FROM t")
    repeat(table, Work(), 2, first)
    repeat(table, Work(), 2, second)
    table.drain()
    repeat(table, Work(), 2, second)
    table.drop([("primary", first.id), ("primary", second.id)])
    (finding,) = found(table)
    assert (finding.pattern, finding.execution_count) == (second, 4)


class Verdict:
    """Evidence that says what it is told to, and counts how often it is asked; fits `protocols.Evidence`."""

    cause: Cause | None = None
    attribute: str | None = None
    tasks = 0

    def __init__(self) -> None:
        self.innocent = True
        self.asked = 0

    def counts(self) -> tuple[int, int, int, int, int, int]:
        """As `protocols.Evidence.counts`."""
        return 0, 0, 0, 0, 0, 0

    def is_innocent(self, threshold: int) -> bool:
        """As `protocols.Evidence.is_innocent`."""
        assert threshold == 5
        self.asked += 1
        return self.innocent


def test_what_is_innocent_is_asked_ever_more_seldom() -> None:
    """A walk through a table of a thousand pages is judged thirty times, and not with each page."""
    table, unit, verdict = RepetitionTable(5), Work(), Verdict()
    unit.evidence[LINE] = verdict
    repeat(table, unit, 1_000)
    assert found(table) == []
    assert verdict.asked <= 30


def test_what_turns_out_to_be_a_repetition_is_found_with_all_its_executions() -> None:
    """Whoever was innocent is asked again before a quarter more has been sent, and then nothing of it is lost."""
    table, unit, verdict = RepetitionTable(5), Work(), Verdict()
    unit.evidence[LINE] = verdict
    repeat(table, unit, 20)
    verdict.innocent = False
    repeat(table, unit, 6)
    (finding,) = found(table)
    assert (finding.execution_count, finding.max_per_scope, finding.total_duration_ms) == (26, 26, 52.0)
