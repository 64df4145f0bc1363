"""Records by index and key, without triggers; for programs of the older generation."""

from iii_engine.modules.kv.module import KvModule

__all__ = ["KvModule"]
