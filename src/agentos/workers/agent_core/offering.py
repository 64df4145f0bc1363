"""Which functions an agent is offered; pure.

Allow-list first, then the agent's tool profile. The house's own functions are never offered
through a wildcard.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Sequence

from agentos.workers.agent_core.models import AgentConfig, FunctionInfo

log = logging.getLogger("agentos.agent_core")

#: Named sets of patterns; `*` stands for any run of characters.
TOOL_PROFILES: dict[str, tuple[str, ...]] = {
    "chat": ("tool::web_search", "tool::web_fetch", "memory::recall", "memory::store"),
    "code": ("tool::file_*", "tool::shell_exec", "tool::code_*", "tool::apply_patch"),
    "research": ("tool::web_*", "tool::browser_*", "memory::*"),
    "ops": (
        "tool::shell_exec",
        "tool::system_*",
        "tool::process_*",
        "tool::disk_*",
        "tool::network_*",
    ),
    "data": ("tool::json_*", "tool::csv_*", "tool::yaml_*", "tool::regex_*", "tool::file_*"),
    "full": ("tool::*", "memory::*"),
}

#: Ids that only an exact entry of the allow-list can offer.
INTERNAL = (
    "engine::", "state::", "stream::", "iii::", "security::", "policy::", "taint::", "vault::",
    "approval::", "guard::", "rate::", "cost::", "hook::", "replay::", "llm::", "context::",
    "context_cache::", "api::", "catalog::", "reflect::", "evolve::",
)  # fmt: skip
INTERNAL_IDS = frozenset({"agent::create", "agent::delete", "publish"})
#: Ids that nothing can offer.
NEVER = ("state::", "vault::", "security::", "policy::")

_FAMILIES = {
    "file::": "tool::file_",
    "web::": "tool::web_",
    "browser::": "tool::browser_",
    "code::": "tool::code_",
    "fn::": "tool::",
}


def offered_functions(
    functions: Iterable[FunctionInfo], agent: AgentConfig | None
) -> list[FunctionInfo]:
    """The functions `agent` may call, in the given order; an agent without a record chats only."""
    allowed = agent.capabilities.allowed if agent and agent.capabilities else ["*"]
    entries = [entry.strip() for entry in allowed if entry and entry.strip()]
    patterns = _profile_patterns(agent, entries)
    return [
        function
        for function in functions
        if _allowed(function.function_id, entries)
        and (patterns is None or matches_profile(function.function_id, patterns))
    ]


def _profile_patterns(agent: AgentConfig | None, entries: list[str]) -> Sequence[str] | None:
    """Patterns that narrow the allow-list; None when nothing does."""
    if agent is None:
        return TOOL_PROFILES["chat"]
    name = agent.tool_profile or "full"
    if name == "full":
        # Somebody who names functions means them; a bare wildcard means the usual tools.
        return None if any(entry != "*" for entry in entries) else TOOL_PROFILES["full"]
    if name not in TOOL_PROFILES:
        log.warning("agent %s: unknown tool profile %r", agent.id, name)
        return () if os.environ.get("AGENTOS_STRICT_PROFILES") == "1" else None
    return TOOL_PROFILES[name]


def _allowed(function_id: str, entries: list[str]) -> bool:
    if function_id.startswith(NEVER):
        return False
    if function_id in entries:
        return True
    if function_id.startswith(INTERNAL) or function_id in INTERNAL_IDS:
        return False
    return any(function_id.startswith(entry.removesuffix("*")) for entry in entries)


def matches_profile(function_id: str, patterns: Iterable[str]) -> bool:
    """Whether the id, as it is or in its `tool::` spelling, matches one of the patterns."""
    ids = {function_id, _as_tool(function_id)}
    return any(_matches(each, pattern) for pattern in patterns for each in ids)


def _as_tool(function_id: str) -> str:
    if function_id == "shell::exec":
        return "tool::shell_exec"
    for family, prefix in _FAMILIES.items():
        if function_id.startswith(family):
            return prefix + function_id.removeprefix(family)
    return function_id


def _matches(function_id: str, pattern: str) -> bool:
    expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    return re.fullmatch(expression, function_id, re.DOTALL) is not None
