"""HTTP module: routes bound by `http` triggers."""

from iii_engine.modules.http.module import HttpModule

__all__ = ["HttpModule"]
