"""The option `sampling` as a sampler of the core, and as `engine::sampling::rules` tells it."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from iii_engine.core.sampling import Bucket, Rule, Sampler
from iii_engine.modules.observability.settings import Settings


def make_sampler(settings: Settings, monotonic_ns: Callable[[], int]) -> Sampler | None:
    """None when every trace is recorded that its caller does not leave out."""
    sampling = settings.sampling
    limit = sampling.rate_limit
    follow = parent_based(settings)
    if settings.sampling_ratio >= 1 and not sampling.rules and limit is None and follow:
        return None
    return Sampler(
        settings.service_name,
        settings.sampling_ratio,
        [Rule(rule.operation, rule.service, rule.rate) for rule in sampling.rules],
        follow=follow,
        limit=None if limit is None else Bucket(limit.max_traces_per_second, monotonic_ns),
    )


def parent_based(settings: Settings) -> bool:
    """Whether spans share the lot of their parents; with rules or a rate limit they always do."""
    sampling = settings.sampling
    return sampling.parent_based is not False or bool(sampling.rules or sampling.rate_limit)


class RuleRow(Struct):
    operation: str | None
    service: str | None
    rate: float


class TraceSampling(Struct):
    default_ratio: float
    rules: list[RuleRow]
    parent_based: bool


class LogSampling(Struct):
    sampling_ratio: float


class SamplingRules(Struct):
    """The sampling in force; `timestamp` is in milliseconds since the epoch."""

    traces: TraceSampling
    logs: LogSampling
    timestamp: int


def sampling_rules(settings: Settings, now_ms: int) -> SamplingRules:
    rules = [RuleRow(rule.operation, rule.service, rule.rate) for rule in settings.sampling.rules]
    return SamplingRules(
        TraceSampling(settings.sampling_ratio, rules, parent_based(settings)),
        LogSampling(settings.logs_sampling_ratio),
        now_ms,
    )
