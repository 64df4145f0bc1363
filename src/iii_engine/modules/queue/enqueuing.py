"""The action `enqueue` of a call: put the call on a named queue, answer with a receipt."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from iii_engine.core.caller_stamp import without_caller
from iii_engine.core.router import Call
from iii_engine.core.tracing import OwnSpan, Tracing
from iii_engine.modules.base import fail
from iii_engine.modules.queue.broker import Broker
from iii_engine.modules.queue.job import Draft, Receipt
from iii_engine.modules.queue.options import QueueConfig
from iii_sdk.errors import BusError
from iii_sdk.protocol import MAX_ID, EnqueueAction, is_null


class NotEnqueued(BusError):
    """The job cannot be put on that queue."""

    code = "enqueue_error"


class Enqueuing:
    """`queues` are the named queues there are."""

    def __init__(self, broker: Broker, tracing: Tracing, queues: Mapping[str, QueueConfig]) -> None:
        self._broker = broker
        self._tracing = tracing
        self.queues = queues

    def __call__(self, call: Call, action: EnqueueAction) -> None:
        """Store the job, then answer."""
        try:
            draft = self.draft(call, call.function_id, call.data, action)
            draft.metadata = call.metadata
        except BusError as error:
            fail(call, error)
            return
        span = OwnSpan(
            self._tracing,
            f"enqueue {call.function_id} → {action.queue}",
            "producer",
            call.traceparent or None,
            (("function_id", call.function_id), ("queue", action.queue)),
        )
        draft.traceparent = span.traceparent or None

        def done(receipt: Receipt | None, error: BaseException | None) -> None:
            span.end(None if error is None else str(error))
            if receipt is None:
                fail(call, error, NotEnqueued.code)
            else:
                call.reply(receipt_answer(receipt))

        self._broker.enqueue(action.queue, draft, done)

    def draft(
        self, cause: Call, function_id: str, data: Raw | bytes, action: EnqueueAction
    ) -> Draft:
        """The job that a call of the function becomes. Raises `NotEnqueued`.

        Whoever asked, the payload names no caller: the job's worker would believe it.
        """
        config = self.queues.get(action.queue)
        if config is None:
            raise NotEnqueued(f"Queue '{action.queue}' not found")
        if action.priority and config.fifo:
            raise NotEnqueued(f"FIFO queue '{action.queue}' keeps its order: it has no priorities")
        data = without_caller(bytes(data))
        return Draft(
            data=Raw(data),
            options=action,
            function_id=function_id,
            group_id=action.key or group_of(action.queue, config, data),
            traceparent=cause.traceparent,
            baggage=cause.baggage,
        )


def receipt_answer(receipt: Receipt) -> bytes:
    """What the caller of an enqueued call gets."""
    return b'{"messageReceiptId":%b}' % msgspec.json.encode(receipt.message_id)


def group_of(queue: str, config: QueueConfig, data: Raw | bytes) -> str:
    """The JSON text of the payload's group field; of a standard queue "" when it has none.

    Raises `NotEnqueued`.
    """
    name = config.message_group_field
    if not name:
        return ""
    try:
        value = msgspec.json.decode(data, type=dict[str, Raw]).get(name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if value is not None and not is_null(value):
        if len(value) > MAX_ID:
            raise NotEnqueued(f"Queue '{queue}': field '{name}' is longer than {MAX_ID} bytes")
        return bytes(value).decode("utf-8", "replace")
    if not config.fifo:
        return ""
    if value is None:
        raise NotEnqueued(
            f"FIFO queue '{queue}' requires field '{name}' in data, but it was not found"
        )
    raise NotEnqueued(f"FIFO queue '{queue}': field '{name}' must not be null")
