"""The agent loop with every other worker replaced by a line of a dictionary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.fake_bus import FakeBus

from agentos.kernel.draining import Drain
from agentos.workers.agent_core.chats import Chats
from agentos.workers.agent_core.models import ChatRequest, ChatResponse
from agentos.workers.agent_core.settings import Settings
from agentos.workers.agent_core.worker import create
from iii_sdk.codec import decoder, encode

USAGE = {"input": 10, "output": 20, "total": 30}
ROUTE = {"provider": "anthropic", "model": "claude-haiku-4-5", "maxTokens": 4096}

#: Gates that let everything through.
OPEN_GATES: dict[str, Any] = {
    "security::check_capability": {"allowed": True},
    "policy::check": {"allowed": True, "action": "Allow"},
    "guard::check": {"decision": "allow"},
    "hook::fire": {"hooksFired": 0},
    "approval::decide_tier": {"approved": True, "tier": "auto"},
    "approval::check": {"required": False},
}


def says(text: str | None, **fields: Any) -> dict[str, Any]:
    """A completion that is an answer."""
    return {"content": text, "model": "claude-haiku-4-5", "usage": USAGE, **fields}


def asks(*calls: Any, text: str | None = None) -> dict[str, Any]:
    """A completion that asks for functions; a tuple is `(call id, function, arguments)`."""
    shown = [
        dict(zip(("callId", "id", "arguments"), call, strict=True))
        if isinstance(call, tuple)
        else call
        for call in calls
    ]
    return says(text, toolCalls=shown, stopReason="tool_calls")


class ChatHouse:
    """`answers` are the completions in order; the last one repeats."""

    def __init__(self, *answers: Any, settings: Settings | None = None, **functions: Any) -> None:
        self.fake = FakeBus(
            {
                "security::scan_injection": {"safe": True, "matches": [], "riskScore": 0},
                "memory::recall": [],
                "memory::store": {"id": "m", "stored": True},
                "llm::route": ROUTE,
                "llm::complete": self._complete,
                "hook::fire": {},
                "guard::reset": None,
            }
        )
        self.answers = list(answers) or [says("LLM response", stopReason="end")]
        self.drain = Drain()
        self.chats = Chats(settings or Settings(), self.drain)
        self.offer(functions)

    def offer(self, functions: dict[str, Any]) -> None:
        """Add or replace functions; `None` as a handler answers null."""
        self.fake.functions.update(functions)

    def without(self, *function_ids: str) -> None:
        for function_id in function_ids:
            self.fake.functions.pop(function_id, None)

    def agent(self, agent_id: str, **record: Any) -> None:
        """Store an agent."""
        self.fake.stored["agents", agent_id] = {"id": agent_id, "name": agent_id, **record}

    async def chat(self, message: str = "Hello", agent: str = "default", **fields: Any) -> Any:
        """One turn as it looks on the wire, with everything done that follows it."""
        payload = {"agentId": agent, "message": message, **fields}
        request: ChatRequest = decoder(ChatRequest)(encode(payload))
        response: ChatResponse = await self.chats.chat(request, self.fake.bus)
        if session := response.session_id:
            await self.chats.background.settled(session)
        return decoder(None)(encode(response))

    async def run(self, function_id: str, payload: Any = None) -> Any:
        """A function of the worker as the bus calls it."""
        handler = create(Settings()).functions[function_id].handler
        value = handler.payload.read(encode(payload)) if handler.payload else None
        result = await handler.invoke(value, self.fake.bus, None, _no_threads)  # type: ignore[arg-type]
        return decoder(None)(encode(result))

    @property
    def prompts(self) -> list[Any]:
        """The payloads of the LLM calls."""
        return self.fake.of("llm::complete")

    def tool_messages(self, call: int = 1) -> list[Any]:
        """The results that the model saw in its n-th call."""
        return [m for m in self.prompts[call]["messages"] if m["role"] == "tool"]

    def hooks(self, kind: str) -> list[Any]:
        return [fired for fired in self.fake.of("hook::fire") if fired["type"] == kind]

    def _complete(self, payload: Any) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


_no_threads: Callable[[], Any] = lambda: None  # noqa: E731
