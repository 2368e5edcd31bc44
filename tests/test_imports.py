"""`when_imported`: who waits for a package is called once it is there, and importing it is what it was."""

import importlib.util
import inspect
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from querygauge.imports import forget_import, when_imported

NewPackage = Callable[..., str]


@pytest.fixture
def new_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewPackage]:
    """`new_package(text)` is the name of a package of that text that can be imported, and is forgotten afterwards."""
    made: list[str] = []
    uuid = uuid4().hex
    finders = list(sys.meta_path)
    monkeypatch.syspath_prepend(tmp_path)

    def new(text: str = "value = 1", *, is_zipped: bool = False) -> str:
        name = f"waited_for_{uuid}_{len(made)}"
        made.append(name)
        if is_zipped:
            archive = tmp_path / f"{name}.zip"
            with zipfile.ZipFile(archive, "w") as file:
                file.writestr(f"{name}/__init__.py", text)
                file.writestr(f"{name}_other.py", "value = 2")
            monkeypatch.syspath_prepend(archive)
        else:
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text(text, encoding="utf-8")
            (tmp_path / name / "inner.py").write_text("value = 3", encoding="utf-8")
        importlib.invalidate_caches()
        return name

    yield new
    for name in list(sys.modules):
        if name.startswith(tuple(made)):
            del sys.modules[name]
    sys.meta_path[:] = finders


def waited(name: str) -> list[object]:
    """What the package's `value` was at each call."""
    calls: list[object] = []
    when_imported(name, lambda: calls.append(getattr(sys.modules[name], "value", None)))
    return calls


@pytest.mark.parametrize("is_zipped", [False, True], ids=["folder", "zip file"])
def test_it_calls_once_the_package_has_run(new_package: NewPackage, *, is_zipped: bool) -> None:
    """After its last line, once; the import of something else of the same loader is no reason."""
    name = new_package("value = 1\nvalue = 2", is_zipped=is_zipped)
    calls = waited(name)
    importlib.import_module(f"{name}_other" if is_zipped else "colorsys")
    assert calls == []
    importlib.import_module(name)
    importlib.import_module(name)
    assert calls == [2]


def test_it_calls_at_once_if_the_package_is_there(new_package: NewPackage) -> None:
    """And puts no finder among Python's."""
    importlib.import_module(name := new_package())
    finders = list(sys.meta_path)
    assert waited(name) == [1]
    assert sys.meta_path == finders


def test_an_inner_module_is_its_package(new_package: NewPackage) -> None:
    """Whatever of the package is imported first, the package itself is imported before."""
    name = new_package()
    calls = waited(name)
    importlib.import_module(f"{name}.inner")
    assert calls == [1]


@pytest.mark.parametrize("is_zipped", [False, True], ids=["folder", "zip file"])
def test_module_and_loader_are_what_they_were(new_package: NewPackage, *, is_zipped: bool) -> None:
    """The module's loader is Python's own with nothing of ours on it, and gives the source."""
    name, other = new_package(is_zipped=is_zipped), new_package()
    waited(name)
    module, plain = importlib.import_module(name), importlib.import_module(other)
    assert module.__loader__ is module.__spec__.loader  # type: ignore[union-attr]  # it has one
    assert "exec_module" not in vars(module.__loader__)
    assert inspect.getsource(module) == inspect.getsource(plain) == "value = 1\n"
    if not is_zipped:
        assert vars(module.__loader__).keys() == vars(plain.__loader__).keys()


def test_looking_for_a_package_is_no_import(new_package: NewPackage) -> None:
    """Applications look whether one is installed; only the import calls."""
    name = new_package()
    calls = waited(name)
    assert importlib.util.find_spec(name) is not None
    assert calls == []
    importlib.import_module(name)
    assert calls == [1]


def test_a_package_that_is_not_there(new_package: NewPackage) -> None:
    """Is missed as ever, and may come later."""
    missing = new_package().removesuffix("0") + "1"
    calls = waited(missing)
    with pytest.raises(ModuleNotFoundError, match=f"^No module named '{missing}'$"):
        importlib.import_module(missing)
    assert calls == []
    importlib.import_module(new_package())
    assert calls == [1]


def test_a_package_that_fails(new_package: NewPackage) -> None:
    """Its own error arrives; once it can be imported, the call comes."""
    name = new_package("import sys\nif not hasattr(sys, '_ready'): raise LookupError('its own')\nvalue = 1")
    calls = waited(name)
    with pytest.raises(LookupError, match="its own"):
        importlib.import_module(name)
    assert calls == []
    sys._ready = True  # type: ignore[attr-defined]  # told to the package
    try:
        importlib.import_module(name)
    finally:
        del sys._ready  # type: ignore[attr-defined]
    assert calls == [1]


def test_who_does_not_wait_any_longer_is_not_called(new_package: NewPackage) -> None:
    """Others that wait for the same package are."""
    name = new_package()
    mine: list[int] = []
    calls = waited(name)
    when_imported(name, call := lambda: mine.append(1))
    forget_import(name, call)
    forget_import(name, call)
    importlib.import_module(name)
    assert (mine, calls) == ([], [1])
