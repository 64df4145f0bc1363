"""What an adapter has no means for is refused, never ignored."""

from __future__ import annotations

from typing import NamedTuple

from iii_engine.core.queue_limits import Limits
from iii_engine.modules.queue.options import BadQueue, QueueConfig
from iii_sdk.errors import BusError
from iii_sdk.protocol import JobOptions


class NotPossible(BusError):
    """What is asked of a job is not possible with the adapter that keeps the jobs."""

    code = "unsupported_by_adapter"


class Refusals(NamedTuple):
    """The options of jobs, and those of named queues, that an adapter refuses."""

    adapter: str
    options: tuple[str, ...] = ()
    queue_options: tuple[str, ...] = ()

    @property
    def _why(self) -> str:
        return f"not possible with the adapter '{self.adapter}'"

    def check_options(self, options: JobOptions) -> None:
        """Raises `NotPossible`."""
        for name in self.options:
            if getattr(options, name):
                raise NotPossible(f"$.{name}: {self._why}")

    def check_limits(self, limits: Limits) -> None:
        """Of the keys of a topic's jobs. Raises `NotPossible`."""
        if limits.rate is not None and "key_rate_limit" in self.queue_options:
            raise NotPossible(f"rates of keys are {self._why}")
        concurrency = limits.concurrency and not limits.ordered
        if concurrency and "key_concurrency" in self.queue_options:
            raise NotPossible(f"limits of keys are {self._why}")

    def check_queue(self, name: str, config: QueueConfig) -> None:
        """Raises `BadQueue`."""
        for option in self.queue_options:
            if getattr(config, option):
                raise BadQueue(f"$.queue_configs.{name}.{option}: {self._why}")
