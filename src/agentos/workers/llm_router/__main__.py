"""Run this worker alone: `python -m agentos.workers.llm_router`."""

from agentos.workers.llm_router.worker import worker

worker.run()
