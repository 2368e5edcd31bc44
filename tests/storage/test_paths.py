"""Where a store lies, and making it."""

from pathlib import Path

import pytest

from querygauge.errors import StoreError
from querygauge.storage.paths import StorePaths


def test_a_directory_we_make_is_hidden_from_git(tmp_path: Path) -> None:
    """A store made in a repository does not show up as something to commit."""
    StorePaths(tmp_path / "store").create()
    assert (tmp_path / "store" / ".gitignore").read_text().splitlines()[-1] == "*"


def test_a_directory_of_somebody_else_keeps_its_gitignore(tmp_path: Path) -> None:
    """A directory that was there before gets only what the store needs."""
    StorePaths(tmp_path).create()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["rejected", "spool"]


def test_a_relative_store_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that changes its working directory does not move its store."""
    monkeypatch.chdir(tmp_path)
    paths = StorePaths(Path(".querygauge"))
    monkeypatch.chdir("/")
    assert paths.database == tmp_path / ".querygauge" / "querygauge.duckdb"


def test_a_store_path_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    """The error names the path and the rule, and the file is not touched."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match=r"store must be a directory; got the file '.*file'"):
        StorePaths(tmp_path / "file").create()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_store_below_a_file_is_an_error(tmp_path: Path) -> None:
    """What the operating system refuses is told with its reason."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="could not be made: Not a directory"):
        StorePaths(tmp_path / "file" / "store").create()


def test_a_place_nobody_may_write_to_is_an_error() -> None:
    """A file system that takes no directories, even from root, is told with its reason."""
    with pytest.raises(StoreError, match="store '/proc/querygauge' could not be made: "):
        StorePaths(Path("/proc/querygauge")).create()
