"""What a look at a store found, one line for each check, and what to do about it."""

import textwrap

from querygauge.rendering.tables import visible
from querygauge.values.answers.diagnosis import Diagnosis, Finding

__all__ = ["render_diagnosis"]

_MARKS = {"ok": "ok", "warning": "WARNING", "error": "ERROR"}


def render_diagnosis(diagnosis: Diagnosis, *, width: int) -> str:
    """Every check with what it found; those that found something come with a remedy."""
    column = max(len(finding.check) for finding in diagnosis.findings)
    lines = [line for finding in diagnosis.findings for line in _lines(finding, column, width)]
    return "\n".join([f"STORE {diagnosis.status}", visible(diagnosis.path), "", *lines])


def _lines(finding: Finding, column: int, width: int) -> list[str]:
    head = f"  {_MARKS[finding.severity]:<7}  {finding.check:<{column}}  "
    indent = " " * len(head)
    lines = textwrap.wrap(visible(finding.message), width, initial_indent=head, subsequent_indent=indent)
    if finding.remedy is not None:
        lines += textwrap.wrap(finding.remedy, width, initial_indent=f"{indent}→ ", subsequent_indent=f"{indent}  ")
    return lines
