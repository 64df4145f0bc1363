"""Trace context and baggage under the names of the published client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.otlp import plain, span
from tests.support.waiting import until

from iii_sdk import III, InitOptions
from iii_sdk.compat import telemetry

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
async def iii(engine) -> AsyncIterator[III]:
    iii = III(engine.url, InitOptions(otel={"service_name": "mine", "service_version": "7"}))
    await iii.connect_async()
    yield iii
    await asyncio.to_thread(iii.shutdown)


@pytest.mark.parametrize("plainly", [False, True])
async def test_a_handler_sees_and_passes_on_its_context(engine, iii, plainly):
    seen = {}

    def look(data):
        seen["ids"] = (telemetry.current_trace_id(), telemetry.current_span_id())
        seen["baggage"] = telemetry.get_all_baggage()
        telemetry.set_baggage_entry("added", "ä,b")
        telemetry.remove_baggage_entry("tenant")
        iii.trigger_void("t::next")
        seen["left"] = telemetry.get_baggage_entry("tenant")

    async def look_async(data):
        look(data)

    iii.register_function("t::f", look if plainly else look_async)
    iii.register_function("t::next", lambda data: seen.update(next=telemetry.get_all_baggage()))
    await until(lambda: "t::next" in engine.core.registry)
    engine.core.call(
        "t::f", b"{}", None, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01", baggage="tenant=a%20b"
    )
    await until(lambda: "next" in seen)
    assert seen["baggage"] == {"tenant": "a b"}
    assert seen["next"] == {"added": "ä,b"}
    assert seen["left"] is None
    own = await until(lambda: span(engine, "call t::f"))
    assert seen["ids"] == (TRACE, own["spanId"])
    resource = engine.telemetry[0][1]["resourceSpans"][0]["resource"]
    named = plain(resource["attributes"])
    assert (named["service.name"], named["service.version"]) == ("mine", "7")


async def test_spans_of_the_program(engine, iii):
    async def work(part):
        part.set("n", 1)
        return telemetry.inject_traceparent()

    def fail(part):
        raise ValueError("no")

    parent = f"00-{TRACE}-00f067aa0ba902b7-01"
    inside = await telemetry.with_span("mine", work, traceparent=parent)
    with pytest.raises(ValueError, match="no"):
        await telemetry.with_span("bad", fail)
    mine = await until(lambda: span(engine, "mine"))
    bad = await until(lambda: span(engine, "bad"))
    assert inside == f"00-{TRACE}-{mine['spanId']}-01"
    assert mine["parentSpanId"] == "00f067aa0ba902b7"
    assert "parentSpanId" not in bad
    assert bad["status"]["code"] == 2
    assert telemetry.is_initialized()
    assert telemetry.current_trace_id() is None


async def test_contexts_from_elsewhere():
    async def program():
        telemetry.use_context(telemetry.extract_context(f"00-{TRACE}-00f067aa0ba902b7-01", "a=1"))
        return telemetry.current_span_id(), telemetry.inject_baggage()

    assert await asyncio.create_task(program()) == ("00f067aa0ba902b7", "a=1")
    assert telemetry.extract_traceparent("x").traceparent == "x"
    assert telemetry.extract_baggage("a=1").baggage == "a=1"
    assert not telemetry.is_initialized()


@pytest.mark.parametrize("otel", [{"enabled": False}, {"enabled": None}])
async def test_switched_off(engine, monkeypatch, otel):
    monkeypatch.setenv("OTEL_ENABLED", "true" if otel["enabled"] is False else "0")
    iii = III(engine.url, otel=otel)
    iii.register_function("t::f", lambda data: 1)
    await iii.connect_async()
    await until(lambda: "t::f" in engine.core.registry)
    assert await engine.call("t::f") == 1
    assert iii.telemetry is None
    await asyncio.to_thread(iii.shutdown)
    assert engine.telemetry == []
