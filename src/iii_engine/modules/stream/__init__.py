"""Streams of items that clients watch as they change."""

from iii_engine.modules.stream.module import StreamModule

__all__ = ["StreamModule"]
