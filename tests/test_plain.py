"""Parameters as JSON types: whatever an application hands over, nothing of it is run and nothing fails."""

import datetime as dt
import json
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querygauge.values.plain import plain


class Hostile:
    """An object whose every answer is an error."""

    def __str__(self) -> str:
        raise ValueError("no")

    __repr__ = __str__

    def __iter__(self) -> Any:
        raise ValueError("no")

    def __hash__(self) -> int:
        return 1


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ((1, "a", None, True, 1.5), [1, "a", None, True, 1.5]),
        ({"day": dt.date(2024, 1, 2), "price": Decimal("1.50")}, {"day": "2024-01-02", "price": "1.50"}),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Path("/x"), "/x"),
        (b"secret", "<6 bytes>"),
        (float("nan"), "nan"),
        (2**70, "1180591620717411303424"),
        pytest.param(10**5000, "<int of 16610 bits>", id="huge"),
        ({(1, 2): 3, b"x": 4, None: 5}, {"[1, 2]": 3, "<1 bytes>": 4, "None": 5}),
        ([Hostile()], ["<test_plain.Hostile>"]),
        ({Hostile(): 1}, {"<test_plain.Hostile>": 1}),
        ("x" * 100_000, "x" * 65_536),
    ],
)
def test_what_is_written(value: Any, written: Any) -> None:
    """Known types as themselves or as their text, of all others the name of the class."""
    found = plain(value)
    assert json.loads(json.dumps(found).replace(f"<{Hostile.__module__}.", "<test_plain.")) == written


def test_depth_and_length_are_bounded() -> None:
    """A list that holds itself ends, and so does a long one."""
    assert json.dumps(plain(LOOP)).count("[") == 6
    assert len(plain(list(range(5_000)))) == 1_000


def test_what_changes_meanwhile_is_left_out() -> None:
    """Another thread may be adding to a dictionary."""
    grows: dict[int, int] = {}
    done = threading.Event()

    def grow() -> None:
        grows.update((number, number) for number in range(20_000))
        done.set()

    thread = threading.Thread(target=grow)
    thread.start()
    while not done.is_set():
        plain(grows)
    thread.join()


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.binary()
        | st.datetimes()
        | st.decimals(),
        lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner) | st.tuples(inner, inner),
    )
)
def test_anything_can_be_written(value: Any) -> None:
    """Whatever it is, the outcome is JSON of the strict kind."""
    json.dumps(plain(value), allow_nan=False)
