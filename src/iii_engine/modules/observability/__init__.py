"""What happens on the bus, kept for a while: spans, logs, metrics, and what is made of them."""

from iii_engine.modules.observability.module import ObservabilityModule

__all__ = ["ObservabilityModule"]
