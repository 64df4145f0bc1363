"""Another engine, as far as this one uses it and is used by it."""

from iii_engine.modules.bridge.module import BridgeModule

__all__ = ["BridgeModule"]
