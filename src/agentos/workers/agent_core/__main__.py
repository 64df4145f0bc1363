"""`python -m agentos.workers.agent_core`: this worker alone, against any engine."""

from agentos.workers.agent_core.worker import worker

worker.run()
