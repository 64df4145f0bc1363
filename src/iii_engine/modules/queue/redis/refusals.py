"""What the adapter `redis` cannot do is refused, never ignored."""

from __future__ import annotations

from iii_engine.core.queue_limits import Limits
from iii_engine.modules.queue.options import BadQueue, QueueConfig
from iii_sdk.errors import BusError
from iii_sdk.protocol import JobOptions


class NotInRedis(BusError):
    """What is asked of a job is not possible with the adapter `redis`."""

    code = "unsupported_by_adapter"


def check_options(options: JobOptions) -> None:
    """Raises `NotInRedis`: a list has one order."""
    if options.priority:
        raise NotInRedis("$.priority: not possible with the adapter 'redis'")


def check_limits(limits: Limits) -> None:
    """Raises `NotInRedis`."""
    if limits.rate is not None:
        raise NotInRedis("rates of keys are not possible with the adapter 'redis'")


def check_queue(name: str, config: QueueConfig) -> None:
    """Raises `BadQueue`."""
    if config.key_rate_limit:
        where = f"$.queue_configs.{name}.key_rate_limit"
        raise BadQueue(f"{where}: not possible with the adapter 'redis'")
