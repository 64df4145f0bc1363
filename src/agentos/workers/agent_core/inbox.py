"""Messages between agents: the sender's count of what waits, and the answer's way back."""

from __future__ import annotations

import logging

import msgspec
from msgspec import Struct

from agentos.workers.agent_core.models import ChatRequest, ChatResponse
from iii_sdk import Bus, BusError
from iii_sdk.state import decrement

log = logging.getLogger("agentos.agent_core")

SCOPE = "agent_queue_depth"
ATTEMPTS = 5


class _Depth(Struct):
    count: int = 0


async def processed(bus: Bus, agent_id: str) -> None:
    """One waiting message less, never below none. The sender counted it up."""
    try:
        for _ in range(ATTEMPTS):
            depth = await bus.state.get(SCOPE, agent_id, _Depth)
            if depth is None or depth.count <= 0:
                return
            expected = {"count": depth.count}
            done = await bus.state.update(SCOPE, agent_id, [decrement("count")], expect=expected)
            if done.applied:
                return
    except BusError as error:
        log.warning("queue depth of %s could not be lowered: %s", agent_id, error)
        return
    log.warning("queue depth of %s changed too often to be lowered", agent_id)


def reply(bus: Bus, request: ChatRequest, response: ChatResponse) -> None:
    """Publish the answer where the sender asked for it; a queue has no caller to answer."""
    if request.reply_topic:
        bus.publish(
            request.reply_topic, {"agentId": request.agent_id, **msgspec.to_builtins(response)}
        )
