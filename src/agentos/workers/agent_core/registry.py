"""The registry of agents: state scope `agents`, one record per agent."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from agentos.kernel.clock import now_ms
from agentos.kernel.ids import require_id
from agentos.workers.agent_core.models import AgentConfig, Capabilities, JsonObject, Resources
from agentos.workers.agent_core.peers import NOT_FOUND
from iii_sdk import Bus, BusError, Conflict, InvalidInput
from iii_sdk.codec import invalid

log = logging.getLogger("agentos.agent_core")

SCOPE = "agents"
#: Where other workers keep what an agent may do.
RIGHTS = ("capabilities", "policies")
LIFECYCLE = "agent.lifecycle"

Division = Literal[
    "engineering",
    "quality",
    "research",
    "operations",
    "communication",
    "support",
    "personal",
    "design",
    "marketing",
]


class AgentRef(Struct, rename="camel"):
    """Names an agent."""

    agent_id: str


class DeleteAgent(Struct, rename="camel"):
    """Names the agent to delete."""

    agent_id: str = ""


class Deleted(Struct):
    """Also the answer when there was nothing to delete."""

    deleted: bool = True


class DivisionFilter(Struct):
    """All divisions when it is left out."""

    division: Division | None = None


async def read_agent(bus: Bus, agent_id: str) -> AgentConfig | None:
    """The record; None for an unknown agent. Raises `BusError` for one that cannot be read."""
    record = await bus.state.get(SCOPE, agent_id, dict[str, object])
    try:
        return None if record is None else _config(record)
    except InvalidInput as error:
        raise BusError(
            f"the stored record of agent {agent_id} cannot be read: {error.message}",
            code="unreadable_record",
        ) from None


def _config(record: JsonObject) -> AgentConfig:
    try:
        return msgspec.convert(record, AgentConfig)
    except msgspec.ValidationError as error:
        raise invalid(error) from None


async def create_agent(bus: Bus, request: JsonObject) -> AgentRef:
    """Store a new agent with its capabilities and policy. Unknown fields are kept.

    Raises `InvalidInput`; `Conflict` when the id is taken and `overwrite` is not true.
    """
    record = {name: value for name, value in request.items() if name != "overwrite"}
    overwrite = request.get("overwrite") is True
    config = _config(record)
    _refuse_secrets(config.model or {})
    if not config.name.strip():
        raise InvalidInput("$.name: expected a name")
    agent_id = require_id(config.id or str(uuid.uuid4()), "id")
    record |= {"id": agent_id, "createdAt": now_ms()}
    before = {scope: await bus.state.get(scope, agent_id) for scope in RIGHTS}
    written = await bus.state.set(SCOPE, agent_id, record, if_absent=not overwrite)
    if not written.set:
        raise Conflict(f"Agent already exists: {agent_id}")
    try:
        await _grant(bus, agent_id, config)
    except BusError:
        await _restore(bus, agent_id, {**before, SCOPE: written.old_value})
        raise
    bus.publish(LIFECYCLE, {"type": "created", "agentId": agent_id})
    bus.send("a2a::generate_card", {"agentId": agent_id})
    return AgentRef(agent_id)


def _refuse_secrets(model: JsonObject) -> None:
    """Whoever names the host receives the key, so neither comes with an agent; nor is a key stored
    where every reader of the registry sees it. Raises `InvalidInput` that names the field."""
    for field in model:
        if field.lower().replace("_", "").replace("-", "") in ("apikey", "baseurl"):
            raise InvalidInput(
                f"$.model.{field}: is not accepted; keys and addresses of providers come from the"
                " environment, those of an agent of its own through a profile, as in the provider"
                " 'openai@work' with OPENAI_API_KEY_WORK and OPENAI_BASE_URL_WORK"
            )


async def _grant(bus: Bus, agent_id: str, config: AgentConfig) -> None:
    """Make the rights of the record known to the gates, which refuse every call otherwise."""
    capabilities = config.capabilities or Capabilities()
    resources = config.resources or Resources()
    granted: JsonObject = {
        "tools": capabilities.allowed,
        "memoryScopes": capabilities.memory_scopes or [],
        "networkHosts": capabilities.network_hosts or [],
        "maxTokensPerHour": resources.max_tokens_per_hour or 0,
    }
    await _inform(bus, "security::set_capabilities", agent_id, {"capabilities": granted})
    if rules := policy_rules(capabilities.allowed):
        await _inform(bus, "policy::set_rules", agent_id, {"policy": {"rules": rules}})


def policy_rules(allowed: Sequence[str]) -> list[JsonObject]:
    """Rules that let an agent call what its record names. A bare wildcard names nothing: the
    global policy decides then."""
    prefixes = [entry.strip().rstrip("*") for entry in allowed]
    return [
        {"pattern": f"{prefix}*", "action": "Allow", "scope": "Agent"}
        for prefix in prefixes
        if prefix
    ]


async def _inform(bus: Bus, function_id: str, agent_id: str, rights: JsonObject) -> None:
    try:
        await bus.call(function_id, {"agentId": agent_id, **rights})
    except BusError as error:
        if error.code != NOT_FOUND:
            raise
        log.warning("%s is not deployed: agent %s is stored without it", function_id, agent_id)


async def _restore(bus: Bus, agent_id: str, before: dict[str, object]) -> None:
    """As it was before a creation that failed half-way: by scope, None for what was not there."""
    for scope, old in before.items():
        if old is None:
            await bus.state.delete(scope, agent_id)
        else:
            await bus.state.set(scope, agent_id, old)


async def list_agents(bus: Bus, division: str | None = None) -> list[JsonObject]:
    """The stored records, all or those of one division."""
    records = await bus.state.list(SCOPE, dict[str, object])
    return [record for record in records if division is None or _division(record) == division]


def _division(record: JsonObject) -> object:
    persona = record.get("persona")
    return persona.get("division") if isinstance(persona, dict) else None


async def delete_agent(bus: Bus, agent_id: str) -> Deleted:
    """Remove the agent and what belongs to it alone. Raises `InvalidInput` without an id."""
    if not agent_id.strip():
        raise InvalidInput("missing or empty agentId")
    require_id(agent_id, "agentId")
    for scope in _owned_scopes():
        await bus.state.delete(scope, agent_id)
    bus.send("context_cache::invalidate", {"agentId": agent_id})
    bus.publish(LIFECYCLE, {"type": "deleted", "agentId": agent_id})
    return Deleted()


def _owned_scopes() -> Sequence[str]:
    """Rights go before the record, so that a failure half-way leaves nothing that can act."""
    return (*RIGHTS, "metering", SCOPE)
