"""Jobs that are stored in one transaction with changes of other modules."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw

from iii_engine.core.router import Call
from iii_engine.modules.base import fail, read, read_input
from iii_engine.modules.queue.embedded import EmbeddedBroker
from iii_engine.modules.queue.enqueuing import Enqueuing, receipt_answer
from iii_engine.modules.queue.handlers import Handlers, publish_answer, published
from iii_engine.modules.queue.job import Receipt
from iii_engine.modules.queue.publication import Publication
from iii_engine.modules.queue.requests import PublishRequest
from iii_engine.modules.steps import Outcome, Step
from iii_engine.storage.base import Transaction
from iii_sdk.errors import BusError
from iii_sdk.protocol import EnqueueAction


class Publishing(Step):
    """The handler of `iii::durable::publish`."""

    def __init__(self, broker: EmbeddedBroker, handlers: Handlers) -> None:
        self.store = broker.store
        self._broker = broker
        self._handlers = handlers

    def __call__(self, call: Call) -> None:
        try:
            self._handlers.publish(call, read(call, PublishRequest))
        except BusError as error:
            fail(call, error)

    def prepare(
        self, cause: Call, function_id: str, data: Raw | bytes
    ) -> Callable[[Transaction], Outcome]:
        """See `Step.prepare`."""
        request = read_input(function_id, data, PublishRequest)
        publication = self._broker.publication(request.topic, published(cause, request))
        return _writing(publication, lambda receipt: publish_answer(request, receipt))


class EnqueueStep(Step):
    """A call with an enqueue action."""

    def __init__(self, broker: EmbeddedBroker, enqueuing: Enqueuing, action: EnqueueAction) -> None:
        self.store = broker.store
        self._broker = broker
        self._enqueuing = enqueuing
        self._action = action

    def __call__(self, call: Call) -> None:
        self._enqueuing(call, self._action)

    def prepare(
        self, cause: Call, function_id: str, data: Raw | bytes
    ) -> Callable[[Transaction], Outcome]:
        """See `Step.prepare`."""
        draft = self._enqueuing.draft(cause, function_id, data, self._action)
        return _writing(self._broker.enqueuing(self._action.queue, draft), receipt_answer)


def _writing(
    publication: Publication, answer: Callable[[Receipt], bytes]
) -> Callable[[Transaction], Outcome]:
    def write(transaction: Transaction) -> Outcome:
        receipt = publication.write(transaction)
        return Outcome(answer(receipt), True, lambda cause: publication.committed())

    return write
