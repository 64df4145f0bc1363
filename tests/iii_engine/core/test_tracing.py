from __future__ import annotations

import json

from tests.support.bus import Bus, replying

from iii_engine.core.router import Call
from iii_engine.core.sampling import Rule, Sampler
from iii_engine.core.spans import Span
from iii_engine.core.tracing import SpanRing

TRACE = "a" * 32
PARENT = f"00-{TRACE}-{'b' * 16}-01"
UNRECORDED = f"00-{TRACE}-{'b' * 16}-00"


def span(name: str) -> Span:
    return Span(
        trace_id=TRACE,
        span_id="c" * 16,
        parent_span_id=None,
        name=name,
        kind="internal",
        start_ns=0,
        end_ns=0,
    )


def names(ring: SpanRing) -> list[str]:
    return [found.name for found in ring]


# -- the ring ------------------------------------------------------------------------------------


def test_the_ring_keeps_the_newest() -> None:
    bus = Bus(spans=3)
    bus.engine.add_function("f", replying(1), module="m")
    for _ in range(5):
        bus.call("f")
        bus.clock.advance(1)
    bus.call("f", traceparent=PARENT)
    ring = bus.engine.spans
    spans = list(ring)
    assert (len(spans), len(ring)) == (3, 3)
    assert [s.start_ns for s in spans] == sorted(s.start_ns for s in spans)
    assert (spans[-1].trace_id, spans[-1].parent_span_id) == (TRACE, "b" * 16)
    assert spans[0].parent_span_id is None
    ring.clear()
    assert (list(ring), len(ring), ring.newest) == ([], 0, None)


def test_the_capacity_counts_spans_and_not_what_made_them() -> None:
    """A call of a worker is two spans."""
    bus = Bus(spans=3)
    worker = bus.peer()
    bus.engine.add_function("f", replying(1), module="m")
    worker.ask("f")
    assert (len(bus.engine.spans), len(list(bus.engine.spans))) == (2, 2)
    worker.ask("f")
    assert (len(bus.engine.spans), names(bus.engine.spans)) == (
        3,
        ["call f", "handle_invocation f", "call f"],
    )


def test_records_tell_their_trace_and_how_many_spans_they_are() -> None:
    bus = Bus()
    caller = bus.peer()
    bus.engine.add_function("f", replying(1), module="m")
    bus.call("f", traceparent=PARENT)
    caller.ask("f", traceparent=PARENT)
    caller.ask("nothing", traceparent=PARENT)
    bus.engine.tracing.start("own", parent=PARENT).end()
    bus.engine.spans.add(span("sent"))
    records = bus.engine.spans.records()
    assert [record.span_count() for record in records] == [1, 2, 1, 1, 1]
    assert [len(record.spans()) for record in records] == [1, 2, 1, 1, 1]
    assert {record.trace_id for record in records} == {TRACE}


def test_another_capacity_keeps_what_fits() -> None:
    bus = Bus(spans=3)
    for name in "abc":
        bus.engine.spans.add(span(name))
    bus.engine.keep_spans(2)
    assert names(bus.engine.spans) == ["b", "c"]
    bus.engine.keep_spans(4)
    bus.engine.add_function("f", replying(1), module="m")
    bus.call("f")
    assert names(bus.engine.spans) == ["b", "c", "call f"]


def test_who_follows_the_ring_sees_what_is_new() -> None:
    ring = SpanRing(2)
    ring.resize(2, spare=3)
    a, b, c = map(span, "abc")
    ring.add(a)
    mark = ring.newest
    ring.add(b)
    ring.add(c)
    assert names(ring) == ["b", "c"]
    assert ring.after(mark) == [b, c]
    assert ring.after(c) == []
    assert ring.after(None) == [a, b, c]


# -- calls ---------------------------------------------------------------------------------------


def test_the_two_spans_of_a_call_of_a_worker() -> None:
    bus = Bus()
    caller, worker = bus.peer(), bus.peer("user::f")
    invocation = caller.ask("user::f", traceparent=PARENT)
    bus.clock.advance(2)
    sent = worker.only()
    worker.answer(sent, result=1)
    handled, called = bus.engine.spans
    assert (handled.name, handled.kind) == ("handle_invocation user::f", "server")
    assert (handled.trace_id, handled.parent_span_id) == (TRACE, "b" * 16)
    assert dict(handled.attributes) == {
        "worker_id": caller.id,
        "function_id": "user::f",
        "invocation_id": invocation,
    }
    assert (called.name, called.kind) == ("call user::f", "server")
    assert (called.trace_id, called.parent_span_id) == (TRACE, handled.span_id)
    assert sent["traceparent"] == f"00-{TRACE}-{called.span_id}-01"
    assert dict(called.attributes) == {
        "faas.invoked_name": "user::f",
        "faas.trigger": "other",
        "function_id": "user::f",
        "iii.function.kind": "user",
        "iii.worker.id": worker.id,
    }
    assert called.end_ns - called.start_ns == 2_000_000_000
    assert (called.status, called.status_description) == ("ok", None)
    assert len({handled.span_id, called.span_id, "b" * 16}) == 3


def test_a_failed_call_names_its_error() -> None:
    bus = Bus()
    bus.engine.add_function("f", lambda call: call.fail("boom", "it broke"), module="m")
    bus.call("f")
    (found,) = bus.engine.spans
    assert (found.name, found.status, found.status_description) == ("call f", "error", "boom")


def test_what_no_function_answered_is_one_span() -> None:
    bus = Bus()
    worker = bus.peer()
    bus.engine.enqueue = lambda call, queue: call.reply(b'"receipt"')
    worker.ask("f", action={"type": "enqueue", "queue": "q"}, traceparent=PARENT)
    (found,) = bus.engine.spans
    assert (found.name, found.parent_span_id) == ("handle_invocation f", "b" * 16)


def test_a_call_that_nobody_got_says_why() -> None:
    bus = Bus()
    worker = bus.peer()
    worker.ask("nothing", {"x": 1}, traceparent=PARENT, call="i" * 500)
    worker.ask("nothing", traceparent=UNRECORDED)
    (found,) = bus.engine.spans
    assert (found.name, found.parent_span_id) == ("handle_invocation nothing", "b" * 16)
    assert (found.status, found.status_description) == ("error", "function_not_found")
    assert found.attribute("worker_id") == worker.id
    assert len(str(found.attribute("invocation_id"))) == 36
    (record,) = bus.engine.spans.after(None)
    assert isinstance(record, Call)
    assert (record.caller_invocation, record.data) == (None, b"")


# -- what is recorded ----------------------------------------------------------------------------


def test_a_trace_that_its_caller_does_not_record_is_not_recorded() -> None:
    bus = Bus()
    caller, worker = bus.peer(), bus.peer("f")
    caller.ask("f", traceparent=UNRECORDED)
    sent = worker.only()
    assert sent["traceparent"][:36] == PARENT[:36]
    assert sent["traceparent"].endswith("-00")
    worker.answer(sent, result=1)
    assert caller.only()["result"] == 1
    assert list(bus.engine.spans) == []


def test_the_sampler_decides_about_calls_and_what_they_cause() -> None:
    bus = Bus()
    bus.engine.trace(Sampler("iii", 1.0, [Rule("* health.*", None, 0.0)]))
    caller, worker = bus.peer(), bus.peer("health.check", "other")
    for function_id in ("health.check", "other"):
        caller.ask(function_id)
        sent = worker.only()
        worker.ask("nothing", traceparent=sent["traceparent"])
        worker.answer(sent, result=1)
        worker.inbox()
    bus.call("health.check")
    assert names(bus.engine.spans) == [
        "handle_invocation nothing",  # of `other`
        "handle_invocation other",
        "call other",
    ]


def test_a_caller_that_does_not_record_can_be_overruled() -> None:
    bus = Bus()
    bus.engine.trace(Sampler("iii", 1.0, follow=False))
    bus.engine.add_function("f", replying(1), module="m")
    bus.call("f", traceparent=UNRECORDED)
    assert names(bus.engine.spans) == ["call f"]


def test_enqueued_calls_are_sampled_too() -> None:
    bus = Bus()
    bus.engine.trace(Sampler("iii", 0.0))
    bus.engine.enqueue = lambda call, queue: call.reply(b'"receipt"')
    worker = bus.peer()
    worker.ask("f", action={"type": "enqueue", "queue": "q"})
    assert worker.only()["result"] == "receipt"
    assert list(bus.engine.spans) == []


def test_switched_off_the_context_passes_through() -> None:
    bus = Bus()
    bus.engine.trace(None, enabled=False)
    caller, worker = bus.peer(), bus.peer("f")
    for given in ({"traceparent": PARENT}, {"traceparent": PARENT, "baggage": "k=v"}, {}):
        caller.ask("f", {"x": 1}, **given)
        sent = worker.only()
        assert sent.get("traceparent") == given.get("traceparent")
        worker.answer(sent, result=1)
        answer = caller.only()
        assert (answer["result"], answer.get("traceparent")) == (1, given.get("traceparent"))
    assert list(bus.engine.spans) == []
    bus.engine.trace(None)
    bus.engine.add_function("g", replying(1), module="m")
    bus.call("g")
    assert names(bus.engine.spans) == ["call g"]


def test_switched_off_an_answer_that_is_too_large_is_still_told() -> None:
    bus = Bus()
    bus.engine.trace(None, enabled=False)
    caller, worker = bus.peer(), bus.peer("f")
    caller.session.max_message = 300
    caller.ask("f")
    worker.answer(worker.only(), result="x" * 400)
    answer = caller.only()
    assert (answer["error"]["code"], "traceparent" in answer) == ("payload_too_large", False)


# -- spans of modules ----------------------------------------------------------------------------


def test_a_module_records_what_it_does() -> None:
    bus = Bus()
    tracing = bus.engine.tracing
    work = tracing.start("work", kind="producer", parent=PARENT, attributes=(("queue", "q"),))
    bus.clock.advance(1)
    assert list(bus.engine.spans) == []
    work.end()
    (found,) = bus.engine.spans
    assert (found.name, found.kind, found.status) == ("work", "producer", "ok")
    assert (found.trace_id, found.parent_span_id) == (TRACE, "b" * 16)
    assert work.traceparent == f"00-{TRACE}-{found.span_id}-01"
    assert (found.end_ns - found.start_ns, found.attributes) == (10**9, (("queue", "q"),))


def test_a_call_of_a_module_belongs_to_its_span() -> None:
    bus = Bus()
    bus.engine.add_function("f", replying(1), module="m")
    own = bus.engine.tracing.start("m.work", parent=PARENT)
    bus.engine.call("f", b"{}", None, span=own)
    call = list(bus.engine.spans)[-1]
    assert (call.trace_id, call.parent_span_id) == (TRACE, own.traceparent[36:52])
    bus.engine.trace(None, enabled=False)
    untraced = bus.engine.call("f", b"{}", None, span=bus.engine.tracing.start("m.work"))
    assert (untraced.caller_trace, untraced.traceparent) == (None, "")


def test_a_failure_and_attributes_that_are_made_when_wanted() -> None:
    bus = Bus()
    asked: list[int] = []

    def attributes() -> tuple[tuple[str, int], ...]:
        asked.append(1)
        return (("n", len(asked)),)

    work = bus.engine.tracing.start("work", parent="nonsense", attributes=attributes)
    work.end("it broke")
    assert asked == []
    (found,) = bus.engine.spans
    assert (found.status, found.status_description) == ("error", "it broke")
    assert (found.parent_span_id, found.kind, found.attribute("n")) == (None, "internal", 1)


def test_spans_of_modules_are_sampled_and_switched_off() -> None:
    bus = Bus()
    bus.engine.trace(Sampler("iii", 1.0, [Rule("GET *", None, 0.0)]))
    hidden = bus.engine.tracing.start("GET /health")
    assert hidden.traceparent.endswith("-00")
    hidden.end()
    bus.engine.tracing.start("POST /orders").end()
    assert names(bus.engine.spans) == ["POST /orders"]
    bus.engine.trace(None, enabled=False)
    off = bus.engine.tracing.start("work", parent=PARENT)
    off.end()
    assert (off.traceparent, off.spans()[0].span_id) == (PARENT, "b" * 16)
    nothing = bus.engine.tracing.start("work")
    assert (nothing.traceparent, nothing.spans()[0].span_id) == ("", "")
    assert names(bus.engine.spans) == ["POST /orders"]


def test_a_call_hands_its_context_on() -> None:
    bus = Bus()
    bus.engine.add_function(
        "f", lambda call: call.reply(json.dumps(call.baggage).encode()), module="m"
    )
    work = bus.engine.tracing.start("work")
    assert bus.call("f", traceparent=work.traceparent, baggage="k=v") == [("k=v", None)]
    work.end()
    called, own = bus.engine.spans
    assert (called.parent_span_id, called.trace_id) == (own.span_id, own.trace_id)
