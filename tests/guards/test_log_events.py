"""The page about log events has every event that is written, at its level and with its keys, and no other."""

import ast
import re
from collections.abc import Iterator

from project import ROOT
from querygauge.storage.retention import Retained

_PAGE = (ROOT / "docs" / "log-events.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \|([^|]*)\|", re.MULTILINE)
_EVENT = re.compile(r"[a-z_]+")
# What is unpacked into an event, by how it is written; None is told on the page of a channel.
_UNPACKED = {
    "retained._asdict()": Retained._fields,
    "_digest(message)": ("rules", "is_test", "key"),
    "_numbers(message.report)": None,
    "self._values(alert)": None,
}
_Event = tuple[str, str, frozenset[str] | None]


def test_every_event_is_on_the_page() -> None:
    """By its name, its level and its keys."""
    written = {event for event in _written() if event[2] is not None}
    told = {
        (name, level, frozenset(re.findall(r"`(\w+)`", keys)))
        for name, level, keys in _ROW.findall(_PAGE)
        if "as of the channel" not in keys
    }
    assert told == written


def test_events_with_the_keys_of_a_channel_are_on_the_page() -> None:
    """Their keys are those of the page that it names."""
    written = {name for name, _, keys in _written() if keys is None}
    assert {name for name, _, keys in _ROW.findall(_PAGE) if "as of the channel" in keys} == written | {"alert"}


def test_names_are_words() -> None:
    """Lower case, joined by underscores, so that one can search for them."""
    assert all(_EVENT.fullmatch(name) for name, _, _ in _written())


def _written() -> Iterator[_Event]:
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[ast.Constant(value=str(name))]
                ):
                    yield name, level, _keys(node)


def _keys(call: ast.Call) -> frozenset[str] | None:
    keys: list[str] = []
    for keyword in call.keywords:
        if keyword.arg is not None:
            keys.append(keyword.arg)
            continue
        unpacked = _UNPACKED[ast.unparse(keyword.value)]
        if unpacked is None:
            return None
        keys.extend(unpacked)
    return frozenset(keys)
