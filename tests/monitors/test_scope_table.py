"""What units of work did is counted exactly, by scope and by tag, and within bounds."""

from monitors.executions import MS, SteppingClock, Work, execute, pattern, settings
from querygauge.monitors.recorder import Recorder
from querygauge.values import ERROR, OTHER_SCOPES, TIMEOUT, ScopeLabel, ScopeStats, by_name, by_pattern, by_tag


def work(recorder: Recorder, name: str, executions: int = 1, ms: float = 1.0, **tags: str) -> None:
    """A unit that sends so many, all of one pattern, and ends after a second."""
    unit = Work(name, **tags)
    for _ in range(executions):
        execute(recorder.recorder("primary"), ms, unit=unit)
    recorder.scope_ended(unit, 1_000 * MS)


def found(recorder: Recorder) -> dict[str | None, ScopeStats]:
    """What is known of each name."""
    return {stats.scope: stats for stats in by_name(recorder.view().scopes)}


def test_units_and_what_they_sent(clock: SteppingClock) -> None:
    """Units, those without a statement too; their executions and time, together and of the busiest."""
    recorder = Recorder(clock, settings())
    work(recorder, "GET /orders", 2, 1.5)
    work(recorder, "GET /orders", 5, 2.0)
    work(recorder, "GET /orders", 0)
    work(recorder, "nightly", 1)
    execute(recorder.recorder("primary"), 100.0)
    stats = found(recorder)
    orders = stats["GET /orders"]
    assert (orders.unit_count, orders.unit_duration_ms, orders.execution_count) == (3, 3_000.0, 7)
    assert (orders.total_duration_ms, orders.max_executions, orders.max_duration_ms) == (13.0, 5, 10.0)
    assert (orders.executions_per_unit, orders.duration_ms_per_unit) == (7 / 3, 13 / 3)
    assert (stats["nightly"].unit_count, stats["nightly"].execution_count) == (1, 1)
    assert set(stats) == {"GET /orders", "nightly"}


def test_a_unit_under_way(clock: SteppingClock) -> None:
    """What it has sent is counted; it is a unit once it has ended, however many windows that takes."""
    recorder, unit = Recorder(clock, settings()), Work("import")
    execute(recorder.recorder("primary"), unit=unit)
    (first,) = recorder.drain().scopes
    assert (first.unit_count, first.execution_count, first.executions_per_unit) == (0, 1, None)
    execute(recorder.recorder("primary"), unit=unit)
    execute(recorder.recorder("primary"), unit=unit)
    recorder.scope_ended(unit, MS)
    (second,) = recorder.drain().scopes
    assert (second.unit_count, second.execution_count, second.max_executions) == (1, 2, 3)
    assert found(recorder)["import"] == first.merged(second)
    assert recorder.drain().scopes == ()


def test_a_unit_keeps_nothing_of_a_window_that_is_over(clock: SteppingClock) -> None:
    """One that lasts for days holds what it counts now, and not what it counted in every flush before."""
    recorder, unit = Recorder(clock, settings()), Work("WEBSOCKET /rooms")
    for _ in range(20):
        execute(recorder.recorder("primary"), unit=unit)
        recorder.drain()
    assert len(unit.tallies) == 1


def test_units_that_take_turns(clock: SteppingClock) -> None:
    """However the statements of many requests alternate, each is counted in its own."""
    recorder = Recorder(clock, settings())
    units = [Work(f"GET /{number % 3}") for number in range(30)]
    for turn in range(10):
        for number, unit in enumerate(units):
            if turn <= number % 10:
                execute(recorder.recorder("primary"), 1.0, unit=unit if number % 7 else None)
    for unit in units:
        recorder.scope_ended(unit, MS)
    sent = {f"GET /{kind}": [n % 10 + 1 for n in range(30) if n % 3 == kind and n % 7] for kind in range(3)}
    stats = found(recorder)
    assert {name: each.execution_count for name, each in stats.items()} == {name: sum(n) for name, n in sent.items()}
    assert {name: each.max_executions for name, each in stats.items()} == {name: max(n) for name, n in sent.items()}
    assert {each.unit_count for each in stats.values()} == {10}


def test_outcomes_and_repeats(clock: SteppingClock) -> None:
    """How executions ended, and how many were repeats, as the queue tells: those that belong to a streak."""
    recorder, record = Recorder(clock, settings()), None
    record, scope, streak = recorder.recorder("primary"), Work("GET /"), Work()
    execute(record, scope=scope)
    execute(record, unit=streak, scope=scope)
    execute(record, unit=streak, scope=scope, outcome=ERROR)
    execute(record, unit=streak, scope=scope, what=pattern("COMMIT", "transaction"))
    execute(record, outcome=TIMEOUT)
    (stats,) = recorder.view().scopes
    assert stats.repeated_count == 2
    assert (stats.outcomes.ok, stats.outcomes.error, stats.outcomes.timeout) == (3, 1, 0)


def test_which_queries_a_scope_sends(clock: SteppingClock) -> None:
    """Patterns are told apart by scope, and together they are what they are without."""
    recorder = Recorder(clock, settings())
    for name, text, times in (("a", "SELECT 1", 2), ("a", "SELECT 2", 1), ("b", "SELECT 1", 3), (None, "SELECT 1", 4)):
        for _ in range(times):
            execute(recorder.recorder("primary"), what=pattern(text), unit=Work(name))
    queries = recorder.drain().queries
    apart = {(stats.scope, stats.query_pattern): stats.execution_count for stats in queries}
    assert apart == {("a", "SELECT 1"): 2, ("a", "SELECT 2"): 1, ("b", "SELECT 1"): 3, (None, "SELECT 1"): 4}
    together = {stats.query_pattern: (stats.execution_count, stats.scope) for stats in by_pattern(queries)}
    assert together == {"SELECT 1": (9, None), "SELECT 2": (1, None)}


def test_by_tag(clock: SteppingClock) -> None:
    """One unit counts under each of its tags."""
    recorder = Recorder(clock, settings())
    work(recorder, "GET /", 1, tenant="acme", tier="gold")
    work(recorder, "GET /", 2, tenant="initech", tier="gold")
    work(recorder, "nightly", 4, tenant="acme")
    work(recorder, "untagged", 8)
    scopes = recorder.view().scopes
    tags = {next(iter(stats.tags.items())): (stats.unit_count, stats.execution_count) for stats in by_tag(scopes)}
    assert tags == {("tenant", "acme"): (2, 5), ("tenant", "initech"): (1, 2), ("tier", "gold"): (2, 3)}
    assert [stats.tags for stats in by_tag(scopes, "tier")] == [{"tier": "gold"}]


def test_too_many_tags(clock: SteppingClock) -> None:
    """Beyond the limit a tag is `(other)`, so that the name is still told, and no count is lost."""
    recorder = Recorder(clock, settings(max_scopes=10))
    for number in range(50):
        work(recorder, f"GET /{number % 4}", tenant=str(number))
    scopes = recorder.view().scopes
    assert len(scopes) == 14
    assert {name: stats.unit_count for name, stats in found(recorder).items()} == {
        "GET /0": 13, "GET /1": 13, "GET /2": 12, "GET /3": 12
    }  # fmt: skip
    assert by_tag(scopes)[0].tags == {"tenant": "(other)"}
    assert by_tag(scopes)[0].unit_count == 40
    assert recorder.folded_counts() == (0, 40)


def test_too_many_names(clock: SteppingClock) -> None:
    """Beyond the limit they are counted together, with tags up to twice as many, and no count is lost."""
    recorder = Recorder(clock, settings(max_scopes=10))
    for number in range(50):
        work(recorder, f"GET /{number}")
        work(recorder, f"POST /{number}", tenant=str(number))
    scopes = recorder.view().scopes
    assert len(scopes) == 21
    assert sum(stats.unit_count for stats in scopes) == sum(stats.execution_count for stats in scopes) == 100
    assert found(recorder)[OTHER_SCOPES.name].unit_count == 80


def test_too_many_queries_in_too_many_scopes(clock: SteppingClock) -> None:
    """A query that is sent in too many scopes is not told apart by them; what each scope sent is exact nonetheless."""
    recorder = Recorder(clock, settings(max_patterns=5))
    for number in range(50):
        unit = Work(f"GET /{number}")
        for text in ("SELECT 1", "SELECT 2"):
            execute(recorder.recorder("primary"), what=pattern(text), unit=unit)
        recorder.scope_ended(unit, MS)
    queries = recorder.view().queries
    assert len(queries) == 12
    assert {stats.execution_count for stats in by_pattern(queries)} == {50}
    assert {stats.execution_count for stats in recorder.view().scopes} == {2}
    assert recorder.folded_counts() == (0, 90)


def test_what_is_forgotten(clock: SteppingClock) -> None:
    """A scope that was not seen for long leaves the memory, and makes room for another."""
    recorder = Recorder(clock, settings(max_scopes=1))
    work(recorder, "old")
    recorder.drain()
    clock.advance(10)
    recorder.drop_unseen_since(clock.now_us() - 1)
    assert recorder.view().scopes == ()
    assert recorder.view().queries == ()
    work(recorder, "new")
    assert set(found(recorder)) == {"new"}


def test_a_label_tells_whether_it_stands_for_others() -> None:
    """By its name or a value of its tags."""
    assert OTHER_SCOPES.is_folded
    assert ScopeLabel("GET /", (("tenant", "(other)"),)).is_folded
    assert not ScopeLabel("GET /", (("tenant", "other"),)).is_folded
