"""What the tests of this room use."""

import pytest

from rendering.making import Make


@pytest.fixture
def make() -> Make:
    """Builds values to render."""
    return Make()
