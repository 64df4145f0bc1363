"""One OTLP request: encoded and compressed in a thread, posted, tried again while that may help.

Calls come first: after a request the sender rests, so that writing requests takes a tenth of a
processor at most. What comes faster is dropped by its pipeline, and counted; sampling keeps less.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from iii_engine.modules.observability.export.encoding import CONTENT_TYPES, Encode, Protocol
from iii_engine.modules.observability.export.endpoint import Endpoint, Signal
from iii_engine.modules.observability.export.messages import Request
from iii_engine.net.client.client import Client
from iii_sdk.errors import BusError

log = logging.getLogger("iii.export")

#: Of one try, in seconds.
TIMEOUT: Final = 10.0
#: Seconds between tries; more or less by a fifth, so that engines do not come back in step.
PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
#: The longest that a collector may have us wait.
MAX_PAUSE: Final = 60.0
#: Smaller bodies are not worth compressing, in bytes.
COMPRESSED_FROM: Final = 1024

#: Seconds of rest for each second of work.
REST: Final = 9.0

_RETRIED: Final = frozenset((408, 429))


class Sender:
    """Sends to one endpoint. A collector that is away is reported once, and when it is back."""

    def __init__(
        self, client: Client, endpoint: Endpoint, protocol: Protocol, encode: Encode
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._encode = encode
        self._headers = {"Content-Type": CONTENT_TYPES[protocol], **endpoint.headers}
        self._failing: set[Signal] = set()
        #: Set at the end, when there is nothing to give way to.
        self.hurry = False

    async def send(self, signal: Signal, make: Callable[[], Request]) -> bool:
        """Whether the collector took it. `make` is called in a thread."""
        body, compressed, worked = await asyncio.to_thread(self._body, make)
        sent = await self._deliver(signal, body, compressed)
        if not self.hurry:
            await asyncio.sleep(worked * REST)
        return sent

    async def _deliver(self, signal: Signal, body: bytes, compressed: bool) -> bool:
        headers = self._headers | ({"Content-Encoding": "gzip"} if compressed else {})
        for pause in (*PAUSES, None):
            wait, problem = await self._try(signal, headers, body)
            if problem is None:
                self._works(signal)
                return True
            if signal not in self._failing:
                self._failing.add(signal)
                log.warning("%s cannot be sent to %s: %s", signal, self._endpoint.shown, problem)
            if wait is None or pause is None:
                return False
            jitter = random.uniform(0.8, 1.2)
            await asyncio.sleep(min(max(wait, pause * jitter), MAX_PAUSE))
        return False

    def _body(self, make: Callable[[], Request]) -> tuple[bytes, bool, float]:
        """The body, whether it is compressed, and the processor time that it took in seconds."""
        began = time.thread_time()
        body = self._encode(make())
        compressed = len(body) >= COMPRESSED_FROM
        if compressed:
            body = gzip.compress(body, compresslevel=1, mtime=0)
        return body, compressed, time.thread_time() - began

    async def _try(
        self, signal: Signal, headers: dict[str, str], body: bytes
    ) -> tuple[float | None, str | None]:
        """How long to wait at least before the next try (None: there is no use in one), and what
        went wrong (None: nothing)."""
        target = self._endpoint.targets[signal]
        try:
            response = await self._client.post(target, headers, body, TIMEOUT)
        except BusError as error:
            return 0.0, error.message
        if 200 <= response.status < 300:
            return None, None
        problem = f"HTTP {response.status}"
        if response.status in _RETRIED or response.status >= 500:
            return _seconds(response.headers.get("retry-after", "")), problem
        return None, problem

    def _works(self, signal: Signal) -> None:
        if signal in self._failing:
            self._failing.discard(signal)
            log.info("%s are sent to %s again", signal, self._endpoint.shown)


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdecimal() else 0.0
