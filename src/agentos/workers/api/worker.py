"""The worker `api`: its routes. Each handler checks the rate before it looks at the input."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar

import msgspec
from msgspec import Struct

from agentos.kernel.draining import DrainingWorker
from agentos.kernel.ids import require_id
from agentos.kernel.security_headers import SECURITY_HEADERS
from agentos.workers.api import agents, conversation, house
from agentos.workers.api.errors import openai_error, rest_error
from agentos.workers.api.openai_format import (
    ChatCompletion,
    ChatCompletionRequest,
    JsonObject,
    Reply,
    chat_payload,
)
from agentos.workers.api.rate import check_rate
from iii_sdk import Binding, Bus, Call, EventStream, Response, http
from iii_sdk.bindings import Auth
from iii_sdk.codec import invalid, schema

METADATA = {"category": "api"}

T = TypeVar("T")


class ById(Struct):
    """The id in the path."""

    id: str


def rest(method: str, path: str, auth: Auth = "required", status: int = 200) -> Binding:
    """A route of our own form."""
    return http(method, path, auth=auth, status=status, error_body=rest_error)


def v1(method: str, path: str) -> Binding:
    """A route of OpenAI's form."""
    return http(method, path, error_body=openai_error, error_format="openai")


def read(payload: JsonObject, kind: type[T]) -> T:
    """The input as `kind`. Raises `InvalidInput` that names the field."""
    try:
        return msgspec.convert(payload, kind)
    except msgspec.ValidationError as error:
        raise invalid(error) from None


def create() -> DrainingWorker:
    """A worker of its own."""
    worker = DrainingWorker(
        "api", description="The public REST face of agents", headers=SECURITY_HEADERS
    )
    _chat_routes(worker)
    _agent_routes(worker)
    _house_routes(worker)
    return worker


def _chat_routes(worker: DrainingWorker) -> None:
    drain = worker.drain

    async def counted(items: AsyncGenerator[JsonObject, None]) -> AsyncIterator[JsonObject]:
        with drain.counted():
            async with aclosing(items):
                async for item in items:
                    yield item

    async def chat(
        body: JsonObject, bus: Bus, call: Call, stream: bool
    ) -> ChatCompletion | EventStream:
        await check_rate(bus, call, "message")
        request = read(body, ChatCompletionRequest)
        payload = chat_payload(request)
        reply = Reply(request.model)
        if stream or request.stream:
            items = conversation.chunks(bus, payload, reply, request.include_usage)
            return EventStream(counted(items), done="[DONE]")
        with drain.counted():
            return await conversation.complete(bus, payload, reply)

    @worker.function(
        "api::chat_completions",
        v1("POST", "v1/chat/completions"),
        metadata=METADATA,
        request_format=schema(ChatCompletionRequest),
        response_format=schema(ChatCompletion),
    )
    async def chat_completions(
        body: dict[str, object], bus: Bus, call: Call
    ) -> ChatCompletion | EventStream:
        """Answer a conversation in OpenAI's form, streamed when asked."""
        return await chat(body, bus, call, stream=False)

    @worker.function(
        "api::chat_completions_stream",
        v1("POST", "v1/chat/completions/stream"),
        metadata=METADATA,
        request_format=schema(ChatCompletionRequest),
    )
    async def chat_completions_stream(
        body: dict[str, object], bus: Bus, call: Call
    ) -> ChatCompletion | EventStream:
        """Answer a conversation in OpenAI's form, always streamed."""
        return await chat(body, bus, call, stream=True)

    @worker.function(
        "api::agent_message",
        rest("POST", "api/agents/:id/message"),
        v1("POST", "v1/chat"),
        metadata=METADATA,
        request_format=schema(agents.MessageBody),
    )
    async def agent_message(body: dict[str, object], bus: Bus, call: Call) -> Response:
        """Send one message to an agent and return its answer."""
        await check_rate(bus, call, "message")
        with drain.counted():
            return await agents.send_message(bus, read(body, agents.MessageBody))


def _agent_routes(worker: DrainingWorker) -> None:
    @worker.function("api::list_agents", rest("GET", "api/agents"), metadata=METADATA)
    async def list_agents(bus: Bus, call: Call) -> list[JsonObject]:
        """List the stored agents."""
        await check_rate(bus, call, "read")
        return await bus.call("agent::list", {}, kind=list[dict[str, object]])

    @worker.function("api::create_agent", rest("POST", "api/agents", status=201), metadata=METADATA)
    async def create_agent(config: dict[str, object], bus: Bus, call: Call) -> JsonObject:
        """Create an agent."""
        await check_rate(bus, call, "write")
        return await agents.create(bus, config)

    @worker.function("api::get_agent", rest("GET", "api/agents/:id"), metadata=METADATA)
    async def get_agent(request: ById, bus: Bus, call: Call) -> JsonObject:
        """Show the record of an agent."""
        await check_rate(bus, call, "read")
        return await agents.find(bus, request.id)

    @worker.function(
        "api::delete_agent", rest("DELETE", "api/agents/:id", status=204), metadata=METADATA
    )
    async def delete_agent(request: ById, bus: Bus, call: Call) -> None:
        """Delete an agent."""
        await check_rate(bus, call, "write")
        await bus.call("agent::delete", {"agentId": require_id(request.id, "id")})

    @worker.function(
        "api::agent_sessions", rest("GET", "api/agents/:id/sessions"), metadata=METADATA
    )
    async def agent_sessions(request: ById, bus: Bus, call: Call) -> list[JsonObject]:
        """List the sessions of an agent."""
        await check_rate(bus, call, "read")
        return await agents.sessions(bus, request.id)

    @worker.function("api::memory_query", rest("POST", "api/agents/:id/memory"), metadata=METADATA)
    async def memory_query(query: dict[str, object], bus: Bus, call: Call) -> list[JsonObject]:
        """Search the memory of an agent."""
        await check_rate(bus, call, "read")
        return await agents.recall(bus, read(query, agents.MemoryQuery))


def _house_routes(worker: DrainingWorker) -> None:
    drain = worker.drain

    @worker.function(
        "api::health",
        rest("GET", "api/health", auth="optional"),
        rest("GET", "health", auth="optional"),
        metadata=METADATA,
        response_format=schema(house.Health),
    )
    async def health(bus: Bus, call: Call) -> house.Health | Response:
        """Say whether the house is well; details need the key."""
        if drain.closing:
            leaving = {
                "status": "shutting_down",
                "version": house.agentos_version(),
                "inFlight": drain.running,
            }
            return Response(leaving, status=503)
        if call.http is None or not call.http.authenticated:
            return house.Health("healthy")
        await check_rate(bus, call, "read")
        return await house.health(bus)

    @worker.function("api::costs", rest("GET", "api/costs"), metadata=METADATA)
    async def costs(bus: Bus, call: Call) -> JsonObject:
        """Show what was spent today."""
        await check_rate(bus, call, "read")
        return await house.costs_today(bus)

    @worker.function("api::list_models", v1("GET", "v1/models"), metadata=METADATA)
    async def list_models(bus: Bus, call: Call) -> house.ModelList:
        """List models and agents in OpenAI's form."""
        await check_rate(bus, call, "read")
        return await house.models(bus)

    @worker.function("api::get_model", v1("GET", "v1/models/:id"), metadata=METADATA)
    async def get_model(request: ById, bus: Bus, call: Call) -> house.Model:
        """Show one model in OpenAI's form."""
        await check_rate(bus, call, "read")
        return await house.model(bus, request.id)


worker = create()
