"""What an agent may do: functions by prefix, memory scopes and hosts by glob, tokens per hour.

A denial is always an error, and always in the audit chain.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from agentos.kernel.clock import Clock, hour_key, now_ms
from agentos.kernel.ids import require_id
from agentos.workers.security.audit import Audit, AuditEvent
from agentos.workers.security.globs import glob_match
from iii_sdk import Bus, BusError, Forbidden, InvalidInput

SCOPE = "capabilities"
METERING = "metering_hourly"

Kind = Literal["function", "memory", "network"]


class CheckCapability(Struct, rename="camel"):
    """May `agent_id` use `resource`: a function id, or with `kind` a memory scope or a host?

    `capability` is what the caller calls it, for the audit entry.
    """

    agent_id: str = ""
    resource: str = ""
    capability: str | None = None
    kind: Kind = "function"


class Allowed(Struct):
    """The only answer; a denial is an error."""

    allowed: bool = True


class Capabilities(Struct, rename="camel", omit_defaults=True):
    """The stored record, kept as given. `functions` is a synonym of `tools`."""

    tools: list[str] | UnsetType | None = UNSET
    functions: list[str] | UnsetType | None = UNSET
    memory_scopes: list[str] | UnsetType | None = UNSET
    network_hosts: list[str] | UnsetType | None = UNSET
    max_tokens_per_hour: int | UnsetType | None = UNSET
    legacy_limit: int | UnsetType | None = msgspec.field(default=UNSET, name="max_tokens_per_hour")

    def allowed_functions(self) -> list[str]:
        """Entries of `tools`, or of `functions` when there is no `tools`."""
        return self.tools or self.functions or []

    def token_limit(self) -> int:
        """Tokens per hour; 0 = no limit."""
        return self.max_tokens_per_hour or self.legacy_limit or 0


class SetCapabilities(Struct, rename="camel"):
    """Replace the record of an agent."""

    agent_id: str = ""
    capabilities: Capabilities = msgspec.field(default_factory=Capabilities)


class Updated(Struct):
    """The record was written."""

    updated: bool = True


class Usage(Struct):
    """What agent-core counts per hour."""

    tokens: int = 0


def allows_function(entries: list[str], function_id: str) -> bool:
    """Whether an entry is a prefix of the id. A trailing `*` adds nothing, `$` ends an exact id.

    Blank entries count for nothing: a blank prefix would allow everything. `*` allows everything.
    """
    for entry in (raw.strip() for raw in entries):
        if entry.endswith("$"):
            if entry[:-1] == function_id:
                return True
        elif entry == "*" or (entry.rstrip("*") and function_id.startswith(entry.rstrip("*"))):
            return True
    return False


def allows_memory(scopes: list[str], agent_id: str, scope: str) -> bool:
    """Whether a glob covers the scope. `self` stands for the agent; `x.*` covers `x` too."""
    wanted = _own(scope, agent_id)
    return any(
        glob_match(pattern, wanted) or (pattern.endswith(".*") and pattern[:-2] == wanted)
        for pattern in (_own(raw.strip(), agent_id) for raw in scopes)
    )


def _own(scope: str, agent_id: str) -> str:
    head, dot, rest = scope.partition(".")
    return agent_id + dot + rest if head == "self" else scope


def allows_host(hosts: list[str], host: str) -> bool:
    """Whether the host is named, or lies below a `*.suffix`; `*` is every host."""
    wanted = host.strip().lower().rstrip(".")
    for entry in (raw.strip().lower().rstrip(".") for raw in hosts):
        if entry and (entry in ("*", wanted)):
            return True
        if entry.startswith("*.") and wanted.endswith(entry[1:]) and wanted != entry[1:]:
            return True
    return False


class CapabilityGate:
    """`security::check_capability` and `security::set_capabilities`."""

    def __init__(self, audit: Audit, clock: Clock = now_ms) -> None:
        self._audit = audit
        self._clock = clock

    async def set(self, request: SetCapabilities, bus: Bus) -> Updated:
        """Replace what an agent may do."""
        agent_id = require_id(request.agent_id, "agentId")
        if request.capabilities.token_limit() < 0:
            raise InvalidInput("$.capabilities.maxTokensPerHour: must not be negative")
        await bus.state.set(SCOPE, agent_id, msgspec.to_builtins(request.capabilities))
        tools = len(request.capabilities.allowed_functions())
        event = AuditEvent("capabilities_updated", agent_id, {"tools": tools})
        await self._audit.record(event, bus)
        return Updated()

    async def check(self, request: CheckCapability, bus: Bus) -> Allowed:
        """Allow a resource to an agent, or fail; denials are audited."""
        agent_id = require_id(request.agent_id, "agentId")
        if not request.resource:
            raise InvalidInput("resource is required")
        granted = await self._granted(agent_id, bus)
        if granted is None:
            await self._deny(request, bus, "no_capabilities_defined")
            raise Forbidden(f"Agent {agent_id} has no capabilities defined")
        if reason := _refusal(granted, request):
            await self._deny(request, bus, reason)
            raise Forbidden(f"Agent {agent_id} denied: {request.resource}")
        await self._check_quota(agent_id, granted.token_limit(), bus)
        return Allowed()

    async def _granted(self, agent_id: str, bus: Bus) -> Capabilities | None:
        """The record; None when there is none or it cannot be read."""
        try:
            return await bus.state.get(SCOPE, agent_id, Capabilities)
        except (BusError, msgspec.ValidationError) as error:
            detail: dict[str, object] = {"error": str(error)}
            await self._audit.note(bus, "capability_lookup_failed", agent_id, detail)
            return None

    async def _deny(self, request: CheckCapability, bus: Bus, reason: str) -> None:
        detail: dict[str, object] = {
            "capability": request.capability,
            "resource": request.resource,
            "reason": reason,
        }
        await self._audit.note(bus, "capability_denied", request.agent_id, detail)

    async def _check_quota(self, agent_id: str, limit: int, bus: Bus) -> None:
        if limit <= 0:
            return
        key = hour_key(agent_id, self._clock())
        usage = await bus.state.get(METERING, key, Usage)
        if usage is None or usage.tokens <= limit:
            return
        detail: dict[str, object] = {"used": usage.tokens, "limit": limit, "hourKey": key}
        await self._audit.note(bus, "quota_exceeded", agent_id, detail)
        raise Forbidden(f"Agent {agent_id} exceeded token quota")


def _refusal(granted: Capabilities, request: CheckCapability) -> str | None:
    """Why the record does not cover the resource; None when it does."""
    match request.kind:
        case "memory":
            scopes = granted.memory_scopes or []
            covered = allows_memory(scopes, request.agent_id, request.resource)
            return None if covered else "memory_scope_not_allowed"
        case "network":
            covered = allows_host(granted.network_hosts or [], request.resource)
            return None if covered else "network_host_not_allowed"
        case _:
            covered = allows_function(granted.allowed_functions(), request.resource)
            return None if covered else "tool_not_allowed"
