"""What users may rely on is listed, and what is listed is documented."""

import inspect
from dataclasses import fields

import querygauge
from project import ROOT
from querygauge.settings import Settings


def test_the_public_names_are_sorted() -> None:
    """`__all__` is sorted and names nothing twice."""
    assert list(querygauge.__all__) == sorted(set(querygauge.__all__))


def test_every_public_name_has_a_docstring() -> None:
    """Whatever is public says what it is."""
    assert [name for name in querygauge.__all__ if not inspect.getdoc(getattr(querygauge, name))] == []


def test_every_public_name_is_in_the_reference() -> None:
    """Each public name has a heading of its own in the reference."""
    headings = [line for line in _reference().splitlines() if line.startswith("#")]
    assert [name for name in querygauge.__all__ if not any(f"`{name}" in heading for heading in headings)] == []


def test_every_setting_is_documented() -> None:
    """Each setting is explained by its class and in the reference."""
    names = [field.name for field in fields(Settings)]
    assert [name for name in names if f"{name}:" not in (Settings.__doc__ or "")] == []
    assert [name for name in names if f"`{name}`" not in _reference()] == []


def _reference() -> str:
    return (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
