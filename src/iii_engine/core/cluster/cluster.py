"""The other engines: who is there, what they provide, and the calls to and from them.

The shell calls `connect`, hands in what the carrier brings (`announced`, `received`,
`undeliverable`, and `heard` for any sign of life), and takes the parcels to send with `take` when
`wake` was called. Time comes from the engine's timers. Everybody says regularly that he is alive;
who is silent for too long, or says goodbye, is ended: calls that he cannot have got go to somebody
else, the others are stopped. While the carrier is silent, nobody is gone: all are out of reach.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from iii_engine.core.cluster.calls import call_elsewhere, serve, undelivered_calls
from iii_engine.core.cluster.exports import Exports
from iii_engine.core.cluster.link import GONE, HEADER, Link, LinkBroken
from iii_engine.core.cluster.peer import (
    GRANTED,
    GUARDED,
    INTRODUCTION,
    PARTY,
    RETURNED,
    Offer,
    Peer,
)
from iii_engine.core.engine import Engine
from iii_engine.core.sessions import Session, Status
from iii_engine.core.sizes import MIB
from iii_engine.core.standing import TRUSTED, Standing
from iii_engine.core.timers import Timer
from iii_sdk import protocol
from iii_sdk.malformed import MalformedMessage
from iii_sdk.protocol import (
    ErrorBody,
    InvocationResult,
    InvokeFunction,
    RegisterFunction,
    UnregisterFunction,
    WorkerMetadata,
    is_uuid,
)

log = logging.getLogger("iii.cluster")

ALIVE = b"alive "
HELLO = b"hello "  # it knows nobody, not even those whom it knew
GOODBYE = b"bye "


class Parcel(NamedTuple):
    """Something to send: to one engine, or to all (`to` None). Packets of a link have a number."""

    to: str | None
    payload: bytes
    number: int | None = None


class Cluster:
    """One engine among others. `id` is of this run of it.

    `heartbeat_s` apart it says that it lives; `silence_s` is how long another may say nothing.
    `packet_bytes` is what the carrier takes at once.
    """

    def __init__(
        self,
        engine: Engine,
        metadata: WorkerMetadata,
        wake: Callable[[], None],
        *,
        heartbeat_s: float,
        silence_s: float,
    ) -> None:
        self.id = engine.ids.uuid()
        self.metadata = metadata
        self.peers: dict[str, Peer] = {}
        self.exports = Exports(engine.registry)
        self.connected = False
        self.packet_bytes = MIB
        self.heartbeat_s = heartbeat_s
        self.silence_s = silence_s
        self._engine = engine
        self._wake = wake
        self._parcels: list[Parcel] = []
        self._ready: dict[Peer, None] = {}
        self._asked = False  # `wake` was called
        self._links = 0
        self._heard_ns = 0  # when the carrier heard something last
        self._timer: Timer | None = None
        self._lost: dict[str, str] = {}  # function ids, and the engines that had them

    # -- life ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin; nobody is reached before `connect`."""
        self._engine.registry.on_offer = self._noted
        self._engine.explain = self._explain
        self._engine.others.sessions = self._sessions
        self.exports.note_all()
        self._beat_later()

    def connect(self) -> None:
        """The carrier can be used."""
        self.connected = True
        self.heard()
        self._send(Parcel(None, HELLO + self.id.encode()))
        self._engine.timers.after(self.silence_s, self._forget_lost)

    def disconnect(self) -> None:
        """The carrier is lost, and with it what was on its way."""
        if not self.connected:
            return
        self.connected = False
        self._parcels.clear()
        self._lost = {f: peer.name for peer in self.peers.values() for f in peer.offers}
        self._end(list(self.peers.values()))

    def heard(self) -> None:
        """The carrier lives: something has come, if only an answer of its server."""
        self._heard_ns = self._engine.clock.monotonic_ns()

    def withdraw(self) -> None:
        """Get no more calls; those under way go on."""
        self.exports.close()
        self._send()

    def close(self) -> list[Parcel]:
        """Leave the others; returns the goodbye."""
        if self._timer is not None:
            self._timer.cancel()
        self._engine.registry.on_offer = _ignore
        self._engine.others.sessions = tuple
        self._lost.clear()
        goodbye = [Parcel(None, GOODBYE + self.id.encode())] if self.connected else []
        self.connected = False
        self._end(list(self.peers.values()))
        return goodbye

    def _sessions(self) -> list[Session]:
        return [peer.session for peer in self.peers.values()]

    @property
    def busy(self) -> bool:
        """Calls are under way to or from another engine."""
        return any(p.session.active or p.session.outstanding for p in self.peers.values())

    # -- what the carrier brings -----------------------------------------------------------------

    def announced(self, payload: bytes) -> None:
        """Somebody told everybody something."""
        kind, _, sender = payload.partition(b" ")
        kind, peer_id = kind + b" ", sender.decode("latin-1")
        if kind not in (ALIVE, HELLO, GOODBYE) or peer_id == self.id or not is_uuid(peer_id):
            return
        peer = self.peers.get(peer_id)
        if peer is not None and kind != ALIVE:
            log.info("engine %s %s", peer.name, "left" if kind == GOODBYE else "begins anew")
            self._end([peer])
            peer = None
        if kind != GOODBYE:
            peer = peer or self._meet(peer_id)
            peer.heard_ns = self._engine.clock.monotonic_ns()

    def received(self, sender: str, payload: bytes) -> None:
        """An engine sent this one something."""
        if payload[:1] == b"G" and len(payload) == GONE.size:
            peer = self.peers.get(sender)
            if peer is not None and peer.link.number == GONE.unpack(payload)[1]:
                log.warning("engine %s has given up the link with this one", peer.name)
                self._end([peer])
                self._meet(sender)
        elif payload[:1] == b"L" and len(payload) >= HEADER.size:
            self._packet(sender, payload)

    def undeliverable(self, receiver: str, number: int) -> None:
        """Nobody takes what is sent to an engine; this is the first packet that it did not get."""
        peer = self.peers.get(receiver)
        if peer is not None:
            log.warning("engine %s cannot be reached any more", peer.name)
            self._end([peer], number)

    def _packet(self, sender: str, packet: bytes) -> None:
        _, theirs, mine, number, _ = HEADER.unpack_from(packet)
        peer = self.peers.get(sender)
        if peer is not None and 0 < peer.link.remote < theirs:
            log.warning("engine %s has begun a new link with this one", peer.name)
            self._end([peer])
            peer = None
        if peer is None:
            if mine != 0 or number != 0:
                self._send(Parcel(sender, GONE.pack(b"G", theirs)))
                return
            peer = self._meet(sender)
        link = peer.link
        if theirs < link.remote:
            return  # late, of a link that is no more
        if mine not in (0, link.number):
            self._send(Parcel(sender, GONE.pack(b"G", theirs)))
            return
        link.remote = theirs
        peer.heard_ns = self._engine.clock.monotonic_ns()
        try:
            for message in link.receive(packet):
                self._message(peer, message)
                if peer.session.status is Status.GONE:
                    return
        except (LinkBroken, MalformedMessage, msgspec.DecodeError) as error:
            self._break(peer, str(error))
        else:
            if link.owes_word:
                self._say(peer)
            if link.queued_bytes or peer.session.outbox:
                self._send(peer=peer)

    def _message(self, peer: Peer, message: bytes) -> None:
        engine, session = self._engine, peer.session
        kind = message[:1]
        if kind == INTRODUCTION:
            session.metadata = msgspec.json.decode(message[1:], type=WorkerMetadata)
            engine.on_worker_event("worker_metadata_updated", session.id)
            log.info("engine %s is on the bus", peer.name)
            return
        if kind == RETURNED:
            call_elsewhere(engine, session, [message[1:]])
            return
        standing = TRUSTED
        if kind in (GUARDED, GRANTED):
            standing = Standing(message[1 : 1 + PARTY].decode("latin-1"), kind == GRANTED)
            message = message[1 + PARTY :]
        match decoded := protocol.decode(message):
            case InvocationResult():
                engine.router.answer(session, decoded)
            case InvokeFunction():
                asked = decoded.function_id
                function = engine.others.get(asked) or self.exports.serves(asked)
                if function is None:
                    session.send(RETURNED + message)
                else:
                    serve(engine, session, function, decoded, message)
            case RegisterFunction():
                peer.offers[decoded.id] = offer = Offer(decoded, standing)
                self._take_offer(peer, offer)
            case UnregisterFunction():
                peer.offers.pop(decoded.id, None)
                engine.declarations.apply(session, decoded)
            case _:
                raise LinkBroken("it sends what engines do not send each other")

    def _take_offer(self, peer: Peer, offer: Offer) -> None:
        """A guarded worker provides no more than if it were here; nobody what is a module's."""
        message, engine = offer.message, self._engine
        if engine.reliance.refusal(message.id, offer.standing) is None:
            engine.registry.add(peer.session, message, standing=offer.standing)
            engine.services.attach(message.id)

    # -- beginning and ending --------------------------------------------------------------------

    def _meet(self, peer_id: str) -> Peer:
        """Begin a link; who one is and what one offers goes first."""
        self._tell_changes()
        self._links += 1
        session = self._engine.join(lambda _: self._woken(peer_id))
        link = Link(self._links, self.packet_bytes)
        peer = Peer(peer_id, session, link, self._engine.clock.monotonic_ns())
        self.peers[peer_id] = peer
        link.push([INTRODUCTION + msgspec.json.encode(self.metadata), *self.exports.all])
        self._send(peer=peer)
        return peer

    def _break(self, peer: Peer, reason: str) -> None:
        """Give up a link on which something went wrong; the other end is told."""
        log.warning("the link with engine %s is broken: %s", peer.name, reason)
        self._send(Parcel(peer.id, GONE.pack(b"G", peer.link.remote)))
        self._end([peer])

    def _end(self, peers: list[Peer], undelivered: int | None = None) -> None:
        """They are gone. What they cannot have got goes elsewhere, the other calls are stopped."""
        again = [undelivered_calls(peer.unsent(undelivered)) for peer in peers]
        for peer in peers:
            del self.peers[peer.id]
            self._ready.pop(peer, None)
            self._engine.registry.remove_all(peer.session)
        for peer, messages in zip(peers, again, strict=True):
            call_elsewhere(self._engine, peer.session, messages)
            self._engine.disconnect(peer.session)

    def _forget_lost(self) -> None:
        """Who has not come back by now is not merely out of reach."""
        if self.connected:
            self._lost.clear()

    def _explain(self, function_id: str) -> ErrorBody | None:
        name = self._lost.get(function_id)
        if name is None:
            return None
        return ErrorBody(
            "engine_unreachable",
            f"Function {function_id} is provided by engine {name}, which cannot be reached now",
        )

    # -- time ------------------------------------------------------------------------------------

    def _beat_later(self) -> None:
        self._timer = self._engine.timers.after(self.heartbeat_s, self._beat)

    def _beat(self) -> None:
        """Say that one lives, ask for what may be lost, and end who says nothing."""
        now = self._engine.clock.monotonic_ns()
        assert self._timer is not None
        late = now - self._timer.due_ns
        silence = int(self.silence_s * 1e9)
        if late > int(self.heartbeat_s * 1e9):  # asleep itself, it has heard nobody meanwhile
            silence += late
        unheard = now - self._heard_ns
        if self.connected and unheard > silence:
            log.warning("what joins the engines does not answer: all others are out of reach")
            self.disconnect()
        for peer in list(self.peers.values()):
            # When the carrier is silent, too, that may be why.
            if now - peer.heard_ns > silence and unheard <= silence // 2:
                log.warning("engine %s is silent and counts as gone", peer.name)
                self._end([peer])
            elif peer.link.unconfirmed or peer.link.behind:
                self._say(peer)
        if self.connected:
            self._send(Parcel(None, ALIVE + self.id.encode()))
        self._beat_later()

    def _say(self, peer: Peer) -> None:
        number, word = peer.link.word()
        self._send(Parcel(peer.id, word, number))

    # -- outward ---------------------------------------------------------------------------------

    def take(self) -> list[Parcel]:
        """What is to be sent now, in this order."""
        self._asked = False
        self._tell_changes()
        ready, self._ready = self._ready, {}
        for peer in ready:
            if peer.session.close_code:
                self._break(peer, peer.session.close_reason)
                continue
            packets = peer.load()
            self._parcels += [Parcel(peer.id, packet, number) for number, packet in packets]
            self._engine.backlog.note(peer.session)
        parcels, self._parcels = self._parcels, []
        return parcels if self.connected else []

    def _tell_changes(self) -> None:
        """Tell everybody what this engine offers now, and take what it has no longer itself."""
        if not self.exports.pending:
            return
        for function_id in self.exports.changed:
            for peer in self.peers.values():
                offer = peer.offers.get(function_id)
                if offer is not None and function_id not in peer.session.functions:
                    self._take_offer(peer, offer)
        for message in self.exports.changes():
            for peer in self.peers.values():
                peer.session.send(message)

    def _noted(self, function_id: str) -> None:
        self.exports.note(function_id)
        self._send()

    def _woken(self, peer_id: str) -> None:
        peer = self.peers.get(peer_id)
        if peer is not None:
            self._send(peer=peer)

    def _send(self, parcel: Parcel | None = None, *, peer: Peer | None = None) -> None:
        """Have it taken soon."""
        if parcel is not None:
            self._parcels.append(parcel)
        if peer is not None:
            self._ready[peer] = None
        if not self._asked:
            self._asked = True
            self._wake()


def _ignore(function_id: str) -> None:
    pass
