"""
What the fields of channels have in common: in goes a field's name and value, out comes nothing, or a `SettingsError`.

A value that may be a secret is never in the error. Deliberately not here: what one service alone asks for.
"""

import ipaddress
import math
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from querygauge.alerts.secret import Secret
from querygauge.errors import DeliveryError, MissingExtraError, SettingsError
from querygauge.values.alerts import AlertMessage

if TYPE_CHECKING:
    import ssl

__all__ = [
    "check_ca_file",
    "check_header_names",
    "check_headers",
    "check_installed",
    "check_is_no_report",
    "check_runbooks",
    "check_timeout",
    "check_url",
    "is_loopback",
    "is_private",
    "split_url",
    "tls_context",
]

_LONGEST_TIMEOUT_S: Final = 300.0
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2
_LINK_BASE: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]{1,500}")  # RFC 3986, 2, without its quote
_SECRET_NAMES: Final = re.compile(r"auth|cookie|key|pass|secret|token", re.IGNORECASE)
# What says where the body goes, how long it is and what it is.
_OUR_HEADERS: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def check_installed(channel: str, library: str) -> None:
    """
    Checks that a library is there, without the time that importing it takes.

    Raises:
        MissingExtraError: If it is not.
    """
    if find_spec(library) is None:
        raise MissingExtraError(f"the channel {channel} needs {library}: pip install 'querygauge[alerts]'")


def check_is_no_report(channel: str, message: AlertMessage) -> None:
    """
    Checks that it is about alerts, for a service that has no place for anything else.

    Raises:
        DeliveryError: If it is a report.
    """
    if message.report is not None:
        raise DeliveryError(f"{channel}: must be sent alerts; got a report", is_final=True)


def check_timeout(field: str, value: float) -> None:
    """
    Checks that it is a number of seconds that somebody would wait.

    Raises:
        SettingsError: If it is not.
    """
    if not (math.isfinite(value) and 0 < value <= _LONGEST_TIMEOUT_S):
        raise SettingsError(f"{field} must be > 0 and <= {_LONGEST_TIMEOUT_S:g}; got {value!r}")


def check_runbooks(field: str, base: str) -> None:
    """
    Checks that links can be made of it.

    Raises:
        SettingsError: If it is no address without blanks, quotes and markup.
    """
    if not _LINK_BASE.fullmatch(base):
        raise SettingsError(f"{field} must be an address such as https://wiki.example/alerts/; got {base!r}")


def check_ca_file(field: str, path: Path | None) -> None:
    """
    Checks that certificates can be read from it.

    Raises:
        SettingsError: If there are none.
    """
    if path is None:
        return
    try:
        tls_context(field, path)
    except DeliveryError as error:
        raise SettingsError(str(error)) from error


def tls_context(field: str, ca_file: Path) -> "ssl.SSLContext":
    """
    What trusts the certificates of a file, for whoever sends.

    Raises:
        DeliveryError: If they cannot be read now, as while somebody replaces it.
    """
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise DeliveryError(f"{field} must be a file of PEM certificates; got {str(ca_file)!r}: {error}") from error


def check_url(field: str, url: str, *, is_encrypted: bool = False, is_bare: bool = False) -> None:
    """
    Checks that something can be sent there.

    Args:
        field: The field it is of.
        url: What it holds; the error does not show it.
        is_encrypted: Whether it must be https, unless it is on this machine.
        is_bare: Whether it must have neither query nor fragment, as something is appended to it.

    Raises:
        SettingsError: If it is no such URL.
    """
    parts = split_url(url)
    if parts is None:
        raise SettingsError(f"{field} must be a URL such as https://host/path; got something else")
    if parts.username is not None or parts.password is not None:
        raise SettingsError(f"{field} must have no user and no password in it; use a header for them")
    if is_encrypted and parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise SettingsError(f"{field} must begin with https://; got {parts.scheme}://, where anybody can read along")
    if is_bare and (parts.query or parts.fragment):
        raise SettingsError(f"{field} must end before ? and #, as something is appended to it; it has one of them")


def split_url(url: str) -> SplitResult | None:
    """Its parts; None if it is no URL of a web server."""
    if not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_one else None


def is_loopback(host: str) -> bool:
    """Whether it is this machine, by its name or number alone."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def is_private(host: str) -> bool:
    """Whether it is in a private network or this machine, by its name or number alone."""
    address = _address(host)
    return is_loopback(host) if address is None else not address.is_global


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def check_headers(field: str, headers: Mapping[str, str | Secret], *, ours: frozenset[str] = frozenset()) -> None:
    """
    Checks that they can be sent, and that none of them has a secret written into it.

    Args:
        field: The field they are of.
        headers: Values by name.
        ours: Names in small letters that the channel sends itself.

    Raises:
        SettingsError: If one of them cannot, or has.
    """
    check_header_names(field, headers, ours)
    for name, value in headers.items():
        where = f"{field}.{name}"
        if not isinstance(value, str | Secret):
            raise SettingsError(
                f"{where} must be a text, or a table with environment or file; got something of type "
                f"{type(value).__name__}"
            )
        if isinstance(value, str) and _SECRET_NAMES.search(name):
            raise SettingsError(
                f"{where} must come from the environment or a file, as it is a secret; it is written out"
            )
        text = value if isinstance(value, str) else value.check(where)
        if not (text.isascii() and text.isprintable()):
            raise SettingsError(f"{where} must be of printable ASCII characters; it has others")


def check_header_names(field: str, headers: Mapping[str, object], ours: frozenset[str]) -> None:
    """
    Checks that they are names of headers that are left to whoever configures a channel.

    Raises:
        SettingsError: If one of them is not.
    """
    for name in headers:
        if not _TOKEN.fullmatch(name):
            raise SettingsError(f"{field} must have names of headers; got {name!r}")
        if name.lower() in ours | _OUR_HEADERS:
            raise SettingsError(f"{field} must leave {name} to the channel, which sends it itself")
