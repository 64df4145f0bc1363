"""Lists of what is on the bus, and news of it."""

from __future__ import annotations

import queue

import pytest
from tests.support.waiting import PATIENCE, until_sync

from iii_sdk.compat import TriggerHandler
from iii_sdk.compat.discovery import HIDDEN


class Owner(TriggerHandler):
    """Keeps what it is told."""

    def __init__(self):
        self.bound = queue.Queue()
        self.unbound = queue.Queue()

    async def register_trigger(self, config):
        if config.config == "refuse":
            raise ValueError("not that one")
        self.bound.put(config)

    async def unregister_trigger(self, config):
        self.unbound.put(config)


def test_lists(iii):
    iii.register_function("lists::one", lambda: 1, description="One", metadata={"k": "v"})
    iii.register_trigger("cron", "lists::one", {"expression": "0 0 0 1 1 *"}, {"m": 1})
    (function,) = [f for f in iii.list_functions().result(5) if f.function_id == "lists::one"]
    assert (function.description, function.metadata) == ("One", {"k": "v"})
    assert any(f.function_id.startswith("engine::") for f in iii.list_functions(True).result(5))
    (worker,) = iii.list_workers(iii.worker_id).result(5)
    assert (worker.name, worker.runtime, worker.functions) == ("test", "python", ["lists::one"])
    (trigger,) = [t for t in iii.list_triggers().result(5) if t.function_id == "lists::one"]
    assert trigger.config == {"expression": "0 0 0 1 1 *"}
    assert "http" in {kind.id for kind in iii.list_trigger_types().result(5)}


@pytest.mark.parametrize("form", ["plain", "async"])
def test_wire_case_20_functions_that_appear(iii, make, url, form):
    news = queue.Queue()

    async def later(functions):
        news.put(functions)

    unsubscribe = iii.on_functions_available(news.put if form == "plain" else later)
    other = make(url)
    other.register_function(f"lists::new-{form}", lambda: 1)
    while True:
        functions = news.get(timeout=PATIENCE)
        if f"lists::new-{form}" in {f.function_id for f in functions}:
            break
    assert not [f for f in functions if f.function_id.startswith(HIDDEN)]
    unsubscribe()


def test_wire_case_55_the_owner_of_a_type_binds_its_triggers(iii, make, url):
    owner = Owner()
    kind = iii.register_trigger_type(
        {"id": "lists::hook", "description": "d", "trigger_request_format": str}, owner
    )
    other = make(url)
    trigger = other.register_trigger("lists::hook", "lists::f", {"url": "x"}, {"m": 1})
    bound = owner.bound.get(timeout=PATIENCE)
    assert (bound.id, bound.function_id) == (trigger.id, "lists::f")
    assert (bound.config, bound.metadata) == ({"url": "x"}, {"m": 1})
    trigger.unregister()
    assert owner.unbound.get(timeout=PATIENCE).id == trigger.id
    kind.register_function("lists::own", lambda: "own")
    own = kind.register_trigger("lists::own", 5)
    assert owner.bound.get(timeout=PATIENCE).config == 5
    refused = kind.register_trigger("lists::own", "refuse")
    own.unregister()
    assert owner.unbound.get(timeout=PATIENCE).id == own.id
    until_sync(lambda: refused.id not in {t.id for t in iii.list_triggers().result(5)})
    kind.unregister()
    assert "lists::hook" not in {t.id for t in iii.list_trigger_types().result(5)}


def test_wrong_inputs(iii):
    with pytest.raises(TypeError, match="function_id is required"):
        iii.register_trigger("cron")
    with pytest.raises(ValueError, match=r"trigger: .*function_id"):
        iii.register_trigger({"type": "cron"})
    with pytest.raises(TypeError, match="service: expected RegisterServiceInput or dict"):
        iii.register_service(7)
