"""The trigger types `stream:join`, which may refuse a subscription, and `stream:leave`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from iii_engine.core import fanout
from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Condition, Fanout
from iii_engine.core.placed_triggers import read_config
from iii_engine.core.stream_subscriber import Subscription
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.base import schema
from iii_sdk.protocol import ErrorBody

#: How long those who are asked about a subscription may take.
JOIN_TIMEOUT_MS: Final = 10_000


class VisitConfig(Condition):
    """Subscriptions of which stream; absent or empty stands for any."""

    #: Which stream.
    stream_name: str | None = None


class Visit(Struct):
    """What a handler gets: the subscription, and what the auth function said of the client."""

    #: The client's own name for it.
    subscription_id: str
    #: The stream that it watches.
    stream_name: str
    #: The group in it.
    group_id: str
    #: The item in the group; null when all are watched.
    id: str | None
    #: What the auth function said.
    context: Any


class _Answer(Struct):
    unauthorized: bool = False


class Visits:
    """The triggers of one of the two types, with the stream that each wants."""

    def __init__(self, type_id: str, description: str) -> None:
        self.wanted: dict[Trigger, VisitConfig] = {}
        self.kind = TriggerType(
            type_id,
            description,
            schema(VisitConfig),
            schema(Visit),
            bind=self.bind,
            unbind=self.unbind,
        )

    def bind(self, trigger: Trigger) -> None:
        self.wanted[trigger] = read_config(trigger.config, VisitConfig, self.kind.id)

    def unbind(self, trigger: Trigger) -> None:
        self.wanted.pop(trigger, None)

    def matching(self, stream: str) -> list[tuple[Trigger, VisitConfig]]:
        return [
            (trigger, config)
            for trigger, config in self.wanted.items()
            if not config.stream_name or config.stream_name == stream
        ]


class Leaves(Visits):
    """Tells of subscriptions that are over."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("stream:leave", "Calls a function when a subscription is over")
        self.fanout = Fanout(engine)

    def bind(self, trigger: Trigger) -> None:
        super().bind(trigger)
        self.fanout.add(trigger, self.wanted[trigger].function_id)

    def unbind(self, trigger: Trigger) -> None:
        super().unbind(trigger)
        self.fanout.remove(trigger)

    def tell(self, subscription: Subscription) -> None:
        triggers = self.matching(subscription.wanted.stream_name)
        if triggers:
            event = fanout.Event(None, visit(subscription))
            for trigger, _ in triggers:
                self.fanout.deliver(trigger, event)


class Joins(Visits):
    """Asks whether a subscription may begin."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(
            "stream:join", 'Calls a function before a subscription; {"unauthorized":true} refuses'
        )
        self._engine = engine
        #: Whether what nobody is asked about is refused.
        self.required = False

    def ask(self, subscription: Subscription, decided: Callable[[bool], None]) -> None:
        """All at the same time; one is enough to refuse, and one that fails refuses."""
        triggers = self.matching(subscription.wanted.stream_name)
        if not triggers:
            decided(not self.required)
            return
        vote = _Vote(len(triggers), decided)
        payload = visit(subscription)
        for trigger, config in triggers:
            _Question(self._engine, trigger, payload, vote.cast).ask(config.function_id)


class _Vote:
    """Counts the answers, and decides at the first refusal or the last consent."""

    def __init__(self, voters: int, decided: Callable[[bool], None]) -> None:
        self._missing = voters
        self._decided = decided

    def cast(self, consents: bool) -> None:
        if self._missing <= 0:
            return
        self._missing = self._missing - 1 if consents else 0
        if self._missing == 0:
            self._decided(consents)


class _Question:
    """Condition and handler of one trigger, one after the other."""

    def __init__(
        self, engine: Engine, trigger: Trigger, payload: bytes, answer: Callable[[bool], None]
    ) -> None:
        self._engine = engine
        self._trigger = trigger
        self._payload = payload
        self._answer = answer

    def ask(self, condition: str | None) -> None:
        if condition is None:
            self._call(self._trigger.function_id, self._handled)
        else:
            self._call(condition, self._met)

    def _call(self, function_id: str, on_answer: Callable[[Raw, ErrorBody | None], None]) -> None:
        self._engine.call(
            function_id,
            self._payload,
            on_answer,
            timeout_ms=JOIN_TIMEOUT_MS,
            metadata=self._trigger.metadata,
        )

    def _met(self, result: Raw, error: ErrorBody | None) -> None:
        if error is not None:
            self._refuse(error)
        elif bytes(result).strip() == b"false":
            self._answer(True)  # not this handler's business
        else:
            self._call(self._trigger.function_id, self._handled)

    def _handled(self, result: Raw, error: ErrorBody | None) -> None:
        if error is not None:
            self._refuse(error)
        else:
            self._answer(not refuses(result))

    def _refuse(self, error: ErrorBody) -> None:
        fanout.report(self._engine, self._trigger, self._trigger.function_id, error)
        self._answer(False)


def visit(subscription: Subscription) -> bytes:
    """The payload of a handler."""
    wanted = subscription.wanted
    return msgspec.json.encode(
        Visit(
            wanted.subscription_id,
            wanted.stream_name,
            wanted.group_id,
            wanted.id,
            subscription.subscriber.context,
        )
    )


def refuses(result: Raw) -> bool:
    """Whether an answer says `{"unauthorized": true}`; other answers allow."""
    if not bytes(result).lstrip().startswith(b"{"):
        return False
    try:
        return msgspec.json.decode(result, type=_Answer).unauthorized
    except msgspec.ValidationError:
        return True  # it says something about it that is neither true nor false
