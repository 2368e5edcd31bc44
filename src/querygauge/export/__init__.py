"""Snapshots → other people's telemetry: OpenTelemetry, Prometheus."""
