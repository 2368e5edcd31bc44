"""Values about scopes: what requests, jobs and tests are counted under, and what they did."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, NamedTuple

from querygauge.values.base import Value
from querygauge.values.queries import OutcomeCounts

__all__ = ["OTHER_SCOPES", "OTHER_VALUE", "ScopeLabel", "ScopeStats", "by_name", "by_tag"]


class ScopeLabel(NamedTuple):
    """
    What all units of work of one kind are counted under; a plain tuple, because the fold looks counters up by it.

    Attributes:
        name: What people call it, such as `GET /orders/{id}`.
        tags: Whatever else tells them apart, sorted by key.
    """

    name: str
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def is_folded(self) -> bool:
        """Whether it stands for several that were too many to be told apart."""
        return self == OTHER_SCOPES or any(value == OTHER_VALUE for _, value in self.tags)


OTHER_SCOPES: Final = ScopeLabel("(other scopes)")
OTHER_VALUE: Final = "(other)"
"""The value of a tag where too many were met."""


@dataclass(frozen=True, slots=True)
class ScopeStats(Value):
    """
    What the units of work of one scope did, or of all scopes with one tag.

    Attributes:
        scope: Name of the scope; None for a tag, whatever the scope.
        tags: Tags of the scope, or the one tag.
        unit_count: Requests, jobs or tests that ended, those without a statement too.
        unit_duration_ms: How long those took, together.
        outcomes: Executions by how they ended, of every kind of statement.
        repeated_count: Executions that were not the first of their query within their unit.
        total_duration_ms: Database time, together.
        max_executions: Most executions of a single unit.
        max_duration_ms: Most database time of a single unit.
    """

    scope: str | None
    tags: Mapping[str, str] = field(default_factory=dict)
    unit_count: int = 0
    unit_duration_ms: float = 0.0
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    repeated_count: int = 0
    total_duration_ms: float = 0.0
    max_executions: int = 0
    max_duration_ms: float = 0.0
    _derived: ClassVar[tuple[str, ...]] = ("execution_count", "executions_per_unit", "duration_ms_per_unit")

    @property
    def execution_count(self) -> int:
        """All executions."""
        return self.outcomes.total

    @property
    def executions_per_unit(self) -> float | None:
        """Executions of a unit, on average; None while none has ended."""
        return self.execution_count / self.unit_count if self.unit_count else None

    @property
    def duration_ms_per_unit(self) -> float | None:
        """Database time of a unit, on average; None while none has ended."""
        return self.total_duration_ms / self.unit_count if self.unit_count else None

    def merged(self, other: "ScopeStats") -> "ScopeStats":
        """Both together, under the name and tags of this one."""
        return ScopeStats(
            self.scope,
            self.tags,
            self.unit_count + other.unit_count,
            self.unit_duration_ms + other.unit_duration_ms,
            self.outcomes.merged(other.outcomes),
            self.repeated_count + other.repeated_count,
            self.total_duration_ms + other.total_duration_ms,
            max(self.max_executions, other.max_executions),
            max(self.max_duration_ms, other.max_duration_ms),
        )


def by_name(scopes: Iterable[ScopeStats]) -> list[ScopeStats]:
    """One per name, whatever the tags; most database time first."""
    return _together((replace(stats, tags={}) for stats in scopes), key=lambda stats: stats.scope)


def by_tag(scopes: Iterable[ScopeStats], key: str | None = None) -> list[ScopeStats]:
    """One per tag, whatever the scope; most database time first. Only those of one key, if it is given."""
    tagged = (
        replace(stats, scope=None, tags={name: value})
        for stats in scopes
        for name, value in stats.tags.items()
        if key is None or name == key
    )
    return _together(tagged, key=lambda stats: tuple(stats.tags.items()))


def _together(scopes: Iterable[ScopeStats], key: Callable[[ScopeStats], Any]) -> list[ScopeStats]:
    found: dict[Any, ScopeStats] = {}
    for stats in scopes:
        before = found.get(key(stats))
        found[key(stats)] = stats if before is None else before.merged(stats)
    return sorted(found.values(), key=lambda stats: -stats.total_duration_ms)
