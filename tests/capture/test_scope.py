"""A scope that is left in another context than it was entered in harms nobody."""

import asyncio
import contextvars
from collections.abc import AsyncIterator

from querygauge import scope


def test_entered_and_left_in_different_contexts() -> None:
    """As a framework does that runs both ends of a generator in threads of their own."""
    entered = scope("GET /orders")
    contextvars.copy_context().run(entered.__enter__)
    contextvars.copy_context().run(entered.__exit__, None, None, None)


async def test_a_generator_that_is_not_exhausted() -> None:
    """Whoever closes it does so from another task."""

    async def rows() -> AsyncIterator[int]:
        with scope("GET /orders"):
            yield 1
            yield 2

    generator = rows()
    await asyncio.create_task(anext(generator))  # type: ignore[arg-type]  # anext() of a generator is a coroutine
    await generator.aclose()  # type: ignore[attr-defined]  # as above
