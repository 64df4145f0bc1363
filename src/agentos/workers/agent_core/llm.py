"""The LLM calls of one turn, with everything that is told about them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from agentos.kernel.streamed_call import Event, streamed_call
from agentos.workers.agent_core.listener import Listener
from agentos.workers.agent_core.models import (
    ChatRequest,
    Completion,
    FunctionInfo,
    JsonObject,
    Message,
    Usage,
)
from agentos.workers.agent_core.peers import Peers
from agentos.workers.agent_core.settings import LLM_SECONDS

#: Stop reason of an answer whose listener left before its end.
CANCELLED: Final = "cancelled"


class Llm:
    """One model for one turn. `route` is the answer of `llm::route` and goes along as it is."""

    def __init__(
        self,
        peers: Peers,
        listener: Listener,
        request: ChatRequest,
        session: str,
        route: JsonObject,
    ) -> None:
        self._peers = peers
        self._listener = listener
        self._request = request
        self._agent_id = request.agent_id
        self._session = session
        self._route = route
        #: Sum over all calls of the turn.
        self.usage = Usage()
        #: What the model has said so far in the call that is being streamed.
        self._said: list[str] = []
        #: The model that answered last.
        self.model = str(route.get("model", ""))

    async def complete(
        self,
        system: str,
        messages: Sequence[Message],
        functions: Sequence[FunctionInfo],
        iteration: int,
    ) -> Completion:
        """Ask the model once; its text is streamed to the listener. Raises `BusError`."""
        self._hook(
            "RequestStart",
            {"model": self.model, "messageCount": len(messages), "iteration": iteration},
        )
        started = time.monotonic()
        completion = await self._call(self._payload(system, messages, functions))
        duration = int((time.monotonic() - started) * 1000)
        self.model = completion.model or self.model
        if completion.usage is not None:
            self._account(completion.usage)
        self._hook(
            "RequestEnd",
            {
                "model": self.model,
                "usage": completion.usage,
                "durationMs": duration,
                "iteration": iteration,
            },
        )
        self.record(
            "llm_call",
            {"model": self.model, "content": completion.text, "usage": completion.usage},
            duration,
            iteration,
        )
        return completion

    def record(self, action: str, data: JsonObject, duration_ms: int, iteration: int) -> None:
        """A line of the replay log."""
        self._peers.tell(
            "replay::record",
            {
                "sessionId": self._session,
                "agentId": self._agent_id,
                "action": action,
                "data": data,
                "durationMs": duration_ms,
                "iteration": iteration,
            },
        )

    def _payload(
        self, system: str, messages: Sequence[Message], functions: Sequence[FunctionInfo]
    ) -> JsonObject:
        payload: JsonObject = {
            "model": self._route,
            "systemPrompt": system,
            "messages": messages,
            "functions": [
                {
                    "function_id": function.function_id,
                    "description": function.description,
                    "request_format": function.request_format,
                }
                for function in functions
            ],
        }
        if self._request.temperature is not None:
            payload["temperature"] = self._request.temperature
        return payload

    async def _call(self, payload: JsonObject) -> Completion:
        bus, listener = self._peers.bus, self._listener
        if listener.left:
            return Completion(content="", stop_reason=CANCELLED)
        if not listener.listening:
            return await bus.call("llm::complete", payload, kind=Completion, timeout=LLM_SECONDS)
        if self._peers.has("llm::stream"):
            self._said.clear()
            answer = await listener.attend(lambda: self._stream(payload))
            return answer or Completion(content="".join(self._said), stop_reason=CANCELLED)
        completion = await bus.call("llm::complete", payload, kind=Completion, timeout=LLM_SECONDS)
        if completion.text:
            await self._listener.text(completion.text)
        return completion

    async def _stream(self, payload: JsonObject) -> Completion:
        return await streamed_call(
            self._peers.bus,
            "llm::stream",
            payload,
            writer_field="writer",
            on_event=self._forward,
            kind=Completion,
            timeout=LLM_SECONDS,
        )

    async def _forward(self, event: Event) -> None:
        """What the caller of the turn may see of the model's events."""
        if event.get("type") == "text":
            self._said.append(str(event.get("delta", "")))
        if event.get("type") in ("text", "tool_call"):
            await self._listener.tell(event)

    def _account(self, usage: Usage) -> None:
        self.usage.add(usage)
        self._peers.tell(
            "cost::track",
            {
                "agentId": self._agent_id,
                "sessionId": self._session,
                "model": self.model,
                "inputTokens": usage.input,
                "outputTokens": usage.output,
                "cacheReadTokens": usage.cache_read,
                "cacheWriteTokens": usage.cache_write,
            },
        )
        for kind, tokens in (("input", usage.input), ("output", usage.output)):
            self._peers.tell(
                "metrics::record",
                {
                    "name": "tokens_used_total",
                    "kind": "counter",
                    "value": tokens,
                    "labels": {"model": self.model, "agent": self._agent_id, "type": kind},
                },
            )

    def _hook(self, kind: str, payload: JsonObject) -> None:
        self._peers.tell(
            "hook::fire",
            {
                "type": kind,
                "agentId": self._agent_id,
                "payload": {"agentId": self._agent_id, **payload},
            },
        )
