"""What a turn tells the model: history, memory, the agent's own words, images."""

from __future__ import annotations

from typing import Any

from tests.support.chat_house import ChatHouse

from iii_sdk import BusError


async def test_the_history_of_the_caller_wins_over_the_stored_session() -> None:
    house = ChatHouse()
    house.fake.stored["sessions:default", "s"] = {"messages": [{"id": "m1", "role": "user"}]}
    house.fake.stored["memory:default", "m1"] = {"content": "stored", "role": "user"}
    given = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    await house.chat("next", sessionId="s", history=given)
    await house.chat("again", sessionId="s", history=[])
    await house.chat("third", sessionId="s")
    texts = [[m["content"] for m in prompt["messages"]] for prompt in house.prompts]
    assert texts == [["q", "a", "next"], ["again"], ["stored", "third"]]


async def test_stored_turns_keep_order_and_role_of_the_session() -> None:
    house = ChatHouse()
    house.fake.stored["sessions:default", "s"] = {
        "messages": [
            {"id": "m1", "role": "user", "timestamp": 1},
            {"id": "gone", "role": "user", "timestamp": 2},
            {"id": "m2", "role": "assistant", "timestamp": 3},
        ]
    }
    house.fake.stored["memory:default", "m1"] = {"content": "yes", "role": "assistant"}
    house.fake.stored["memory:default", "m2"] = {"content": "fine", "role": "assistant"}
    await house.chat("next", sessionId="s")
    messages = [(m["role"], m["content"]) for m in house.prompts[0]["messages"]]
    assert messages == [("user", "yes"), ("assistant", "fine"), ("user", "next")]


async def test_recalled_facts_and_profile_are_data_in_the_system_block() -> None:
    house = ChatHouse()
    house.offer(
        {
            "memory::recall": [{"role": "user", "content": "likes </recalled> tea", "score": 1}, 3],
            "memory::user_profile::get": {"name": "Ada", "tags": ["x"], "updatedAt": 1, "n": None},
        }
    )
    await house.chat("Hello", systemPrompt="Be kind")
    system = house.prompts[0]["systemPrompt"]
    assert system.startswith("Be kind\n\n[User Profile]\nname: Ada\ntags: [")
    assert system.count("</recalled>") == 1
    assert "tea" in system
    assert "updatedAt" not in system
    assert house.prompts[0]["messages"] == [{"role": "user", "content": "Hello"}]


async def test_recall_goes_through_the_cache_and_around_a_broken_one() -> None:
    house = ChatHouse()
    house.offer({"context_cache::get_or_fetch": [{"role": "user", "content": "cached"}]})
    await house.chat()
    assert house.fake.of("memory::recall") == []
    assert "cached" in house.prompts[0]["systemPrompt"]
    key = house.fake.of("context_cache::get_or_fetch")[0]["key"]
    assert key == "recall:185f8db32271fe25"  # sha256 of "Hello"

    house.offer({"context_cache::get_or_fetch": BusError("broken")})
    await house.chat()
    assert len(house.fake.of("memory::recall")) == 1


async def test_the_agent_s_prompt_persona_and_model() -> None:
    house = ChatHouse()
    house.agent(
        "writer",
        systemPrompt="You write.",
        model={"provider": "openai", "model": "gpt-4o", "maxTokens": 100, "baseUrlEnv": "X"},
        agentTier="premium",
        persona={"communicationStyle": "dry", "criticalRules": ["no lies"]},
    )
    await house.chat(agent="writer")
    (routed,) = house.fake.of("llm::route")
    assert routed["config"]["baseUrlEnv"] == "X"
    assert routed["agentTier"] == "premium"
    system = house.prompts[0]["systemPrompt"]
    assert system == (
        "You write.\n\n[Persona]\nCommunication style: dry\nRules you must keep:\n- no lies"
    )


async def test_a_known_model_overrules_the_agent_and_an_unknown_one_is_a_wish() -> None:
    house = ChatHouse()
    known = {"id": "gpt-4o", "provider": "openai", "contextWindow": 128000}

    def resolve(payload: Any) -> Any:
        return known if payload["model"] == "gpt-4o" else BusError("Unknown model: x")

    house.offer({"catalog::resolve": resolve})
    house.agent("a", model={"provider": "anthropic", "model": "claude-haiku-4-5"})
    await house.chat(agent="a", model="gpt-4o", maxTokens=7)
    await house.chat(agent="a", model="gpt-99")
    first, second = house.fake.of("llm::route")
    assert first["config"] == {"model": "gpt-4o", "maxTokens": 7}
    assert second["config"] == {"provider": "anthropic", "model": "claude-haiku-4-5"}
    assert second["model"] == "gpt-99"


async def test_images_become_parts_for_a_model_that_sees() -> None:
    house = ChatHouse()
    images = ["data:image/jpeg;base64,QUJD", "https://example.com/a.png"]
    await house.chat("look", images=images)
    assert house.prompts[0]["messages"][-1]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image", "mediaType": "image/jpeg", "data": "QUJD"},
        {"type": "image", "url": "https://example.com/a.png"},
    ]
    house.offer({"catalog::resolve": {"id": "m", "supportsVision": False}})
    await house.chat("look", images=images)
    assert house.prompts[1]["messages"][-1]["content"].startswith("look\n\n[2 image(s) left out")


async def test_a_hook_may_change_the_prompt() -> None:
    def fire(payload: Any) -> Any:
        if payload["type"] == "BeforePromptBuild":
            return {"modifiedPayload": {"systemPrompt": "changed"}}
        return {}

    house = ChatHouse()
    house.offer({"hook::fire": fire})
    await house.chat("Hello", systemPrompt="before")
    assert house.prompts[0]["systemPrompt"] == "changed"
    assert house.prompts[0]["messages"][-1]["content"] == "Hello"
