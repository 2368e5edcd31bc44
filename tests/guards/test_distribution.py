"""What is handed on: the wheel, the pins, and no trace of the machine they were made on."""

import ipaddress
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import querygauge
from project import ROOT, pyproject, tracked_files

_PIN = re.compile(r"([A-Za-z0-9._-]+)==[A-Za-z0-9.+!]+")
_ADDRESS = re.compile(r"(?<![\w.=])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")
# This machine, any machine, and the ranges set aside for documentation.
_HARMLESS = [
    ipaddress.ip_network(net)
    for net in ("127.0.0.0/8", "0.0.0.0/32", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
]


def test_the_wheel_is_complete(tmp_path: Path) -> None:
    """The wheel holds every file of the package, the marker for type checkers and the schema among them."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"querygauge-{querygauge.__version__}-")
    source = ROOT / "src"
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    expected = {name for name in files if "__pycache__" not in name}
    assert {"querygauge/py.typed", "querygauge/storage/schema.sql"} <= expected
    with ZipFile(wheel) as archive:
        assert expected == {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}


def test_constraints_are_plain_pins() -> None:
    """constraints.txt holds exact versions only: no address, no path, nothing editable."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#") and not _PIN.fullmatch(line)] == []


def test_every_dependency_is_pinned() -> None:
    """Whatever pyproject.toml asks for, to run, to test or to build, has its version in constraints.txt."""
    table = pyproject()
    pinned = {
        canonicalize_name(found[1])
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if (found := _PIN.fullmatch(line))
    }
    asked = chain(
        table["build-system"]["requires"],
        table["project"]["dependencies"],
        *table["project"]["optional-dependencies"].values(),
        *table["dependency-groups"].values(),
    )
    names = {canonicalize_name(Requirement(text).name) for text in asked}
    assert names - {"querygauge"} <= pinned


def test_no_file_names_the_machine_it_was_written_on() -> None:
    """No tracked file holds the path of this checkout or home, or an address outside the documentation's ranges."""
    paths = "|".join(re.escape(str(path)) for path in (ROOT, Path.home()) if len(path.parts) > 1)
    trace = re.compile(rf"(?<![\w.])(?:{paths})(?![\w-])")
    found = []
    for file in tracked_files():
        text = file.read_text(encoding="utf-8", errors="replace")
        traces = [*trace.findall(text), *filter(_is_foreign, _ADDRESS.findall(text))]
        found += [f"{file.relative_to(ROOT)}: {seen}" for seen in traces]
    assert found == []


def _is_foreign(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not any(address in network for network in _HARMLESS)
