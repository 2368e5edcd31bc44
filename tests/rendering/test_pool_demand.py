"""What is said about the size of a pool."""

import pytest

from querygauge.rendering import advice
from querygauge.rendering.pool_demand import demand_of
from querygauge.rendering.report import render_report
from querygauge.values import Demand
from rendering.making import Make

SERVED = "would have served 99.9 % of the requests without waiting"
# Of 10,000 requests, one in a hundred met a pool of 15 that was used up; all but five of them met 21 others at most.
BUSY = Demand(15, 3_000, {0: 50_000, 7: 47_000, 16: 3_000}, {3: 9_900, 15: 60, 21: 35, 30: 5})


@pytest.mark.parametrize(
    ("demand", "sentence"),
    [
        (
            BUSY,
            f"15 connections were all in use 3.0 % of the time; 22 {SERVED}",
        ),
        (
            Demand(15, 1, {0: 10**9, 15: 1}, {3: 9_999, 15: 1}),
            "15 connections were all in use <0.1 % of the time; 4 were enough for 99.9 % of the requests",
        ),
        (
            Demand(15, 0, {0: 50_000}, {0: 9_000, 6: 1_000}),
            "15 connections were never all in use; 7 were enough for 99.9 % of the requests",
        ),
        (
            Demand(1, 10, {1: 10}, {0: 500, 1: 500}),
            f"1 connection was all in use 100.0 % of the time; 2 {SERVED}",
        ),
        (Demand(0, 0, {0: 50_000}, {0: 9_000}), None),
        (Demand(15, 10, {15: 10}, {20: 999}), None),
    ],
    ids=["too small", "seldom used up", "never used up", "one", "no limit", "too few requests"],
)
def test_one_sentence_on_a_pool(make: Make, demand: Demand, sentence: str | None) -> None:
    """How often it was used up, and how many connections would do or did; nothing where nothing follows."""
    assert demand_of(make.pool(demand=demand)) == sentence


def test_several_processes_have_a_pool_each(make: Make) -> None:
    """The limit is that of one of them."""
    sentence = demand_of(make.pool(demand=Demand(5, 0, {0: 1}, {0: 1_000}))) or ""
    assert sentence.startswith("5 connections in each process were never all in use; 1 was enough for ")


def test_the_report_says_it_below_the_pools(make: Make) -> None:
    """For each pool of which there is something to say."""
    pools = (make.pool(demand=BUSY), make.pool("replica"))
    lines = render_report(make.report(make.stats(), pools=pools)).splitlines()
    begin = lines.index("POOLS")
    assert lines[begin + 4 : begin + 7] == [
        "",
        "  - primary: 15 connections were all in use 3.0 % of the time; 22 would have served 99.9 % of the",
        "    requests without waiting",
    ]


def test_a_pool_that_is_too_small_is_an_advice(make: Make) -> None:
    """With the sentence as its evidence; one that is large enough is none."""
    enough = Demand(15, 0, {0: 50_000}, {14: 9_000})
    report = make.report(pools=(make.pool(demand=BUSY), make.pool("replica", demand=enough)))
    (found,) = advice.size_the_pool(report)
    assert (found.summary, found.evidence) == ("pool primary", demand_of(make.pool(demand=BUSY)))
    assert "enlarge the pool" in found.text
