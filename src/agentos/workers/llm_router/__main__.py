"""`python -m agentos.workers.llm_router`: this worker alone, against any engine."""

from agentos.workers.llm_router.worker import worker

worker.run()
