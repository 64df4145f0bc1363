"""The server side of a store over Redis: one server, or one primary with replicas of its own.

What is acknowledged is as durable as the server was told to keep it (`appendfsync`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from iii_engine.core.once import Once
from iii_engine.net.redis_client import (
    ANSWER_SECONDS,
    check_keeping,
    open_redis,
    told,
    warn_of_loss,
)
from iii_engine.net.server_url import masked
from iii_engine.storage.base import StoreError
from iii_engine.storage.buffer import Write
from iii_engine.storage.reads import Count, Found, Item, Page, Read, Spaces
from iii_engine.storage.redis import scripts
from iii_engine.storage.redis.names import Names

log = logging.getLogger("iii.storage")

Argument: TypeAlias = str | bytes | int

#: How long Redis remembers the latest commit of an engine, in seconds.
TOKEN_SECONDS: Final = 600

#: Nothing is ever here; the server is asked whether there could be.
ROOM: Final = "iii:commit:room"


class _Script:
    """A text, and the name that Redis has for it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode()).hexdigest()


_READ: Final = _Script(scripts.READ)
_COMMIT: Final = _Script(scripts.COMMIT)


class RedisRemote:
    """See `Remote`. Everything is atomic, whatever it spans."""

    check: Final = None

    def __init__(self, url: str, names: Names, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._url = url
        self._answer_seconds = answer_seconds
        self._names = names
        self._left_out = Once(log)
        self.name = f"Redis at {masked(url)}"

    async def open(self) -> None:
        self._redis = await open_redis(self._url, self._answer_seconds)
        try:
            await warn_of_loss(self._redis, self._url, "records", ROOM)
        except BaseException:
            await self._redis.aclose()
            raise

    async def close(self) -> None:
        await self._redis.aclose()

    async def greet(self) -> None:
        """See `Remote`."""
        await check_keeping(self._redis, self._url, ROOM)

    # -- fetching --------------------------------------------------------------------------------

    async def fetch(self, reads: Sequence[Read]) -> list[Found]:
        """What is no listing of spaces is read at one moment."""
        arguments: list[Argument] = []
        for read in reads:
            match read:
                case Item(space, key):
                    arguments += "item", self._names.hash_of(space), key
                case Page():
                    arguments += "page", *self._page(read)
                case Count(space):
                    arguments += "count", self._names.hash_of(space)
        with told(self._url):
            answers = iter(await self._run(_READ, 0, arguments) if arguments else ())
            return [
                await self._scan(read)
                if isinstance(read, Spaces)
                else self._found(read, next(answers))
                for read in reads
            ]

    async def _run(self, script: _Script, keys: int, arguments: list[Argument]) -> Any:
        from redis.exceptions import NoScriptError

        try:
            return await self._redis.evalsha(script.sha, keys, *arguments)
        except NoScriptError:
            return await self._redis.eval(script.text, keys, *arguments)

    def _found(self, read: Item | Page | Count, answer: Any) -> Found:
        if isinstance(answer, Exception):
            key = self._names.hash_of(read.space).decode()
            return Found(None, refused=StoreError(f"{self.name}: {key}: {answer}"))
        if not isinstance(read, Page):
            return Found(answer)
        flat, foreign = answer
        if foreign is not None:
            self._leave_out(foreign)
        try:
            return Found([(key.decode(), value) for key, value in _pairs(flat)])
        except UnicodeDecodeError as error:  # its order is not ours
            return Found(None, refused=StoreError(f"{self.name}: {error}"))

    async def _scan(self, read: Spaces) -> Found:
        """Redis may name a key twice, and those of other types are not ours."""
        pattern = self._names.pattern(read.prefix)
        keys = {key async for key in self._redis.scan_iter(pattern, count=1000, _type="hash")}
        spaces = []
        for key in keys:
            if (space := self._names.space_of(key)) is None:
                self._leave_out(key)
            else:
                spaces.append(space)
        return Found(sorted(spaces), keys=tuple(keys))

    def _leave_out(self, name: bytes) -> None:
        """What has a name that no record or space of ours has; said once."""
        text = "%s: %.200r is no name of ours; such names are left out"
        self._left_out.warn(text, self.name, name)

    def _page(self, read: Page) -> tuple[bytes, bytes, bytes, int, int]:
        names, limit = self._names, -1 if read.limit is None else read.limit
        prefix = read.prefix.encode()
        return names.hash_of(read.space), names.order_of(read.space), prefix, read.offset, limit

    # -- committing ------------------------------------------------------------------------------

    async def commit(self, token: str, reads: Mapping[Read, Found], writes: list[Write]) -> bool:
        """One script checks all and writes all."""
        engine, _, number = token.partition(":")
        arguments: list[Argument] = [f"iii:commit:{engine}", number, TOKEN_SECONDS]
        for read, found in reads.items():
            arguments += self._check(read, found)
        for write in writes:
            arguments += self._write(write)
        with told(self._url):
            done = await self._run(_COMMIT, 1, arguments)
        return bool(done == 1)

    def _check(self, read: Read, found: Found) -> tuple[Argument, ...]:
        value = found.value
        match read:
            case Item(space, key):
                digest = hashlib.sha1(value).hexdigest() if isinstance(value, bytes) else ""
                return "item", self._names.hash_of(space), key, digest
            case Page():
                items = cast("list[tuple[str, bytes]]", value)
                return "page", *self._page(read), _digest(items)
            case Count(space):
                return "count", self._names.hash_of(space), cast("int", value)
            case Spaces(prefix):
                return "hashes", self._names.pattern(prefix), len(found.keys), *found.keys

    def _write(self, write: Write) -> tuple[Argument, ...]:
        space, key, value = write
        names = self._names.hash_of(space), self._names.order_of(space)
        if key is None:
            return "drop", *names
        return ("delete", *names, key) if value is None else ("put", *names, key, value)


def _pairs(flat: list[bytes]) -> zip[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _digest(items: list[tuple[str, bytes]]) -> str:
    """As the script makes it: each part behind its length in bytes."""
    made = hashlib.sha1()
    for key, value in items:
        for part in (key.encode(), value):
            made.update(b"%d:" % len(part) + part)
    return made.hexdigest()
