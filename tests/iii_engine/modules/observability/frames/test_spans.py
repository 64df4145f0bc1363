from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.telemetry import TRACE, attributes, span, spans_frame

from iii_engine.core.sampling import Rule, Sampler
from iii_engine.core.spans import Resource, Scope, SpanEvent, SpanLink
from iii_engine.modules.observability.frames.spans import read_spans


def read(*spans: dict[str, Any], sampler: Sampler | None = None) -> list[Any]:
    return list(read_spans(memoryview(spans_frame(*spans))[4:], sampler))


def test_everything_of_a_span() -> None:
    (found,) = read(
        span(
            "work",
            1,
            "00000000000000AA",
            kind=3,
            status={"code": 2, "message": "it broke"},
            attributes=attributes(text="t", count=3, share=0.5, on=True),
            events=[{"name": "e", "timeUnixNano": 5, "attributes": attributes(k="v")}],
            links=[{"traceId": "A" * 32, "spanId": "b" * 16, "traceState": "s"}],
            flags=257,
        )
    )
    assert (found.trace_id, found.span_id) == (TRACE, "0" * 15 + "1")
    assert (found.parent_span_id, found.name, found.kind) == ("00000000000000aa", "work", "client")
    assert (found.start_ns, found.end_ns) == (1_000_000, 2_000_000)
    assert (found.status, found.status_description) == ("error", "it broke")
    assert found.attributes == (("text", "t"), ("count", 3), ("share", 0.5), ("on", True))
    assert found.events == (SpanEvent("e", 5, (("k", "v"),)),)
    assert found.links == (SpanLink("a" * 32, "b" * 16, "s"),)
    assert found.resource == Resource("svc", {"service.name": "svc"})
    assert (found.scope, found.flags) == (Scope("lib", "1"), 257)


def test_as_little_as_possible() -> None:
    scoped = b'[{"scope":null,"spans":[{"traceId":"a","spanId":"b"}]}]'
    body = b'{"resourceSpans":[{"scopeSpans":%b}]}' % scoped
    (found,) = read_spans(memoryview(body), None)
    assert (found.name, found.kind, found.status, found.parent_span_id) == (
        "",
        "internal",
        "unset",
        None,
    )
    assert (found.start_ns, found.end_ns, found.attributes) == (0, 0, ())
    assert found.resource == Resource("unknown", {})
    assert found.scope == Scope()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (0, "unset"),
        (1, "ok"),
        ("2", "error"),
        ("STATUS_CODE_ERROR", "error"),
        ("Ok", "ok"),
        (9, "unset"),
        (-1, "unset"),
        ("strange", "unset"),
        (None, "unset"),
    ],
)
def test_statuses_are_numbers_or_names(code: Any, status: str) -> None:
    (found,) = read(span("s", status={"code": code}))
    assert found.status == status


@pytest.mark.parametrize(
    ("kind", "meaning"), [(1, "internal"), (5, "consumer"), ("SPAN_KIND_PRODUCER", "producer")]
)
def test_kinds(kind: Any, meaning: str) -> None:
    (found,) = read(span("s", kind=kind))
    assert found.kind == meaning


def test_numbers_may_be_text_and_values_of_any_shape() -> None:
    (found,) = read(
        span(
            "s",
            startTimeUnixNano=7,
            endTimeUnixNano="5",
            attributes=attributes(
                n={"intValue": "12"},
                list={"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": 1}]}},
                map={"kvlistValue": {"values": attributes(k=True)}},
                bytes={"bytesValue": "AA=="},
                nothing={},
                empty={"arrayValue": {}},
            ),
        )
    )
    assert (found.start_ns, found.end_ns) == (7, 7)  # nothing ends before it begins
    assert dict(found.attributes) == {
        "n": 12,
        "list": '["a", 1]',
        "map": '{"k": true}',
        "bytes": "AA==",
        "nothing": "null",
        "empty": "[]",
    }


def test_a_rule_takes_out_whole_traces_that_begin_here() -> None:
    sampler = Sampler("iii", 0.0, [Rule("noise*", "svc", 0.0)])
    begun = [span("noise 1", 1), span("below", 2, f"{1:016x}")]
    assert read(*begun, sampler=sampler) == []
    assert [s.name for s in read(*begun)] == ["noise 1", "below"]
    # Where it does not begin here, somebody else has decided.
    assert len(read(span("noise 2", 3, "ab" * 8), sampler=sampler)) == 1
    assert len(read(span("work", 3), sampler=sampler)) == 1


def test_what_is_too_large_is_cut() -> None:
    big, small = read(
        span(
            "n" * 70_000,
            1,
            attributes=attributes(text="x" * 200_000),
            events=[{"name": "e"}],
            status={"code": 2, "message": "m" * 1000},
        ),
        span("small", 2, attributes=attributes(text="x" * 1000)),
    )
    assert (len(big.name), big.events, big.status) == (1024, (), "error")
    assert [key for key, _ in big.attributes] == ["iii.span.cut_bytes"]
    assert int(big.attribute("iii.span.cut_bytes")) > 270_000
    assert small.attribute("text") == "x" * 1000


def test_of_a_large_resource_the_name_is_kept() -> None:
    scoped = [{"spans": [span("s")]}]
    pairs = attributes(service__name="s" * 1000, rest="x" * 20_000)
    body = {"resourceSpans": [{"resource": {"attributes": pairs}, "scopeSpans": scoped}]}
    (found,) = read_spans(memoryview(json.dumps(body).encode()), None)
    assert found.resource == Resource("s" * 256, {"service.name": "s" * 256})
