"""The engine's functions about itself: what is registered, who is connected, logs, health."""

from iii_engine.modules.engine_functions.module import EngineFunctionsModule

__all__ = ["EngineFunctionsModule"]
