"""Where OpenTelemetry's variables say that metrics are sent to; loads nothing, so that it can be told in any case."""

import os
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

__all__ = ["PROTOCOLS", "protocol", "shown_endpoint"]

PROTOCOLS: Final[Mapping[str, str]] = {"http/protobuf": "http://localhost:4318", "grpc": "http://localhost:4317"}
"""Those that can be spoken, and where they are spoken if nobody says where."""

_NO_ADDRESS: Final = "an address that is none"


def protocol() -> str:
    """What is spoken; it may be none that can be."""
    return _variable("PROTOCOL") or "http/protobuf"


def shown_endpoint(kind: Literal["otlp", "console"]) -> str:
    """Where it goes to, in messages: scheme, host and port, as there may be secrets in everything else."""
    if kind == "console":
        return "the console"
    given = _variable("ENDPOINT") or PROTOCOLS.get(protocol(), "")
    try:
        parts = urlsplit(given if "//" in given else f"//{given}")
        port = "" if parts.port is None else f":{parts.port}"
        scheme = f"{parts.scheme}://" if parts.scheme else ""
    except ValueError:
        return _NO_ADDRESS
    if "@" in parts.path:  # a password with a slash in it, whose first half would be taken for a port
        return _NO_ADDRESS
    return f"{scheme}{parts.hostname or ''}{port}"


def _variable(name: str) -> str:
    """What is said for metrics, else for everything."""
    return os.environ.get(f"OTEL_EXPORTER_OTLP_METRICS_{name}") or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or ""
