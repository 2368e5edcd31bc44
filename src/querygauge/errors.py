"""The errors of this package: what happened, the rule, the value, and what to do."""

__all__ = ["MissingExtraError", "QueryGaugeError", "SettingsError", "StoreError"]


class QueryGaugeError(Exception):
    """Base of every error raised on purpose."""


class SettingsError(QueryGaugeError, ValueError):
    """A setting or an argument that is unknown, impossible, or contradicts an earlier one."""


class MissingExtraError(QueryGaugeError, ImportError):
    """An optional library is needed that is not installed; the message names the extra."""


class StoreError(QueryGaugeError):
    """A store that cannot be opened, read or written; nothing in it was changed."""
