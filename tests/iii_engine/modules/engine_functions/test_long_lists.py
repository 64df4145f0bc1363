"""Lists of very many functions and triggers are made a piece at a time."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw
from tests.support.pieces import counted

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.core.engine import Engine
from iii_engine.core.triggers import Trigger, TriggerType
from iii_engine.modules.engine_functions.functions import FunctionsQuery, list_functions
from iii_engine.modules.engine_functions.triggers import (
    RegisteredQuery,
    TriggersQuery,
    list_registered,
    list_triggers,
)
from iii_engine.modules.pieces import ITEMS
from iii_sdk.protocol import NULL

COUNT = 3 * ITEMS
NAMES = sorted(f"f{number}" for number in range(COUNT))


def ignore(trigger: Trigger) -> None:
    """Nothing ever happens."""


@pytest.fixture
def engine() -> Engine:
    made = Engine(VirtualClock(), SeededIds(1))
    made.add_trigger_type(TriggerType("tick", "", bind=ignore, unbind=ignore))
    for number in range(COUNT):
        made.add_function(f"f{number}", lambda call: call.reply(), module="m")
        config = Raw(b'{"n":%d}' % number)
        assert (
            made.triggers.add(Trigger(f"t{number}", "tick", f"f{number}", config, NULL, None))
            is None
        )
    return made


def test_functions(engine: Engine) -> None:
    answer, pieces = counted(list_functions(engine, FunctionsQuery(), None))
    assert [row["function_id"] for row in json.loads(answer)["functions"]] == NAMES
    assert pieces >= 2 * COUNT / ITEMS - 1


def test_a_function_that_goes_meanwhile_is_left_out(engine: Engine) -> None:
    work = list_functions(engine, FunctionsQuery(), None)
    next(work)
    for gone in (NAMES[0], f"f{COUNT - 1}"):
        engine.remove_function(gone)
    answer, _ = counted(work)
    rows = [row["function_id"] for row in json.loads(answer)["functions"]]
    assert rows == [name for name in NAMES[1:] if name != f"f{COUNT - 1}"]


def test_triggers(engine: Engine) -> None:
    answer, pieces = counted(list_triggers(engine, TriggersQuery(view="instances"), None))
    assert [row["config"]["n"] for row in json.loads(answer)["triggers"]] == list(range(COUNT))
    assert pieces >= COUNT / ITEMS
    answer, pieces = counted(list_registered(engine, RegisteredQuery(search="f1"), None))
    found = [row["function_id"] for row in json.loads(answer)["registered_triggers"]]
    assert found == [name for name in (f"f{number}" for number in range(COUNT)) if "f1" in name]
    assert pieces >= COUNT / ITEMS
