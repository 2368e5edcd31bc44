"""
How the health checks of a pool went, in a sentence.

Deliberately not here: one after the other, as the dashboard of a pool has them.
"""

from typing import Final

from querygauge.rendering.formats import number
from querygauge.rendering.tables import visible
from querygauge.values import PoolWindow

__all__ = ["failed_checks_of"]

_MOMENT: Final = "%Y-%m-%d %H:%M:%S UTC"


def failed_checks_of(window: PoolWindow) -> str | None:
    """How many failed, and when and why the last of them; None if none did."""
    metrics = window.metrics
    if not metrics.health_checks_failed:
        return None
    told = f"{number(metrics.health_checks_failed)} of {number(metrics.health_checks)} health checks failed"
    failed = [check for check in window.health_checks if not check.is_healthy]
    if not failed:
        return told
    return f"{told}, the last one on {failed[-1].timestamp:{_MOMENT}}: {visible(failed[-1].error or '')}"
