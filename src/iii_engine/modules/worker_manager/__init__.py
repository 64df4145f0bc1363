"""The listener that workers connect to."""

from iii_engine.modules.worker_manager.module import WorkerManagerModule

__all__ = ["WorkerManagerModule"]
