"""What a test does when a tool it needs is not there: skip for a person, fail in CI, where everything is installed."""

import os
from typing import NoReturn

import pytest

__all__ = ["skip_or_fail"]


def skip_or_fail(reason: str) -> NoReturn:
    """Ends the test: failed if the variable `CI` is `true`, else skipped; `reason` says what is missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
