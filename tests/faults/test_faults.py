"""
An application whose network, server or own cancellations fail: it notices what it would have noticed without us.

Each scenario runs twice through the same proxy, on an application that nothing watches and on one with a gauge. What
the two noticed must be equal, to the words of every exception, and afterwards every number must be the truth.
"""

import asyncio
import gc
import re
import time
import warnings
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import pytest
from sqlalchemy import text

from capture.scenarios import Facts, wait_until
from faults.applications import APPLICATIONS, Application
from faults.cancellations import CANCELLATIONS
from faults.outages import FAULTS, OUTAGES
from faults.scenarios import Case, Faults, works
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument
from querygauge.values import OutcomeCounts

_ENDINGS = ("error", "timeout", "cancelled")
_OWN_NUMBER = re.compile(r"0x[0-9a-f]+|fd=\d+")
_SESSIONS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND backend_type = 'client backend' AND application_name <> 'assistant'"
)


def cases(table: Mapping[str, Case]) -> list[Any]:
    """Every case of a table with every shape of application for which there is such a thing."""
    return [pytest.param(kind, case, id=f"{name}-{kind}") for name, case in table.items() for kind in case.kinds]


@pytest.mark.parametrize(("kind", "case"), cases(FAULTS))
async def test_a_fault(kind: str, case: Case, faults: Faults) -> None:
    """Of the network or the pool."""
    await compare(kind, case, faults)


@pytest.mark.parametrize(("kind", "case"), cases(CANCELLATIONS))
async def test_a_cancellation(kind: str, case: Case, faults: Faults) -> None:
    """In every phase of the use of a connection."""
    await compare(kind, case, faults)


@pytest.mark.parametrize(("kind", "case"), cases(OUTAGES))
async def test_an_outage(kind: str, case: Case, faults_of_server: Faults) -> None:
    """Of the whole server."""
    await compare(kind, case, faults_of_server)


async def compare(kind: str, case: Case, faults: Faults) -> None:
    """Fails unless both applications noticed the same, and everything told of the watched one is true."""
    bare = APPLICATIONS[kind](faults.proxy, **case.options)
    async with aclosing(bare):
        expected = await noticed_by(bare, case, faults)
    watched = APPLICATIONS[kind](faults.proxy, **case.options)
    async with aclosing(watched):
        with watch(watched) as gauge:
            assert await noticed_by(watched, case, faults) == expected
            check_counts(gauge, watched, *case.told_of(kind))
            await check_gauges(gauge, watched, faults)
            check_nothing_is_left(gauge)


def watch(application: Application) -> Instrumentation:
    """A gauge that looks at every execution as closely as it can."""
    return instrument(application.target, store=None, slow_query_threshold_ms=0, call_sites="all", enable_logging=False)


async def noticed_by(application: Application, case: Case, faults: Faults) -> Facts:
    """What the application got, and what Python warned of meanwhile."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await application.open()
        facts = await case.scenario(application, faults)
        gc.collect()
    warned = sorted((type(one.message).__name__, _OWN_NUMBER.sub("?", str(one.message))) for one in caught)
    return [*facts, application.truth()[0], warned]


def check_counts(
    gauge: Instrumentation, application: Application, counts: dict[str, int], outcomes: dict[str, int]
) -> None:
    """Requests and executions are in exactly one count each."""
    metrics = gauge.pool.get_metrics()
    ended = metrics.total_checkouts + metrics.total_timeouts + metrics.total_errors
    counted = {
        "timeouts": metrics.total_timeouts,
        "errors": metrics.total_errors,
        "abandoned": metrics.total_requests - ended,
        "leaks": metrics.leaks,
        "lost": metrics.lost_to_cancellation,
    }
    assert {name: count for name, count in counted.items() if count} == counts
    assert metrics.total_checkins == metrics.total_checkouts == metrics.wait.count == metrics.use.count
    ended_as = OutcomeCounts()
    for stats in gauge.queries.get_query_stats():
        if stats.pattern.category == "query":
            ended_as = ended_as.merged(stats.outcomes)
    assert ended_as.total == application.sent
    assert {name: getattr(ended_as, name) for name in _ENDINGS if getattr(ended_as, name)} == outcomes
    assert gauge.report_data().self_metrics.hook_errors == 0


async def check_gauges(gauge: Instrumentation, application: Application, faults: Faults) -> None:
    """Nobody holds or waits, and what is idle is what the pool has and the server knows."""
    snapshot = gauge.pool.get_current_snapshot()
    assert (snapshot.active_connections, snapshot.idle_connections) == application.truth()
    assert (snapshot.active_connections, snapshot.waiting_count) == (0, 0)

    def sessions() -> int:
        with faults.assistant.connect() as connection:
            return int(connection.execute(_SESSIONS).scalar_one())

    # A session that the driver ended, or that was cut off, may live on for a moment.
    await asyncio.to_thread(wait_until, lambda: sessions() == snapshot.idle_connections)


def check_nothing_is_left(gauge: Instrumentation) -> None:
    """What is known of connections in use and of requests under way is gone with them."""
    ledger = gauge.pool.ledger()
    assert (ledger.held, ledger.asked) == ({}, {})


@pytest.mark.parametrize("kind", APPLICATIONS)
async def test_a_slow_connect_is_seen_while_it_lasts(kind: str, faults: Faults) -> None:
    """Its caller waits, nobody else does, and what it took is the time to open a connection."""
    application = APPLICATIONS[kind](faults.proxy)
    async with aclosing(application):
        await application.open()
        with watch(application) as gauge:
            faults.proxy.freeze()
            opening = asyncio.ensure_future(works(application))
            await faults.until_held()
            held_ns = time.perf_counter_ns()
            await asyncio.to_thread(wait_until, lambda: gauge.pool.get_current_snapshot().waiting_count == 1)
            held_ns = time.perf_counter_ns() - held_ns
            assert gauge.pool.get_metrics().create.count == 0
            faults.proxy.thaw()
            await opening
            assert gauge.pool.get_metrics().create.max_ns >= held_ns
            await check_gauges(gauge, application, faults)
