"""The index of triggers by the place that each wants."""

from __future__ import annotations

import pytest
from msgspec import Raw

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.core.fanout import Condition
from iii_engine.core.placed_triggers import PlacedTriggers, read_config
from iii_engine.core.triggers import Trigger
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL


class Where(Condition):
    name: str | None = None


def place_of(trigger: Trigger) -> tuple[tuple[str | None], str | None]:
    config = read_config(trigger.config, Where, "test")
    return (config.name,), config.function_id


def trigger(trigger_id: str, config: bytes = b"null") -> Trigger:
    return Trigger(trigger_id, "test", "f", Raw(config), NULL, None)


def test_triggers_are_found_by_place_in_the_order_they_were_bound() -> None:
    places = PlacedTriggers(Engine(VirtualClock(), SeededIds(1)), place_of)
    told: list[tuple[tuple[str | None], bool]] = []
    places.on_place = lambda place, wanted: told.append((place, wanted))
    assert not places
    any_place, first, second = trigger("1"), trigger("2", b'{"name":"a"}'), trigger("3")
    second.config = Raw(b'{"name":"a","condition_function_id":"c"}')
    for bound in (any_place, first, second):
        places.bind(bound)
    assert places
    assert places.wanting((("a",), (None,))) == [first, second, any_place]
    assert places.wanting([("b",)]) == []
    assert told == [((None,), True), (("a",), True)]
    places.unbind(first)
    places.unbind(first)  # it is not bound any more
    assert places.wanting([("a",)]) == [second]
    places.unbind(second)
    places.unbind(any_place)
    assert told[2:] == [(("a",), False), ((None,), False)]
    assert not places


def test_a_refused_trigger_leaves_nothing_behind() -> None:
    places = PlacedTriggers(Engine(VirtualClock(), SeededIds(1)), place_of)
    with pytest.raises(BusError, match=r"config of a test trigger: .*`\$\.name`") as refused:
        places.bind(trigger("1", b'{"name":1}'))
    assert refused.value.code == "invalid_config"
    assert not places
