"""Code mode: what the model writes as code blocks is run, and the outcome shown to it."""

from __future__ import annotations

import json
import logging

from msgspec import Struct

from agentos.workers.agent_core.llm import Llm
from agentos.workers.agent_core.models import Completion, FunctionInfo, Message
from agentos.workers.agent_core.peers import Peers
from agentos.workers.agent_core.settings import GATE_SECONDS
from iii_sdk import BusError

log = logging.getLogger("agentos.agent_core")

RECORDED_CHARS = 500
CODE_SECONDS = 30.0
CODE_LIMIT_MS = 5_000


class _Detected(Struct):
    blocks: list[str] = []


class _Executed(Struct):
    result: object = None
    stdout: str = ""


async def run_blocks(
    peers: Peers,
    agent_id: str,
    llm: Llm,
    system: str,
    messages: list[Message],
    functions: list[FunctionInfo],
    completion: Completion,
) -> Completion:
    """Run each block of the answer in turn; `messages` grows. Returns the last completion."""
    for code in await _blocks(peers, completion.text):
        outcome = await _execute(peers, agent_id, code)
        llm.record(
            "tool_call", {"toolId": "agent::code_execute", "code": code[:RECORDED_CHARS]}, 0, 0
        )
        messages.append(Message(role="assistant", content=completion.text))
        messages.append(Message(role="user", content=outcome))
        completion = await llm.complete(system, messages, functions, 0)
    return completion


async def _blocks(peers: Peers, text: str) -> list[str]:
    if not text or not peers.has("agent::code_detect"):
        return []
    try:
        found = await peers.bus.call(
            "agent::code_detect", {"response": text}, kind=_Detected, timeout=GATE_SECONDS
        )
    except BusError as error:
        log.warning("code detection failed: %s", error)
        return []
    return found.blocks


async def _execute(peers: Peers, agent_id: str, code: str) -> str:
    asked = {"code": code, "agentId": agent_id, "timeout": CODE_LIMIT_MS}
    try:
        done = await peers.bus.call(
            "agent::code_execute", asked, kind=_Executed, timeout=CODE_SECONDS
        )
    except BusError as error:
        done = _Executed(result={"error": error.message})
    result = json.dumps(done.result, ensure_ascii=False)
    return f"Output of the code:\n{done.stdout}\nResult: {result}"
