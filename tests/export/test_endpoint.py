"""Where metrics are sent to, as messages tell it."""

import pytest

from querygauge.export.endpoint import shown_endpoint


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://user:s3cret@collector:4318/v1?key=s3cret", "http://collector:4318"),
        ("collector:4317", "collector:4317"),
        ("http://user:12/s3cret@collector:4318", "an address that is none"),
        ("http://[::bad", "an address that is none"),
    ],
)
def test_a_message_holds_no_secret(monkeypatch: pytest.MonkeyPatch, given: str, shown: str) -> None:
    """Scheme, host and port, and nothing of an address in which a password has a slash."""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", given)
    assert shown_endpoint("otlp") == shown
