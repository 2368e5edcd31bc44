"""
The metric families that Prometheus is served: their names, types, labels and help, and the bounds of histograms.

Deliberately not here: their values.
"""

from math import log2
from typing import Final, Literal, NamedTuple

from querygauge.histogram import PER_OCTAVE

__all__ = ["BOUNDS", "FAMILIES", "OTHER", "PATTERN_BOUNDS", "PERCENTILES", "Family", "Kind", "family", "places_of"]

Kind = Literal["counter", "gauge", "histogram"]

OTHER: Final = "other"
"""The value of a label that stands for all that are too many to have one of their own."""
PERCENTILES: Final = ("0.95", "0.99")

# Powers of two, in seconds, are bounds of our own buckets: what is counted below them is exact.
BOUNDS: Final = (2.0**-10, 2.0**-8, 2.0**-6, 2.0**-4, 2.0**-2, 1.0, 4.0, 16.0)
PATTERN_BOUNDS: Final = (2.0**-4, 1.0)  # some of the others; each is a series more for every pattern


class Family(NamedTuple):
    """
    A metric family.

    Attributes:
        name: As it is served; of a histogram without `_bucket`, `_sum` and `_count`.
        kind: Its type.
        labels: Names of its labels, in the order of the values; of a histogram without `le`.
        help: One sentence.
        unit: `seconds`, `bytes`, or empty.
        bounds: Of a histogram, the upper bounds of its buckets without the last, in seconds.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    unit: str = ""
    bounds: tuple[float, ...] = ()


def _family(name: str, kind: Kind, labels: str, about: str, bounds: tuple[float, ...] = BOUNDS) -> Family:
    bare = name.removesuffix("_total")
    unit = next((unit for unit in ("seconds", "bytes") if bare.endswith(f"_{unit}")), "")
    names = tuple(labels.split(",")) if labels else ()
    return Family(f"querygauge_{name}", kind, names, about, unit, bounds if kind == "histogram" else ())


FAMILIES: Final[tuple[Family, ...]] = (
    _family(
        "queries_total",
        "counter",
        "service,target,operation,status",
        "Statements executed; status is ok, error, cancelled or timeout.",
    ),
    _family(
        "query_duration_seconds",
        "histogram",
        "service,target,operation",
        "Duration of statements as the application saw it.",
    ),
    _family(
        "slow_queries_total",
        "counter",
        "service,target,operation",
        "Statements at or over the slow threshold in force for them.",
    ),
    _family(
        "query_errors_total",
        "counter",
        "service,target,error_type,sqlstate",
        "Statements that failed, by driver exception and SQLSTATE.",
    ),
    _family("queries_running", "gauge", "service,target", "Statements under way at the last flush of each process."),
    _family(
        "queries_running_oldest_seconds",
        "gauge",
        "service,target",
        "Age of the oldest statement under way at the last flush of each process.",
    ),
    _family(
        "pool_pending_requests",
        "gauge",
        "service,pool,process",
        "Callers waiting for a connection.",
    ),
    _family("rows_total", "counter", "service,target,operation", "Rows returned or affected, where the driver told."),
    _family(
        "query_phase_seconds_total",
        "counter",
        "service,target,phase",
        "Time of statements by phase: pool_wait, connect, begin, prepare, execute, fetch, commit.",
    ),
    _family(
        "event_loop_lag_seconds_total",
        "counter",
        "service,process",
        "Part of measured query time during which the event loop was blocked.",
    ),
    _family(
        "compiled_cache_total",
        "counter",
        "service,target,result",
        "Statements that SQLAlchemy had to compile; result is miss or uncached.",
    ),
    _family("pool_connections", "gauge", "service,pool,process,state", "Open connections; state is used or idle."),
    _family(
        "pool_connections_max", "gauge", "service,pool,process", "Connections the pool may open, overflow included."
    ),
    _family("pool_connections_idle_max", "gauge", "service,pool,process", "Idle connections the pool keeps."),
    _family("pool_connections_created_total", "counter", "service,pool,process", "Connections opened."),
    _family(
        "pool_connection_errors_total",
        "counter",
        "service,pool,process,error_type",
        "Requests for a connection that failed, other than by a timeout.",
    ),
    _family("pool_checkouts_total", "counter", "service,pool,process", "Connections handed out."),
    _family(
        "pool_timeouts_total",
        "counter",
        "service,pool,process",
        "Requests that timed out waiting for a connection.",
    ),
    _family("pool_wait_seconds", "histogram", "service,pool", "Time to obtain a connection."),
    _family("pool_create_seconds", "histogram", "service,pool", "Time to open a connection."),
    _family("pool_use_seconds", "histogram", "service,pool", "Time a connection was checked out."),
    _family("pool_overflow_connections", "gauge", "service,pool,process", "Connections above the pool's size."),
    _family("pool_oldest_checkout_seconds", "gauge", "service,pool,process", "Age of the oldest checkout."),
    _family(
        "pool_idle_in_transaction_connections",
        "gauge",
        "service,pool,process",
        "Of the 20 oldest checkouts, those inside a transaction with no statement under way.",
    ),
    _family(
        "pool_connections_lost_total",
        "counter",
        "service,pool,process,reason",
        "Connections lost; reason is cancellation or leaked.",
    ),
    _family(
        "pool_health_checks_total", "counter", "service,pool,process,outcome", "Health checks; outcome is ok or failed."
    ),
    _family(
        "database_up",
        "gauge",
        "service,target",
        "1 if the last health check or statement reached the server, else 0.",
    ),
    _family("pattern_queries_total", "counter", "service,pattern_id,status", "Statements of the pattern."),
    _family(
        "pattern_duration_seconds",
        "histogram",
        "service,pattern_id",
        "Duration of the pattern's statements.",
        PATTERN_BOUNDS,
    ),
    _family(
        "pattern_percentile_seconds",
        "gauge",
        "service,pattern_id,percentile",
        "Exact quantile over the last five minutes, from merged buckets (at most 1.09 % off).",
    ),
    _family("pattern_rows_total", "counter", "service,pattern_id", "Rows returned or affected, where the driver told."),
    _family(
        "pattern_slow_queries_total",
        "counter",
        "service,pattern_id",
        "Statements of the pattern over its threshold.",
    ),
    _family(
        "pattern_info", "gauge", "service,pattern_id,summary,operation,tables", "1; carries the names of a pattern."
    ),
    _family("patterns", "gauge", "service", "Distinct patterns known."),
    _family("repetitions_total", "counter", "service,class,confidence", "Findings of repeated queries."),
    _family(
        "repeated_queries_total",
        "counter",
        "service,class",
        "Statements that a repetition finding says were avoidable.",
    ),
    _family("alerts_firing", "gauge", "rule,severity", "Alerts firing now."),
    _family("alerts_total", "counter", "rule,severity", "Alerts that began to fire."),
    _family(
        "alert_messages_total",
        "counter",
        "channel,outcome",
        "Messages by outcome: sent, failed, retried, suppressed, digested.",
    ),
    _family("alert_queue_length", "gauge", "channel", "Messages waiting for delivery."),
    _family(
        "store_size_bytes",
        "gauge",
        "host,kind",
        "Bytes on disk: database, spool, parquet, archive, backup.",
    ),
    _family("store_disk_free_bytes", "gauge", "host,path", "Free bytes where the store lies."),
    _family("store_disk_size_bytes", "gauge", "host,path", "Size of the disk where the store lies."),
    _family("spool_files", "gauge", "host", "Snapshots waiting to be folded."),
    _family("spool_oldest_seconds", "gauge", "host", "Age of the oldest snapshot waiting."),
    _family("folds_total", "counter", "outcome", "Folds of ticks; outcome is ok, busy or failed."),
    _family("fold_seconds", "histogram", "", "Time the database was held for a fold."),
    _family(
        "snapshots_dropped_total",
        "counter",
        "reason",
        "Snapshots dropped: spool_full, invalid, export_full.",
    ),
    _family("backup_last_success_timestamp_seconds", "gauge", "", "Time of the last verified backup."),
    _family("retention_last_success_timestamp_seconds", "gauge", "", "Time of the last retention run."),
    _family("build_info", "gauge", "version,python,sqlalchemy", "1; carries versions."),
    _family("processes", "gauge", "service", "Instrumented processes seen in the last three flush intervals."),
    _family("process_memory_bytes", "gauge", "service,process", "Resident memory of the instrumented process."),
    _family("process_memory_limit_bytes", "gauge", "service,process", "Its cgroup limit, or the machine's memory."),
    _family("process_cpu_seconds_total", "counter", "service,process", "CPU time of the instrumented process."),
    _family("hook_seconds_total", "counter", "service,process", "Estimated time added by the hooks (sampled)."),
    _family("hook_errors_total", "counter", "service,process,hook", "Exceptions caught inside hooks."),
    _family(
        "statements_dropped_total",
        "counter",
        "service,process,reason",
        "Statements not counted exactly: interrupted, pattern_limit, scope_limit, history_full.",
    ),
    _family(
        "pattern_cache_total",
        "counter",
        "service,process,result",
        "Statements that were no hit in the pattern cache: miss, evicted, folded.",
    ),
    _family("flush_age_seconds", "gauge", "service,process", "Age of the process's last flush."),
)

_BY_NAME: Final = {each.name.removeprefix("querygauge_"): each for each in FAMILIES}


def family(name: str) -> Family:
    """The family of that name without `querygauge_`."""
    return _BY_NAME[name]


def places_of(bounds: tuple[float, ...]) -> tuple[int, ...]:
    """The last bucket of a `Histogram` below each of some bounds, which are powers of two."""
    return tuple(round(log2(bound) * PER_OCTAVE) for bound in bounds)
