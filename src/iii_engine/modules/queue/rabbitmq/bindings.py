"""Which functions this engine has bound to topics; that outlives the engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from iii_engine.storage.base import LocalStore, Transaction

log = logging.getLogger("iii.queue")

SPACE: Final = "queue/rabbitmq"

#: A topic and a function, which is empty for what was published before anybody subscribed.
Binding: TypeAlias = tuple[str, str]


class Bindings:
    """In memory and in the engine's own store: RabbitMQ does not tell which queues there are.

    `held` are those that have a worker now.
    """

    def __init__(self, store: LocalStore, prefix: str) -> None:
        self.held: set[Binding] = set()
        self._store = store
        self._prefix = prefix
        self._all: dict[Binding, bool] = {}
        for key, bound in store.read(lambda t: list(t.items(SPACE))):
            owner, topic, function = msgspec.json.decode(key, type=tuple[str, str, str])
            if owner == prefix:
                self._all[(topic, function)] = bound == b"true"

    def all(self) -> list[Binding]:
        """Also those that are not bound any more; there may be dead jobs of them."""
        return list(self._all)

    def bound(self) -> list[Binding]:
        return [binding for binding, bound in self._all.items() if bound and binding[1]]

    def ended(self, binding: Binding) -> bool:
        """Whether this engine has ended it, and has no worker for it since."""
        return self._all.get(binding) is False and bool(binding[1]) and binding not in self.held

    def __contains__(self, binding: Binding) -> bool:
        return binding in self._all

    def put(self, binding: Binding, *, bound: bool) -> None:
        if self._all.get(binding) is not bound:
            self._all[binding] = bound
            record = msgspec.json.encode(bound)
            self._write(lambda t: t.put(SPACE, self._key(binding), record))

    def remove(self, binding: Binding) -> None:
        if self._all.pop(binding, None) is not None:
            self._write(lambda t: t.delete(SPACE, self._key(binding)))

    def _key(self, binding: Binding) -> str:
        return msgspec.json.encode((self._prefix, *binding)).decode()

    def _write(self, change: Callable[[Transaction], object]) -> None:
        def written(_: object, error: BaseException | None) -> None:
            if error is not None:
                log.error("the bindings of topics cannot be stored: %s", error)

        self._store.write(change, written)
