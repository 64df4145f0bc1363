"""Several engines are one bus, without sockets and with virtual time."""

from __future__ import annotations

from collections import Counter

import pytest
from msgspec import Raw
from tests.support.bus import Peer, replying
from tests.support.mesh import Mesh, Node

from iii_engine.core.access import Rules
from iii_engine.core.cluster.cluster import Parcel
from iii_engine.core.cluster.link import GONE, HEADER
from iii_engine.core.filters import read_filter
from iii_engine.core.grants import Grant
from iii_engine.core.sessions import OUTBOX_MESSAGES


@pytest.fixture
def mesh() -> Mesh:
    return Mesh("a", "b", "c")


def received(caller: Peer) -> list[str]:
    """The results or error codes of the answers that came."""
    return [
        answer["error"]["code"] if "error" in answer else answer.get("result")
        for answer in caller.inbox()
    ]


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
        assert received(caller) == ["FORBIDDEN"]
        mesh.ask(caller, "open::x")
        mesh.answer(worker, result=1)
        assert received(caller) == [1]

    def test_metadata_of_another_engine_exposes_a_function(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker = b.peer()
        worker.tell("registerfunction", id="x", metadata={"public": True})
        mesh.run()
        caller = a.guarded(Rules(expose=(read_filter({"public": True}),)))
        mesh.ask(caller, "x")
        mesh.answer(worker, result=1)
        assert received(caller) == [1]

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
        assert received(caller) == [1]


class TestFailOver:
    def test_a_call_that_crosses_the_end_of_an_offer_goes_elsewhere(self, mesh: Mesh) -> None:
        a, b, c = mesh.nodes
        first, caller = b.worker("x"), a.worker()
        second = c.worker("x")
        mesh.lose = lambda *_: False
        caller.ask("x")
        mesh.step()  # it leaves for b or c
        for worker in (first, second):
            if worker is (first if mesh.post[0][1].to == b.cluster.id else second):
                worker.close()
        mesh.run()
        rest = [w for w in (first, second) if w.session.status.value == "connected"]
        mesh.answer(rest[0], result="done")
        assert received(caller) == ["done"]

    def test_a_call_that_nobody_takes_is_not_found(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        caller.ask("x")
        mesh.step()
        worker.close()
        mesh.run()
        assert received(caller) == ["function_not_found"]
        assert a.engine.router.pending == {}
        assert caller.session.outstanding == 0

    def test_a_call_that_is_sent_back_for_ever_fails(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        b.cluster.exports.serves = lambda function_id: None  # type: ignore[method-assign]
        caller = a.worker()
        mesh.ask(caller, "x")
        assert received(caller) == ["function_not_found"]

    def test_goodbye_ends_the_calls_at_once(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        caller = a.worker()
        mesh.ask(caller, "x")
        mesh.send(b, b.cluster.close())
        b.kill()
        mesh.run()
        assert received(caller) == ["invocation_stopped"]
        assert a.functions == {}

    def test_silence_ends_the_calls(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        caller = a.worker()
        mesh.ask(caller, "x")
        mesh.lose = lambda *ends_and_parcel: b in ends_and_parcel
        mesh.wait(6)
        assert received(caller) == ["invocation_stopped"]
        assert a.functions == {}
        assert len(a.cluster.peers) == 1

    def test_a_dead_engine_is_noticed_with_the_next_packet(self, mesh: Mesh) -> None:
        """What was under way is stopped; what it cannot have got goes to another engine."""
        a, b, c = mesh.nodes
        b.worker("x")
        caller = a.worker()
        mesh.ask(caller, "x", "old")
        other = c.worker("x")
        b.kill()
        for _ in range(6):
            mesh.ask(caller, "x", "new")
        assert received(caller) == ["invocation_stopped"]
        assert [call["data"] for call in other.inbox()] == ["new"] * 6
        assert a.functions == {"x": "c"}

    def test_a_caller_that_is_gone_leaves_nothing(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker = b.worker("x")
        mesh.ask(a.worker(), "x")
        a.kill()
        mesh.wait(6)
        worker.answer(worker.only())
        mesh.run()
        assert b.engine.router.pending == {}

    def test_an_engine_that_slept_does_not_count_the_others_as_gone(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        mesh.ask(caller, "x")
        a.frozen = True
        mesh.lose = lambda sender, receiver, parcel: receiver is a
        mesh.wait(3.5)
        a.frozen = False
        mesh.lose = lambda *_: False
        mesh.wait(3)
        mesh.answer(worker, result=1)
        assert received(caller) == [1]

    def test_an_engine_that_was_given_up_learns_it_and_comes_back(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        caller, worker = a.worker(), b.worker("x")
        mesh.ask(caller, "x")
        a.frozen = True
        mesh.lose = lambda sender, receiver, parcel: receiver is a
        mesh.wait(6)
        assert len(b.cluster.peers) == 1
        mesh.lose = lambda *_: False
        a.frozen = False
        mesh.wait(2)
        assert received(caller) == ["invocation_stopped"]
        worker.answer(worker.only())
        mesh.ask(caller, "x")
        mesh.answer(worker, result="again")
        assert received(caller) == ["again"]


class TestLoss:
    def test_without_the_carrier_calls_fail_clearly_and_local_ones_go_on(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        near, caller = a.worker("y"), a.worker()
        mesh.ask(caller, "x")
        a.cluster.disconnect()
        assert received(caller) == ["invocation_stopped"]
        mesh.ask(caller, "x")
        answer = caller.only()
        assert answer["error"]["code"] == "engine_unreachable"
        assert "engine b" in answer["error"]["message"]
        mesh.ask(caller, "never")
        assert received(caller) == ["function_not_found"]
        mesh.ask(caller, "y")
        mesh.answer(near, result=1)
        assert received(caller) == [1]

    def test_everything_is_as_before_when_the_carrier_is_back(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        for node in mesh.nodes:
            node.cluster.disconnect()
            node.cluster.disconnect()
        mesh.wait(10)
        for node in mesh.nodes:
            node.cluster.connect()
        mesh.run()
        mesh.ask(caller, "x")
        mesh.answer(worker, result=1)
        assert received(caller) == [1]
        assert all(len(node.cluster.peers) == 2 for node in mesh.nodes)
        assert all(len(node.engine.sessions) <= 3 for node in mesh.nodes)

    def test_a_short_interruption_of_one_engine_is_noticed_by_all(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        mesh.ask(caller, "x")
        b.cluster.disconnect()
        b.cluster.connect()
        mesh.run()
        assert received(caller) == ["invocation_stopped"]
        worker.answer(worker.only())
        mesh.ask(caller, "x")
        mesh.answer(worker, result=1)
        assert received(caller) == [1]

    def test_who_does_not_come_back_is_not_found(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        caller = a.worker()
        a.cluster.disconnect()
        b.kill()
        a.cluster.connect()
        mesh.ask(caller, "x")
        assert received(caller) == ["engine_unreachable"]
        mesh.wait(5)
        mesh.ask(caller, "x")
        assert received(caller) == ["function_not_found"]

    @pytest.mark.parametrize("direction", ["call", "answer"])
    def test_a_lost_packet_is_noticed_within_a_heartbeat(self, mesh: Mesh, direction: str) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        if direction == "answer":
            mesh.ask(caller, "x")
        lost: list[Parcel] = []

        def lose(sender: Node, receiver: Node, parcel: Parcel) -> bool:
            if not lost and parcel.number is not None and len(parcel.payload) > HEADER.size:
                lost.append(parcel)
                return True
            return False

        mesh.lose = lose
        if direction == "answer":
            mesh.answer(worker, result=1)
        else:
            mesh.ask(caller, "x")
        assert lost
        assert caller.inbox() == []
        mesh.wait(2.5)
        assert received(caller) == ["invocation_stopped"]
        mesh.ask(caller, "x")
        mesh.answer(worker, result=2)
        assert received(caller) == [2]
        assert a.engine.router.pending == b.engine.router.pending == {}

    def test_an_engine_that_comes_later_knows_everything(self, mesh: Mesh) -> None:
        mesh.nodes[0].worker("x")
        late = mesh.add("d")
        assert late.functions == {"x": "a"}

    def test_an_engine_that_is_started_again_is_another_one(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        b.kill()
        again = mesh.add("b")
        worker, caller = again.worker("x"), a.worker()
        for _ in range(2):
            mesh.ask(caller, "x")  # one of them finds out that b is dead
        assert len(worker.inbox()) == 2
        mesh.wait(6)
        assert [peer.name for peer in a.cluster.peers.values()] == ["c", "b"]


class TestBounds:
    def test_a_slow_engine_is_owed_a_bounded_amount(self, mesh: Mesh) -> None:
        """Then calls to it are refused, and another engine is preferred all the time."""
        a, b, _ = mesh.nodes
        b.worker("x")
        caller = a.worker()
        mesh.lose = lambda *_: True  # it takes nothing, and nobody has noticed yet
        for n in range(OUTBOX_MESSAGES + 2000):
            caller.ask("x", "y" * 3000)
            if n % 100 == 0:
                mesh.run()
        mesh.run()
        (peer,) = [p for p in a.cluster.peers.values() if p.name == "b"]
        assert set(received(caller)) == {"worker_overloaded"}
        assert peer.session.owed < 64 * 1024 * 1024
        assert peer.link.full
        mesh.wait(6)
        assert set(received(caller)) == {"invocation_stopped", "function_not_found"}
        assert caller.session.outstanding == 0

    def test_an_engine_that_is_owed_too_much_is_given_up(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        (peer,) = [p for p in a.cluster.peers.values() if p.name == "b"]
        mesh.ask(caller, "x")
        peer.session.overflow()
        mesh.run()
        assert received(caller) == ["invocation_stopped"]
        worker.answer(worker.only())
        mesh.wait(2)
        mesh.ask(caller, "x")
        mesh.answer(worker, result=1)
        assert received(caller) == [1]

    def test_too_many_calls_of_one_engine_are_refused(
        self, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("iii_engine.core.cluster.calls.OUTSTANDING_LIMIT", 2)
        a, b, _ = mesh.nodes
        b.worker("x")
        caller = a.worker()
        for _ in range(3):
            mesh.ask(caller, "x")
        assert received(caller) == ["worker_overloaded"]


class TestStrangeParcels:
    def test_what_makes_no_sense_is_ignored(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        before = dict(a.cluster.peers)
        for payload in (b"", b"hello", b"bye nobody", b"alive " + a.cluster.id.encode()):
            a.cluster.announced(payload)
            a.cluster.received(b.cluster.id, payload)
        a.cluster.undeliverable("nobody", 1)
        a.cluster.received("nobody", GONE.pack(b"G", 1))
        assert a.cluster.peers == before

    def test_a_packet_of_an_old_link_is_answered_or_ignored(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        link = a.cluster.peers[b.cluster.id].link
        a.cluster.received(b.cluster.id, HEADER.pack(b"L", link.remote - 1, 0, 5, 0))
        assert a.cluster.take() == []
        a.cluster.received(b.cluster.id, HEADER.pack(b"L", link.remote, link.number + 9, 5, 0))
        assert a.cluster.take() == [Parcel(b.cluster.id, GONE.pack(b"G", link.remote))]
        a.cluster.received("nobody", HEADER.pack(b"L", 7, 8, 5, 0))
        assert a.cluster.take() == [Parcel("nobody", GONE.pack(b"G", 7))]

    @pytest.mark.parametrize("message", [b'{"type":"ping"}', b"nonsense", b"E{"])
    def test_what_engines_do_not_say_ends_the_link(self, mesh: Mesh, message: bytes) -> None:
        a, b, _ = mesh.nodes
        old = a.cluster.peers[b.cluster.id]
        b.cluster.peers[a.cluster.id].session.send(message)
        mesh.run()
        assert a.cluster.peers.get(b.cluster.id) is not old
        mesh.wait(2)
        b.worker("x")
        assert a.functions == {"x": "b"}
