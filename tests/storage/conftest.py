"""A store in a directory of the test's own."""

from pathlib import Path

import pytest

from querygauge.storage.paths import StorePaths


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    """A store that does not exist yet, under a name that SQL and wildcards would trip over."""
    return StorePaths(tmp_path / "it's a [store]*")
