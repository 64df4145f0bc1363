"""The trigger type `stream`."""

from __future__ import annotations

import pytest
from tests.support.desk import Desk


def put(desk: Desk, stream: str, group: str, item: str, data: object = 1) -> None:
    where = {"stream_name": stream, "group_id": group, "item_id": item}
    desk.ask("stream::set", {**where, "data": data})


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (None, ["s/g/1", "s/g/2", "s/h/1", "t/g/1"]),
        ({}, ["s/g/1", "s/g/2", "s/h/1", "t/g/1"]),
        ({"stream_name": ""}, ["s/g/1", "s/g/2", "s/h/1", "t/g/1"]),
        ({"stream_name": "s"}, ["s/g/1", "s/g/2", "s/h/1"]),
        ({"stream_name": "s", "group_id": "g", "item_id": ""}, ["s/g/1", "s/g/2"]),
        ({"stream_name": "s", "item_id": "1"}, ["s/g/1", "s/h/1"]),
        ({"group_id": "g", "item_id": "1"}, ["s/g/1", "t/g/1"]),
        ({"stream_name": "s", "group_id": "g", "item_id": "2"}, ["s/g/2"]),
        ({"stream_name": "*"}, []),
    ],
)
def test_names_select_and_absent_ones_stand_for_any(
    desk: Desk, config: object, wanted: list[str]
) -> None:
    desk.handler("seen")
    assert desk.bind("t", "seen", config) is None
    for place in ("s/g/1", "s/g/2", "s/h/1", "t/g/1"):
        put(desk, *place.split("/"))
    seen = desk.payloads("seen")
    assert [f"{e['streamName']}/{e['groupId']}/{e['id']}" for e in seen] == wanted
    desk.engine.triggers.remove("t")
    put(desk, "s", "g", "1")
    assert len(seen) == len(wanted)


def test_wire_case_64_the_payload_of_a_stream_trigger(desk: Desk) -> None:
    desk.handler("seen")
    desk.bind("t", "seen", {"stream_name": "s"})
    put(desk, "s", "g", "1", {"n": 1})
    assert desk.payloads("seen") == [
        {
            "type": "stream",
            "timestamp": desk.clock.now_ns() // 1_000_000,
            "streamName": "s",
            "groupId": "g",
            "id": "1",
            "event": {"type": "create", "data": {"n": 1}},
        }
    ]


def test_what_is_only_sent_is_no_change(desk: Desk) -> None:
    desk.handler("seen")
    desk.bind("t", "seen", {"stream_name": "s"})
    message = {"stream_name": "s", "group_id": "g", "id": "1", "type": "typing", "data": 1}
    assert desk.ask("stream::send", message) is None
    assert desk.payloads("seen") == []


def test_a_wrong_config_is_refused_with_its_path(desk: Desk) -> None:
    desk.handler("seen")
    for kind in ("stream", "stream:join", "stream:leave"):
        refused = desk.bind(kind, "seen", {"stream_name": 1}, type=kind)
        assert refused is not None
        assert refused.code == "invalid_config"
        assert "$.stream_name" in refused.message
        assert desk.engine.triggers.get(kind) is None


def test_a_condition_holds_back(desk: Desk) -> None:
    desk.handler("seen")
    desk.handler("no", answer=b"false")
    desk.bind("t", "seen", {"condition_function_id": "no"})
    put(desk, "s", "g", "1")
    assert desk.payloads("seen") == []
    assert desk.payloads("no")[0]["event"] == {"type": "create", "data": 1}


def test_changes_of_one_item_come_in_order_and_others_do_not_wait(desk: Desk) -> None:
    calls = desk.handler("slow", answer=None)
    desk.bind("t", "slow")
    for n in (1, 2):
        put(desk, "s", "g", "1", n)
        put(desk, "s", "g/1", "", n)  # other names that look alike
    assert [(e["groupId"], e["event"]["data"]) for e in desk.payloads("slow")] == [
        ("g", 1),
        ("g/1", 1),
    ]
    calls[0].reply()
    assert desk.payloads("slow")[-1]["event"]["data"] == 2


def test_handlers_belong_to_the_trace_of_the_change(desk: Desk) -> None:
    calls = desk.handler("seen")
    desk.bind("t", "seen")
    parent = "00-11111111111111111111111111111111-2222222222222222-01"
    where = {"stream_name": "s", "group_id": "g", "item_id": "1", "data": 1}
    desk.ask("stream::set", where, traceparent=parent, baggage="a=1")
    assert calls[0].traceparent[3:35] == "1" * 32
    assert calls[0].baggage == "a=1"


def test_deliveries_belong_to_the_trace_of_the_change(desk: Desk) -> None:
    desk.handler("seen")
    put(desk, "s", "g", "1")
    assert [s.name for s in desk.engine.spans] == ["call stream::set"]
    desk.bind("t", "seen", {"stream_name": "s"})
    put(desk, "s", "g", "2")
    spans = {span.name: span for span in desk.engine.spans}
    told = spans["stream_triggers"]
    assert (told.parent_span_id, told.kind) == (spans["call stream::set"].span_id, "internal")
    assert spans["call seen"].parent_span_id == told.span_id
