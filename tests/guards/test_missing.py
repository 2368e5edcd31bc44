"""Nothing goes untested in CI because a tool was not installed."""

import pytest

from missing import skip_or_fail


def test_a_missing_tool_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `CI=true` a test whose tool is missing fails, and says what was missing."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no server"):
        skip_or_fail("no server")


def test_a_missing_tool_skips_for_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere it is skipped for the same reason."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no server"):
        skip_or_fail("no server")
