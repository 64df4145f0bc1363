"""Which functions are bound to which topics, and where their jobs are; it outlives the engine."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from iii_engine.core.clock import Ids
from iii_engine.modules.queue.job import QueueName
from iii_engine.storage.base import Transaction

SPACE = "queue/bindings"


class Bound(Struct, kw_only=True):
    """A function of a topic; an empty one keeps what was published before anybody subscribed.

    `base` is where the jobs are: the first function takes over those of the empty one. One that
    was `removed` gets nothing any more, and is kept for its dead jobs.
    """

    topic: str
    function_id: str
    base: str
    delay_ms: int = 0
    removed: bool = False

    @property
    def name(self) -> QueueName:
        return QueueName(self.topic, topic=True, function_id=self.function_id)

    def save(self, transaction: Transaction) -> None:
        transaction.put(SPACE, self.key, msgspec.json.encode(self))

    def forget(self, transaction: Transaction) -> None:
        transaction.delete(SPACE, self.key)

    @property
    def key(self) -> str:
        """Its key in the store, whatever characters the names have."""
        return msgspec.json.encode([self.topic, self.function_id]).decode()


class TopicTable:
    """All bindings by topic and function. It is changed here first, and then stored."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._topics: dict[str, dict[str, Bound]] = {}
        self._left: dict[str, Bound] = {}  # empty ones whose jobs were being taken over
        self._unsaved: dict[str, dict[str, Bound]] = {}
        self._names: tuple[QueueName, ...] | None = None

    def load(self, transaction: Transaction) -> None:
        self._names = None
        for _, record in transaction.items(SPACE):
            bound = msgspec.json.decode(record, type=Bound)
            self._topics.setdefault(bound.topic, {})[bound.function_id] = bound
        for topic, functions in self._topics.items():
            others = [other for other in functions.values() if other.function_id]
            if "" in functions and any(not other.removed for other in others):
                first = functions.pop("")  # the engine ended while a function took its place
                if all(other.base != first.base for other in others):
                    self._left[topic] = first

    def __iter__(self) -> Iterator[Bound]:
        for functions in self._topics.values():
            yield from functions.values()

    def names(self) -> tuple[QueueName, ...]:
        """Those of all bindings; made anew only when one has come or gone."""
        if self._names is None:
            self._names = tuple(bound.name for bound in self)
        return self._names

    def get(self, name: QueueName) -> Bound | None:
        return self._topics.get(name.name, {}).get(name.function_id)

    def of(self, topic: str) -> list[Bound]:
        """Those that get a copy of what is published."""
        return [bound for bound in self._topics.get(topic, {}).values() if not bound.removed]

    def unsaved(self, topic: str) -> list[Bound]:
        """Those that may not be stored yet: what is published is stored together with them."""
        return list(self._unsaved.get(topic, {}).values())

    def put(self, topic: str, function_id: str) -> tuple[Bound, Bound | None]:
        """The binding, made now if need be, and the empty one whose jobs it gets.

        A new binding takes its place; one that was there before has a base of its own.
        """
        functions = self._topics.setdefault(topic, {})
        bound = functions.get(function_id)
        before = functions.pop("", None) or self._left.pop(topic, None) if function_id else None
        if bound is None or before is not None:
            self._names = None
        if bound is None:
            base = self._base(topic, function_id) if before is None else before.base
            bound = functions[function_id] = Bound(topic=topic, function_id=function_id, base=base)
        bound.removed = False
        self._unsaved.setdefault(topic, {})[function_id] = bound
        return bound, before

    def drop(self, bound: Bound) -> None:
        """Nobody needs it any more."""
        self._names = None
        functions = self._topics.get(bound.topic, {})
        functions.pop(bound.function_id, None)
        if not functions:
            self._topics.pop(bound.topic, None)

    def saved(self, bound: Bound) -> None:
        """It is stored as it is now."""
        unsaved = self._unsaved.get(bound.topic, {})
        unsaved.pop(bound.function_id, None)
        if not unsaved:
            self._unsaved.pop(bound.topic, None)

    def _base(self, topic: str, function_id: str) -> str:
        return f"queue/topic/{topic}::{function_id}/{self._ids.uuid()[:8]}"
