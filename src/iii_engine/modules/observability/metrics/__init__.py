"""Metrics: those of the engine and those that workers send."""
