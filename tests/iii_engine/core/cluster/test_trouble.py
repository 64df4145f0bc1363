"""Engines of one bus that die, hang, lose each other and come back, in virtual time."""

from __future__ import annotations

import pytest
from tests.support.mesh import Mesh, Node

from iii_engine.core.cluster.cluster import Parcel
from iii_engine.core.cluster.link import GONE, HEADER
from iii_engine.core.sessions import OUTBOX_MESSAGES


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
        assert caller.received() == ["done"]

    def test_a_call_that_nobody_takes_is_not_found(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        caller.ask("x")
        mesh.step()
        worker.close()
        mesh.run()
        assert caller.received() == ["function_not_found"]
        assert a.engine.router.pending == {}
        assert caller.session.outstanding == 0

    def test_a_call_that_is_sent_back_for_ever_fails(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        b.cluster.exports.serves = lambda function_id: None  # type: ignore[method-assign]
        caller = a.worker()
        mesh.ask(caller, "x")
        assert caller.received() == ["function_not_found"]

    def test_goodbye_ends_the_calls_at_once(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        caller = a.worker()
        mesh.ask(caller, "x")
        mesh.send(b, b.cluster.close())
        b.kill()
        mesh.run()
        assert caller.received() == ["invocation_stopped"]
        assert a.functions == {}

    def test_silence_ends_the_calls(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        caller = a.worker()
        mesh.ask(caller, "x")
        mesh.lose = lambda *ends_and_parcel: b in ends_and_parcel
        mesh.wait(6)
        assert caller.received() == ["invocation_stopped"]
        assert a.functions == {}
        assert len(a.cluster.peers) == 1

    def test_a_carrier_that_hangs_is_not_the_end_of_the_engines(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        caller = a.worker()
        mesh.ask(caller, "x")
        mesh.lose = lambda *_: True
        for node in mesh.nodes:
            node.carried = False
        mesh.wait(6)
        assert not a.cluster.connected
        mesh.ask(caller, "x")
        assert caller.received() == ["invocation_stopped", "engine_unreachable"]
        mesh.wait(600)
        mesh.ask(caller, "x")
        assert caller.received() == ["engine_unreachable"]

    def test_an_engine_is_not_gone_while_the_carrier_may_be(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        mesh.ask(caller, "x")
        mesh.lose = lambda *_: True
        a.carried = b.carried = False
        mesh.wait(3)
        a.carried = b.carried = True
        mesh.lose = lambda *_: False
        mesh.wait(3)
        mesh.answer(worker, result=1)
        assert caller.received() == [1]

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
        assert caller.received() == ["invocation_stopped"]
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
        assert caller.received() == [1]

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
        assert caller.received() == ["invocation_stopped"]
        worker.answer(worker.only())
        mesh.ask(caller, "x")
        mesh.answer(worker, result="again")
        assert caller.received() == ["again"]


class TestLoss:
    def test_without_the_carrier_calls_fail_clearly_and_local_ones_go_on(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        near, caller = a.worker("y"), a.worker()
        mesh.ask(caller, "x")
        a.cluster.disconnect()
        assert caller.received() == ["invocation_stopped"]
        mesh.ask(caller, "x")
        answer = caller.only()
        assert answer["error"]["code"] == "engine_unreachable"
        assert "engine b" in answer["error"]["message"]
        mesh.ask(caller, "never")
        assert caller.received() == ["function_not_found"]
        mesh.ask(caller, "y")
        mesh.answer(near, result=1)
        assert caller.received() == [1]

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
        assert caller.received() == [1]
        assert all(len(node.cluster.peers) == 2 for node in mesh.nodes)
        assert all(len(node.engine.sessions) <= 3 for node in mesh.nodes)

    def test_a_short_interruption_of_one_engine_is_noticed_by_all(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        mesh.ask(caller, "x")
        b.cluster.disconnect()
        b.cluster.connect()
        mesh.run()
        assert caller.received() == ["invocation_stopped"]
        worker.answer(worker.only())
        mesh.ask(caller, "x")
        mesh.answer(worker, result=1)
        assert caller.received() == [1]

    def test_who_does_not_come_back_is_not_found(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        b.worker("x")
        caller = a.worker()
        a.cluster.disconnect()
        b.kill()
        a.cluster.connect()
        mesh.ask(caller, "x")
        assert caller.received() == ["engine_unreachable"]
        mesh.wait(5)
        mesh.ask(caller, "x")
        assert caller.received() == ["function_not_found"]

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
        assert caller.received() == ["invocation_stopped"]
        mesh.ask(caller, "x")
        mesh.answer(worker, result=2)
        assert caller.received() == [2]
        assert a.engine.router.pending == b.engine.router.pending == {}

    def test_an_engine_that_comes_later_knows_everything(self, mesh: Mesh) -> None:
        worker = mesh.nodes[0].peer("x")
        mesh.nodes[0].cluster.open()  # what was registered before is told as well
        mesh.run()
        assert worker.session.functions
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

    def test_an_engine_whose_hello_was_lost_is_known_by_its_new_link(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        mesh.ask(caller, "x")
        b.cluster.disconnect()
        mesh.lose = lambda sender, receiver, parcel: sender is b and parcel.to is None
        b.cluster.connect()
        mesh.wait(2)
        assert caller.received() == ["invocation_stopped"]
        worker.answer(worker.only())
        mesh.ask(caller, "x")
        mesh.answer(worker, result=1)
        assert caller.received() == [1]

    def test_a_call_that_comes_back_too_late_is_forgotten(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker = b.worker("x")
        answers = a.call("x", timeout_ms=100)
        mesh.step()
        worker.close()
        mesh.clock.advance(1)
        a.engine.advance()
        mesh.run()
        assert answers == [(None, "timeout")]

    def test_what_is_busy_is_told(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        assert not a.cluster.busy
        mesh.ask(caller, "x")
        assert a.cluster.busy
        assert b.cluster.busy
        mesh.answer(worker)
        assert not a.cluster.busy
        assert not b.cluster.busy


class TestBounds:
    def test_more_than_a_window_goes_through_in_time(self, mesh: Mesh) -> None:
        """The receiver confirms early enough that nobody waits for a heartbeat."""
        a, b, _ = mesh.nodes
        for node in (a, b):
            for peer in node.cluster.peers.values():
                peer.link._window = 8000
        worker, caller = b.worker("x"), a.worker()
        mesh.ask(caller, "x", "y" * 100_000)
        assert len(worker.only()["data"]) == 100_000

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
        assert set(caller.received()) == {"worker_overloaded"}
        assert peer.session.owed < 64 * 1024 * 1024
        assert peer.link.full
        mesh.wait(6)
        assert set(caller.received()) == {"invocation_stopped", "function_not_found"}
        assert caller.session.outstanding == 0

    def test_an_engine_that_is_owed_too_much_is_given_up(self, mesh: Mesh) -> None:
        a, b, _ = mesh.nodes
        worker, caller = b.worker("x"), a.worker()
        (peer,) = [p for p in a.cluster.peers.values() if p.name == "b"]
        mesh.ask(caller, "x")
        peer.session.overflow()
        mesh.run()
        assert caller.received() == ["invocation_stopped"]
        worker.answer(worker.only())
        mesh.wait(2)
        mesh.ask(caller, "x")
        mesh.answer(worker, result=1)
        assert caller.received() == [1]

    def test_too_many_calls_of_one_engine_are_refused(
        self, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("iii_engine.core.cluster.calls.OUTSTANDING_LIMIT", 2)
        a, b, _ = mesh.nodes
        b.worker("x")
        caller = a.worker()
        for _ in range(3):
            mesh.ask(caller, "x")
        assert caller.received() == ["worker_overloaded"]


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
