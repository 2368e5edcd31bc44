"""
Sending: in go messages and their channels, out comes what became of each.

All at once, each for so long at most; whatever a channel raises is its own failure.

Deliberately not here: what waits to be sent, and where that is written down.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from querygauge.alerts.routes import Route
from querygauge.errors import DeliveryError, QueryGaugeError
from querygauge.values.alerts import AlertMessage

__all__ = ["MOST_ATTEMPTS", "Outcome", "again_after", "send_all"]

MOST_ATTEMPTS: Final = 12
"""How often a message is tried; the last time after about four hours."""

_LONGEST_S: Final = 30.0
_FIRST_PAUSE_S: Final = 15.0
_LONGEST_PAUSE_S: Final = 3_600.0
_LONGEST_ASKED_S: Final = 86_400.0


class Outcome(NamedTuple):
    """Why a message did not arrive, None if it did; when the receiver asks to be tried again; and whether to."""

    error: str | None = None
    retry_after_s: float | None = None
    is_final: bool = False


def send_all(
    waiting: Iterable[tuple[str, AlertMessage]],
    routes: Mapping[str, Route],
    on_outcome: Callable[[int, Outcome], None] = lambda _number, _outcome: None,
) -> list[Outcome]:
    """
    Sends messages, each to the channel that is named with it; takes half a minute at most.

    Args:
        waiting: The name of the channel, and the message.
        routes: The channels by their names.
        on_outcome: Is told the number of each message, from 0 on, and what became of it, as soon as that is known: a
            name that nobody resolves may keep a thread, and this function, for longer.

    Returns:
        What became of each, in the same order.
    """
    return asyncio.run(_send_all(list(waiting), routes, on_outcome))


async def _send_all(
    waiting: list[tuple[str, AlertMessage]], routes: Mapping[str, Route], on_outcome: Callable[[int, Outcome], None]
) -> list[Outcome]:
    async def send(number: int, name: str, message: AlertMessage) -> Outcome:
        outcome = await _send(routes[name], message)
        on_outcome(number, outcome)
        return outcome

    return list(await asyncio.gather(*(send(number, *each) for number, each in enumerate(waiting))))


async def _send(route: Route, message: AlertMessage) -> Outcome:
    try:
        async with asyncio.timeout(_LONGEST_S):
            await route.channel().send(message)
    except DeliveryError as error:
        return Outcome(str(error), error.retry_after_s, error.is_final)
    except QueryGaugeError as error:  # it is not set up; somebody may see to that
        return Outcome(str(error))
    except TimeoutError:
        return Outcome(f"channel {route.name!r} did not answer within {_LONGEST_S:g} s")
    except Exception as error:  # noqa: BLE001  # a channel of somebody else's; its text may quote a secret
        return Outcome(f"channel {route.name!r} failed: {type(error).__name__}")
    return Outcome()


def again_after(outcome: Outcome, attempts: int) -> timedelta | None:
    """How long to wait before the next attempt; None if there is none."""
    if outcome.error is None or outcome.is_final or attempts >= MOST_ATTEMPTS:
        return None
    pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (attempts - 1))
    # Channels that failed together would come together again.
    pause_s *= random.uniform(0.75, 1.25)  # noqa: S311  # nothing secret in a pause
    return timedelta(seconds=max(pause_s, min(outcome.retry_after_s or 0.0, _LONGEST_ASKED_S)))
