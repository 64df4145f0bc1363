"""The workers that ship with AgentOS: every folder below `agentos/workers`."""

from __future__ import annotations

import importlib
from pathlib import Path

from iii_sdk import Worker

WORKERS = Path(__file__).parent.parent / "workers"


def worker_names() -> list[str]:
    """Names in the form of the bus (`agent-core`), sorted."""
    return sorted(folder.parent.name.replace("_", "-") for folder in WORKERS.glob("*/worker.py"))


def load_worker(name: str) -> Worker:
    """The `Worker` of that name; importing it does no I/O."""
    module = importlib.import_module(f"agentos.workers.{name.replace('-', '_')}.worker")
    worker = module.worker
    if not isinstance(worker, Worker):
        raise TypeError(f"{module.__name__}.worker is not a Worker")
    return worker
