"""
One request to a web server, for every channel that makes one: sent once, answered in time, and judged by its status.

2xx is good. 408, 425, 429 and 5xx, no answer, half of one and one that is not HTTP are worth another try, after what
`Retry-After` asks for; all else is final. No redirect is followed, as alerts go where they were meant to go and
nowhere else. Deliberately not here: trying again, and what is sent.

An error names the scheme, host and port of a URL only, and has no other error behind it: those of aiohttp quote it.
"""

import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urljoin

from querygauge.alerts.channels.faults import PIECE, excerpt, reason
from querygauge.alerts.channels.fields import is_private, split_url, tls_context
from querygauge.alerts.secret import Secret
from querygauge.errors import DeliveryError

if TYPE_CHECKING:
    import aiohttp

__all__ = ["post"]

_MOST_BYTES: Final = 16_384  # of an answer; nobody says more about an alert
_LONGEST_WAIT_S: Final = 86_400.0
_AGAIN: Final = frozenset({408, 425, 429})


async def post(
    channel: str,
    url: str | Secret,
    body: bytes,
    *,
    timeout_s: float,
    headers: Mapping[str, str | Secret] | None = None,
    method: str = "POST",
    ca_file: Path | None = None,
    secrets: Sequence[str] = (),
) -> None:
    """
    Sends JSON, and takes notice of the answer.

    Args:
        channel: Kind of the channel, for the error.
        url: Where to.
        body: JSON.
        timeout_s: Seconds for all of it.
        headers: Beside those that say what the body is.
        method: `POST`, `PUT` or `PATCH`.
        ca_file: Certificates that vouch for the server; None is those of the system.
        secrets: What is secret in the body.

    Raises:
        DeliveryError: If it did not arrive, or nobody knows.
    """
    address = url if isinstance(url, str) else url.reveal(f"{channel}.url")
    sent = {
        name: value if isinstance(value, str) else value.reveal(f"{channel}.headers.{name}")
        for name, value in (headers or {}).items()
    }
    parts = split_url(address)
    if parts is None:
        raise DeliveryError(f"{channel}.url must be a URL such as https://host/path; it became something else")
    hidden = [*secrets, *(sent[name] for name, value in (headers or {}).items() if isinstance(value, Secret))]
    # What is written out in a configuration, too, may be an address that only those who know it can send to.
    hidden += [part for part in (parts.path, parts.query, unquote(parts.path)) if len(part) >= PIECE]
    tls = None if ca_file is None else tls_context(f"{channel}.ca_file", ca_file)
    fault = await _exchange(address, body, sent, hidden, method, timeout_s, tls)
    # Raised here, and not where it was caught, so that no error behind it has the URL.
    if fault is not None:
        what, retry_after_s, is_final = fault
        raise DeliveryError(f"{channel}: {_origin(address)} {what}", retry_after_s=retry_after_s, is_final=is_final)


_Fault = tuple[str, float | None, bool]


async def _exchange(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    hidden: Sequence[str],
    method: str,
    timeout_s: float,
    tls: ssl.SSLContext | None,
) -> _Fault | None:
    """What is wrong: its sentence, when to try again, and whether not to."""
    import aiohttp

    session = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        connector=aiohttp.TCPConnector(ssl=True if tls is None else tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        # A few bytes can become any number of them.
        auto_decompress=False,
        headers={"User-Agent": "querygauge", "Accept-Encoding": "identity", "Content-Type": "application/json"},
    )
    try:
        async with (
            session,
            session.request(method, url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            answer = await _read(response)
            return _judged(url, response.status, response.headers, answer, hidden)
    except TimeoutError:
        return f"gave no answer within {timeout_s:g} s", None, False
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _explained(error)


async def _read(response: "aiohttp.ClientResponse") -> bytes:
    """The beginning of the answer; raises if it is cut off before."""
    answer = b""
    while len(answer) < _MOST_BYTES and (chunk := await response.content.read(_MOST_BYTES - len(answer))):
        answer += chunk
    return answer


def _explained(error: Exception) -> _Fault:
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, ssl.SSLError | ssl.CertificateError):
        return f"cannot be reached: {reason(error.os_error)}", None, False
    # The first that fits.
    faults: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        ((ssl.CertificateError, aiohttp.ClientConnectorCertificateError), "has a certificate that nobody vouches for"),
        ((ssl.SSLError, aiohttp.ClientSSLError), "does not speak TLS as it should"),
        (aiohttp.ClientPayloadError, "cut its answer off"),
        (aiohttp.ClientResponseError, "answered with something that is not HTTP"),
        ((aiohttp.ClientConnectionError, OSError), "cut the connection before it answered"),
    )
    for kinds, what in faults:
        if isinstance(error, kinds):
            return what, None, False
    return "cannot be sent to: its address or a header is none", None, True


def _judged(url: str, status: int, headers: Mapping[str, str], answer: bytes, hidden: Sequence[str]) -> _Fault | None:
    if 200 <= status < 300:  # noqa: PLR2004
        return None
    if 300 <= status < 400:  # noqa: PLR2004
        return _redirected(url, status, headers.get("Location", "")), None, True
    said = excerpt(answer.decode("utf-8", "replace"), hidden)
    what = f"answers {status}" + (f": {said}" if said else "")
    if 400 <= status < 500 and status not in _AGAIN:  # noqa: PLR2004
        return what, None, True
    return what, _retry_after(headers), False


def _redirected(url: str, status: int, location: str) -> str:
    try:
        target = split_url(urljoin(url, location))
    except ValueError:
        target = None
    if target is None:
        where = "elsewhere"
    else:
        host = target.hostname or ""
        where = f"to {_origin(target.geturl())}" + (", a private address" if is_private(host) else "")
    return f"answers {status} and leads {where}; redirects are not followed: url must be where alerts are to go"


def _origin(url: str) -> str:
    parts = split_url(url)
    if parts is None:
        return "its address"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, a day at most; None if the server does not say, or says nonsense."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked), _LONGEST_WAIT_S)
    moment = _moment(asked)
    if moment is None:
        return None
    # By the server's own clock, so that one that is wrong does no harm.
    now = _moment(headers.get("Date", "")) or datetime.now(UTC)
    return min(max(0.0, (moment - now).total_seconds()), _LONGEST_WAIT_S)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
