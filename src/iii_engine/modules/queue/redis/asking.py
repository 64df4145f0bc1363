"""Scripts on their way to Redis: what comes while some are under way goes together, in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from iii_engine.core.timers import Timers
from iii_engine.modules.queue.broker import Done
from iii_engine.modules.queue.redis.names import ROOM
from iii_engine.modules.queue.redis.scripts import Script
from iii_engine.net.contact import Contact
from iii_engine.net.redis_client import (
    ANSWER_SECONDS,
    check_keeping,
    open_redis,
    told,
    warn_of_loss,
)
from iii_engine.net.server_url import masked
from iii_engine.storage.base import ServerLost, StoreError
from iii_engine.storage.pump import Pump

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger("iii.queue")

T = TypeVar("T")

Argument: TypeAlias = str | bytes | int

#: Seconds that the end waits for what is being stored.
GOODBYE_SECONDS: Final = 2.0

#: Seconds after which a question is not sent any more while the server does not answer others.
STALE_SECONDS: Final = 1.0

#: Milliseconds between attempts at what must be stored: the first pause, and the longest.
AGAIN_MS: Final = 100
LONGEST_MS: Final = 2_000
#: Called once, with what the script answers or with an error.
Answered: TypeAlias = Callable[[Any, StoreError | None], None]


class Question(NamedTuple):
    """A script with its keys, its arguments, and who wants its answer."""

    script: Script
    keys: Sequence[Argument]
    arguments: Sequence[Argument]
    answered: Answered
    asked: float  # by the event loop's clock


class Asking:
    """One connection carries all."""

    def __init__(self, url: str, timers: Timers) -> None:
        self._url = url
        self._pump: Pump[Question] = Pump(self._settle)
        self._contact = Contact(self._greet)
        self._timers = timers
        #: Whether the server did not answer the latest questions.
        self.lost = False
        #: What fails from now on is not tried again.
        self.closing = False
        self._open = False
        self.name = f"Redis at {masked(url)}"

    @property
    def problem(self) -> str | None:
        """Why the server cannot be used, takes no changes, or may drop jobs; None when it keeps."""
        return self._contact.problem

    async def _greet(self) -> None:
        await check_keeping(self._redis, self._url, ROOM)

    async def open(self) -> None:
        """Raises `MissingExtra`, and `StoreError` that names the server."""
        self._redis: Redis = await open_redis(self._url, ANSWER_SECONDS)
        self._open = True
        await warn_of_loss(self._redis, self._url, "jobs", ROOM)
        with told(self._url):
            await self._tell_scripts()
        self._contact.open()

    async def close(self) -> None:
        """Wait for what is under way; a server that is silent is not waited for."""
        if not self._open:
            return
        await self._contact.close()
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._pump.drained()
        except TimeoutError:
            log.warning("queue: %s does not answer, and is left", self.name)
        await self._redis.aclose()
        await self._pump.drained()

    def ask(
        self,
        script: Script,
        keys: Sequence[Argument],
        arguments: Sequence[Argument],
        answered: Answered,
    ) -> None:
        now = asyncio.get_running_loop().time()
        if not self._pump.put(Question(script, keys, arguments, answered, now)):
            answered(None, StoreError(f"too much waits for {self.name}"))

    def once(
        self,
        script: Script,
        keys: Sequence[Argument],
        arguments: Sequence[Argument],
        read: Callable[[Any], T],
        done: Done[T],
    ) -> None:
        """Ask once; `done` gets what `read` makes of the answer."""

        def answered(answer: Any, error: StoreError | None) -> None:
            if error is not None:
                done(None, error)
                return
            try:
                result = read(answer)
            except (msgspec.DecodeError, UnicodeDecodeError) as unreadable:
                done(None, StoreError(f"what Redis keeps cannot be read: {unreadable}"))
            except Exception as defect:
                log.exception("an answer of Redis was not understood")
                done(None, defect)
            else:
                done(result, None)

        self.ask(script, keys, arguments, answered)

    def until_done(
        self,
        script: Script,
        keys: Sequence[Argument],
        arguments: Sequence[Argument],
        then: Callable[[Any], None] | None = None,
        pause_ms: int = AGAIN_MS,
        unless: Callable[[], bool] | None = None,
    ) -> None:
        """Ask, and again while the server is away: all such scripts can be repeated.

        `unless` says that it is not wanted any more.
        """

        def answered(answer: Any, error: StoreError | None) -> None:
            if error is None:
                if then is not None:
                    then(answer)
            elif self.closing:
                log.warning("queue: %s", error)
            else:
                log.debug("queue: %s", error)
                longer = min(2 * pause_ms, LONGEST_MS)
                again = partial(self.until_done, script, keys, arguments, then, longer, unless)
                self._timers.after(pause_ms / 1000, again)

        if unless is None or not unless():
            self.ask(script, keys, arguments, answered)

    async def _settle(self, batch: list[Question]) -> int:
        sent = False
        try:
            if self.lost:
                if stale := self._stale(batch):
                    return stale
                with told(self._url):
                    await self._redis.ping()  # what is not sent is surely not done
            sent = True
            answers = await self._send(batch)
        except StoreError as error:
            if isinstance(error, ServerLost) and not self.lost:
                self.lost = True
                log.warning("queue: %s", error)
            unknown = ServerLost(f"{error}; it is not known whether the change was made")
            for question in batch:
                in_doubt = sent and isinstance(error, ServerLost) and question.script.changes
                _tell(question, None, unknown if in_doubt else error)
            return len(batch)
        if self.lost:
            self.lost = False
            log.warning("queue: %s is back", self.name)
        for question, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                _tell(question, None, StoreError(f"{self.name}: {answer}"))
            else:
                _tell(question, answer, None)
        return len(batch)

    def _stale(self, batch: list[Question]) -> int:
        """Refuse the first ones, which have waited in vain; answers how many."""
        since = asyncio.get_running_loop().time() - STALE_SECONDS
        stale = [question for question in batch if question.asked < since]
        for question in stale:
            _tell(question, None, ServerLost(f"{self.name} cannot be reached: no answer"))
        return len(stale)

    async def _send(self, batch: list[Question]) -> list[Any]:
        """The answers. A server that does not know a script has been started anew, and is told all
        of them: if it knew some, those would overtake the others."""
        from redis.exceptions import NoScriptError

        with told(self._url):
            answers = await self._run(batch)
            unknown = [i for i, each in enumerate(answers) if isinstance(each, NoScriptError)]
            if unknown:
                await self._tell_scripts()
                again = await self._run([batch[i] for i in unknown])
                for index, answer in zip(unknown, again, strict=True):
                    answers[index] = answer
        return answers

    async def _run(self, batch: list[Question]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for script, keys, arguments, *_ in batch:
            pipeline.evalsha(script.sha, len(keys), *keys, *arguments)
        return await pipeline.execute(raise_on_error=False)

    async def _tell_scripts(self) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for script in Script.known:
            pipeline.execute_command("SCRIPT LOAD", script.text)
        await pipeline.execute()


def _tell(question: Question, answer: Any, error: StoreError | None) -> None:
    """What one cannot make of its answer is no reason not to tell the others."""
    try:
        question.answered(answer, error)
    except Exception:
        log.exception("an answer of Redis was not understood")
