"""The gates in front of a function call of the model, cheapest and non-interactive first."""

from __future__ import annotations

import asyncio
import logging
from typing import TypeVar

from msgspec import Struct

from agentos.workers.agent_core.models import AgentConfig, FunctionCall
from agentos.workers.agent_core.peers import Peers
from agentos.workers.agent_core.settings import APPROVAL_SECONDS, GATE_SECONDS
from iii_sdk import BusError

log = logging.getLogger("agentos.agent_core")

MAX_BACKOFF_MS = 5_000

_V = TypeVar("_V")


class Denied(Exception):
    """The call is not made; the text becomes its result."""


class _Verdict(Struct):
    allowed: bool | None = None
    decision: str | None = None
    reason: str | None = None


class _GuardVerdict(Struct, rename="camel"):
    decision: str = "block"
    reason: str | None = None
    backoff_ms: int = 0


class _HookVerdict(Struct, rename="camel"):
    blocked: bool = False
    block_reason: str = ""


class _Tier(Struct, rename="camel"):
    approved: bool = False
    tier: str = "unknown"
    status: str | None = None
    reason: str | None = None
    approval_id: str | None = None


class _Approval(Struct):
    required: bool = False
    approved: bool = False
    status: str | None = None
    reason: str | None = None


def capability_of(function_id: str) -> str:
    """The text before the first `::`; the whole id when there is none."""
    return function_id.partition("::")[0]


class Gates:
    """All gates of one turn. `agent` is None for an agent without a record."""

    def __init__(
        self, peers: Peers, agent_id: str, agent: AgentConfig | None, offered: frozenset[str]
    ) -> None:
        self._peers = peers
        self._agent_id = agent_id
        self._agent = agent
        self._offered = offered

    async def check(self, call: FunctionCall) -> None:
        """Raises `Denied` with the text of the first gate that refuses."""
        if call.id not in self._offered:
            raise Denied(f"Tool {call.id} is not in the allowed tool list")
        await self._capability(call)
        await self._policy(call)
        await self._guard(call)
        await self._hook(call)
        overrides = self._agent.approval_overrides if self._agent else None
        if (overrides or {}).get(call.id) != "auto":
            await self._tier(call)
            await self._approval(call)

    async def _capability(self, call: FunctionCall) -> None:
        if self._agent is None:
            return  # no record, so no capabilities: being offered the chat profile is the check
        asked = {
            "agentId": self._agent_id,
            "capability": capability_of(call.id),
            "resource": call.id,
        }
        try:
            verdict = await self._peers.bus.call(
                "security::check_capability", asked, kind=_Verdict, timeout=GATE_SECONDS
            )
        except BusError as error:
            log.info("%s may not call %s: %s", self._agent_id, call.id, error)
            raise Denied("capability denied") from error
        if verdict.allowed is False or verdict.decision == "block":
            raise Denied("capability denied")

    async def _policy(self, call: FunctionCall) -> None:
        asked = {"agentId": self._agent_id, "tool": call.id, "resource": call.id}
        try:
            verdict = await self._peers.ask("policy::check", asked, _Verdict)
        except BusError as error:
            verdict = _failed(error, _Verdict(allowed=False, reason="policy check failed"))
        if verdict is not None and verdict.allowed is not True:
            raise Denied(f"Tool {call.id} blocked by policy: {verdict.reason or 'denied'}")

    async def _guard(self, call: FunctionCall) -> None:
        asked = {
            "agentId": self._agent_id,
            "toolName": call.id,
            "toolId": call.id,
            "params": call.arguments,
        }
        try:
            verdict = await self._peers.ask("guard::check", asked, _GuardVerdict)
        except BusError as error:
            verdict = _failed(error, _GuardVerdict(reason="guard check failed"))
        if verdict is None:
            return
        if verdict.decision in ("block", "circuit_break"):
            reason = f": {verdict.reason}" if verdict.reason else ""
            raise Denied(f"Tool {call.id} blocked by guard{reason}")
        if verdict.decision == "warn" and verdict.backoff_ms > 0:
            await asyncio.sleep(min(verdict.backoff_ms, MAX_BACKOFF_MS) / 1000)

    async def _hook(self, call: FunctionCall) -> None:
        asked = {"agentId": self._agent_id, "toolId": call.id, "arguments": call.arguments}
        fired = {"type": "BeforeToolCall", "agentId": self._agent_id, "payload": asked}
        try:
            verdict = await self._peers.ask("hook::fire", fired, _HookVerdict)
        except BusError as error:
            verdict = _failed(error, _HookVerdict(blocked=True, block_reason="hook failed"))
        if verdict is not None and verdict.blocked:
            raise Denied(f"Tool {call.id} blocked by hook: {verdict.block_reason}")

    async def _tier(self, call: FunctionCall) -> None:
        asked = {"toolId": call.id, "agentId": self._agent_id, "args": call.arguments}
        try:
            tier = await self._peers.ask(
                "approval::decide_tier", asked, _Tier, timeout=APPROVAL_SECONDS
            )
        except BusError as error:
            tier = _failed(error, _Tier(reason="approval check failed"))
        if tier is None or tier.approved:
            return
        if tier.tier == "async" and tier.status == "pending":
            raise Denied(
                f"Tool {call.id} is awaiting approval (tier: async, approvalId: {tier.approval_id})"
            )
        raise Denied(
            f"Tool {call.id} requires approval: {tier.reason or 'not approved'} (tier: {tier.tier})"
        )

    async def _approval(self, call: FunctionCall) -> None:
        asked = {"agentId": self._agent_id, "toolName": call.id, "params": call.arguments}
        try:
            approval = await self._peers.ask("approval::check", asked, _Approval)
        except BusError as error:
            approval = _failed(error, _Approval(required=True, reason="approval check failed"))
        if approval is not None and approval.required and not approval.approved:
            why = approval.reason or approval.status or "not approved"
            raise Denied(f"Tool {call.id} requires approval: {why}")


def _failed(error: BusError, verdict: _V) -> _V:
    """A gate that fails is a gate that refuses."""
    log.warning("a gate failed: %s", error)
    return verdict
