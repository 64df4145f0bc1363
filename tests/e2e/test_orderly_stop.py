"""`agentos stop` in the middle of a chat: the chat ends well, a new one is refused."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.support.house import House, running
from tests.support.openai_server import OpenAIServer, answer
from tests.support.waiting import until

#: Everything in one host; and what a chat needs each in a host of its own.
PLACEMENTS = {
    "one host": "",
    "many hosts": '[hosts]\na = ["llm-router"]\nb = ["memory"]\nc = ["security"]\n',
}


@pytest.mark.promise("Operation", "Work under way ends well while the system stops.")
@pytest.mark.parametrize("settings", PLACEMENTS.values(), ids=PLACEMENTS)
async def test_a_slow_chat_ends_well_while_the_system_stops(settings: str, tmp_path: Path) -> None:
    release = asyncio.Event()
    async with OpenAIServer() as model:
        house = House(
            tmp_path / "home",
            AGENTOS_API_KEY="the-key",
            OPENAI_API_KEY="sk-test",
            OPENAI_BASE_URL=model.url,
        )
        house.home.prepare()
        house.home.settings.write_text(settings)
        # The model takes its time, and then wants what two other workers have to give.
        call = ("t1", "memory__store", {"content": "likes tea"})
        model.script.append(
            lambda request: replace(
                answer(request, None, (call,), None, "tool_calls", None), after=release
            )
        )
        try:
            await asyncio.to_thread(house.start)
            processes = house.processes()
            client = openai.AsyncOpenAI(
                base_url=f"{house.api_url}/v1", api_key="the-key", max_retries=0
            )

            async def chat(text: str) -> Any:
                return await client.chat.completions.create(
                    model="gpt-4o", messages=[{"role": "user", "content": text}]
                )

            slow = asyncio.ensure_future(chat("remember that I like tea"))
            await until(lambda: model.chats)
            stopping = asyncio.ensure_future(asyncio.to_thread(house.agentos, "stop"))

            async def refused() -> bool:
                try:
                    await chat("another")
                except openai.APIStatusError as error:
                    return error.status_code == 503
                return False

            await until(refused, "new chats are refused")
            assert not slow.done()
            release.set()
            said = (await slow).choices[0].message.content
            assert json.loads(said.removeprefix("echo: "))["stored"] is True
            assert (await stopping).returncode == 0
            assert not any(map(running, processes))
            assert "did not stop in time" not in house.output
            await client.close()
        finally:
            release.set()
            await asyncio.to_thread(house.close)
