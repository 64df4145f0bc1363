"""One turn: from a message to an answer. Read `Turn.run` top to bottom."""

from __future__ import annotations

import asyncio
import logging
import time

from msgspec import Struct

from agentos.workers.agent_core import aftermath, code_mode
from agentos.workers.agent_core.admission import check_budget, screen
from agentos.workers.agent_core.context import recalled, stored_turns, user_profile
from agentos.workers.agent_core.execution import Executor, Requested, read_calls
from agentos.workers.agent_core.gates import Gates
from agentos.workers.agent_core.listener import Listener
from agentos.workers.agent_core.llm import Llm
from agentos.workers.agent_core.models import (
    AgentConfig,
    ChatError,
    ChatRequest,
    ChatResponse,
    Completion,
    JsonObject,
    Message,
)
from agentos.workers.agent_core.offering import offered_functions
from agentos.workers.agent_core.peers import Peers
from agentos.workers.agent_core.prompt import earlier_turns, system_prompt, unsaid, user_message
from agentos.workers.agent_core.registry import read_agent
from agentos.workers.agent_core.settings import GATE_SECONDS, MAX_MALFORMED_ROUNDS, Settings
from agentos.workers.agent_core.upkeep import kept_healthy, known_model, window_of
from iii_sdk import BusError

log = logging.getLogger("agentos.agent_core")


class _Modified(Struct, rename="camel"):
    system_prompt: str | None = None
    messages: list[Message] | None = None


class _Fired(Struct, rename="camel"):
    modified_payload: _Modified | None = None


class Turn:
    """The state of one turn while it runs."""

    def __init__(
        self,
        peers: Peers,
        request: ChatRequest,
        session: str,
        settings: Settings,
        listener: Listener,
        background: aftermath.Background,
    ) -> None:
        self._peers = peers
        self._request = request
        self._agent_id = request.agent_id
        self._session = session
        self._settings = settings
        self._listener = listener
        self._background = background
        self._started = time.monotonic()
        self._system = ""
        self._messages: list[Message] = []
        self._rounds = 0
        self._error: ChatError | None = None
        self._truncated = False

    async def run(self) -> ChatResponse:
        """The answer. Raises `Refused` before a model was asked, `BusError` when one fails."""
        agent = await read_agent(self._peers.bus, self._agent_id)
        await screen(self._peers, self._request.message)
        await check_budget(self._peers, self._agent_id)
        self._offered = offered_functions(self._peers.functions, agent)
        route = await self._route(agent)
        await self._prepare(agent, route)

        llm = Llm(self._peers, self._listener, self._request, self._session, route)
        completion = await self._ask(llm)
        if agent is not None and agent.code_agent_mode:
            completion = await code_mode.run_blocks(
                self._peers,
                self._agent_id,
                llm,
                self._system,
                self._messages,
                self._offered,
                completion,
            )
        completion = await self._loop(agent, llm, completion)

        response = self._response(llm, completion)
        aftermath.announce_end(self._peers, self._agent_id, response)
        self._background.add(
            self._session, aftermath.remember(self._peers, self._request, response)
        )
        return response

    async def _route(self, agent: AgentConfig | None) -> JsonObject:
        """Which model answers: the one asked for when it is known, else the agent's, else the
        router's choice."""
        config = dict((agent.model if agent else None) or {})
        payload: JsonObject = {
            "message": self._request.message,
            "functionCount": len(self._offered),
            "toolCount": len(self._offered),
        }
        if wanted := self._request.model:
            entry = await known_model(self._peers, wanted)
            if entry is not None or "/" in wanted:
                config.pop("provider", None)
                config["model"] = wanted
            else:
                payload["model"] = wanted  # a preference; the router decides
        if self._request.max_tokens is not None:
            config["maxTokens"] = self._request.max_tokens
        if config:
            payload["config"] = config
        if agent is not None and agent.agent_tier:
            payload["agentTier"] = agent.agent_tier
        return await self._peers.bus.call(
            "llm::route", payload, kind=dict[str, object], timeout=GATE_SECONDS
        )

    async def _prepare(self, agent: AgentConfig | None, route: JsonObject) -> None:
        """System prompt and messages of the first LLM call."""
        request = self._request
        facts, profile, turns, entry = await asyncio.gather(
            recalled(self._peers, self._agent_id, request.message),
            user_profile(self._peers, self._agent_id),
            self._earlier(),
            known_model(self._peers, str(route.get("model", ""))),
        )
        self._window = window_of(entry, route)
        turns = earlier_turns(turns, self._window)
        base = request.system_prompt or (agent.system_prompt if agent else None) or ""
        self._system = system_prompt(
            base,
            agent.persona if agent else None,
            profile,
            unsaid(facts, turns, request.message),
        )
        vision = entry is None or entry.supports_vision
        self._messages = [*turns, user_message(request.message, request.images, vision)]
        await self._let_hooks_change_the_prompt()

    async def _earlier(self) -> list[Message]:
        """The turns before this one; what the caller gives replaces what is stored."""
        if self._request.history is not None:
            return self._request.history
        await self._background.settled(self._session)
        return await stored_turns(self._peers, self._agent_id, self._session)

    async def _let_hooks_change_the_prompt(self) -> None:
        payload = {
            "agentId": self._agent_id,
            "systemPrompt": self._system,
            "messages": self._messages,
        }
        fired = {"type": "BeforePromptBuild", "agentId": self._agent_id, "payload": payload}
        if not self._peers.has("hook::fire"):
            return
        try:
            answer = await self._peers.bus.call(
                "hook::fire", fired, kind=_Fired, timeout=GATE_SECONDS
            )
        except BusError as error:
            log.warning("a BeforePromptBuild hook failed, the prompt stays: %s", error)
            return
        if modified := answer.modified_payload:
            if modified.system_prompt is not None:
                self._system = modified.system_prompt
            self._messages = modified.messages or self._messages

    async def _ask(self, llm: Llm, *, with_functions: bool = True) -> Completion:
        functions = self._offered if with_functions else []
        return await llm.complete(self._system, self._messages, functions, self._rounds)

    async def _loop(self, agent: AgentConfig | None, llm: Llm, first: Completion) -> Completion:
        """Run what the model asks for and ask again, until it answers or the cap is reached."""
        offered = frozenset(function.function_id for function in self._offered)
        gates = Gates(self._peers, self._agent_id, agent, offered)
        executor = Executor(self._peers, self._agent_id, gates, llm)
        completion = first
        malformed_rounds = 0
        while completion.tool_calls:
            if self._rounds >= self._settings.max_iterations:
                self._truncated = True
                return await self._ask(llm, with_functions=False)
            calls = read_calls(completion.tool_calls)
            self._rounds += 1
            await self._round(executor, completion, calls)
            if not any(item.call for item in calls):
                malformed_rounds += 1
                if malformed_rounds >= MAX_MALFORMED_ROUNDS:
                    self._error = ChatError(
                        code="malformed_tool_calls",
                        message="The model made only malformed function calls.",
                    )
                    return completion
            completion = await self._ask(llm)
        return completion

    async def _round(
        self, executor: Executor, completion: Completion, calls: list[Requested]
    ) -> None:
        detail = {"tools": [item.echo["id"] for item in calls], "iteration": self._rounds}
        self._peers.bus.publish(
            "audit", {"type": "tool_execution", "agentId": self._agent_id, "detail": detail}
        )
        results = await executor.run(calls, self._rounds)
        self._messages.append(
            Message(
                role="assistant",
                content=completion.text or None,
                tool_calls=[item.echo for item in calls],
            )
        )
        self._messages.extend(results)
        self._messages = await kept_healthy(
            self._peers, self._agent_id, self._messages, self._window, self._rounds
        )

    def _response(self, llm: Llm, completion: Completion) -> ChatResponse:
        return ChatResponse(
            content=completion.text,
            iterations=self._rounds,
            duration_ms=int((time.monotonic() - self._started) * 1000),
            session_id=self._session,
            model=llm.model,
            usage=llm.usage,
            stop_reason=completion.stop_reason,
            error=self._error,
            truncated=self._truncated,
        )
