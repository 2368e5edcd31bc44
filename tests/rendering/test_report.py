"""The report is laid out as promised, and says what is there and nothing else."""

import pytest

from querygauge.errors import SettingsError
from querygauge.rendering.ranking import ORDERS
from querygauge.rendering.report import render_report
from querygauge.values import OutcomeCounts, SelfMetrics, SlowQuery
from rendering.making import Make

ORDER_OF_SECTIONS = (
    "QUERY PERFORMANCE REPORT",
    "OVERALL METRICS",
    "TOP 5 SLOWEST QUERIES (by avg duration)",
    "TOP 5 QUERIES BY TOTAL TIME",
    "TOP 5 MOST FREQUENT QUERIES",
    "QUERIES THAT FAILED",
    "TOP 5 SLOWEST EXECUTIONS",
    "REPETITIONS",
    "POOLS",
    "ADVICE",
    "QUERYGAUGE ITSELF",
    "Full text, history and slow executions of one query: querygauge patterns show ID",
)


def section(text: str, title: str) -> str:
    """The part of a report under a title."""
    return next(part for part in text.split("\n\n") if part.startswith(title))


def full_report(make: Make) -> str:
    """A report in which every section has something to say."""
    stats = make.stats("SELECT * FROM orders", 1_500, 2.0, rows=3, errors=15, slow=3)
    slow = SlowQuery(
        stats.query_pattern, stats.pattern_id, stats.pattern.summary, "primary", 1_500.0, stats.first_seen,
        call_site="shop/orders.py:12 in show", outcome="timeout",
    )  # fmt: skip
    return render_report(
        make.report(
            stats,
            make.stats("COMMIT", 20, 5.0, category="transaction"),
            repetitions=(make.repetition(),),
            slow_queries=(slow,),
            pools=(make.pool(),),
            self_metrics=SelfMetrics(2.31, 0.52, 12.3, patterns_folded=12_345),
        )
    )


def test_sections_stand_in_their_order(make: Make) -> None:
    """First what happened, then where the time went, then what to do."""
    text = full_report(make)
    lines = text.splitlines()
    assert lines[0] == "QUERY PERFORMANCE REPORT"
    places = [next(n for n, line in enumerate(lines) if line.startswith(title)) for title in ORDER_OF_SECTIONS]
    assert places == sorted(places)
    assert not any(line != line.rstrip() for line in lines)


def test_overall_metrics_have_counts_shares_and_units(make: Make) -> None:
    """Counts of everything, transaction control included, with what is left out of the rankings."""
    overall = full_report(make)
    for expected in ("Total Queries     1,520", "Slow Queries      3 (0.2 %)", "Errors            15 (1.0 %)"):
        assert expected in overall
    assert "Unique Patterns   2" in overall
    assert "Threshold         1.00 s" in overall
    assert "20 of these (100 ms) are transaction control" in overall


def test_an_entry_has_average_p95_and_executions(make: Make) -> None:
    """The ranking shows the measures under their titles, then the statement."""
    report = render_report(make.report(make.stats("SELECT a FROM t WHERE id = ?", 1_234, 12.34)))
    title, head, entry, statement = section(report, "TOP 5 SLOWEST").splitlines()
    assert title == "TOP 5 SLOWEST QUERIES (by avg duration)"
    assert head.split() == ["#", "Avg", "P95", "Executions", "Total", "Share", "Pattern"]
    assert entry.split()[:6] == ["1", "12.3", "ms", "12.3", "ms", "1,234"]
    assert statement.strip() == "SELECT a FROM t WHERE id = ?"


def test_a_statement_stands_once(make: Make) -> None:
    """Three rankings of one query repeat its numbers, not its text."""
    text = "SELECT a FROM t WHERE id = ?"
    assert render_report(make.report(make.stats(text))).count(text) == 1


def test_transaction_control_is_in_no_ranking(make: Make) -> None:
    """Ten thousand slow commits do not push a query from the list."""
    report = render_report(make.report(make.stats(), make.stats("COMMIT", 10_000, 50.0, category="transaction")))
    assert "COMMIT" not in report
    assert "10,001" in report


def test_the_limit_is_in_the_title_and_in_the_list(make: Make) -> None:
    """`TOP 2` has two entries."""
    report = render_report(make.report(*(make.stats(f"SELECT a FROM t{n}") for n in range(9))), limit=2)
    entries = [line for line in section(report, "TOP 2 MOST FREQUENT").splitlines() if "SELECT t" in line]
    assert len(entries) == 2


def test_an_order_gives_one_ranking(make: Make) -> None:
    """Who asks for an order gets that list alone, and its measure first."""
    report = render_report(make.report(make.stats(rows=7)), order_by="rows")
    assert section(report, "TOP 5 QUERIES BY ROWS").splitlines()[1].split()[1] == "Rows"
    assert "SLOWEST" not in report


def test_queries_without_errors_are_not_ranked_by_errors(make: Make) -> None:
    """A list of failing queries holds failing ones."""
    report = render_report(make.report(make.stats("SELECT a FROM fine"), make.stats("SELECT a FROM bad", errors=1)))
    failed = section(report, "QUERIES THAT FAILED")
    assert "SELECT bad" in failed
    assert "SELECT fine" not in failed


def test_two_targets_are_told_apart(make: Make) -> None:
    """The same statement on two databases is two entries, each with its target."""
    report = render_report(make.report(make.stats(), make.stats(target="replica")))
    assert "@ primary" in report
    assert "@ replica" in report
    assert "@" not in render_report(make.report(make.stats()))


def test_cancelled_executions_are_no_errors_and_are_told(make: Make) -> None:
    """Timeouts are among the errors, cancelled executions beside them."""
    outcomes = OutcomeCounts(ok=8, error=1, timeout=1, cancelled=5)
    report = render_report(make.report(make.stats(), outcomes=outcomes))
    assert "2 (20.0 %)" in report
    assert "1 of them timeouts, 5 more cancelled by their caller" in report


def test_nothing_seen_says_what_to_check(make: Make) -> None:
    """An empty report is a question about the set-up, so it answers that."""
    report = render_report(make.report())
    assert "No statements were seen" in report
    assert "instrument(engine)" in report
    assert "--since" in report
    assert "TOP 5" not in report


def test_a_repetition_has_its_line_and_its_fix(make: Make) -> None:
    """Where it is sent from, how often, and what to change."""
    found = make.repetition(max_per_scope=41, execution_count=1_640, scopes_count=40, total_duration_ms=230.0)
    part = section(render_report(make.report(make.stats(), repetitions=(found,))), "REPETITIONS")
    assert "up to 41 times in one 'GET /orders' scope; 1,640 executions in 40 scopes, 230 ms" in part
    assert "from  shop/orders.py:12 in show" in part
    assert "fix   fetch all of them in one query before the loop" in part


def test_a_repetition_says_what_happens_and_what_shows_it(make: Make) -> None:
    """What was sent again and why, how sure that is, and how much of it was looked at."""
    found = make.repetition(cause="lazy", attribute="User.posts", parents_count=4)
    part = section(render_report(make.report(make.stats(), repetitions=(found,))), "REPETITIONS")
    assert "lazy load of User.posts, parent by parent (certain)" in part
    assert "seen  4 sets of parameters for 4 objects in 4 executions compared" in part
    assert "fix   load them with their parents: selectinload(User.posts)" in part


def test_a_line_that_repeats_in_several_scopes_is_shown_once(make: Make) -> None:
    """The scope of most time stands first, a few others below it, and how many more there are."""
    found = tuple(
        make.repetition(scope=f"GET /{n}", max_per_scope=6 + n, total_duration_ms=100.0 + n) for n in range(6)
    )
    part = section(render_report(make.report(make.stats(), repetitions=found), width=200), "REPETITIONS")
    assert part.count("from  ") == 1
    assert "up to 11 times in one 'GET /5' scope; " in part
    assert (
        "also  up to 10 times in one 'GET /4' scope, up to 9 times in one 'GET /3' scope,"
        " up to 8 times in one 'GET /2' scope, and 2 more" in part
    )


def test_what_is_merely_possible_comes_last(make: Make) -> None:
    """A finding that little is known about stands below the others, however long it took."""
    vague = make.repetition(total_duration_ms=90.0, compared_count=0, parameters_count=0)
    sure = make.repetition("SELECT b FROM u WHERE id = ?")
    part = section(render_report(make.report(make.stats(), repetitions=(vague, sure))), "REPETITIONS")
    assert part.index("SELECT u") < part.index("SELECT t")
    assert "seen" not in part[part.index("SELECT t") :]


def test_windows_of_one_pool_are_added_up(make: Make) -> None:
    """A pool seen in three snapshots is one line."""
    report = render_report(make.report(make.stats(), pools=(make.pool(), make.pool(), make.pool("replica"))))
    _, _, *lines = section(report, "POOLS").splitlines()
    assert [line.split()[:4] for line in lines] == [["primary", "4", "15", "2"], ["replica", "4", "15", "1"]]


def test_nothing_noticed_is_no_section(make: Make) -> None:
    """Sections without content are left out."""
    report = render_report(make.report(make.stats()))
    for title in ("NOTICED", "REPETITIONS", "POOLS", "ADVICE", "FAILED", "EXECUTIONS"):
        assert title not in report


@pytest.mark.parametrize("width", [60, 72, 80, 100, 140])
def test_every_line_keeps_to_the_width(make: Make, width: int) -> None:
    """Sentences and statements are folded, tables leave columns out, and names are shortened."""
    columns = ", ".join(f"some_long_column_{n}" for n in range(40))
    stats = make.stats(
        f"SELECT {columns} FROM some_rather_long_table_name", 12_345, 123.0, rows=99, errors=9_876, slow=1
    )
    target = "database.internal.example.org:5432/orders"
    call_site = "some_application/some_package/some_module.py:1234 in some_rather_long_function_name"
    slow = SlowQuery(
        stats.query_pattern, stats.pattern_id, stats.pattern.summary, target, 185_000.0, stats.first_seen,
        call_site=call_site, outcome="cancelled",
    )  # fmt: skip
    pool = make.pool(target, wait_ms=123.0, create_ms=12.0)
    repetition = make.repetition(stats.query_pattern, call_site=call_site, scope="GET /orders/<order_id>/positions")
    report = make.report(
        stats,
        make.stats(target=target),
        make.stats("COMMIT", 20, category="transaction"),
        threshold_ms=None,
        outcomes=OutcomeCounts(ok=9_000, error=900, timeout=9_876, cancelled=12_345),
        slow_queries=(slow,),
        pools=(pool, pool),
        repetitions=(repetition,),
        self_metrics=SelfMetrics(hook_errors=3, patterns_folded=1, slow_queries_dropped=12_345),
    )
    texts = [render_report(report, width=width, order_by=order) for order in (None, *ORDERS)]
    texts.append(render_report(make.report(), width=width))
    assert [line for text in texts for line in text.splitlines() if len(line) > width] == []


def test_what_it_costs_is_said_in_words(make: Make) -> None:
    """Times that are known, and counts that are not zero; nothing of it without either."""
    text = render_report(make.report(self_metrics=SelfMetrics(2.31, 0.52, 12.3, statements_dropped=7)), width=200)
    costs, dropped = section(text, "QUERYGAUGE ITSELF").splitlines()[1:]
    assert costs.strip().split("; ") == [
        "2.31 µs added to a statement, the median of one in 257",
        "520 ns of CPU time later to count an execution",
        "12.3 ms from when the last flush was due until it was written",
    ]
    assert dropped == "  7  executions not counted: by a mistake of ours, or as a signal handler raised meanwhile"
    assert "QUERYGAUGE ITSELF" not in render_report(make.report(self_metrics=SelfMetrics()))


def test_a_narrow_page_leaves_shares_out_first(make: Make) -> None:
    """Average, P95 and executions stand beside a name that can be read; what a ranking is by stays in any case."""
    report = make.report(make.stats("INSERT INTO a FROM trial_intermediate_values", 12_345, 123.0))
    titles = {
        width: section(render_report(report, width=width), "TOP 5 SLOWEST").splitlines()[1].split()
        for width in (100, 80, 70)
    }
    assert titles[100] == ["#", "Avg", "P95", "Executions", "Total", "Share", "Pattern"]
    assert titles[80] == ["#", "Avg", "P95", "Executions", "Total", "Pattern"]
    assert titles[70] == ["#", "Avg", "P95", "Executions", "Pattern"]
    assert section(render_report(report, width=60), "TOP 5 QUERIES BY TOTAL").splitlines()[1].split()[1] == "Total"


def test_a_slow_execution_tells_where_it_is_from(make: Make) -> None:
    """The line that sent it, and how it ended, stand whole below its pattern."""
    part = section(full_report(make), "TOP 5 SLOWEST EXECUTIONS").splitlines()
    assert part[2].split()[-2:] == ["SELECT", "orders"]
    assert part[3].strip() == "from  shop/orders.py:12 in show  [timeout]"


def test_the_command_at_the_end_is_never_folded(make: Make) -> None:
    """It is there to be copied: what does not fit has a line of its own."""
    command = "/a/directory/with/a/rather/long/name/bin/querygauge patterns show ID"
    lines = render_report(make.report(make.stats()), width=60, show_command=command).splitlines()
    assert lines[-2:] == ["Full text, history and slow executions of one query:", f"  {command}"]


def test_names_cannot_steer_a_terminal(make: Make) -> None:
    """Escape codes in identifiers, call sites and service names are spelled out."""
    evil = "\x1b[31m"
    stats = make.stats(f'SELECT "{evil}" FROM t{evil}', 200, errors=1, target=evil)
    repetition = make.repetition(call_site=evil, scope=evil, cause="lazy", attribute=evil)
    report = render_report(make.report(stats, make.stats(), service=evil, repetitions=(repetition,)))
    assert "\x1b" not in report


@pytest.mark.parametrize(("keywords", "message"), [({"limit": 0}, "limit"), ({"order_by": "speed"}, "order_by")])
def test_bad_arguments_are_named(make: Make, keywords: dict[str, int], message: str) -> None:
    """Errors name the argument, also when nothing was seen."""
    with pytest.raises(SettingsError, match=message):
        render_report(make.report(), **keywords)  # type: ignore[arg-type]  # wrong on purpose
