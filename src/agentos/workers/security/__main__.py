"""`python -m agentos.workers.security`: this worker alone, against any engine."""

from agentos.workers.security.worker import worker

worker.run()
