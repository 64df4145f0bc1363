"""`python -m agentos.workers.api`: this worker alone, against any engine."""

from agentos.workers.api.worker import worker

worker.run()
