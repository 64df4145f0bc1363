"""The config of a trigger of type `cron`."""

from __future__ import annotations

import hashlib
from datetime import UTC, tzinfo
from typing import Literal

import msgspec
from msgspec import Raw, field

from iii_engine.core.cron_expression import BadExpression, parse
from iii_engine.core.cron_job import Missed, Overlap
from iii_engine.core.cron_schedule import Every, InZone, Schedule, parse_interval
from iii_engine.core.fanout import Condition
from iii_engine.core.triggers import Trigger
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, is_null


class BadJob(BusError):
    """The trigger cannot be bound; the message says why."""

    code = "invalid_config"


class CronConfig(Condition):
    """When, and what happens to ticks that cannot run. `data` goes to the handler.

    `expression` has 5, 6 or 7 fields, or is a macro; `interval` such as `30s` stands in its place.
    """

    #: When: 5, 6 or 7 fields (`minute hour day month weekday`, a second before, a year behind).
    expression: str | None = None
    #: `expression` under another name.
    schedule: str | None = None
    #: `expression` under another name.
    cron: str | None = None
    #: At equal distances instead: a whole number and `s`, `m`, `h` or `d`.
    interval: str | None = None
    #: The zone of the expression's times, by its IANA name.
    timezone: str = "UTC"
    #: Handed to the handler with each tick.
    data: Raw = field(default_factory=lambda: NULL)
    #: What becomes of a tick during a run: nothing, or it runs afterwards (100 wait at most).
    overlap: Overlap = "skip"
    #: What becomes of ticks that nobody saw, because the machine slept or the engine was down:
    #: nothing, or the latest of them runs once. For that the job's latest tick is kept where the
    #: locks are: over restarts only if that is (`file_based`, Redis, NATS).
    missed: Missed = "skip"

    @property
    def text(self) -> str:
        """The expression under whichever name it came, `""` for none."""
        return (self.expression or self.schedule or self.cron or "").strip()

    def make_schedule(self, anchor_ns: int) -> Schedule:
        """Raises `BadJob`. Intervals are counted from `anchor_ns`."""
        if self.interval is not None:
            if self.text:
                raise BadJob("Cron trigger has both an expression and an interval")
            try:
                return Every(parse_interval(self.interval), anchor_ns)
            except ValueError as error:
                raise BadJob(f"Invalid cron interval '{self.interval}': {error}") from None
        if not self.text:
            raise BadJob("Cron expression is required")
        try:
            return InZone(parse(self.text), zone(self.timezone))
        except BadExpression as error:
            raise BadJob(f"Invalid cron expression '{self.text}': {error}") from None

    def oldest_last_ns(self, now_ns: int) -> int | None:
        """What an earlier run matters for: ticks are counted from it, or were missed since.

        None: not at all. An older one than this instant does not count.
        """
        if self.missed == "run_once":
            return 0
        return None if self.interval is None else now_ns - parse_interval(self.interval)

    def job_key(self, function_id: str) -> str:
        """The same for all registrations of one logical job, on whichever engine.

        Triggers that differ in anything are jobs of their own: none decides about another's runs.
        """
        when = self.text or f"every {self.interval}"
        parts = [function_id, when, self.timezone, self.overlap, self.missed]
        parts.append(self.function_id or "")
        if not is_null(self.data):
            parts.append(bytes(self.data).decode())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class CronEvent(msgspec.Struct):
    """What a handler gets; times in UTC. `data` comes when the trigger has it."""

    #: The same for every event.
    trigger: Literal["cron"]
    #: The id of the trigger.
    job_id: str
    #: When it was due.
    scheduled_time: str
    #: When it ran.
    actual_time: str
    #: What the trigger's config says.
    data: Raw = field(default_factory=Raw)


def read_config(trigger: Trigger) -> CronConfig:
    """Raises `BadJob` that names the wrong field."""
    try:
        config = msgspec.json.decode(
            b"{}" if is_null(trigger.config) else trigger.config, type=CronConfig
        )
    except msgspec.DecodeError as error:
        raise BadJob(f"config of a cron trigger: {error}") from None
    config.make_schedule(0)  # its expression must be right, too
    return config


def check_future(config: CronConfig, now_ns: int) -> None:
    """Raises `BadJob` for what can never run: its last instant is past.

    With `run_once` that one may be what the job has missed.
    """
    if config.missed == "skip" and config.make_schedule(now_ns).next_after(now_ns) is None:
        raise BadJob(f"Invalid cron expression '{config.text}': it is never due again")


def zone(name: str) -> tzinfo:
    """A zone by its IANA name. Raises `BadJob`."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadJob(
            f"Invalid timezone '{name}': not in this machine's time zone database"
        ) from None
