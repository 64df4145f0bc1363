"""The forms of `trigger`, from every kind of thread, and what they raise."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from iii_sdk import (
    III,
    IIIForbiddenError,
    IIIInvocationError,
    IIITimeoutError,
    InitOptions,
    InvocationError,
    TriggerAction,
    TriggerRequest,
    register_worker,
)
from iii_sdk.compat.errors import published
from iii_sdk.compat.requests import request_of
from iii_sdk.errors import Forbidden


@pytest.fixture
def echo(iii):
    """The id of a function that returns what it gets."""

    @iii.function("calls::echo")
    async def echo(data):
        return data

    return "calls::echo"


def test_wire_case_86_awaited_in_a_program_of_its_own_loop(iii, echo):
    async def main():
        first, second = await asyncio.gather(iii.trigger(echo, [1]), iii.trigger(echo, [2]))
        waited = await asyncio.wait_for(iii.trigger(echo, "x"), 5)
        coroutine = await asyncio.create_task(iii.trigger_async(echo, "y"))
        form = await iii.trigger_async({"function_id": echo, "payload": "z"})
        return first, second, waited, coroutine, form

    assert asyncio.run(main()) == ([1], [2], "x", "y", "z")


def test_wire_case_86_awaited_inside_a_handler(iii, echo):
    @iii.function("calls::nested")
    async def nested(data):
        return [
            await iii.trigger(echo, 1),
            await iii.trigger({"function_id": echo, "payload": 2}),
            await iii.trigger_async({"function_id": echo, "payload": 3}),
        ]

    assert iii.trigger("calls::nested").result(5) == [1, 2, 3]


def test_wire_case_86_dict_form_from_a_plain_thread(iii, echo):
    answers = []

    def ask():
        answers.append(iii.trigger({"function_id": echo, "payload": {"a": 1}})["a"])
        answers.append(iii.trigger(TriggerRequest(function_id=echo, payload=5)))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(5)
    assert answers == [1, 5]


def test_wire_case_46_a_plain_handler_calls_its_own_worker(iii, echo):
    @iii.function("calls::blocking")
    def blocking(data):
        return iii.trigger({"function_id": echo, "payload": data["n"]})

    assert iii.trigger({"function_id": "calls::blocking", "payload": {"n": 3}}) == 3


def test_wire_case_43_a_call_times_out(iii, echo):
    release = threading.Event()

    @iii.function("calls::slow")
    def slow(data):
        return release.wait(10)

    with pytest.raises(IIITimeoutError, match="TIMEOUT: invocation timed out after 200ms") as error:
        iii.trigger({"function_id": "calls::slow", "timeout_ms": 200})
    release.set()
    assert (error.value.code, error.value.function_id) == ("TIMEOUT", "calls::slow")
    assert iii.trigger({"function_id": echo, "payload": "later"}) == "later"


def test_result_gives_up_waiting_while_the_call_goes_on(iii):
    release = threading.Event()

    @iii.function("calls::patient")
    def patient(data):
        return release.wait(10)

    call = iii.trigger("calls::patient", timeout_ms=-1)
    with pytest.raises(TimeoutError):
        call.result(0.01)
    assert not call.done()
    release.set()
    assert call.result(5) is True


def test_whoever_stops_waiting_leaves_the_call_to_others(iii):
    release = threading.Event()

    @iii.function("calls::shared")
    def shared(data):
        return release.wait(10)

    async def main():
        call = iii.trigger("calls::shared")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call, 0.01)
        release.set()
        return await call

    assert asyncio.run(main()) is True


def test_an_async_handler_must_not_block_its_loop(iii, echo):
    @iii.function("calls::wrong")
    async def wrong(data):
        return iii.trigger(echo, 1).result()

    with pytest.raises(IIIInvocationError, match="must await"):
        iii.trigger("calls::wrong").result(5)


def test_an_unknown_function(iii):
    with pytest.raises(InvocationError) as error:
        iii.trigger({"function_id": "calls::nobody"})
    assert error.value.code == "function_not_found"
    assert str(error.value) == "function_not_found: Function calls::nobody not found"


def test_wire_case_27_forbidden_is_its_own_class():
    error = Forbidden("no", code="FORBIDDEN")
    assert type(published(error, "f")) is IIIForbiddenError
    assert type(published(Forbidden("no"))) is IIIInvocationError


def test_void_calls_in_every_form(iii):
    seen: list[object] = []
    done = threading.Event()

    @iii.function("calls::note")
    def note(data):
        seen.append(data)
        if len(seen) == 4:
            done.set()

    iii.trigger_void("calls::note", 1)
    void = TriggerAction.Void()
    assert iii.trigger({"function_id": "calls::note", "payload": 2, "action": void}) is None
    assert iii.trigger("calls::note", 3, action={"type": "void"}).result() is None
    assert asyncio.run(iii.trigger_async("calls::note", 4, action=void)) is None
    assert done.wait(5)
    assert sorted(seen) == [1, 2, 3, 4]


def test_enqueue_to_an_unknown_queue(iii):
    with pytest.raises(IIIInvocationError) as error:
        iii.enqueue("nowhere", "calls::note", {}).result(5)
    assert error.value.code == "enqueue_error"
    action = TriggerAction.Enqueue(queue="nowhere")
    with pytest.raises(IIIInvocationError, match="enqueue_error"):
        iii.trigger({"function_id": "calls::note", "action": action})


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((7,), "expected a function id"),
        (("",), "function_id"),
        (({"payload": 1},), "function_id"),
        (({"function_id": "f", "timeout": 1},), "unknown field 'timeout'"),
    ],
)
def test_a_request_that_is_none(arguments, problem):
    with pytest.raises((TypeError, ValueError), match=problem):
        request_of(*arguments)


@pytest.mark.parametrize("options", [{"action": {"type": "later"}}, {"timeout_ms": -5}])
def test_wrong_options_of_a_call(iii, options):
    with pytest.raises(ValueError, match="expected"):
        iii.trigger("f", **options)


def test_a_payload_that_is_no_json(iii):
    with pytest.raises(IIIInvocationError, match="object cannot be written as JSON") as error:
        iii.trigger("f", {"x": object()})
    assert error.value.code == "serialization_error"


def test_wire_case_87_shutdown_in_both_forms(url):
    iii = III(url)
    assert iii.wait_connected(10)
    never = threading.Event()
    iii.register_function("calls::never", lambda data: never.wait(10))
    call = iii.trigger("calls::never")

    async def main():
        await iii.shutdown()
        await iii.shutdown()
        await iii.shutdown_async()

    asyncio.run(main())
    iii.shutdown()
    never.set()
    with pytest.raises(IIIInvocationError) as error:
        call.result(0)
    assert error.value.code == "SHUTDOWN"
    with pytest.raises(IIIInvocationError, match="SHUTDOWN"):
        iii.trigger({"function_id": "calls::never"})
    iii.trigger_void("calls::never")
    assert iii.get_connection_state() == "disconnected"


@pytest.mark.parametrize("form", ["plain", "async"])
def test_wire_case_87_shutdown_inside_a_handler(url, form):
    iii = III(url)
    if form == "async":

        async def stop(data):
            await iii.shutdown()

    else:

        def stop(data):
            iii.shutdown()

    iii.register_function("calls::stop", stop)
    with pytest.raises(IIIInvocationError):
        iii.trigger({"function_id": "calls::stop"})
    assert iii.shutdown().result(5) is None
    assert not [t for t in threading.enumerate() if t.name == "iii-io" and t.is_alive()]


def test_running_handlers_get_the_time_to_finish(url, iii):
    caller = iii
    iii = register_worker(url, InitOptions(drain_ms=5000))
    began, release = threading.Event(), threading.Event()

    @iii.function("calls::drained")
    def drained(data):
        began.set()
        return release.wait(10)

    iii.list_workers().result(5)  # the engine has the function by now
    call = caller.trigger("calls::drained")
    assert began.wait(5)
    ending = threading.Thread(target=iii.shutdown)
    ending.start()
    release.set()
    ending.join(10)
    assert call.result(5) is True


def test_many_calls_at_once_are_matched(iii, echo):
    async def main():
        return await asyncio.gather(*(iii.trigger(echo, n) for n in range(1000)))

    assert asyncio.run(main()) == list(range(1000))


def test_the_fast_path_does_not_wait_for_slow_threads(iii, echo):
    """Plain handlers that block take no time from async ones."""
    release = threading.Event()
    iii.register_function("calls::stuck", lambda data: release.wait(10))
    stuck = [iii.trigger("calls::stuck") for _ in range(70)]
    start = time.monotonic()
    assert iii.trigger({"function_id": echo, "payload": 1}) == 1
    assert time.monotonic() - start < 8  # of 10 that the plain ones take
    release.set()
    assert all(call.result(10) for call in stuck)
