"""A turn that is told while it happens, on a real bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.chat_house import ROUTE, asks, says
from tests.support.engine import RunningEngine
from tests.support.served import StandIn, served
from tests.support.waiting import until

from agentos.kernel.streamed_call import Event, streamed_call
from agentos.workers.agent_core.settings import Settings
from agentos.workers.agent_core.worker import create
from iii_sdk import Bus, ChannelRef, Unavailable, UpstreamError


class Llm:
    """`llm::stream`: says each piece only when it is let, then answers with the next completion."""

    def __init__(self, worker: Any) -> None:
        self.completions: list[Any] = []
        self.pieces: list[str] = []
        self.said: asyncio.Semaphore | None = None
        self.unheard = asyncio.Event()
        worker.function("llm::stream")(self.stream)

    async def stream(self, asked: dict[str, Any], bus: Bus) -> Any:
        writer = await bus.open_writer(ChannelRef(**asked["writer"]))
        await writer.send_text('{"type":"start","model":"m","provider":"p"}\n')
        completion = self.completions.pop(0)
        for piece in self.pieces if completion.get("content") else []:
            if self.said is not None:
                await self.said.acquire()
            try:
                await writer.send_text(json.dumps({"type": "text", "delta": piece}) + "\n")
            except Unavailable:
                self.unheard.set()
                raise
        for call in completion.get("toolCalls", []):
            await writer.send_text(json.dumps({"type": "tool_call", **call}) + "\n")
        await writer.send_text('{"type":"end","stopReason":"end"}\n')
        await writer.close()
        return completion


class Stage:
    def __init__(self, bus: Bus, behind: StandIn, llm: Llm) -> None:
        self.bus = bus
        self.behind = behind
        self.llm = llm
        self.events: list[Event] = []

    async def chat(self, message: str = "Hello") -> Any:
        async def note(event: Event) -> None:
            self.events.append(event)

        return await streamed_call(
            self.bus,
            "agent::chat",
            {"agentId": "default", "message": message},
            writer_field="stream",
            on_event=note,
            kind=dict[str, Any],
            timeout=10,
        )


@pytest.fixture
async def stage(engine: RunningEngine) -> AsyncIterator[Stage]:
    behind = StandIn(
        {
            "security::scan_injection": {"riskScore": 0},
            "llm::route": ROUTE,
            "llm::complete": says("plain"),
            "memory::recall": [],
        }
    )
    llm = Llm(behind.worker)
    async with served(engine, behind.worker, create(Settings())) as bus:
        yield Stage(bus, behind, llm)


async def test_pieces_come_while_the_model_is_still_speaking(stage: Stage) -> None:
    stage.llm.said = asyncio.Semaphore(0)
    stage.llm.pieces = ["Hel", "lo"]
    stage.llm.completions = [says("Hello", stopReason="end")]
    turn = asyncio.create_task(stage.chat())
    stage.llm.said.release()
    await until(lambda: stage.events, "the first piece has come")
    assert stage.events == [{"type": "text", "delta": "Hel"}]
    assert not turn.done()
    stage.llm.said.release()
    response = await turn
    assert response["content"] == "Hello"
    assert stage.events[1] == {"type": "text", "delta": "lo"}
    assert stage.events[2] == {"type": "end", **response}


async def test_calls_are_told_between_the_rounds(stage: Stage) -> None:
    stage.llm.pieces = ["done"]
    call = ("c1", "memory::recall", {"query": "x"})
    stage.llm.completions = [asks(call), says("done")]
    response = await stage.chat()
    assert [event["type"] for event in stage.events] == ["tool_call", "text", "end"]
    assert stage.events[0]["id"] == "memory::recall"
    assert response["iterations"] == 1
    assert stage.behind.asked("memory::recall")[-1] == {"query": "x", "agentId": "default"}


async def test_a_refusal_is_an_end(stage: Stage) -> None:
    stage.behind.answers["security::scan_injection"] = {"riskScore": 1}
    response = await stage.chat()
    assert stage.events == [{"type": "end", **response}]
    assert response["error"]["code"] == "injection_rejected"


async def test_a_failure_is_told_on_both_ways(stage: Stage) -> None:
    stage.behind.answers["llm::route"] = UpstreamError("router down")
    with pytest.raises(UpstreamError, match="router down"):
        await stage.chat()


async def test_without_llm_stream_the_text_comes_in_one_piece(stage: Stage) -> None:
    stage.behind.worker.remove("llm::stream")

    async def gone() -> bool:
        listed = await stage.bus.call("engine::functions::list", {})
        return "llm::stream" not in {f["function_id"] for f in listed["functions"]}

    await until(gone, "llm::stream is gone")
    await stage.chat()
    assert [event["type"] for event in stage.events] == ["text", "end"]
    assert stage.events[0]["delta"] == "plain"


async def test_a_listener_that_leaves_ends_the_model_and_not_the_turn(stage: Stage) -> None:
    stage.llm.said = asyncio.Semaphore(0)
    stage.llm.pieces = ["a", "b", "c"]
    stage.llm.completions = [says("abc")]
    channel = await stage.bus.channel()
    asked = {"agentId": "default", "message": "x", "stream": channel.writer_ref}
    turn = asyncio.create_task(stage.bus.call("agent::chat", asked, kind=dict[str, Any]))
    stage.llm.said.release()
    assert json.loads(await anext(channel.reader))["delta"] == "a"
    await channel.reader.close()
    response = await turn  # though the model says nothing more
    assert (response["content"], response["stopReason"]) == ("a", "cancelled")
    stage.llm.said.release()
    await asyncio.wait_for(stage.llm.unheard.wait(), 5)


async def test_no_answer_of_the_model_is_awaited_after_the_listener_left(stage: Stage) -> None:
    called, may_answer = asyncio.Event(), asyncio.Event()

    async def store(_: dict[str, Any]) -> dict[str, Any]:
        called.set()
        await may_answer.wait()
        return {"stored": True}

    stage.behind.worker.function("memory::store")(store)
    stage.llm.said = asyncio.Semaphore(0)
    stage.llm.pieces = ["done"]
    stage.llm.completions = [asks(("c1", "memory::store", {"content": "x"})), says("done")]
    channel = await stage.bus.channel()
    asked = {"agentId": "default", "message": "x", "stream": channel.writer_ref}
    turn = asyncio.create_task(stage.bus.call("agent::chat", asked, kind=dict[str, Any]))
    assert json.loads(await anext(channel.reader))["type"] == "tool_call"
    await asyncio.wait_for(called.wait(), 5)
    await channel.reader.close()
    may_answer.set()
    response = await turn
    assert (response["stopReason"], response["iterations"]) == ("cancelled", 1)
