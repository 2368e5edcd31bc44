"""
The value of a repetition: what was sent again and again, what was seen of it, and what that means.

A repetition holds evidence, which adds up over scopes, processes and days; its kind, its confidence and its fix are
worked out of the evidence, so that they are as true of the sum as of each part. Deliberately not here: the counting.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from querygauge.values.base import Value
from querygauge.values.queries import Pattern

__all__ = ["CONFIDENCES", "KINDS", "WRITES", "Cause", "Confidence", "Kind", "Repetition"]

Kind = Literal["lazy-load", "refresh", "loop", "repeat-same-parameters", "fan-out", "write-loop"]
Confidence = Literal["certain", "likely", "possible"]
Cause = Literal["lazy", "immediate", "expired", "refreshed", "deferred", "partial"]

KINDS: Final[tuple[Kind, ...]] = ("lazy-load", "refresh", "loop", "repeat-same-parameters", "fan-out", "write-loop")
# The surest first.
CONFIDENCES: Final[tuple[Confidence, ...]] = ("certain", "likely", "possible")
WRITES: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "UPSERT"})

_SAME: Final = 3  # from so many executions for each set of parameters on, keeping the answers pays
_ONE_ROW_EACH: Final = "send all rows in one execute() with a list of parameters, or add_all() and one flush"
_CHANGES: Final = "one statement for all rows: execute() with a list of parameters, or WHERE … IN (…)"
_FIXES_OF_LOADS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "expired": "the objects were expired: expire_on_commit=False keeps them, or select them again in one query",
        "refreshed": "select the objects in one query with populate_existing instead of refresh() for each",
        "partial": "load these columns along with the objects: selectin_polymorphic() for those of a subclass,"
        " eager_defaults=True for those that the database fills in",
    }
)


@dataclass(frozen=True, slots=True)
class Repetition(Value):
    """
    The same pattern from the same line, several times within one unit of work of one scope: often an N+1.

    Attributes:
        pattern: What was repeated.
        target: Name of the database.
        call_site: The line that sent it, as `path:line in function`; None if it is unknown.
        scope: Name of the scopes it was found in; None if each was one use of a connection, without a named scope.
        scopes_count: How many of that name, such as requests of one route.
        execution_count: Executions in those, together.
        max_per_scope: Most executions within a single one.
        total_duration_ms: Their time, together.
        compared_count: Executions whose parameters were compared with the others of their scope: never the first of a
            scope, then a few, then one in 32, and none whose parameters cannot be compared.
        parameters_count: Distinct sets of parameters among those, each scope's own.
        parents_count: Distinct objects that SQLAlchemy loaded something for, among those looked at.
        origins_count: Queries that had brought these objects; those that the application made count as of one for
            each session.
        tasks_count: Most tasks or threads seen within one scope; 0 without a named scope.
        overlap_count: Executions seen to begin before the one ahead of them had ended.
        parallel_scopes_count: Scopes in which that was the rule, over several tasks.
        cause: What SQLAlchemy sent it for: a relationship that is loaded when it is touched (`lazy`) or at once, parent
            by parent (`immediate`), an object a commit had expired (`expired`) or the application refreshed
            (`refreshed`), a column left out before (`deferred`); None if it was asked for, or sent otherwise.
        attribute: What was loaded, such as `User.posts`, or the class of the objects; None if it is unknown.
    """

    pattern: Pattern
    target: str
    call_site: str | None
    scope: str | None
    scopes_count: int
    execution_count: int
    max_per_scope: int
    total_duration_ms: float
    compared_count: int = 0
    parameters_count: int = 0
    parents_count: int = 0
    origins_count: int = 0
    tasks_count: int = 0
    overlap_count: int = 0
    parallel_scopes_count: int = 0
    cause: Cause | None = None
    attribute: str | None = None
    _derived: ClassVar[tuple[str, ...]] = ("kind", "confidence", "fix")

    @property
    def kind(self) -> Kind:
        """What the executions have in common."""
        if self.cause is not None:
            return "lazy-load" if self.cause in {"lazy", "immediate"} else "refresh"
        if 2 * self.parallel_scopes_count >= max(self.scopes_count, 1):
            return "fan-out"
        if self.pattern.operation in WRITES:
            return "write-loop"
        return "repeat-same-parameters" if self._is_same else "loop"

    @property
    def _is_same(self) -> bool:
        return 0 < _SAME * self.parameters_count <= self.compared_count

    @property
    def confidence(self) -> Confidence:
        """
        How sure it is.

        `certain` is what SQLAlchemy itself says the statements were for, and for several objects that came together;
        `likely` what their parameters, tasks and times show; `possible` what too little was seen of.
        """
        if self.cause is not None:
            if self.parents_count <= max(self.scopes_count, 1):
                return "possible"
            is_meant = self.cause in {"immediate", "refreshed"}
            came_singly = 2 * self.origins_count > self.parents_count
            are_few = 2 * self.parents_count <= self.compared_count
            return "likely" if is_meant or came_singly or are_few else "certain"
        if self.call_site is None or not self.compared_count:
            return "possible"
        kind = self.kind
        if kind == "repeat-same-parameters":
            # What reads no table may have another answer each time.
            return "likely" if self.pattern.tables else "possible"
        is_mixed = kind == "loop" and 2 * self.parameters_count <= self.compared_count
        return "possible" if is_mixed else "likely"

    @property
    def fix(self) -> str:
        """What to change, in one sentence."""
        kind = self.kind
        if kind in {"lazy-load", "refresh"}:
            return self._fix_of_load()
        if kind == "write-loop":
            return self._fix_of_write()
        if kind == "fan-out":
            return "each needs a connection of its own: one query for all, or a semaphore that lets few run at once"
        if kind == "repeat-same-parameters":
            return "send it once before the loop and keep the answer: it was asked with the same parameters"
        together = "= ANY(…)" if self.pattern.dialect == "postgresql" else "IN (…)"
        return f"fetch all of them in one query before the loop, with {together}"

    def _fix_of_load(self) -> str:
        if self.cause == "deferred":
            return f"load the column along with the objects: undefer({self.attribute or '…'})"
        return _FIXES_OF_LOADS.get(
            self.cause or "", f"load them with their parents: selectinload({self.attribute or '…'})"
        )

    def _fix_of_write(self) -> str:
        if self._is_same and self.pattern.operation != "INSERT":
            return "it is the same row each time: add up in the application, and write once"
        return _ONE_ROW_EACH if self.pattern.operation in {"INSERT", "REPLACE", "UPSERT"} else _CHANGES
