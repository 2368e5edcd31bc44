"""Secrets: where they may be, and where they are never seen."""

from pathlib import Path
from typing import Any

import pytest

from querygauge.alerts.secret import Secret
from querygauge.errors import DeliveryError, SettingsError

VALUE = "hunter2-hunter2"


def test_a_secret_is_read_when_it_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From a variable or a file, as it is then, without the line break that editors add."""
    file = tmp_path / "secret"
    for_file, for_variable = Secret(file=file), Secret(environment="SHOP_SECRET")
    for value in (VALUE, "another"):
        file.write_text(f"{value}\n")
        monkeypatch.setenv("SHOP_SECRET", value)
        assert [for_file.check("x"), for_file.reveal("x")] == [value, value]
        assert [for_variable.check("x"), for_variable.reveal("x")] == [value, value]
        assert value not in repr([for_file, for_variable])


@pytest.mark.parametrize("places", [{}, {"environment": "A", "file": Path("a")}])
def test_a_secret_is_in_one_place(places: dict[str, Any]) -> None:
    """Not in two, and not nowhere."""
    with pytest.raises(SettingsError, match="either environment or file"):
        Secret(**places)


def test_a_secret_in_place_of_its_name_is_not_repeated() -> None:
    """Whoever makes that mistake does not find it in a log."""
    with pytest.raises(SettingsError, match="name of a variable") as caught:
        Secret(environment="https://hooks.example/T0/hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read: FileNotFoundError"),
        (b" \n", "it is empty"),
        (b"two\nlines", "one line"),
        (b"\xff\xfe", "one line"),
        (b"x" * 20_000, "one line"),
    ],
)
def test_what_is_no_secret_is_an_error(tmp_path: Path, content: bytes | None, fault: str) -> None:
    """It names the field and the place: as a setting when a channel is made, and to be tried again when it sends."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=rf"^slack\.url: file {file} must hold .*{fault}"):
        Secret(file=file).check("slack.url")
    with pytest.raises(DeliveryError, match=fault) as caught:
        Secret(file=file).reveal("slack.url")
    assert not caught.value.is_final


def test_a_variable_that_is_not_set_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one that is empty a secret."""
    monkeypatch.delenv("SHOP_SECRET", raising=False)
    with pytest.raises(
        SettingsError, match=r"^x: environment variable SHOP_SECRET must hold the secret; it is not set"
    ):
        Secret(environment="SHOP_SECRET").check("x")
