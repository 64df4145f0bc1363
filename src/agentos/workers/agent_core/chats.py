"""Around a turn: who is let in, how long it may take, where its end is told."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from agentos.kernel.draining import Drain
from agentos.kernel.ids import require_id
from agentos.workers.agent_core import inbox
from agentos.workers.agent_core.admission import Refused, slot
from agentos.workers.agent_core.aftermath import Background
from agentos.workers.agent_core.listener import Listener
from agentos.workers.agent_core.models import ChatRequest, ChatResponse
from agentos.workers.agent_core.peers import Peers
from agentos.workers.agent_core.settings import Settings
from agentos.workers.agent_core.turn import Turn
from iii_sdk import Bus, BusError, InvalidInput, Timeout

#: What a client that is turned away at shutdown should wait, in seconds.
RETRY_SECONDS: Final = 10


class Chats:
    """Runs turns."""

    def __init__(self, settings: Settings, drain: Drain) -> None:
        self._settings = settings
        self._drain = drain
        self.background = Background(drain)

    async def chat(self, request: ChatRequest, bus: Bus) -> ChatResponse:
        """One turn; refusals are answers. Raises `BusError` when the turn fails."""
        listener = Listener(bus, request.stream)
        try:
            response = await self._answer(request, bus, listener)
            await listener.end(response)
        except BusError as error:
            await listener.error(error.code, error.message)
            raise
        finally:
            await listener.close()
            if request.from_agent_id:
                await inbox.processed(bus, request.agent_id)
        inbox.reply(bus, request, response)
        return response

    async def _answer(self, request: ChatRequest, bus: Bus, listener: Listener) -> ChatResponse:
        started = time.monotonic()
        session = request.session_id or f"default:{request.agent_id}"
        try:
            self._check_door(request)
            with self._drain.counted():
                return await self._turn(request, session, bus, listener)
        except Refused as refused:
            return ChatResponse(
                content=refused.error.message,
                iterations=0,
                duration_ms=int((time.monotonic() - started) * 1000),
                session_id=session,
                error=refused.error,
            )

    def _check_door(self, request: ChatRequest) -> None:
        if self._drain.closing:
            text = "The service is shutting down, please retry later."
            raise Refused("shutting_down", text, retry_after=RETRY_SECONDS)
        try:
            require_id(request.agent_id, "agentId")
        except InvalidInput as error:
            raise Refused("invalid_agent", f"Missing or invalid agentId: {error.message}") from None

    async def _turn(
        self, request: ChatRequest, session: str, bus: Bus, listener: Listener
    ) -> ChatResponse:
        settings = self._settings
        peers = await Peers.look(bus, settings.strict_guards)
        self._gauge(peers)
        async with slot(peers, request.agent_id):
            turn = Turn(peers, request, session, settings, listener, self.background)
            try:
                async with asyncio.timeout(settings.chat_seconds):
                    return await turn.run()
            except TimeoutError:
                raise Timeout("Chat timeout exceeded") from None

    def _gauge(self, peers: Peers) -> None:
        peers.tell(
            "metrics::record",
            {
                "name": "active_sessions",
                "kind": "gauge",
                "value": self._drain.running,
                "labels": {},
            },
        )
