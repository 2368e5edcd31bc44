"""
An application in which every statement is slow: `python storm_host.py STORE SERVICE EXECUTIONS PATTERNS`.

Prints, as JSON, what it sent, what its own alert handler was told, held back and did not see, and how its memory grew
from its first thousand statements to its last.
"""

import json
import sys

from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

from querygauge import RateLimitedAlertHandler, SlowQueryAlert, instrument
from querygauge.process_usage import process_usage

PER_MINUTE = 10


def main() -> None:
    """Sends all statements, and tells."""
    store, service, executions, patterns = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    engine = create_engine("sqlite://", poolclass=StaticPool)
    told: list[SlowQueryAlert] = []
    handler = RateLimitedAlertHandler(told.append, max_per_minute=PER_MINUTE)
    gauge = instrument(
        engine, name="main", service=service, store=store, collector="off", slow_query_threshold_ms=0.0001
    )
    gauge.queries.add_alert_handler(handler)
    statements = [
        text(f"SELECT {'x' * (1 + place)} FROM (SELECT 1 AS {'x' * (1 + place)})") for place in range(patterns)
    ]
    at_first = 0
    with engine.connect() as connection:
        for number in range(executions):
            connection.execute(statements[number % patterns]).all()
            if number == 1_000:
                at_first = process_usage().memory_bytes or 0
    grown = (process_usage().memory_bytes or 0) - at_first
    gauge.close()
    metrics = gauge.report_data().self_metrics
    print(
        json.dumps(
            {
                "told": len(told),
                "suppressed": handler.suppressed,
                "dropped": metrics.alerts_dropped,
                "grown_bytes": grown,
            }
        )
    )


if __name__ == "__main__":
    main()
