"""
Settings: keyword over environment over `[tool.querygauge]` in pyproject.toml, checked before anything is attached.

Every error names the setting, the rule, the value and where the value came from. Deliberately not here: defaults
that depend on the engine (the target's name), which `instrument` knows.
"""

import math
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from querygauge.errors import SettingsError
from querygauge.logs import get_logger
from querygauge.remote import RemoteStore, is_remote

__all__ = ["Settings", "load_settings", "price_in_force"]

log = get_logger(__name__)

_PREFIX: Final = "QUERYGAUGE_"
_TEST_PREFIX: Final = "QUERYGAUGE_TEST_"  # points this project's own tests at servers
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_NONE: Final = frozenset({"", "none"})


def _default_service() -> str:
    named = os.environ.get("OTEL_SERVICE_NAME", "").strip()
    if named:
        return named
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] not in {"", "-c", "-m"} else ""
    return program.removesuffix(".py") or "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Everything that can be set, with its default; times reach to ten years, and counts to ten million.

    Attributes:
        enabled: False makes `instrument()` attach nothing.
        service: Name of the application; by default `OTEL_SERVICE_NAME`, else the program's name.
        store: Directory of the store, or `ducklake:postgres:…` or `md:…` for that of many machines; None keeps all in
            memory.
        spool: Directory of what this machine keeps of a store of many machines: what waits, and what is in files.
        data_path: Where the DuckLake of many machines keeps its files, such as `s3://bucket/prefix/`; to make it.
        collector: Who folds what was flushed: `auto` starts a short process when a tick is due, `external` leaves it
            to `querygauge collect`, `inline` does it in the flush thread, `off` to whoever reads.
        slow_query_threshold_ms: From here on an execution is slow.
        history_threshold_ms: From here on an execution is kept one by one; None is the slow threshold.
        max_history_size: Executions kept one by one.
        stats_retention_hours: Patterns not seen for so long leave the memory; the store has them.
        max_patterns: Distinct patterns counted apart; the rest is counted as `other`.
        max_scopes: Distinct scopes, by name and tags, counted apart; of the rest first the tags are `(other)`, then the
            names.
        fold_numbered_names: Whether names that differ by a number (`events_2024_01`, `tmp_5f3c2a1b`) are one name.
        repetition_threshold: Executions of one pattern from one line within one scope that make a finding.
        enable_alerting: Whether alert handlers are called.
        enable_logging: Whether slow queries are logged, ten a second at most.
        keep_literals: Keep statements and parameters of slow queries as they were sent. They may be personal data.
        call_sites: `auto` looks for the sending line of slow and repeated executions, `all` of every one, `off` never.
        app_root: Directory whose files are the application; None is every file that is not installed.
        flush_interval_s: Seconds between two snapshots written to the spool; fewer than 0.8 are taken as 0.8.
        tick_interval_s: Seconds between two folds.
        keep_minutes_days: Statistics by minute are kept so long; then those by hour have them.
        retention_days: So long are kept statistics by hour, slow queries, pools, repetitions and scopes; 7 to 365.
        keep_daily_days: So long are kept statistics by day.
        archive: Whether statistics by hour are written to Parquet files before they are dropped.
        price_per_hour: What an hour of database time costs, in whatever currency; 1 makes costs hours of it.
        max_store_mb: Megabytes that the database may have; looked at once a day, beginning with minutes. 0 is no limit.
        keep_backups: Backups of the store that are kept, one a day, in its directory; 0 takes none.
        publish: Whether days and weeks are written to Parquet files that anybody may read at any time.
        weekly_slow_ms: A pattern with a higher 95th percentile is slow in the report of a week.
        prometheus_patterns: Patterns that have series of their own in Prometheus; all others together are `other`.
        spool_max_mb: Snapshots waiting to be folded may take so much disk; the oldest are dropped, and counted.
        snapshot_interval_s: Seconds between two snapshots of a pool; fewer than 0.8 are taken as 0.8.
        snapshot_history_size: Pool snapshots kept.
        exhaustion_threshold: Fraction of the pool in use from which a waiting caller means exhaustion.
        high_wait_time_ms: From here on a wait for a connection is high.
        long_checkout_s: From here on a checkout is long.
        health_check: Whether to ping through the pool.
        health_check_interval: Seconds between two pings.
        health_check_timeout_s: A ping that takes longer failed.
        opentelemetry: Whether ticks send metrics: `otlp` to where the variables `OTEL_EXPORTER_OTLP_*` say, `console`
            to standard output, `off` nowhere.
        opentelemetry_histograms: `exponential` ones have the buckets that were counted in, `explicit` ones those that
            the conventions name.
        opentelemetry_series: Series of each metric that are told apart for a process; the rest is told together.
        opentelemetry_durations: Whether every execution is recorded in the application's own `MeterProvider`; it costs.
        spans: Which executions become spans of OpenTelemetry: `off`, `slow` or `all`.
    """

    enabled: bool = True
    service: str = field(default_factory=_default_service)
    store: Path | RemoteStore | None = Path(".querygauge")
    spool: Path = Path(".querygauge")
    data_path: str | None = None
    collector: Literal["auto", "external", "inline", "off"] = "auto"
    slow_query_threshold_ms: float = 1000.0
    history_threshold_ms: float | None = None
    max_history_size: int = 10_000
    stats_retention_hours: float = 24.0
    max_patterns: int = 2_000
    max_scopes: int = 1_000
    fold_numbered_names: bool = True
    repetition_threshold: int = 5
    enable_alerting: bool = True
    enable_logging: bool = True
    keep_literals: bool = False
    call_sites: Literal["auto", "all", "off"] = "auto"
    app_root: Path | None = None
    flush_interval_s: float = 10.0
    tick_interval_s: float = 60.0
    keep_minutes_days: int = 7
    retention_days: int = 90
    keep_daily_days: int = 1_826
    archive: bool = False
    price_per_hour: float = 1.0
    max_store_mb: int = 0
    keep_backups: int = 3
    publish: bool = True
    weekly_slow_ms: float = 100.0
    prometheus_patterns: int = 100
    spool_max_mb: float = 256.0
    snapshot_interval_s: float = 5.0
    snapshot_history_size: int = 1_000
    exhaustion_threshold: float = 0.9
    high_wait_time_ms: float = 1000.0
    long_checkout_s: float = 60.0
    health_check: bool = False
    health_check_interval: float = 60.0
    health_check_timeout_s: float = 5.0
    opentelemetry: Literal["off", "otlp", "console"] = "off"
    opentelemetry_histograms: Literal["exponential", "explicit"] = "exponential"
    opentelemetry_series: int = 200
    opentelemetry_durations: bool = False
    spans: Literal["off", "slow", "all"] = "off"

    def __post_init__(self) -> None:
        for name in _NAMES:
            object.__setattr__(self, name, _checked(name, getattr(self, name), name))
        if self.data_path is not None:
            if not isinstance(self.store, RemoteStore):
                raise SettingsError(f"data_path must be None unless store is ducklake:…; got {self.data_path!r}")
            object.__setattr__(self, "store", RemoteStore.of(self.store.uri, self.data_path))
        if not self.keep_minutes_days <= self.retention_days <= self.keep_daily_days:
            raise SettingsError(
                "keep_minutes_days <= retention_days <= keep_daily_days must hold, as hours have what minutes had, and "
                f"days what hours had; got {self.keep_minutes_days}, {self.retention_days} and {self.keep_daily_days}"
            )

    @property
    def remote(self) -> RemoteStore | None:
        """The store of many machines, if it is one."""
        return self.store if isinstance(self.store, RemoteStore) else None

    @property
    def directory(self) -> Path | None:
        """Where this machine keeps its files; None if it keeps none."""
        return self.spool if isinstance(self.store, RemoteStore) else self.store

    @property
    def effective_history_threshold_ms(self) -> float:
        """The history threshold in force."""
        return self.slow_query_threshold_ms if self.history_threshold_ms is None else self.history_threshold_ms


@dataclass(frozen=True, slots=True)
class _Range:
    """The numbers that a setting may be."""

    least: float
    most: float
    includes_least: bool = False

    def rule_against(self, value: float) -> str | None:
        """The rule that a value breaks; None if it breaks none."""
        floor = f"{'>=' if self.includes_least else '>'} {self.least:g}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"a finite number {floor}"
        if value < self.least or (value == self.least and not self.includes_least):
            return floor
        return f"<= {self.most:,.0f}" if value > self.most else None


_TEN_YEARS_S: Final = 315_360_000.0  # no process lives so long; from centuries on, timers and moments overflow
_MANY: Final = 10_000_000  # entries of some hundred bytes are gigabytes; from 2**63 on, a deque takes no bound
_MUCH_MB: Final = 1e9  # a petabyte; from 1e302 on, it is no number of bytes
_COUNT: Final = _Range(0, _MANY)
_SECONDS: Final = _Range(0, _TEN_YEARS_S)
_THRESHOLD_MS: Final = _Range(0, 1e3 * _TEN_YEARS_S, includes_least=True)
_RANGES: Final[Mapping[str, _Range]] = MappingProxyType(
    {
        "slow_query_threshold_ms": _THRESHOLD_MS,
        "history_threshold_ms": _THRESHOLD_MS,
        "max_history_size": _COUNT,
        "stats_retention_hours": _Range(0, _TEN_YEARS_S / 3_600),
        "max_patterns": _COUNT,
        "max_scopes": _COUNT,
        "repetition_threshold": _Range(2, _MANY, includes_least=True),  # a single execution repeats nothing
        "flush_interval_s": _SECONDS,
        "tick_interval_s": _SECONDS,
        "keep_minutes_days": _Range(1, 365, includes_least=True),
        "retention_days": _Range(7, 365, includes_least=True),
        "keep_backups": _Range(0, 365, includes_least=True),
        "max_store_mb": _Range(0, _MUCH_MB, includes_least=True),
        "keep_daily_days": _Range(7, 36_500, includes_least=True),
        "price_per_hour": _Range(0, 1e9),
        "prometheus_patterns": _Range(1, 10_000, includes_least=True),
        "weekly_slow_ms": _Range(0, 1e3 * _TEN_YEARS_S),
        "spool_max_mb": _Range(0, _MUCH_MB),
        "snapshot_interval_s": _SECONDS,
        "snapshot_history_size": _COUNT,
        "exhaustion_threshold": _Range(0, 1),
        "high_wait_time_ms": _Range(0, 1e3 * _TEN_YEARS_S),
        "long_checkout_s": _SECONDS,
        "health_check_interval": _SECONDS,
        "health_check_timeout_s": _SECONDS,
        "opentelemetry_series": _COUNT,
    }
)
_TYPES: Final = get_type_hints(Settings)
_NAMES: Final = tuple(f.name for f in fields(Settings))


def load_settings(
    keywords: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Settings:
    """
    The settings in force.

    Args:
        keywords: What the caller gave; wins over everything.
        environment: `QUERYGAUGE_*` variables are read from here; the process's own by default.
        directory: The nearest pyproject.toml at or above it is read; the working directory by default.

    Raises:
        SettingsError: If a setting is unknown, has the wrong type or an impossible value.
    """
    for name in keywords:
        if name not in _TYPES:
            raise SettingsError(f"unknown setting {name!r}; known are {', '.join(_NAMES)}")
    values = {
        **_from_pyproject(_working_directory() if directory is None else directory),
        **_from_environment(os.environ if environment is None else environment),
        **keywords,
    }
    return Settings(**values)


def price_in_force(given: float | None) -> float:
    """The price of an hour of database time: the one that was given, else the setting; raises as `load_settings`."""
    return load_settings({} if given is None else {"price_per_hour": given}).price_per_hour


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # it was removed under us
        return Path("/")


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    unknown: list[str] = []
    for variable, text in environment.items():
        if not variable.startswith(_PREFIX) or variable.startswith(_TEST_PREFIX):
            continue
        name = variable.removeprefix(_PREFIX).lower()
        if name in _TYPES:
            found[name] = _parsed(name, text, variable)
        else:
            unknown.append(variable)
    if unknown:
        log.warning(
            "unknown_environment_variables", variables=sorted(unknown), known=[_PREFIX + n.upper() for n in _NAMES]
        )
    return found


def _from_pyproject(directory: Path) -> dict[str, Any]:
    candidates = (folder / "pyproject.toml" for folder in (directory, *directory.parents))
    # Not Path.is_file(), which raises for a folder that this user may not look into.
    path = next(filter(os.path.isfile, candidates), None)
    if path is None:
        return {}
    try:
        tools = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        # Somebody else's broken file must not stop the host from starting.
        log.warning("pyproject_not_read", path=str(path), error=str(error))
        return {}
    table = tools.get("querygauge", {}) if isinstance(tools, dict) else {}
    if not isinstance(table, dict):
        raise SettingsError(f"[tool.querygauge] of {path} must be a table; got {table!r}")
    found = {}
    for name, value in table.items():
        if isinstance(value, dict):
            continue  # a table of a later subject, such as [tool.querygauge.alerts]
        if name not in _TYPES:
            raise SettingsError(
                f"unknown setting {name!r} in [tool.querygauge] of {path}; known are {', '.join(_NAMES)}"
            )
        found[name] = _checked(name, value, f"{name} in [tool.querygauge] of {path}")
    return found


def _parsed(name: str, text: str, source: str) -> Any:
    """The value an environment variable's text stands for."""
    kinds = _kinds(name)
    word = text.strip().lower()
    if type(None) in kinds and word in _NONE:
        return None
    if bool in kinds:
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise SettingsError(f"{source} must be one of {', '.join(sorted(_TRUE | _FALSE))}; got {text!r}")
    for kind, rule in ((int, "a whole number"), (float, "a number")):
        if kind in kinds:
            try:
                number = kind(text)
            except ValueError:
                raise SettingsError(f"{source} must be {rule}; got {text!r}") from None
            return _checked(name, number, source)
    return _checked(name, text, source)


def _checked(name: str, value: Any, source: str) -> Any:
    """`value` as the type the setting has, if the setting may have it; `source` says where it came from."""
    typed = _typed(name, value, source)
    if typed is not None and name in _RANGES:
        rule = _RANGES[name].rule_against(typed)
        if rule is not None:
            otherwise = " or None" if type(None) in _kinds(name) else ""
            raise SettingsError(f"{source} must be {rule}{otherwise}; got {_as_float(typed):.15g}")
    if name == "service" and not typed.strip():
        raise SettingsError(f"{source} must not be empty; name the application, or leave it out")
    return typed


def _typed(name: str, value: Any, source: str) -> Any:
    """`value` as the type the setting has."""
    kinds = _kinds(name)
    choices = get_args(_TYPES[name]) if get_origin(_TYPES[name]) is Literal else ()
    if choices:
        if value in choices:
            return value
        raise SettingsError(f"{source} must be one of {', '.join(choices)}; got {value!r}")
    if value is None and type(None) in kinds:
        return None
    if Path in kinds and isinstance(value, str | os.PathLike | RemoteStore):
        return _located(value, source, may_be_remote=RemoteStore in kinds)
    if float in kinds and isinstance(value, int | float) and not isinstance(value, bool):
        return _as_float(value)
    if int in kinds and isinstance(value, int) and not isinstance(value, bool):
        return value
    if (bool in kinds and isinstance(value, bool)) or (str in kinds and isinstance(value, str)):
        return value
    names = ("None" if kind is type(None) else kind.__name__ for kind in kinds if kind is not RemoteStore)
    expected = " or ".join(names)
    raise SettingsError(f"{source} must be of type {expected}; got {value!r}")


def _located(value: str | os.PathLike[str] | RemoteStore, source: str, *, may_be_remote: bool) -> Path | RemoteStore:
    if may_be_remote and isinstance(value, RemoteStore):
        return value
    if may_be_remote and isinstance(value, str) and is_remote(value):
        return RemoteStore.of(value)
    if isinstance(value, RemoteStore) or not str(value):
        raise SettingsError(f"{source} must be a path or None; got {str(value) or 'an empty text'}")
    return Path(value)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond all floats
        return math.inf if value > 0 else -math.inf


def _kinds(name: str) -> tuple[Any, ...]:
    hint = _TYPES[name]
    return get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
