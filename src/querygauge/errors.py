"""The errors of this package: what happened, the rule, the value, and what to do."""

__all__ = ["DeliveryError", "MissingExtraError", "QueryGaugeError", "SettingsError", "StoreError"]


class QueryGaugeError(Exception):
    """Base of every error raised on purpose."""


class SettingsError(QueryGaugeError, ValueError):
    """A setting or an argument that is unknown, impossible, or contradicts an earlier one."""


class MissingExtraError(QueryGaugeError, ImportError):
    """An optional library is needed that is not installed; the message names the extra."""


class StoreError(QueryGaugeError):
    """A store that cannot be opened, read or written; nothing in it was changed."""


class DeliveryError(QueryGaugeError):
    """
    A message that a channel could not send.

    Attributes:
        retry_after_s: When the receiver asks to be tried again; None if it said nothing.
        is_final: Whether to try again would not help: the address, the secret or the message is wrong.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None, is_final: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_final = is_final
