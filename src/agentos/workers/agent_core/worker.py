"""The worker `agent-core`: what it offers. The algorithm of a chat is in `turn.py`."""

from __future__ import annotations

from msgspec import Struct

from agentos.kernel.draining import DrainingWorker
from agentos.workers.agent_core import registry
from agentos.workers.agent_core.chats import Chats
from agentos.workers.agent_core.models import (
    AgentConfig,
    ChatRequest,
    ChatResponse,
    FunctionInfo,
    JsonObject,
)
from agentos.workers.agent_core.offering import offered_functions
from agentos.workers.agent_core.peers import Peers
from agentos.workers.agent_core.registry import AgentRef, DeleteAgent, Deleted, DivisionFilter
from agentos.workers.agent_core.settings import Settings
from iii_sdk import Bus, consume
from iii_sdk.codec import schema

METADATA = {"category": "agent"}


class OfAgent(Struct, rename="camel"):
    """Names an agent."""

    agent_id: str = "default"


def create(settings: Settings | None = None) -> DrainingWorker:
    """A worker of its own; `settings` come from the environment unless given."""
    worker = DrainingWorker("agent-core", description="Agent loop and registry of agents")
    chats = Chats(settings or Settings.from_environment(), worker.drain)

    @worker.function("agent::chat", consume("agent.inbox"), metadata=METADATA)
    async def chat(request: ChatRequest, bus: Bus) -> ChatResponse:
        """Send one message to an agent and return its answer; refusals are answers too."""
        return await chats.chat(request, bus)

    @worker.function("agent::list_functions", metadata=METADATA, aliases=("agent::list_tools",))
    async def list_functions(request: OfAgent, bus: Bus) -> list[FunctionInfo]:
        """List the functions an agent may call."""
        agent = await registry.read_agent(bus, request.agent_id)
        peers = await Peers.look(bus)
        return offered_functions(peers.functions, agent)

    @worker.function("agent::create", metadata=METADATA, request_format=schema(AgentConfig))
    async def create_agent(request: dict[str, object], bus: Bus) -> AgentRef:
        """Create an agent; its id is made up unless given."""
        return await registry.create_agent(bus, request)

    @worker.function("agent::list", metadata=METADATA)
    async def list_agents(bus: Bus) -> list[JsonObject]:
        """List the stored agents."""
        return await registry.list_agents(bus)

    @worker.function("agent::delete", metadata=METADATA)
    async def delete(request: DeleteAgent, bus: Bus) -> Deleted:
        """Delete an agent with its rights and counters; harmless when there is none."""
        return await registry.delete_agent(bus, request.agent_id)

    @worker.function("agent::list_by_division", metadata=METADATA)
    async def list_by_division(request: DivisionFilter, bus: Bus) -> list[JsonObject]:
        """List the agents of a division of the house."""
        return await registry.list_agents(bus, request.division)

    return worker


worker = create()
