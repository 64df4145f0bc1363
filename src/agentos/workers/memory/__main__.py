"""`python -m agentos.workers.memory`: this worker alone, against any engine."""

from agentos.workers.memory.worker import worker

worker.run()
