"""The libraries of the channels are an extra."""

import subprocess
import sys

import pytest

from querygauge.alerts.channels.alertmanager import AlertmanagerChannel
from querygauge.alerts.channels.email import EmailChannel
from querygauge.alerts.channels.fields import check_installed
from querygauge.alerts.channels.webhook import WebhookChannel
from querygauge.errors import MissingExtraError


def test_what_is_not_installed_is_said_with_its_remedy() -> None:
    """Before anything is sent."""
    with pytest.raises(
        MissingExtraError, match=r"^the channel pager needs no_such_library: pip install 'querygauge\[al"
    ):
        check_installed("pager", "no_such_library")


def test_a_channel_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so when it is made."""
    for library in ("aiohttp", "aiosmtplib"):
        monkeypatch.setitem(sys.modules, library, None)
    for make in (
        lambda: WebhookChannel(url="https://alerts.example"),
        lambda: AlertmanagerChannel(url="https://alertmanager.example"),
        lambda: EmailChannel(host="mail.example", sender="a@b", recipients=("a@b",)),
    ):
        with pytest.raises(MissingExtraError, match="needs aio"):
            make()


def test_libraries_are_loaded_by_sending_alone() -> None:
    """Neither importing a channel nor making one takes the time."""
    program = (
        "import sys\n"
        "from querygauge.alerts.channels import alertmanager, email, log, pagerduty, slack, webhook\n"
        "webhook.WebhookChannel(url='https://alerts.example')\n"
        "email.EmailChannel(host='mail.example', sender='a@b', recipients=('a@b',))\n"
        "print(sorted({'aiohttp', 'aiosmtplib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
