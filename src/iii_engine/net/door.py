"""A connection that waits to be admitted."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import picows
from picows import WSMsgType, WSTransport

from iii_engine.core.access import Access
from iii_engine.core.admission import AUTH_ERROR, Admission, Arrival, Gate
from iii_engine.net.message_socket import MessageSocket
from iii_sdk import protocol
from iii_sdk.protocol import ErrorBody


def arrival(request: picows.WSUpgradeRequest) -> Arrival:
    """What an auth function gets to know; the address comes with the connection."""
    query = urlsplit(request.path.decode("latin-1")).query
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    return Arrival(headers, parse_qs(query, keep_blank_values=True), "")


def _text(value: str) -> str:
    """A header value; bytes that are no UTF-8 have no place in JSON and become question marks."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


class GuardedSocket(MessageSocket):
    """A socket that is not read until the gate has decided; without a gate everybody may enter.

    Messages that came in one packet with the handshake are kept until then. A subclass hands a
    message over to `keep` while it was not told `on_admitted`.
    """

    def __init__(self, max_message_bytes: int, gate: Gate | None, who: Arrival) -> None:
        super().__init__(max_message_bytes)
        self.who = who
        self._gate = gate
        self._admission: Admission | None = None
        self._kept: list[tuple[int, bytes]] = []

    def on_admitted(self, access: Access | None) -> None:
        """From here on messages count. Without access control there is no `access`."""

    def on_open(self, transport: WSTransport) -> None:
        raw = transport.underlying_transport
        peer = raw.get_extra_info("peername")
        self.who.ip_address = peer[0] if peer else ""
        if self._gate is None:
            self.on_admitted(None)
            return
        raw.pause_reading()
        self._admission = self._gate.admit(self.who, self._enter, self._turn_away)
        self._admission.start()

    def on_end(self) -> None:
        if self._admission is not None:
            self._admission.cancel()

    def keep(self, kind: int, payload: bytes) -> None:
        self._kept.append((kind, payload))

    def _enter(self, access: Access) -> None:
        assert self.transport is not None
        self.transport.underlying_transport.resume_reading()
        self.on_admitted(access)
        kept, self._kept = self._kept, []
        for message in kept:
            self.on_message(*message)

    def _turn_away(self, error: ErrorBody) -> None:
        assert self.transport is not None
        self._kept.clear()
        self.transport.send(WSMsgType.TEXT, protocol.encode(protocol.ErrorMessage(error)))
        self.close(1008, AUTH_ERROR)
