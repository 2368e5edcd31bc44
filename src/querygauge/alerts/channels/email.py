"""
Alerts by mail, as text and as HTML, through a server that relays them: with STARTTLS or TLS, and a login.

Nothing is sent in the clear but to this machine, whatever a server offers. Deliberately not here: trying again.
"""

import hashlib
import html
import re
import socket
import ssl
from asyncio import timeout
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from querygauge.alerts.channels.faults import excerpt, reason
from querygauge.alerts.channels.fields import (
    check_ca_file,
    check_installed,
    check_runbooks,
    check_timeout,
    is_loopback,
    tls_context,
)
from querygauge.alerts.secret import Secret
from querygauge.alerts.wording import RUNBOOKS, Line, headline, held_back, lines, shortened, text
from querygauge.errors import DeliveryError, SettingsError
from querygauge.logs import get_logger
from querygauge.rendering.answers.performance_html import render_performance_html
from querygauge.rendering.formats import number
from querygauge.values.alerts import Alert, AlertMessage

if TYPE_CHECKING:
    import aiosmtplib

__all__ = ["EmailChannel", "mail_of"]

log = get_logger(__name__)

_Security = Literal["starttls", "tls", "none"]
_PORTS: Final[dict[str, int]] = {"starttls": 587, "tls": 465, "none": 25}
_PORT_LIMIT: Final = 65_535
_ADDRESS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,255}")
_HOST: Final = re.compile(r"[A-Za-z0-9_.:-]{1,255}")
_KEY: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_SUBJECT: Final = 150
# Servers take ten megabytes as a rule; these are one at most.
_MOST_ALERTS: Final = 50
_WIDEST: Final = 1_000
_COLOURS: Final = {"critical": "#c62828", "warning": "#ef6c00", "info": "#1565c0"}
_RESOLVED: Final = "#2e7d32"
_PERMANENT: Final = range(500, 600)
_QUIT_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailChannel:
    """
    Sends mail through one server.

    Attributes:
        host: Name of the server.
        sender: The address it is from.
        recipients: The addresses it is for.
        security: `starttls` begins in the clear and goes on encrypted, or not at all; `tls` is encrypted from the
            start; `none` is for a server on this machine only.
        port: None is 587, 465 or 25, by the security.
        username: To log in with; None does not.
        password: Likewise.
        timeout_s: Seconds for all of it.
        ca_file: Certificates that vouch for the server; None is those of the system.
        runbooks: Where the pages of the rules are.
    """

    host: str
    sender: str
    recipients: tuple[str, ...]
    security: _Security = "starttls"
    port: int | None = None
    username: str | None = None
    password: Secret | None = None
    timeout_s: float = 30.0
    ca_file: Path | None = None
    runbooks: str = RUNBOOKS

    def __post_init__(self) -> None:
        check_installed("email", "aiosmtplib")
        if not _HOST.fullmatch(self.host):
            raise SettingsError(f"email.host must be the name of a server; got {self.host!r}")
        if not self.recipients or not isinstance(self.recipients, tuple):
            raise SettingsError(f"email.recipients must be a tuple of one address or more; got {self.recipients!r}")
        for field, address in (("sender", self.sender), *(("recipients", address) for address in self.recipients)):
            if not _ADDRESS.fullmatch(address):
                raise SettingsError(f"email.{field} must be an address such as alerts@shop.example; got {address!r}")
        if self.security not in get_args(_Security):
            raise SettingsError(f"email.security must be starttls, tls or none; got {self.security!r}")
        if self.security == "none" and not is_loopback(self.host):
            raise SettingsError(
                f"email.security must be starttls or tls unless host is localhost; got 'none' for {self.host!r}"
            )
        if self.port is not None and not 1 <= self.port <= _PORT_LIMIT:
            raise SettingsError(f"email.port must be from 1 to {_PORT_LIMIT}; got {self.port!r}")
        if (self.username is None) != (self.password is None):
            raise SettingsError("email.username and email.password must both be given or neither; one is missing")
        if self.password is not None:
            self.password.check("email.password")
        check_timeout("email.timeout_s", self.timeout_s)
        check_ca_file("email.ca_file", self.ca_file)
        check_runbooks("email.runbooks", self.runbooks)

    async def send(self, message: AlertMessage) -> None:
        """
        Sends it, as one mail to all recipients.

        Raises:
            DeliveryError: If no recipient gets it, or nobody knows.
        """
        mail = mail_of(message, self.sender, self.recipients, self.runbooks)
        password = None if self.password is None else self.password.reveal("email.password")
        fault = await self._exchange(mail, password)
        # Raised here, and not where it was caught, so that no error behind it has what was sent.
        if fault is not None:
            what, is_final = fault
            raise DeliveryError(f"email: {self.host}:{self._port} {what}", is_final=is_final)

    @property
    def _port(self) -> int:
        return _PORTS[self.security] if self.port is None else self.port

    async def _exchange(self, mail: EmailMessage, password: str | None) -> tuple[str, bool] | None:
        """What is wrong, and whether to try again would not help."""
        import aiosmtplib

        tls = None if self.ca_file is None else tls_context("email.ca_file", self.ca_file)
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self._port,
            # Else its full name would be looked up, which may take long.
            local_hostname=_own_name(),
            timeout=self.timeout_s,
            use_tls=self.security == "tls",
            start_tls=False,
            tls_context=tls,
        )
        try:
            async with timeout(self.timeout_s):
                if (fault := await self._open(client, password)) is not None:
                    return fault
                refused, _ = await client.send_message(mail)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return _explained(error, f"gave no answer within {self.timeout_s:g} s", self._hidden(password))
        finally:
            # It was taken, or it was not: saying goodbye changes nothing about it.
            with suppress(aiosmtplib.SMTPException, OSError):
                async with timeout(_QUIT_S):
                    await client.quit()
            client.close()
        for address, answer in refused.items():
            log.warning("alert_recipient_refused", recipient=address, code=answer.code)
        return None

    def _hidden(self, password: str | None) -> list[str]:
        """The password as it is sent: an answer may quote the command that it does not know."""
        if password is None:
            return []
        forms = (password.encode(), f"\0{self.username}\0{password}".encode())
        return [password, *(b64encode(form).decode() for form in forms)]

    async def _open(self, client: "aiosmtplib.SMTP", password: str | None) -> tuple[str, bool] | None:
        await client.connect()
        await client.ehlo()
        if self.security == "starttls":
            if not client.supports_extension("starttls"):
                return "does not offer STARTTLS, and nothing is sent in the clear", True
            await client.starttls()
            await client.ehlo()
        if self.username is not None and password is not None:
            if not client.supports_extension("auth"):
                return "does not offer a login", True
            await client.login(self.username, password)
        return None


def _own_name() -> str:
    name = socket.gethostname()
    return name if _HOST.fullmatch(name) else "localhost"


def _explained(error: Exception, late: str, hidden: Sequence[str]) -> tuple[str, bool]:
    import aiosmtplib

    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        first = error.recipients[0]
        said = _said(first.code, first.message, hidden)
        return f"refuses every recipient: {said}", all(each.code in _PERMANENT for each in error.recipients)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        # Numbers below are the library's own, for what is no answer.
        if error.code <= 0:
            return "answered with something that is not SMTP", False
        what = "refuses the login" if isinstance(error, aiosmtplib.SMTPAuthenticationError) else "refuses"
        return f"{what}: {_said(error.code, error.message, hidden)}", error.code in _PERMANENT
    if isinstance(error, TimeoutError):
        return late, False
    return _unconnected(error), False


def _unconnected(error: Exception) -> str:
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, ssl.SSLCertVerificationError):
            return "has a certificate that nobody vouches for"
        if isinstance(behind, ssl.SSLError):
            return "does not speak TLS as it should"
        if isinstance(behind, OSError) and behind.errno is not None:
            return f"cannot be reached: {reason(behind)}"
        behind = behind.__cause__
    return "cut the connection before it took the message"


def _said(code: int, answer: str, hidden: Sequence[str]) -> str:
    return f"{code} {excerpt(answer, hidden)}".rstrip()


def mail_of(message: AlertMessage, sender: str, recipients: Sequence[str], runbooks: str = RUNBOOKS) -> EmailMessage:
    """The mail: its subject is the headline, its id is made of the message's key."""
    title = headline(message)
    mail = EmailMessage(policy=SMTP)
    # The library reads =?…?= as letters in another guise, line breaks among them.
    mail["Subject"] = shortened(title, _SUBJECT).replace("=?", "= ?")
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Date"] = format_datetime(message.made_at)
    mail["Message-ID"] = f"<{_id(message.key)}.querygauge@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    plain = text(message, runbooks, most=_MOST_ALERTS, widest=_WIDEST)
    mail.set_content(plain, cte="quoted-printable")
    page = _html(message, title, runbooks) if message.report is None else render_performance_html(message.report)
    mail.add_alternative(page, subtype="html", cte="quoted-printable")
    return mail


def _id(key: str) -> str:
    if _KEY.fullmatch(key):
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _html(message: AlertMessage, title: str, runbooks: str) -> str:
    return (
        '<!DOCTYPE html><html><head><meta charset="utf-8"></head>\n'
        '<body style="font-family: sans-serif; color: #212121">\n'
        + "\n".join([f"<h2>{html.escape(title)}</h2>", *_blocks(message, runbooks)])
        + "\n</body></html>\n"
    )


def _blocks(message: AlertMessage, runbooks: str) -> Iterator[str]:
    if message.is_test:
        yield "<p>This is a test. Nothing is wrong.</p>"
    shown = message.alerts[:_MOST_ALERTS]
    for alert in shown:
        yield _table(lines(alert, runbooks), _colour(alert))
    if len(shown) < len(message.alerts):
        yield f"<p>And {number(len(message.alerts) - len(shown))} more alerts.</p>"
    if message.held_back:
        yield "<p>Not sent, because there were too many:</p>"
        yield _table(held_back(message), _COLOURS["info"])


def _colour(alert: Alert) -> str:
    return _RESOLVED if alert.status == "resolved" else _COLOURS[alert.finding.severity]


def _table(said: Sequence[Line], colour: str) -> str:
    rows = "\n".join(
        f'<tr><th style="text-align: left; vertical-align: top; padding: 2px 12px 2px 8px">{html.escape(line.label)}'
        f"</th><td>{_cell(line)}</td></tr>"
        for line in said
    )
    return f'<table style="border-left: 6px solid {colour}; margin-bottom: 16px">\n{rows}\n</table>'


def _cell(line: Line) -> str:
    words = html.escape(shortened(line.text, _WIDEST))
    if line.is_code:
        return f'<code style="white-space: pre-wrap">{words}</code>'
    if line.label == "Runbook" and line.text.startswith(("http://", "https://")):
        return f'<a href="{html.escape(line.text)}">{words}</a>'
    return words
