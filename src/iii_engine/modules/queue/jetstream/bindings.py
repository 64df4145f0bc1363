"""Which functions get what is published on a topic, for all engines of one NATS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from iii_engine.modules.queue.jetstream.pauses import Answer, JetPauses
from iii_engine.modules.queue.jetstream.signs import Signs
from iii_engine.net.nats_client import NatsConnection, text_of, token, told
from iii_engine.storage.base import StoreError
from iii_engine.tasks import end_tasks

if TYPE_CHECKING:
    from nats.js.kv import KeyValue

log = logging.getLogger("iii.queue")

#: Seconds in which the bucket must have told everything.
OPEN_SECONDS: Final = 5.0
#: Seconds between looks whether everything that has changed was told.
LOOK_SECONDS: Final = 1.0
#: Seconds after which NATS forgets somebody who followed the bucket.
FORGET_SECONDS: Final = 30.0

#: More engines than this in a row are looked at: some may be gone.
MANY: Final = 8

#: Topic and function. The function is empty where nobody has subscribed yet.
Binding: TypeAlias = tuple[str, str]
#: The engines that want it; nobody wants one any more that has none.
Holders: TypeAlias = list[str]


class Bindings:
    """In memory what a bucket has. Every engine follows it, and what is in the bucket counts.

    A row says which engines want a binding, and is changed only as it was read: the last of them
    ends it. `held` are those of this engine, which puts itself back where another one has taken it
    for lost. `early` is called with one of them when jobs of its topic were stored although nobody
    was known to subscribe.
    """

    def __init__(
        self,
        connection: NatsConnection,
        bucket: str,
        replicas: int,
        signs: Signs,
        early: Callable[[Binding], object],
        answer: Answer,
    ) -> None:
        self.held: set[Binding] = set()
        #: What is paused is in the same bucket.
        self.pauses = JetPauses(self._mark, answer)
        self._connection = connection
        self._bucket_name = bucket
        self._replicas = replicas
        self._signs = signs
        self._early = early
        self._bucket: KeyValue
        self._all: dict[Binding, Holders] = {}
        self._task: asyncio.Task[None] | None = None
        self._known = asyncio.Event()
        self._session = -1  # that of the connection in which changes are told

    @property
    def followed(self) -> bool:
        """Whether what other engines change is known here a moment later."""
        return self._session == self._connection.sessions

    async def open(self) -> None:
        js = self._connection.client.jetstream()
        self._bucket = await self._connection.ask(
            js.create_key_value(bucket=self._bucket_name, replicas=self._replicas)
        )
        self._task = asyncio.create_task(self._follow())
        await asyncio.wait_for(self._known.wait(), OPEN_SECONDS)

    async def close(self) -> None:
        if self._task is not None:
            await end_tasks([self._task])

    def all(self) -> list[Binding]:
        """Also those that nobody wants any more, and what was published too early."""
        return list(self._all)

    def bound(self) -> list[Binding]:
        return [binding for binding in self._all if self.wanted(binding)]

    def wanted(self, binding: Binding) -> bool:
        return binding in self.held or bool(binding[1] and self._all.get(binding))

    async def functions(self, topic: str) -> list[str]:
        """Who gets what is published now. The bucket is asked where nobody is known here."""
        known = [function for other, function in self.bound() if other == topic]
        if known and self.followed:
            return known
        return await self._connection.ask(self._look_up(topic))

    async def _look_up(self, topic: str) -> list[str]:
        root = f"$KV.{self._bucket_name}."
        filter_subject = f"{root}{token(topic)}.*"
        info = await self._connection.client.jetstream().stream_info(
            f"KV_{self._bucket_name}", filter_subject
        )
        found: list[str] = []
        for subject in info.state.subjects or ():
            binding = _binding(subject[len(root) :])
            if binding is not None and binding[1] and (await self._get(binding))[0]:
                found.append(binding[1])
        return found

    # -- changing the bucket ---------------------------------------------------------------------

    async def hold(self, binding: Binding) -> None:
        """This engine wants it."""
        self._all.setdefault(binding, [])
        while True:
            holders, revision = await self._read(binding)
            if self._signs.engine in holders:
                break
            if len(holders) > MANY:
                holders = await self._signs.known(holders)
            holders = [*holders, self._signs.engine]
            if await self._write(binding, holders, revision) is not None:
                break
        self._all[binding] = holders

    async def release(self, binding: Binding, patience: float) -> int | None:
        """This engine does not want it. The row's revision when no other does, else None.

        Others count that gave a sign within so many seconds.
        """
        while True:
            holders, revision = await self._read(binding)
            if not revision:
                return None
            others = await self._signs.alive(
                [each for each in holders if each != self._signs.engine], patience
            )
            now = await self._write(binding, others, revision)
            if now is not None:
                self._all[binding] = others
                return None if others else now

    async def is_still(self, binding: Binding, revision: int) -> bool:
        """Whether nobody has changed it since."""
        return (await self._read(binding))[1] == revision

    async def put_early(self, topic: str) -> None:
        """Jobs wait for the first function of the topic."""
        self._all[topic, ""] = []
        await self._connection.ask(self._bucket.put(_key((topic, "")), b"[]"))

    async def remove_early(self, topic: str) -> None:
        if self._all.pop((topic, ""), None) is not None:
            await self._connection.ask(self._bucket.delete(_key((topic, ""))))

    async def forget(self, binding: Binding, revision: int) -> None:
        """There is nothing of it any more; somebody may have changed it since."""
        from nats.js.errors import KeyWrongLastSequenceError

        async def forget() -> None:
            with suppress(KeyWrongLastSequenceError):
                await self._bucket.delete(_key(binding), last=revision)

        await self._connection.ask(forget())

    async def _mark(self, key: str, there: bool) -> None:
        """Write a key that is no binding's, or remove it."""
        writing = self._bucket.put(key, b"true") if there else self._bucket.delete(key)
        await self._connection.ask(writing)

    async def _read(self, binding: Binding) -> tuple[Holders, int]:
        return await self._connection.ask(self._get(binding))

    async def _get(self, binding: Binding) -> tuple[Holders, int]:
        """With the revision, which is 0 where there is no row."""
        from nats.js.errors import KeyNotFoundError

        try:
            entry = await self._bucket.get(_key(binding))
        except KeyNotFoundError:
            return [], 0
        return _holders(entry.value), entry.revision or 0

    async def _write(self, binding: Binding, holders: Holders, revision: int) -> int | None:
        """The new revision; None when it is not as it was read."""
        from nats.js.errors import KeyWrongLastSequenceError

        key, value = _key(binding), msgspec.json.encode(holders)

        async def write() -> int | None:
            try:
                if not revision:
                    return await self._bucket.create(key, value)
                return await self._bucket.update(key, value, last=revision)
            except KeyWrongLastSequenceError:
                return None

        return await self._connection.ask(write())

    # -- following the bucket --------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            try:
                with told(self._connection.url):
                    await self._listen()
                continue
            except StoreError as error:
                log.debug("queue: %s", error)
            except Exception:
                log.exception("queue: subscriptions of other engines are read anew")
            finally:
                self._session = -1
            await asyncio.sleep(LOOK_SECONDS)

    async def _listen(self) -> None:
        """Take what the bucket has, and then every change; ends when none is told any more."""
        from nats.errors import TimeoutError as Quiet

        session, before = self._connection.sessions, await self._last()
        watcher = await self._bucket.watchall(inactive_threshold=FORGET_SECONDS)
        listed: set[Binding] = set()
        marked: set[str] = set()
        seen = due = 0
        try:
            while session == self._connection.sessions:
                try:
                    entry = await watcher.updates(LOOK_SECONDS)  # type: ignore[no-untyped-call]
                except Quiet:
                    if seen < due:  # it was there at the look before, and nobody has told of it
                        log.warning("queue: %s tells no changes any more", self._connection.where)
                        return
                    due = await self._last()
                    continue
                if entry is None:  # that was all
                    seen = max(seen, before)
                    await self._listed(listed)
                    self.pauses.listed(marked)
                    self._session = session
                    self._known.set()
                else:
                    seen = max(seen, entry.revision or 0)
                    await self._changed(entry, listed, marked)
        finally:
            await watcher.stop()  # type: ignore[no-untyped-call]

    async def _last(self) -> int:
        """The number of the latest change."""
        stream = f"KV_{self._bucket_name}"
        js = self._connection.client.jetstream()
        return (await self._connection.ask(js.stream_info(stream))).state.last_seq

    async def _changed(self, entry: KeyValue.Entry, listed: set[Binding], marked: set[str]) -> None:
        there, binding = entry.operation is None, _binding(entry.key)
        if binding is None:
            (marked.add if there else marked.discard)(entry.key)
            self.pauses.told(entry.key, there)
            return
        if not there:
            listed.discard(binding)
            await self._gone(binding)
            return
        listed.add(binding)
        self._all[binding] = holders = _holders(entry.value)
        if binding in self.held and self._signs.engine not in holders:
            await self.hold(binding)
        topic = binding[0]
        first = next((held for held in self.held if held[0] == topic), None)
        if first is not None and (topic, "") in self._all:
            self._early(first)

    async def _listed(self, listed: set[Binding]) -> None:
        """Only those are in the bucket."""
        for binding in self._all.keys() - listed:
            await self._gone(binding)

    async def _gone(self, binding: Binding) -> None:
        if binding in self.held:
            await self.hold(binding)
        else:
            self._all.pop(binding, None)


def _key(binding: Binding) -> str:
    return ".".join(map(token, binding))


def _binding(key: str) -> Binding | None:
    """None for a key that no engine has written."""
    topic, _, function_id = key.partition(".")
    try:
        binding = text_of(topic), text_of(function_id)
    except UnicodeDecodeError:
        return None
    return binding if _key(binding) == key else None


def _holders(value: bytes | None) -> Holders:
    """What another program has written holds nobody."""
    try:
        return msgspec.json.decode(value or b"[]", type=Holders)
    except msgspec.DecodeError:
        return []
