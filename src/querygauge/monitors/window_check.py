"""
Whether a pool's window can be true: in it goes, out comes what cannot be.

The counters see to it that it always can; this is for the mistake that nobody knows of yet. Over one impossible number
the store sets the whole file aside, and with it every statement of that time. Deliberately not here: the same rules for
files, which are in `storage/check.sql`, and what becomes of such a window.
"""

from dataclasses import fields
from typing import Any

from querygauge.values import PoolWindow

__all__ = ["fault_of"]


def fault_of(window: PoolWindow) -> str | None:
    """The first rule that the window breaks; None if it breaks none."""
    metrics = window.metrics
    histograms = {"wait": metrics.wait, "use": metrics.use, "create": metrics.create}
    for name, histogram in histograms.items():
        if sum(histogram.buckets.values()) != histogram.count:
            return f"the buckets of {name} must add up to its count; got {histogram!r}"
        if histogram.min_ns > histogram.max_ns:
            return f"min_ns of {name} must be <= max_ns; got {histogram!r}"
    values: tuple[Any, ...] = (window.state, metrics, metrics.demand, *histograms.values())
    for value in values:
        for field in fields(value):
            amount = getattr(value, field.name)
            least = min(amount.values(), default=0) if isinstance(amount, dict) else amount
            if isinstance(least, int | float) and least < 0:
                return f"{field.name} must be >= 0; got {least!r}"
    return None
