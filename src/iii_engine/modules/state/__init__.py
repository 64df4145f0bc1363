"""Shared state of workers: records by scope and key, changed atomically."""

from iii_engine.modules.state.module import StateModule

__all__ = ["StateModule"]
