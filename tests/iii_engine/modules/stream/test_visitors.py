"""Who may subscribe, and who is told that a subscription is over."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from tests.support.desk import Desk

from iii_engine.core.stream_messages import Wanted
from iii_engine.core.stream_subscriber import Subscriber
from iii_engine.core.stream_subscriptions import Subscriptions
from iii_engine.modules.stream import StreamModule
from iii_engine.modules.stream.visitors import JOIN_TIMEOUT_MS


class Client:
    def __init__(self, desk: Desk) -> None:
        self.table: Subscriptions = desk.module.hub.subscriptions  # type: ignore[attr-defined]
        self.subscriber = Subscriber(lambda: None, lambda: None, context=Raw(b'{"u":1}'))

    def join(self, stream: str = "s", name: str = "a", id: str | None = None) -> list[str]:
        """What it hears then."""
        self.table.join(self.subscriber, Wanted(name, stream, "g", id))
        return self.heard()

    def heard(self) -> list[str]:
        messages: list[Any] = [json.loads(message) for message in self.subscriber.take()]
        return [message["event"]["type"] for message in messages]


@pytest.fixture
def client(desk: Desk) -> Client:
    return Client(desk)


def asked(desk: Desk, function_id: str, answer: bytes, **config: object) -> None:
    desk.handler(function_id, answer=answer)
    assert desk.bind(function_id, function_id, config, type="stream:join") is None


async def require_join(desk: Desk, required: bool) -> None:
    """Change the option while the module runs."""
    module = desk.module
    assert isinstance(module, StreamModule)
    options = msgspec.structs.replace(module.options, require_join=required)
    assert await module.reconfigure(options)


@pytest.mark.parametrize(
    "answer",
    [b"null", b"false", b"0", b'"no"', b"[]", b"{}", b'{"unauthorized":false}', b'{"x":1}'],
)
def test_other_answers_allow(desk: Desk, client: Client, answer: bytes) -> None:
    asked(desk, "join", answer)
    assert client.join() == ["sync"]


@pytest.mark.parametrize("answer", [b'{"unauthorized":true}', b'{"unauthorized":"yes"}'])
def test_unauthorized_refuses(desk: Desk, client: Client, answer: bytes) -> None:
    asked(desk, "join", answer)
    assert client.join() == ["unauthorized"]


def test_handlers_get_the_subscription_and_the_context(desk: Desk, client: Client) -> None:
    asked(desk, "join", b"null")
    client.join(id="1")
    assert desk.payloads("join") == [
        {
            "subscription_id": "a",
            "stream_name": "s",
            "group_id": "g",
            "id": "1",
            "context": {"u": 1},
        }
    ]


def test_one_of_several_is_enough_to_refuse(desk: Desk, client: Client) -> None:
    asked(desk, "yes", b"null")
    asked(desk, "no", b'{"unauthorized":true}')
    asked(desk, "late", b"null")
    assert client.join() == ["unauthorized"]
    assert desk.payloads("late")  # all are asked at the same time


def test_only_those_of_the_stream_are_asked(desk: Desk, client: Client) -> None:
    asked(desk, "other", b'{"unauthorized":true}', stream_name="other")
    asked(desk, "every", b"null", stream_name="")
    assert client.join("s") == ["sync"]
    assert client.join("other", "b") == ["unauthorized"]
    assert len(desk.payloads("every")) == 2


@pytest.mark.promise("Streams", "A join handler that fails, or does not answer, refuses.")
def test_a_handler_that_fails_refuses(desk: Desk, client: Client) -> None:
    desk.bind("gone", "nobody", type="stream:join")
    assert client.join() == ["unauthorized"]


@pytest.mark.promise(
    "Streams",
    "With `require_join`, nobody subscribes while the worker that would be asked is away.",
)
async def test_where_a_handler_is_required_none_refuses(desk: Desk, client: Client) -> None:
    await require_join(desk, True)
    assert client.join() == ["unauthorized"]
    asked(desk, "yes", b"null", stream_name="s")
    assert client.join() == ["sync"]
    assert client.join("other", "b") == ["unauthorized"]
    await require_join(desk, False)
    assert client.join("other", "b") == ["sync"]


def test_a_handler_that_does_not_answer_refuses(desk: Desk, client: Client) -> None:
    desk.handler("slow", answer=None)
    desk.bind("slow", "slow", type="stream:join")
    assert client.join() == []
    desk.advance(JOIN_TIMEOUT_MS / 1000 + 1)
    assert client.heard() == ["unauthorized"]


def test_a_condition_may_take_a_handler_out(desk: Desk, client: Client) -> None:
    desk.handler("unless", answer=b"false")
    asked(desk, "no", b'{"unauthorized":true}', condition_function_id="unless")
    assert client.join() == ["sync"]
    assert desk.payloads("no") == []


def test_a_condition_may_pass_or_fail(desk: Desk, client: Client) -> None:
    desk.handler("if", answer=b"0")
    asked(desk, "no", b'{"unauthorized":true}', condition_function_id="if")
    assert client.join() == ["unauthorized"]
    desk.engine.triggers.remove("no")
    asked(desk, "yes", b"null", condition_function_id="missing")
    assert client.join() == ["unauthorized"]


def test_a_refusal_is_final_whatever_comes_later(desk: Desk, client: Client) -> None:
    calls = desk.handler("slow", answer=None)
    desk.bind("slow", "slow", type="stream:join")
    asked(desk, "no", b'{"unauthorized":true}')
    assert client.join() == ["unauthorized"]
    calls[0].reply()
    assert client.heard() == []


def test_leaving_is_told_to_those_of_the_stream(desk: Desk, client: Client) -> None:
    for name, config in {
        "left": {"stream_name": "s"},
        "other": {"stream_name": "other"},
        "held": {"condition_function_id": "false"},
    }.items():
        desk.handler(name)
        desk.bind(name, name, config, type="stream:leave")
    desk.handler("false", answer=b"false")
    client.join(id="1")
    client.table.leave(client.subscriber, "a")
    assert [left["id"] for left in desk.payloads("left")] == ["1"]
    assert desk.payloads("other") == desk.payloads("held") == []
    desk.engine.triggers.remove("left")
    client.join()
    client.table.disconnect(client.subscriber)
    assert len(desk.payloads("left")) == 1
