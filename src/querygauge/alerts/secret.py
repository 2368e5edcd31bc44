"""
What only a receiver may know: a URL with a token in it, a password, a key.

It is named by where it is, an environment variable or a file, and read each time it is used, so that neither the
configuration nor any value, log line or error has it. Deliberately not here: what a secret must look like, which its
channel knows.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from querygauge.errors import DeliveryError, SettingsError

__all__ = ["Secret"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """
    Where a secret is, in one of two places; what is read there is stripped of blanks at both ends.

    Attributes:
        environment: Name of an environment variable.
        file: A file that holds nothing else, such as a container's `/run/secrets/slack_url`.
    """

    environment: str | None = None
    file: Path | None = None

    def __post_init__(self) -> None:
        if (self.environment is None) == (self.file is None):
            raise SettingsError("a secret must have either environment or file; it has both or neither")
        # Whoever writes the secret itself where its name belongs does not want to read it in a log.
        if self.environment is not None and not _NAME.fullmatch(self.environment):
            raise SettingsError(
                "environment must be the name of a variable, of letters, digits and underscores; got something else"
            )

    def check(self, field: str) -> str:
        """
        The secret, for whoever makes a channel.

        Raises:
            SettingsError: If it cannot be read; begins with the field that wants it.
        """
        value, fault = self._read()
        if fault:
            raise SettingsError(f"{field}: {fault}")
        return value

    def reveal(self, field: str) -> str:
        """
        The secret, for whoever sends.

        Raises:
            DeliveryError: If it cannot be read now, as while somebody replaces its file.
        """
        value, fault = self._read()
        if fault:
            raise DeliveryError(f"{field}: {fault}")
        return value

    def _read(self) -> tuple[str, str]:
        """The secret, and what is wrong with it, without its text."""
        if self.file is None:
            name = f"environment variable {self.environment}"
            value = os.environ.get(self.environment or "", "")
        else:
            name = f"file {self.file}"
            try:
                with self.file.open("rb") as file:
                    value = file.read(_MOST_BYTES + 1).decode("utf-8", "replace")
            except (OSError, ValueError) as error:
                return "", f"{name} must hold the secret; it cannot be read: {type(error).__name__}"
        value = value.strip()
        if not value:
            return "", f"{name} must hold the secret; it is {'empty' if self.file else 'not set, or empty'}"
        if len(value) > _MOST_BYTES or not value.isprintable() or "\ufffd" in value:
            return "", f"{name} must hold one line of at most 16,384 readable characters; it holds something else"
        return value, ""
