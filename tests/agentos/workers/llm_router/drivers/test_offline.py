"""The provider that needs nothing."""

from __future__ import annotations

from agentos.workers.llm_router.conversation import Prompt, Reply, Tool, Turn
from agentos.workers.llm_router.drivers.offline import NOTICE, OfflineDriver, reply_to
from agentos.workers.llm_router.endpoints import OFFLINE_PROVIDER, Endpoint, ProviderName

TOOLS = [Tool(name, name, {}) for name in ("memory::recall", "memory::store")]
HERE = Endpoint(ProviderName("offline", OFFLINE_PROVIDER), "")


def ask(*turns, tools=TOOLS):
    return Prompt("offline", 100, list(turns), tools=tools)


def test_it_says_that_no_model_is_configured_and_what_to_do():
    reply = reply_to(ask(Turn("user", "Hello there")))
    assert reply.text.startswith(NOTICE)
    assert "OPENAI_API_KEY" in reply.text
    assert "ANTHROPIC_API_KEY" in reply.text
    assert "Hello there" in reply.text
    assert reply.stop_reason == "end"
    assert reply == reply_to(ask(Turn("user", "Hello there")))


def test_it_drives_a_tool_loop():
    question = Turn("user", 'please\n/call memory::recall {"query": "x"}\n/call memory::store')
    asked = reply_to(ask(question))
    assert [(call.id, call.arguments) for call in asked.calls] == [
        ("memory::recall", {"query": "x"}),
        ("memory::store", {}),
    ]
    assert (asked.text, asked.stop_reason) == ("", "tool_calls")
    results = [Turn("tool", f"r{n}", call_id=c.call_id) for n, c in enumerate(asked.calls)]
    done = reply_to(ask(question, Turn("assistant", calls=asked.calls), *results))
    assert done.text == "memory::recall returned: r0\nmemory::store returned: r1"
    assert (done.calls, done.stop_reason) == ([], "end")


def test_calls_it_cannot_make_are_explained():
    assert "not offered" in reply_to(ask(Turn("user", "/call shell::exec {}"))).text
    assert "memory::recall, memory::store" in reply_to(ask(Turn("user", "/call x"))).text
    assert "not JSON" in reply_to(ask(Turn("user", "/call memory::recall {oops"))).text
    assert "none" in reply_to(ask(Turn("user", "/call x"), tools=[])).text


def test_counts_are_bytes_by_four():
    reply = reply_to(ask(Turn("user", "12345678"), tools=[]))
    assert reply.usage.input == 2
    assert reply.usage.total == reply.usage.input + reply.usage.output
    assert reply_to(ask()).usage.input == 0


async def test_it_streams_in_pieces():
    items = [item async for item in OfflineDriver().stream(HERE, ask(Turn("user", "Hi")))]
    *pieces, reply = items
    assert len(pieces) > 10
    assert isinstance(reply, Reply)
    assert "".join(pieces) == reply.text
