"""Spans, logs and metrics sent elsewhere: OTLP over HTTP, as JSON or protobuf, and lines."""
