"""Several engines are one bus, without sockets and with virtual time."""

from __future__ import annotations

from collections import Counter

from msgspec import Raw
from tests.support.bus import replying
from tests.support.mesh import Mesh

from iii_engine.core.access import Rules
from iii_engine.core.cluster.cluster import Parcel
from iii_engine.core.filters import read_filter
from iii_engine.core.grants import Grant


class TestCalls:
    def test_a_function_of_one_engine_is_called_through_another(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        call = mesh.ask(caller, "x", {"n": 1}, baggage="k=v", metadata={"m": 2})
        invocation = mesh.answer(worker, result={"ok": True})
        assert invocation["data"] == {"n": 1, "_caller_worker_id": caller.id}
        assert invocation["baggage"] == "k=v"
        assert invocation["metadata"] == {"m": 2}
        answer = caller.only()
        assert answer["invocation_id"] == call
        assert answer["result"] == {"ok": True}
        assert answer["traceparent"][3:35] == invocation["traceparent"][3:35]

    def test_an_error_comes_back_as_it_is(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        mesh.ask(caller, "x")
        mesh.answer(worker, error={"code": "BROKEN", "message": "it is"})
        assert caller.only()["error"]["code"] == "BROKEN"

    def test_a_void_call_is_answered_to_nobody(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        caller.tell("invokefunction", function_id="x", data=1, action={"type": "void"})
        mesh.run()
        assert mesh.answer(worker, result=1)["data"] == 1
        assert caller.inbox() == []
        assert a.engine.router.pending == b.engine.router.pending == {}

    def test_modules_call_functions_of_other_engines(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker = b.worker("x")
        answers = a.call("x", {"n": 1})
        mesh.run()
        assert mesh.answer(worker, result=2)["data"] == {"n": 1}
        assert answers == [(2, None)]

    def test_large_payloads_go_in_pieces(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        text = "x" * 100_000
        mesh.ask(caller, "x", text)
        assert mesh.answer(worker, result=text)["data"] == text
        assert caller.only()["result"] == text

    def test_the_deadline_of_the_calling_engine_holds(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker = b.worker("x")
        answers = a.call("x", timeout_ms=500)
        mesh.run()
        mesh.wait(1)
        assert answers == [(None, "timeout")]
        mesh.answer(worker, result=1)  # too late, and harmless
        assert a.engine.router.pending == b.engine.router.pending == {}

    def test_an_engine_with_a_limit_of_its_own_answers_in_time(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.engine.invocation_timeout_ms = 500
        b.worker("x")
        answers = a.call("x")
        mesh.run()
        mesh.wait(1)
        assert answers == [(None, "timeout")]

    def test_what_leaves_the_bus_does_not_name_the_caller(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.engine.remote.install(lambda message, refuse: lambda call: call.reply(call.data))
        worker, caller = b.peer(), a.worker()
        worker.tell("registerfunction", id="x", invocation={"url": "http://x"})
        mesh.run()
        mesh.ask(caller, "x", {"n": 1})
        assert caller.only()["result"] == {"n": 1}


class TestAccess:
    def test_the_rules_of_the_entry_engine_hold(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker = b.worker("open::x", "secret::x")
        caller = a.guarded(Rules(expose=(read_filter('match("open::*")'),)))
        assert caller.inbox() == []
        mesh.ask(caller, "secret::x")
        assert caller.received() == ["FORBIDDEN"]
        mesh.ask(caller, "open::x")
        mesh.answer(worker, result=1)
        assert caller.received() == [1]

    def test_metadata_of_another_engine_exposes_a_function(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker = b.peer()
        worker.tell("registerfunction", id="x", metadata={"public": True})
        mesh.run()
        caller = a.guarded(Rules(expose=(read_filter({"public": True}),)))
        mesh.ask(caller, "x")
        mesh.answer(worker, result=1)
        assert caller.received() == [1]

    def test_a_guarded_worker_cannot_take_what_another_engine_provides(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        theirs = b.worker("x")
        rules = Rules(expose=(read_filter('match("*")'),))
        ours = a.guarded(rules)
        ours.offer("x")
        mesh.run()
        mesh.ask(a.guarded(rules), "x")
        assert ours.inbox() == []
        assert len(theirs.inbox()) == 1

    def test_guarded_workers_with_the_same_rights_share_a_function(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        rules = Rules(expose=(read_filter('match("*")'), read_filter({"m": "match('x*')"})))
        grant = Grant(frozenset({"x", "y"}), context={"team": Raw(b'"t"')})
        theirs, ours = b.guarded(rules, grant), a.guarded(rules, grant)
        theirs.offer("x")
        mesh.run()
        assert a.functions == {"x": "b"}
        ours.offer("x")
        mesh.run()
        caller = a.worker()
        mesh.ask(caller, "x")
        assert len(ours.inbox()) == 1
        ours.close()
        mesh.ask(caller, "x")
        assert len(theirs.inbox()) == 1
        others = a.guarded(rules, Grant(context={"team": Raw(b'"u"')}))
        others.offer("x")
        mesh.run()
        assert a.functions == {"x": "b"}

    def test_a_guarded_worker_provides_no_more_than_at_the_engine_itself(self, mesh: Mesh) -> None:
        a, b, c = mesh.nodes
        rules = Rules(expose=(read_filter('match("*")'),))
        a.engine.reliance.name("listener", {"x"})
        guest, granted = b.guarded(rules), c.guarded(rules, Grant(frozenset({"x"})))
        guest.offer("x", "y")
        mesh.run()
        assert a.functions == {"y": "b"}
        guest.tell("unregisterfunction", id="x")
        mesh.run()
        granted.offer("x")
        mesh.run()
        assert a.functions == {"x": "c", "y": "b"}
        a.engine.reliance.name("listener", {"x", "y"})
        assert a.functions == {"x": "c"}

    def test_a_trusted_worker_elsewhere_is_alone_too(self, mesh: Mesh) -> None:
        a, b, c = mesh.nodes
        guest = a.guarded(Rules())
        guest.offer("x")
        mesh.run()
        trusted = b.worker("x")
        mesh.run()
        assert (a.functions, c.functions) == ({"x": "b"}, {"x": "b"})
        trusted.close()
        mesh.run()
        assert (a.functions, c.functions) == ({}, {})


class TestChoice:
    def test_workers_of_the_own_engine_come_first(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        near, far = a.worker("x"), b.worker("x")
        caller = a.worker()
        for _ in range(3):
            mesh.ask(caller, "x")
        assert len(near.inbox()) == 3
        assert far.inbox() == []

    def test_other_engines_take_over_when_the_own_workers_are_gone(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        near, far = a.worker("x"), b.worker("x")
        near.close()
        mesh.ask(a.worker(), "x")
        assert len(far.inbox()) == 1

    def test_an_own_worker_takes_over_from_other_engines(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        near = a.worker("x")
        mesh.ask(a.worker(), "x")
        assert len(near.inbox()) == 1

    def test_other_engines_share_the_calls(self, mesh: Mesh) -> None:
        a, b, c = mesh.nodes
        workers = {"b": b.worker("x"), "c": c.worker("x")}
        caller = a.worker()
        for _ in range(10):
            mesh.ask(caller, "x")
        assert {name: len(w.inbox()) for name, w in workers.items()} == {"b": 5, "c": 5}

    def test_the_less_busy_engine_is_preferred(self, mesh: Mesh) -> None:
        a, b, c = mesh.nodes
        workers = {"b": b.worker("x"), "c": c.worker("x")}
        caller = a.worker()
        served: Counter[str] = Counter()
        for _ in range(10):
            mesh.ask(caller, "x")
            for name, worker in workers.items():
                for invocation in worker.inbox():
                    served[name] += 1
                    if name == "c":
                        worker.answer(invocation)
            mesh.run()
        assert served == {"b": 1, "c": 9}

    def test_a_call_of_another_engine_stays_there(self, mesh: Mesh) -> None:
        """An engine that only knows others that provide a function is none to ask for it."""
        a, b, c = mesh.nodes
        c.worker("x")
        assert b.functions == {"x": "c"}
        b.peer("x").close()
        mesh.run()
        assert a.functions == {"x": "c"}


class TestOffers:
    def test_everybody_knows_who_provides_what(self, mesh: Mesh) -> None:
        a, b, c = mesh.nodes
        worker = b.worker("x", "y")
        assert a.functions == c.functions == {"x": "b", "y": "b"}
        worker.tell("unregisterfunction", id="x")
        mesh.run()
        assert a.functions == c.functions == {"y": "b"}
        worker.close()
        mesh.run()
        assert a.functions == c.functions == {}

    def test_descriptions_and_formats_are_told(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker = b.peer()
        fields = {"description": "adds", "request_format": {"a": 1}, "metadata": {"m": 1}}
        worker.tell("registerfunction", id="x", **fields)
        mesh.run()
        function = a.engine.registry.get("x")
        assert function is not None
        newest = function.newest
        assert newest.description == "adds"
        assert bytes(newest.request_format) == b'{"a": 1}'
        assert bytes(newest.metadata) == b'{"m": 1}'

    def test_a_worker_that_reconnects_is_no_news(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        first = b.worker("x")
        said: list[Parcel] = []
        mesh.lose = lambda *sending: said.append(sending[2]) is not None
        second = b.worker("x")
        first.close()
        mesh.run()
        assert said == []
        mesh.ask(a.worker(), "x")
        assert len(second.inbox()) == 1

    def test_functions_of_modules_stay_where_they_are(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.engine.add_function("state::get", replying(1), module="iii-state")
        mesh.run()
        assert a.functions == {}

    def test_a_function_of_an_own_module_is_not_taken_from_others(self, mesh: Mesh) -> None:
        a, b, c = mesh.nodes
        b.worker("x")
        a.engine.add_function("x", replying("own"), module="m")
        mesh.run()
        assert a.functions == {"x": ""}
        assert c.functions == {"x": "b"}
        a.engine.remove_function("x")
        mesh.run()
        assert a.functions == {"x": "b"}

    def test_what_waits_for_a_function_gets_that_of_another_engine(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        came: list[bool] = []
        a.engine.registry.await_provider("x", lambda: came.append(True))
        b.worker("x")
        assert came == [True]

    def test_an_engine_that_withdraws_gets_no_more_calls(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        mesh.ask(caller, "x")
        b.cluster.withdraw()
        mesh.run()
        assert a.functions == {}
        mesh.answer(worker, result=1)
        assert caller.received() == [1]
