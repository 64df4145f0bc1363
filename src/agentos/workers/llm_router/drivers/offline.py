"""The built-in provider: no model, no network, always the same answer to the same conversation.

It says that no model is configured and how to configure one. And it can drive the tool loop: a user
message line `/call <function id> <json arguments>` becomes that tool call (several lines: several
calls), and once results are there it answers with them. Token counts are bytes divided by four.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator

import msgspec

from agentos.workers.llm_router.conversation import Prompt, Reply, ToolCall, Turn, Usage
from agentos.workers.llm_router.drivers.base import StreamItem
from agentos.workers.llm_router.endpoints import Endpoint

NOTICE = (
    "No language model is configured, so AgentOS answers from its built-in offline provider. "
    "To configure one, set OPENAI_API_KEY (with OPENAI_BASE_URL for any OpenAI-compatible "
    "server) or ANTHROPIC_API_KEY, or start Ollama or vLLM on this machine, and restart AgentOS."
)
HINT = "Functions can be tried without a model: /call <function id> <json arguments>"
_CALL_LINE = re.compile(r"^/call\s+(\S+)\s*(.*)$", re.MULTILINE)
_PIECE = re.compile(r"\S+\s*|\s+")
_ECHO_CHARS = 400


class OfflineDriver:
    """Deterministic answers without a model."""

    async def complete(self, endpoint: Endpoint, prompt: Prompt) -> Reply:
        """See the module text."""
        return reply_to(prompt)

    async def stream(self, endpoint: Endpoint, prompt: Prompt) -> AsyncGenerator[StreamItem, None]:
        """The same answer word by word."""
        reply = reply_to(prompt)
        for piece in _PIECE.findall(reply.text):
            yield piece
            await asyncio.sleep(0)
        for call in reply.calls:
            yield call
        yield reply

    async def aclose(self) -> None:
        """Nothing to give back."""


def reply_to(prompt: Prompt) -> Reply:
    """The whole answer to a conversation."""
    text, calls = _answer(prompt)
    spent = _tokens(prompt.system) + sum(_tokens(turn.text) for turn in prompt.turns)
    given = _tokens(text) + sum(_tokens(msgspec.json.encode(call).decode()) for call in calls)
    usage = Usage(input=spent, output=given, total=spent + given)
    return Reply(text, calls, usage, "tool_calls" if calls else "end", "offline", spent)


def _answer(prompt: Prompt) -> tuple[str, list[ToolCall]]:
    results = _last_results(prompt.turns)
    if results:
        return _report(prompt.turns, results), []
    said = prompt.turns[-1].text if prompt.turns else ""
    lines = _CALL_LINE.findall(said)
    if lines:
        return _calls(prompt, lines)
    shown = said if len(said) <= _ECHO_CHARS else said[:_ECHO_CHARS] + "..."
    parts = [NOTICE, f"You said: {shown}" if shown.strip() else "", HINT if prompt.tools else ""]
    return "\n\n".join(part for part in parts if part), []


def _calls(prompt: Prompt, lines: list[tuple[str, str]]) -> tuple[str, list[ToolCall]]:
    """The calls asked for; one that cannot be made turns the answer into the reason."""
    offered = sorted(tool.id for tool in prompt.tools)
    calls: list[ToolCall] = []
    for number, (function_id, text) in enumerate(lines, 1):
        if function_id not in offered:
            names = ", ".join(offered) or "none"
            return f"{function_id} is not offered here. Offered functions: {names}", []
        try:
            arguments: object = msgspec.json.decode(text) if text.strip() else {}
        except msgspec.DecodeError as error:
            return f"The arguments of {function_id} are not JSON: {error}", []
        calls.append(ToolCall(f"offline_{len(prompt.turns)}_{number}", function_id, arguments))
    return "", calls


def _last_results(turns: list[Turn]) -> list[Turn]:
    """The results at the end of the conversation, in order."""
    start = len(turns)
    while start and turns[start - 1].role == "tool":
        start -= 1
    return turns[start:]


def _report(turns: list[Turn], results: list[Turn]) -> str:
    called = {call.call_id: call.id for turn in turns for call in turn.calls}
    return "\n".join(
        f"{called.get(result.call_id, result.call_id)} returned: {result.text}"
        for result in results
    )


def _tokens(text: str) -> int:
    return (len(text.encode()) + 3) // 4
