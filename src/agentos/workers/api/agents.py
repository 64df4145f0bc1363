"""The REST routes of agents: create, read, delete, talk, look into memory."""

from __future__ import annotations

from msgspec import Struct

from agentos.kernel.ids import require_id
from agentos.workers.api.answers import ChatError, failure_of, refusal_of
from agentos.workers.api.conversation import CHAT_SECONDS
from agentos.workers.api.openai_format import DEFAULT_AGENT, JsonObject
from iii_sdk import Bus, BusError, NotFound, Response

MEMORY_LIMIT = 10
MEMORY_MOST = 200


class MessageBody(Struct, rename="camel"):
    """A message for an agent; `id` comes from the path, `agent_id` from the alias `v1/chat`."""

    message: str
    id: str | None = None
    agent_id: str | None = None
    session_id: str | None = None


class MemoryQuery(Struct):
    """What to look for. A limit that is no number means the default."""

    id: str
    query: str = ""
    limit: object = None


class _Created(Struct, rename="camel"):
    agent_id: str


async def send_message(bus: Bus, body: MessageBody) -> Response:
    """One turn; a refusal has its status, and its ChatResponse with `error` as text."""
    agent_id = require_id(body.id or body.agent_id or DEFAULT_AGENT, "agentId")
    payload: JsonObject = {"agentId": agent_id, "message": body.message}
    if body.session_id is not None:
        payload["sessionId"] = body.session_id
    try:
        answer = await bus.call(
            "agent::chat", payload, kind=dict[str, object], timeout=CHAT_SECONDS
        )
    except BusError as error:
        raise failure_of(error) from error
    refused = answer.get("error")
    if not isinstance(refused, dict):
        return Response(answer)
    wait = refused.get("retryAfter")
    refusal = refusal_of(
        ChatError(
            code=str(refused.get("code")),
            message=str(refused.get("message")),
            retry_after=wait if isinstance(wait, int) else None,
        )
    )
    headers = {"retry-after": str(wait)} if isinstance(wait, int) else {}
    shown = {**answer, "error": refusal.message, "code": refusal.code}
    return Response(shown, status=refusal.status, headers=headers)


async def create(bus: Bus, config: JsonObject) -> JsonObject:
    """Create an agent; the answer shows what was made of the request."""
    created = await bus.call("agent::create", config, kind=_Created)
    record = await find(bus, created.agent_id)
    return {
        "agentId": created.agent_id,
        "id": created.agent_id,
        "name": record.get("name"),
        "createdAt": record.get("createdAt"),
    }


async def find(bus: Bus, agent_id: str) -> JsonObject:
    """The record of an agent. Raises `NotFound`."""
    record = await bus.state.get("agents", require_id(agent_id, "id"), dict[str, object])
    if record is None:
        raise NotFound("Agent not found")
    return record


async def sessions(bus: Bus, agent_id: str) -> list[JsonObject]:
    """The session records of an agent."""
    return await bus.state.list(f"sessions:{require_id(agent_id, 'id')}", dict[str, object])


async def recall(bus: Bus, query: MemoryQuery) -> list[JsonObject]:
    """The memories of an agent that fit, best first."""
    asked = {
        "agentId": require_id(query.id, "id"),
        "query": query.query,
        "limit": memory_limit(query.limit),
    }
    return await bus.call("memory::recall", asked, kind=list[dict[str, object]])


def memory_limit(value: object) -> int:
    """1 to 200; 10 for what is no number."""
    try:
        number = int(float(value)) if isinstance(value, str | int | float) else MEMORY_LIMIT
    except (ValueError, OverflowError):
        number = MEMORY_LIMIT
    return min(MEMORY_MOST, max(1, number))
