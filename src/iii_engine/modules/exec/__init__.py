"""Programs that run beside the engine, restarted when their files change."""

from iii_engine.modules.exec.module import ExecModule

__all__ = ["ExecModule"]
