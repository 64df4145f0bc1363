"""Which functions get what is published on a topic, for all engines of one Redis."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from msgspec import Struct

from iii_engine.modules.queue.job import QueueName
from iii_engine.modules.queue.redis.asking import Argument, Asking
from iii_engine.modules.queue.redis.kept import State, encode_state
from iii_engine.modules.queue.redis.names import (
    TOPICS,
    base_of,
    functions_of,
    queue_of,
    row_of,
)
from iii_engine.modules.queue.redis.scripts import topics
from iii_engine.modules.queue.settings import Settings
from iii_engine.storage.base import StoreError

log = logging.getLogger("iii.queue")


class Like(Struct):
    """What who publishes must know about the queue of a function."""

    ordered: bool
    delay_ms: int


class Bindings:
    """In memory what the table in Redis has, as it was when it was last told of a change.

    `held` are those that have a worker at this engine: while it gives signs of life they stay,
    whatever other engines know.
    """

    def __init__(self, asking: Asking, engine: str, ttl_ms: int) -> None:
        """An engine is forgotten so many milliseconds after its last sign of life."""
        self.held: dict[QueueName, Settings] = {}
        self._asking = asking
        self._engine = engine
        self._ttl_ms = ttl_ms
        self._all: dict[QueueName, bool] = {}
        self._reading = False  # the table is on its way
        self._stale = False  # it has changed since it was asked for

    async def open(self) -> None:
        """Raises `StoreError`."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def loaded(rows: Any, error: StoreError | None) -> None:
            if error is not None:
                answer.set_exception(error)
            else:
                self._take(rows)
                answer.set_result(None)

        self._asking.ask(topics.TABLE, [TOPICS], [], loaded)
        await answer

    def reload(self) -> None:
        """Changes of the table may have been missed."""
        self._stale = True
        if not self._reading:
            self._reading = True
            self._stale = False
            self._asking.until_done(topics.TABLE, [TOPICS], [], self._reloaded)

    def _reloaded(self, rows: Any) -> None:
        self._reading = False
        self._take(rows)
        if self._stale:
            self.reload()

    def heard(self, message: bytes) -> None:
        """Somebody has changed a row of the table; others than engines may say so, too."""
        try:
            row, bound = msgspec.json.decode(message, type=tuple[str, str])
            queue = queue_of(row)
        except msgspec.DecodeError:
            self.reload()
            return
        self._all[queue] = bound == "1" or queue in self.held
        self._stale = True  # what is being read may be older

    def _take(self, rows: list[bytes]) -> None:
        self._all = {
            queue_of(row): bound == b"1" for row, bound in zip(rows[::2], rows[1::2], strict=True)
        }
        for queue in self.held:
            self._all[queue] = True

    def bound(self) -> list[QueueName]:
        return [queue for queue, bound in self._all.items() if bound]

    def all(self) -> list[QueueName]:
        return list(self._all)

    def note(self, queue: QueueName, *, bound: bool) -> None:
        """This engine is about to change the table so."""
        self._all[queue] = bound

    def keep(self) -> None:
        """Tell Redis that this engine still has workers for these functions."""
        for queue in self.held:
            self.hold(queue)

    def hold(self, queue: QueueName) -> None:
        """Bind it if it is not. What fails is done with the next sign of life."""
        self._asking.ask(topics.BIND, *self._binding(queue), _logged)

    def _binding(self, queue: QueueName) -> tuple[list[Argument], list[Argument]]:
        """Keys and arguments of BIND for a function that is held."""
        settings = self.held[queue]
        like = Like(settings.limits.ordered, settings.delay_ms)
        return _keys(queue), [
            queue.function_id,
            msgspec.json.encode(like),
            row_of(queue),
            self._engine,
            self._ttl_ms,
        ]

    def unbinding(
        self, queue: QueueName, reason: str, now_ms: int, patience_ms: int, most: int
    ) -> tuple[list[Argument], list[Argument]]:
        """Keys and arguments of UNBIND."""
        state = encode_state(State(0, reason, now_ms))
        return _keys(queue), [
            queue.function_id,
            state,
            row_of(queue),
            self._engine,
            patience_ms,
            most,
        ]


def _keys(queue: QueueName) -> list[Argument]:
    unheard = queue._replace(function_id="")
    return [base_of(queue), functions_of(queue.name), TOPICS, base_of(unheard)]


def _logged(answer: Any, error: StoreError | None) -> None:
    if error is not None:
        log.debug("queue: %s", error)
