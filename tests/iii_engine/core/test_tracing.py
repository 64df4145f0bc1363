from __future__ import annotations

from tests.support.bus import Bus, replying


def test_the_ring_keeps_the_newest() -> None:
    bus = Bus(spans=3)
    bus.engine.add_function("f", replying(1), module="m")
    for _ in range(5):
        bus.call("f")
        bus.clock.advance(1)
    bus.call("f", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    ring = bus.engine.spans
    spans = list(ring)
    assert (len(spans), len(ring)) == (3, 3)
    assert [s.start_ns for s in spans] == sorted(s.start_ns for s in spans)
    assert (spans[-1].trace_id, spans[-1].parent_id) == ("a" * 32, "b" * 16)
    assert spans[0].parent_id is None
    ring.clear()
    assert (list(ring), len(ring)) == ([], 0)


def test_a_failed_call_names_its_error() -> None:
    bus = Bus()
    bus.engine.add_function("f", lambda call: call.fail("boom", "it broke"), module="m")
    bus.call("f")
    (span,) = bus.engine.spans
    assert (span.function_id, span.error, span.callee) == ("f", "boom", None)
