"""Which functions an agent may call, by ordered glob rules; how deep and how many at once."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from agentos.kernel.ids import require_id
from agentos.workers.security.audit import Audit
from agentos.workers.security.globs import glob_match
from iii_sdk import Bus

SCOPE = "policies"
GLOBAL = "__global"
MAX_DEPTH = 5
MAX_CONCURRENCY = 10

Action = Literal["Allow", "Deny"]


class Rule(Struct):
    """`pattern` is a glob over function ids."""

    pattern: str
    action: Action
    scope: Literal["Agent", "Global"] = "Agent"


class PolicyConfig(Struct, rename="camel"):
    """Ordered rules; a limit of None leaves it to the global policy, then to the default."""

    rules: list[Rule] = []
    max_subagent_depth: int | None = None
    max_concurrency: int | None = None


#: What a fresh system starts with; without any policy everything would be denied.
DEFAULT_GLOBAL = PolicyConfig(
    rules=[
        *(
            Rule(pattern, "Allow", "Global")
            for pattern in (
                "tool::*",
                "fn::*",
                "memory::*",
                "file::read",
                "file::list",
                "web::*",
                "skill::list",
                "skill::get",
            )
        ),
        Rule("*", "Deny", "Global"),
    ]
)


class CheckPolicy(Struct, rename="camel"):
    """`resource` is another name of `tool`."""

    agent_id: str = ""
    tool: str | None = None
    resource: str | None = None
    subagent_depth: int = 0
    current_concurrency: int = 0


class Decision(Struct, rename="camel"):
    """What the rules say."""

    allowed: bool
    action: Action
    tool: str
    agent_id: str


class TooDeep(Struct, rename="camel"):
    """The sub-agent is below the allowed depth."""

    max_depth: int
    current_depth: int
    allowed: bool = False
    reason: str = "subagent_depth_exceeded"


class TooMany(Struct, rename="camel"):
    """The agent runs as many calls as it may."""

    max_concurrency: int
    current_concurrency: int
    allowed: bool = False
    reason: str = "concurrency_limit_exceeded"


class SetRules(Struct, rename="camel"):
    """Replace the policy of an agent, or without `agent_id` the global one."""

    agent_id: str | None = None
    policy: PolicyConfig = msgspec.field(default_factory=PolicyConfig)


class RulesSet(Struct, rename="camel"):
    """`key` is the agent id or `__global`."""

    key: str
    rule_count: int
    updated: bool = True


class GetRules(Struct, rename="camel"):
    """Without `agent_id`: the global policy."""

    agent_id: str | None = None


class Rules(Struct):
    """`key` is the agent id or `__global`."""

    key: str
    policy: PolicyConfig


def first_match(rules: list[Rule], tool: str) -> Action | None:
    """The action of the first rule whose pattern matches."""
    return next((rule.action for rule in rules if glob_match(rule.pattern, tool)), None)


def decide(
    request: CheckPolicy, agent: PolicyConfig | None, everyone: PolicyConfig | None
) -> Decision | TooDeep | TooMany:
    """Depth, then concurrency, then rules; the agent's own policy before the global one."""
    levels = [policy for policy in (agent, everyone) if policy is not None]
    depth = _limit([policy.max_subagent_depth for policy in levels], MAX_DEPTH)
    if request.subagent_depth > depth:
        return TooDeep(depth, request.subagent_depth)
    concurrency = _limit([policy.max_concurrency for policy in levels], MAX_CONCURRENCY)
    if request.current_concurrency >= concurrency:
        return TooMany(concurrency, request.current_concurrency)
    tool = (request.resource if request.tool is None else request.tool) or ""
    matches = (first_match(policy.rules, tool) for policy in levels)
    action: Action = next((match for match in matches if match is not None), "Deny")
    return Decision(action == "Allow", action, tool, request.agent_id)


def _limit(levels: list[int | None], default: int) -> int:
    return next((level for level in levels if level is not None), default)


class PolicyBook:
    """The stored policies and their functions."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._installed = False

    async def _install_default(self, bus: Bus) -> None:
        """Before the first use: write the default global policy unless there is one."""
        if not self._installed:
            default = msgspec.to_builtins(DEFAULT_GLOBAL)
            await bus.state.set(SCOPE, GLOBAL, default, if_absent=True)
            self._installed = True

    async def check(self, request: CheckPolicy, bus: Bus) -> Decision | TooDeep | TooMany:
        """Decide whether an agent may call a function now."""
        await self._install_default(bus)
        agent = None
        if request.agent_id:
            agent = await bus.state.get(SCOPE, request.agent_id, PolicyConfig)
        return decide(request, agent, await bus.state.get(SCOPE, GLOBAL, PolicyConfig))

    async def set_rules(self, request: SetRules, bus: Bus) -> RulesSet:
        """Replace the policy of an agent or the global one."""
        key = _key(request.agent_id)
        await bus.state.set(SCOPE, key, msgspec.to_builtins(request.policy))
        count = len(request.policy.rules)
        await self._audit.note(bus, "policy_updated", key, {"ruleCount": count})
        return RulesSet(key, count)

    async def get_rules(self, request: GetRules, bus: Bus) -> Rules:
        """The policy of an agent or the global one."""
        await self._install_default(bus)
        key = _key(request.agent_id)
        stored = await bus.state.get(SCOPE, key, PolicyConfig)
        return Rules(key, stored or PolicyConfig([], MAX_DEPTH, MAX_CONCURRENCY))


def _key(agent_id: str | None) -> str:
    return GLOBAL if agent_id is None else require_id(agent_id, "agentId")
