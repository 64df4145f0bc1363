"""What a turn leaves behind: memory, counters, reflection. None of it delays the answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from agentos.kernel.clock import hour_key, now_ms
from agentos.kernel.draining import Drain
from agentos.workers.agent_core.models import ChatRequest, ChatResponse, JsonObject, Usage
from agentos.workers.agent_core.peers import Peers
from iii_sdk import Bus, BusError
from iii_sdk.state import increment

log = logging.getLogger("agentos.agent_core")


class Background:
    """Work that goes on after an answer, in order within one session; shutdown waits for it."""

    def __init__(self, drain: Drain) -> None:
        self._drain = drain
        self._last: dict[str, asyncio.Task[None]] = {}

    def add(self, session: str, work: Coroutine[None, None, None]) -> None:
        """Do it after everything added before for this session."""
        task = asyncio.ensure_future(self._after(self._last.get(session), work))
        self._last[session] = task
        task.add_done_callback(lambda done: self._forget(session, done))

    async def settled(self, session: str) -> None:
        """Wait until nothing is left to do for this session."""
        if task := self._last.get(session):
            await asyncio.wait([task])

    async def _after(
        self, previous: asyncio.Task[None] | None, work: Coroutine[None, None, None]
    ) -> None:
        with self._drain.counted():
            if previous is not None:
                await asyncio.wait([previous])
            try:
                await work
            except BusError as error:
                log.warning("work after an answer failed: %s", error)

    def _forget(self, session: str, task: asyncio.Task[None]) -> None:
        if self._last.get(session) is task:
            del self._last[session]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work after an answer failed", exc_info=error)


def announce_end(peers: Peers, agent_id: str, response: ChatResponse) -> None:
    """Tell hooks and the loop guard that the turn is over."""
    payload = {
        "agentId": agent_id,
        "iterations": response.iterations,
        "response": response.content,
        "usage": response.usage,
    }
    peers.tell("hook::fire", {"type": "AgentLoopEnd", "agentId": agent_id, "payload": payload})
    peers.tell("guard::reset", {"agentId": agent_id})


async def remember(peers: Peers, request: ChatRequest, response: ChatResponse) -> None:
    """Count the tokens, store both sides of the turn in order, then let reflection look."""
    usage = response.usage or Usage()
    counting = asyncio.ensure_future(_count(peers.bus, request.agent_id, usage.total))
    try:
        await _store_turn(peers, request, response, usage)
    finally:
        await counting
    peers.tell(
        "reflect::check_turn",
        {
            "agentId": request.agent_id,
            "sessionId": response.session_id,
            "iterations": response.iterations,
        },
    )


async def _store_turn(
    peers: Peers, request: ChatRequest, response: ChatResponse, usage: Usage
) -> None:
    if not peers.has("memory::store"):
        return
    entry: JsonObject = {"agentId": request.agent_id, "sessionId": response.session_id}
    if request.message:
        said: JsonObject = {**entry, "role": "user", "content": request.message}
        await peers.bus.call("memory::store", said)
    if response.content:
        answered = {
            **entry,
            "role": "assistant",
            "content": response.content,
            "tokenUsage": usage,
        }
        await peers.bus.call("memory::store", answered)


async def _count(bus: Bus, agent_id: str, tokens: int) -> None:
    hour = hour_key(agent_id, now_ms())
    try:
        await asyncio.gather(
            bus.state.update(
                "metering",
                agent_id,
                [increment("totalTokens", tokens), increment("invocations")],
            ),
            bus.state.update(
                "metering_hourly", hour, [increment("tokens", tokens), increment("invocations")]
            ),
        )
    except BusError as error:
        log.warning("tokens of %s could not be counted: %s", agent_id, error)
