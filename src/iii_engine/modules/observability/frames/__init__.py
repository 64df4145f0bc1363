"""Telemetry that workers send: OTLP in its JSON form behind four letters."""
