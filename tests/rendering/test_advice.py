"""Each rule at its boundary: what it fires on, and the nearest thing it leaves alone."""

import pytest

from querygauge.rendering import advice as rules
from querygauge.rendering.advice import RULES, advise
from querygauge.values import Demand
from rendering.making import Make


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM t WHERE id = ?",
        "SELECT DISTINCT * FROM t",
        'SELECT "Orders".* FROM "Orders"',
        "SELECT t.id, s.t.* FROM s.t",
        "SELECT a FROM t WHERE id IN (SELECT * FROM u)",
    ],
)
def test_a_star_is_named(make: Make, text: str) -> None:
    """`*` as a column of its own: name the columns."""
    (found,) = rules.name_the_columns(make.report(make.stats(text, 3)))
    assert found.pattern_id == make.pattern(text).id
    assert found.evidence == "3 executions"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) FROM t",
        "SELECT a * b FROM t",
        "SELECT a, b * ? FROM t",
        "SELECT a FROM t WHERE EXISTS (SELECT * FROM u WHERE u.id = t.id)",
    ],
)
def test_other_stars_are_left_alone(make: Make, text: str) -> None:
    """Counting, multiplying and EXISTS read no column for their star."""
    assert not rules.name_the_columns(make.report(make.stats(text)))


@pytest.mark.parametrize(("count", "fires"), [(100, False), (101, True)])
def test_no_where_matters_from_101_executions(make: Make, count: int, fires: bool) -> None:
    """More than 100 executions without WHERE: filter or index."""
    found = rules.filter_or_index(make.report(make.stats("SELECT a FROM t ORDER BY a LIMIT ?", count)))
    assert bool(found) is fires


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a FROM t WHERE b = ?",
        "SELECT a FROM t LIMIT ?",
        "SELECT nextval(?)",
        "INSERT INTO t (a) VALUES (?)",
        "DELETE FROM t WHERE a = ?",
    ],
)
def test_what_touches_few_rows_needs_no_filter(make: Make, text: str) -> None:
    """A condition, a limit without an order, no table at all, or an insert: nothing to filter."""
    assert not rules.filter_or_index(make.report(make.stats(text, 5_000)))


@pytest.mark.parametrize(
    ("count", "rows", "fires"), [(1_000, 1, False), (1_001, 10, True), (1_001, 11, False), (5_000, None, False)]
)
def test_a_cache_needs_many_executions_of_few_known_rows(make: Make, count: int, rows: int | None, fires: bool) -> None:
    """More than 1,000 executions of at most 10 rows; rows the driver did not tell are not guessed."""
    assert bool(rules.cache_candidate(make.report(make.stats(count=count, rows=rows)))) is fires


@pytest.mark.parametrize(
    "text", ["SELECT a FROM t WHERE id = ? FOR UPDATE", "UPDATE t SET a = ? WHERE id = ?", "SELECT nextval(?)"]
)
def test_what_must_reach_the_database_is_not_cached(make: Make, text: str) -> None:
    """Locks, writes and sequences have no copy."""
    assert not rules.cache_candidate(make.report(make.stats(text, 5_000, rows=1)))


@pytest.mark.parametrize(("rows", "fires"), [(1_000, False), (1_001, True)])
def test_pages_are_for_more_than_a_thousand_rows(make: Make, rows: int, fires: bool) -> None:
    """More than 1,000 rows on average: page."""
    assert bool(rules.read_in_pages(make.report(make.stats(count=2, rows=rows)))) is fires


def test_a_bulk_insert_is_not_paged(make: Make) -> None:
    """Many rows at once is how inserting should be."""
    stats = make.stats("INSERT INTO t (a) VALUES (?)", rows=50_000)
    assert not rules.read_in_pages(make.report(stats))


def test_a_repetition_brings_its_fix(make: Make) -> None:
    """The advice is the finding's own, with its count."""
    (found,) = rules.stop_repeating(make.report(repetitions=(make.repetition(max_per_scope=41),)))
    assert found.text == make.repetition().fix
    assert found.evidence == "up to 41 times in one scope"


def test_one_line_is_to_be_mended_once(make: Make) -> None:
    """However many scopes it repeats in; the time is that of all of them."""
    found = tuple(make.repetition(scope=f"GET /{n}", max_per_scope=9 - n, total_duration_ms=10.0 + n) for n in range(3))
    (advice,) = rules.stop_repeating(make.report(repetitions=found))
    assert (advice.evidence, advice.total_duration_ms) == ("up to 9 times in one scope", 33.0)


def test_no_advice_follows_from_what_is_merely_possible(make: Make) -> None:
    """Who changes code wants to know why."""
    assert not rules.stop_repeating(make.report(repetitions=(make.repetition(compared_count=0, parameters_count=0),)))


@pytest.mark.parametrize(("wait_ms", "fires"), [(20.0, False), (21.0, True)])
def test_the_pool_is_named_from_a_fifth_of_the_query_time(make: Make, wait_ms: float, fires: bool) -> None:
    """More than 20 % of the queries' time spent waiting: the pool, not the query."""
    report = make.report(make.stats(count=1, ms=100.0), pools=(make.pool(wait_ms=wait_ms),))
    found = rules.look_at_the_pool(report)
    assert bool(found) is fires
    assert all("callers wait for a connection" in advice.text for advice in found)


def test_handing_out_a_connection_is_no_waiting(make: Make) -> None:
    """Beside queries of microseconds, so is the checkout; nobody waits there, however large its share."""
    assert not rules.look_at_the_pool(make.report(make.stats(ms=0.1), pools=(make.pool(wait_ms=0.99),)))
    assert rules.look_at_the_pool(make.report(make.stats(ms=0.1), pools=(make.pool(wait_ms=1.0),)))


def test_a_pool_is_measured_against_its_own_target(make: Make) -> None:
    """Another database's slow queries do not hide a pool's waiting."""
    report = make.report(
        make.stats(ms=100.0), make.stats(ms=9_000.0, target="reporting"), pools=(make.pool(wait_ms=50.0),)
    )
    (found,) = rules.look_at_the_pool(report)
    assert found.evidence == "waited 50.0 ms, 50.0 % of the 100 ms in queries"


def test_a_pool_is_measured_against_what_was_forgotten_too(make: Make) -> None:
    """Its waits are those of the whole span; so is the time of its target's queries."""
    report = make.report(
        make.stats(ms=50.0), pools=(make.pool(wait_ms=50.0),), forgotten_ms={"primary": 50.0, "reporting": 9_000.0}
    )
    (found,) = rules.look_at_the_pool(report)
    assert found.evidence == "waited 50.0 ms, 50.0 % of the 100 ms in queries"


def test_opening_connections_is_told_from_waiting(make: Make) -> None:
    """Where connections are opened again and again, a larger pool does not help; keeping them does."""
    report = make.report(make.stats(ms=100.0), pools=(make.pool(wait_ms=50.0, create_ms=40.0, opened=5),))
    (found,) = rules.look_at_the_pool(report)
    assert "opening connections" in found.text


@pytest.mark.parametrize("create_ms", [10.0, 40.0])
def test_opening_what_is_needed_is_no_waiting(make: Make, create_ms: float) -> None:
    """A program opens its connections once, and what else a first connection takes is no lack of connections."""
    pool = make.pool(wait_ms=50.0, create_ms=create_ms, opened=4, waiting=0)
    assert not rules.look_at_the_pool(make.report(make.stats(ms=1.0), pools=(pool,)))


def test_transaction_control_gets_no_advice(make: Make) -> None:
    """Only what reads or writes data is looked at."""
    stats = make.stats("SELECT * FROM pg_catalog.pg_class", 9_999, rows=1, category="catalog")
    assert not advise(make.report(stats))


def test_the_costliest_advice_comes_first(make: Make) -> None:
    """Findings are in the order of the time they are about."""
    cheap, dear = (
        make.stats("SELECT * FROM cheap WHERE a = ?", ms=1),
        make.stats("SELECT * FROM dear WHERE a = ?", ms=9),
    )
    assert [found.summary for found in advise(make.report(cheap, dear))] == ["SELECT dear", "SELECT cheap"]


def test_every_rule_says_its_name(make: Make) -> None:
    """A finding can be traced to the rule that made it."""
    report = make.report(
        make.stats("SELECT * FROM t", 1_500, rows=5),
        make.stats("SELECT a FROM u", 2, rows=5_000),
        repetitions=(make.repetition(),),
        pools=(make.pool(wait_ms=60_000.0, demand=Demand(5, 1, {5: 1}, {5: 1_000})),),
    )
    assert {found.rule for found in advise(report)} == {rule.__name__ for rule in RULES}
    assert all(isinstance(value, str | float | None) for found in advise(report) for value in found.to_dict().values())
