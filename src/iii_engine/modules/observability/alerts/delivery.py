"""What an alert does when it triggers: a line in the log, a request, a call."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from iii_engine.modules.base import Host
from iii_engine.modules.observability.alerts.rules import (
    Action,
    FunctionAction,
    WebhookAction,
)
from iii_engine.modules.observability.alerts.watch import Triggered
from iii_engine.tasks import end_tasks
from iii_sdk.errors import BusError
from iii_sdk.protocol import ErrorBody

if TYPE_CHECKING:
    from iii_engine.net.client.client import Client
    from iii_engine.net.client.target import Target

log = logging.getLogger("iii.alerts")

#: Of one request, in seconds.
TIMEOUT: Final = 30.0
#: Seconds before the second and the third try.
PAUSES: Final = (1.0, 2.0)
JSON: Final = {"Content-Type": "application/json"}


class Notice(Struct, omit_defaults=True):
    """What webhooks and functions get; `firing` is for functions only."""

    alert: str
    metric: str
    value: float
    threshold: float
    operator: str
    timestamp: int
    firing: bool | None = None


class Delivery:
    """Delivers without anybody waiting for it; at most one request per alert is under way."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._client: Client | None = None  # made for the first webhook
        self._requests: dict[str, asyncio.Task[None]] = {}

    def deliver(self, alert: Triggered, action: Action) -> None:
        notice = Notice(
            alert.name,
            alert.metric,
            alert.value,
            alert.threshold,
            alert.operator,
            alert.timestamp,
        )
        if isinstance(action, FunctionAction):
            self._call(action.function_id, notice)
        elif isinstance(action, WebhookAction):
            self._post(action.target, notice)
        else:
            fields = {
                "alert": alert.name,
                "metric": alert.metric,
                "value": alert.value,
                "threshold": alert.threshold,
                "operator": alert.operator,
            }
            log.warning("Alert triggered", extra={"fields": fields})

    async def close(self) -> None:
        """End what is under way."""
        await end_tasks(self._requests.values())
        if self._client is not None:
            self._client.close()

    def _call(self, function_id: str, notice: Notice) -> None:
        def answered(_: Raw, error: ErrorBody | None) -> None:
            if error is not None:
                log.warning("alert %r: %s failed: %s", notice.alert, function_id, error.message)

        notice.firing = True
        self._host.engine.call(function_id, msgspec.json.encode(notice), answered)

    def _post(self, target: Target, notice: Notice) -> None:
        if notice.alert in self._requests:
            log.warning("alert %r: its last webhook request is still under way", notice.alert)
            return
        if self._client is None:
            from iii_engine.net.client.client import Client

            self._client = Client(self._host.loop)
        task = self._host.loop.create_task(self._try(self._client, target, notice))
        self._requests[notice.alert] = task
        task.add_done_callback(lambda _: self._requests.pop(notice.alert))

    async def _try(self, client: Client, target: Target, notice: Notice) -> None:
        """Up to three times. The URL may hold a secret, so that only its host is logged."""
        body, problem = msgspec.json.encode(notice), ""
        for pause in (0.0, *PAUSES):
            await asyncio.sleep(pause)
            try:
                response = await client.post(target, JSON, body, TIMEOUT)
            except BusError as error:
                problem = error.message
                continue
            if 200 <= response.status < 300:
                return
            problem = f"HTTP {response.status}"
        log.error("alert %r: webhook at %s failed: %s", notice.alert, target.origin.header, problem)
