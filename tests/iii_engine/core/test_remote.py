"""Functions that are invoked outside the bus, as the core sees them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.bus import Bus, Peer, replying

from iii_engine.core.access import Rules
from iii_engine.core.filters import read_filter
from iii_engine.core.grants import Grant
from iii_engine.core.registry import LocalHandler
from iii_engine.core.remote import Refuse
from iii_sdk.protocol import ErrorBody, RegisterFunction

INVOCATION = {"url": "https://example.com/"}
GUARDED = Rules(auth_function_id="auth", expose=(read_filter('match("ext::*")'),))


class Module:
    """Answers every call with its name, refuses urls that say so, remembers what it refused."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.later: dict[str, Refuse] = {}

    def __call__(self, message: RegisterFunction, refuse: Refuse) -> LocalHandler | ErrorBody:
        self.later[message.id] = refuse
        assert message.invocation is not None
        if "refused" in message.invocation.url:
            return ErrorBody("url_validation_failed", f"{self.name} says no")
        return replying(self.name)


def offer(peer: Peer, function_id: str, url: str = INVOCATION["url"]) -> None:
    peer.tell("registerfunction", id=function_id, invocation={"url": url})


def result(peer: Peer, function_id: str) -> Any:
    """The result of a call, or its error's code."""
    call = peer.ask(function_id)
    (answer,) = [m for m in peer.inbox() if m["type"] == "invocationresult"]
    assert answer["invocation_id"] == call
    return answer.get("result") or answer["error"]["code"]


def test_without_a_module_a_registration_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    worker = bus.peer()
    offer(worker, "ext::f")
    worker.ask("ext::f")
    error = worker.only()["error"]
    assert error["code"] == "function_not_found"
    assert "iii-http-functions" in error["message"]
    assert "iii-http-functions" in caplog.text


def test_a_module_answers_and_the_worker_owns_the_registration() -> None:
    bus = Bus()
    bus.engine.remote.install(Module("one"))
    worker, caller = bus.peer(), bus.peer()
    offer(worker, "ext::f")
    assert result(caller, "ext::f") == "one"
    assert worker.inbox() == []
    assert bus.call("ext::f") == [("one", None)]
    worker.tell("unregisterfunction", id="ext::f")
    assert result(caller, "ext::f") == "function_not_found"
    offer(worker, "ext::f")
    worker.close()
    assert result(caller, "ext::f") == "function_not_found"


def test_a_refusal_is_remembered_as_long_as_the_registration() -> None:
    bus = Bus()
    bus.engine.remote.install(Module("one"))
    worker, caller = bus.peer(), bus.peer()
    offer(worker, "ext::f", "refused")
    assert result(caller, "ext::f") == "url_validation_failed"
    assert bus.call("ext::f") == [(None, "url_validation_failed")]
    worker.close()
    assert result(caller, "ext::f") == "function_not_found"


def test_a_refused_registration_changes_nothing() -> None:
    bus = Bus()
    bus.engine.remote.install(Module("one"))
    worker = bus.peer()
    offer(worker, "ext::f")
    offer(worker, "ext::f", "refused")
    assert result(worker, "ext::f") == "one"


def test_a_reason_may_take_time_to_find() -> None:
    bus = Bus()
    module = Module("one")
    bus.engine.remote.install(module)
    worker = bus.peer()
    offer(worker, "ext::f")
    first = module.later["ext::f"]
    first(ErrorBody("url_validation_failed", "Private IP blocked"))
    assert result(worker, "ext::f") == "url_validation_failed"
    offer(worker, "ext::f")
    first(ErrorBody("url_validation_failed", "too late"))
    assert result(worker, "ext::f") == "one"


def test_another_module_judges_anew() -> None:
    bus = Bus()
    worker = bus.peer()
    offer(worker, "ext::before")
    bus.engine.remote.install(Module("one"))
    offer(worker, "ext::refused", "refused")
    assert result(worker, "ext::before") == "one"
    bus.engine.remote.install(Module("two"))
    assert result(worker, "ext::before") == "two"
    assert result(worker, "ext::refused") == "url_validation_failed"
    bus.engine.remote.install(None)
    assert result(worker, "ext::before") == "function_not_found"


def test_the_newest_registration_leads_whoever_answers_it() -> None:
    bus = Bus()
    bus.engine.remote.install(Module("one"))
    caller = bus.peer()
    remote, worker = bus.peer(), bus.peer()
    remote.describe(name="remote")
    worker.describe(name="worker")
    offer(remote, "f::f")
    worker.offer("f::f")
    caller.ask("f::f")
    worker.answer(worker.only(), result="worker")
    assert caller.only()["result"] == "worker"
    offer(remote, "f::f")
    assert result(caller, "f::f") == "one"
    remote.tell("unregisterfunction", id="f::f")
    caller.ask("f::f")
    assert worker.only()["function_id"] == "f::f"


def test_a_worker_may_change_how_it_is_invoked() -> None:
    bus = Bus()
    bus.engine.remote.install(Module("one"))
    worker = bus.peer()
    offer(worker, "f::f")
    worker.offer("f::f")
    worker.ask("f::f")
    assert worker.only()["type"] == "invokefunction"
    bus.engine.remote.install(Module("two"))
    worker.ask("f::f")
    assert worker.only()["type"] == "invokefunction"


def test_reserved_ids_stay_reserved() -> None:
    bus = Bus()
    bus.engine.remote.install(Module("one"))
    bus.engine.add_function("state::get", replying("built in"), module="iii-state")
    worker = bus.peer()
    for function_id in ("engine::x", "state::get"):
        offer(worker, function_id)
    assert result(worker, "engine::x") == "function_not_found"
    assert result(worker, "state::get") == "built in"


def test_the_payload_leaves_without_the_callers_id() -> None:
    bus = Bus()
    seen: list[bytes] = []

    def handler(call: Any) -> None:
        seen.append(bytes(call.data))
        call.reply(b"1")

    bus.engine.remote.install(lambda message, refuse: handler)
    worker = bus.peer()
    offer(worker, "f::f")
    worker.ask("f::f", {"a": 1})
    worker.ask("f::f", {"a": 1, "_caller_worker_id": "made up"})
    worker.ask("f::f", {"a": {"_caller_worker_id": "nested"}})
    assert [s.replace(b" ", b"") for s in seen] == [
        b'{"a":1}',
        b'{"a":1}',
        b'{"a":{"_caller_worker_id":"nested"}}',
    ]


def test_the_engine_makes_requests_for_guarded_workers_that_may_have_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = Bus()
    bus.engine.remote.install(Module("one"))
    # That it may call a function of this name does not mean that it may be that function.
    guest = bus.guarded(GUARDED, Grant(allowed_functions=frozenset({"ext::f"})))
    offer(guest, "ext::f")
    assert result(bus.peer(), "ext::f") == "FORBIDDEN"
    assert result(guest, "ext::f") == "FORBIDDEN"
    assert "function 'ext::f' of worker" in caplog.text
    assert "allow_endpoint_registration" in caplog.text
    assert "(FORBIDDEN)" in caplog.text
    bus.engine.remote.install(Module("two"))  # which judges anew
    assert result(guest, "ext::f") == "FORBIDDEN"
    offer(bus.guarded(GUARDED, Grant(may_register_endpoints=True)), "ext::g")
    offer(bus.guarded(Rules(guarded=False, middleware="m")), "ext::h")
    caller = bus.peer()
    assert [result(caller, "ext::g"), result(caller, "ext::h")] == ["two", "two"]


def test_without_an_auth_function_no_guarded_worker_may() -> None:
    bus = Bus()
    bus.engine.remote.install(Module("one"))
    guest = bus.guarded(Rules(expose=GUARDED.expose))
    offer(guest, "ext::f")
    assert result(guest, "ext::f") == "FORBIDDEN"


def test_a_forbidden_endpoint_leaves_the_workers_own_function_as_it_was() -> None:
    bus = Bus()
    bus.engine.remote.install(Module("one"))
    guest = bus.guarded(GUARDED)
    guest.offer("ext::f")
    offer(guest, "ext::f")
    bus.call("ext::f")
    assert guest.only()["function_id"] == "ext::f"
