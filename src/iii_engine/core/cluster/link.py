"""A sequence of messages between two engines, over a carrier of packets that may lose some.

Each direction is a stream of bytes, cut into numbered packets of bounded size. The receiver says
in every packet of its own how many it has taken. A packet that is missing ends the link: both ends
then know that what was under way may not arrive. What the other end has not confirmed is bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from struct import Struct
from typing import Final

from iii_engine.core.sessions import LARGE_MESSAGE
from iii_engine.core.sizes import MIB

#: `L`, link number of the sender and of the receiver (0: not known yet), number of this packet,
#: packets taken.
HEADER: Final = Struct("!cQQQQ")
#: `G` and the link number of the receiver: the sender does not have the link any more.
GONE: Final = Struct("!cQ")
#: In front of each message: its bytes.
LENGTH: Final = Struct("!I")

#: Bytes that may be on their way to an engine that has not confirmed them.
WINDOW: Final = 4 * MIB
#: A message and what an engine adds to it.
MAX_MESSAGE: Final = LARGE_MESSAGE + MIB


class LinkBroken(Exception):
    """A packet is missing, or is not one."""


class Link:
    """One end. `number` is this end's name of the link, `remote` the other's once it is known.

    `packet_bytes` is what the carrier takes at most at once.
    """

    def __init__(self, number: int, packet_bytes: int, window: int = WINDOW) -> None:
        self.number = number
        self.remote = 0
        self._packet_bytes = packet_bytes
        self._window = window
        # outward
        self._queue: deque[bytes] = deque()  # messages not wholly sent
        self._offset = 0  # of the first of them, in bytes
        self._queued_bytes = 0
        self._next = 0  # number of the next packet
        self._sent: deque[tuple[int, list[bytes]]] = deque()  # unconfirmed: size, messages ended
        self._in_flight = 0
        # inward
        self._taken = 0
        self._taken_told = 0
        self._bytes_untold = 0
        self._partial: bytearray | None = None
        self._missing = 0

    # -- outward ---------------------------------------------------------------------------------

    @property
    def queued_bytes(self) -> int:
        """Of messages that wait here."""
        return self._queued_bytes

    @property
    def full(self) -> bool:
        """The other end must confirm something before more is sent."""
        return self._in_flight >= self._window

    @property
    def unconfirmed(self) -> bool:
        """Packets are on their way, or lost."""
        return bool(self._sent)

    @property
    def owes_word(self) -> bool:
        """The other end waits for so much to be confirmed that it is time to say so."""
        return self._bytes_untold >= self._window // 4

    @property
    def behind(self) -> bool:
        """Something was taken that the other end has not been told of."""
        return self._taken != self._taken_told

    def push(self, messages: list[bytes]) -> None:
        """Queue messages behind the earlier ones."""
        self._queue += messages
        self._queued_bytes += sum(map(len, messages))

    def packets(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of the packets that may leave now."""
        while self._queue and not self.full:
            yield self._next, self._packet()

    def word(self) -> tuple[int, bytes]:
        """A packet without content: it confirms what was taken, and shows a loss.

        It has the number of the next packet, which it does not use up.
        """
        return self._next, self._header()

    def unsent(self, number: int | None = None) -> list[bytes]:
        """The messages that the other end cannot have got.

        Those that did not leave; with `number`, also those of the packets from this one on.
        """
        first = self._next - len(self._sent)
        undelivered: list[bytes] = []
        if number is not None:
            for packet, (_, ended) in enumerate(self._sent, first):
                if packet >= number:
                    undelivered += ended
        return undelivered + list(self._queue)

    def _packet(self) -> bytes:
        parts: list[bytes | memoryview] = [self._header()]
        ended: list[bytes] = []
        room = self._packet_bytes - HEADER.size
        size = 0
        while self._queue and room > LENGTH.size:
            message = self._queue[0]
            if self._offset == 0:
                parts.append(LENGTH.pack(len(message)))
                room -= LENGTH.size
            piece = memoryview(message)[self._offset : self._offset + room]
            parts.append(piece)
            room -= len(piece)
            size += len(piece)
            self._offset += len(piece)
            if self._offset == len(message):
                ended.append(self._queue.popleft())
                self._offset = 0
        self._next += 1
        self._queued_bytes -= size
        self._in_flight += size
        self._sent.append((size, ended))
        return b"".join(parts)

    def _header(self) -> bytes:
        self._taken_told = self._taken
        self._bytes_untold = 0
        return HEADER.pack(b"L", self.number, self.remote, self._next, self._taken)

    # -- inward ----------------------------------------------------------------------------------

    def receive(self, packet: bytes) -> list[bytes]:
        """The messages that are whole now. Raises `LinkBroken`."""
        _, _, _, number, taken = HEADER.unpack_from(packet)
        if number != self._taken:
            raise LinkBroken(f"packet {self._taken} is missing, {number} came")
        self._confirm(taken)
        if len(packet) == HEADER.size:
            return []
        self._taken += 1
        self._bytes_untold += len(packet)
        return list(self._messages(memoryview(packet)))

    def _confirm(self, taken: int) -> None:
        first = self._next - len(self._sent)
        if taken > self._next:
            raise LinkBroken(f"{taken} packets are confirmed, {self._next} were sent")
        for _ in range(taken - first):
            self._in_flight -= self._sent.popleft()[0]

    def _messages(self, packet: memoryview) -> Iterator[bytes]:
        at, end = HEADER.size, len(packet)
        while at < end:
            if self._partial is None:
                if end - at <= LENGTH.size:
                    raise LinkBroken("a message is cut inside its length")
                (self._missing,) = LENGTH.unpack_from(packet, at)
                at += LENGTH.size
                if not 0 < self._missing <= MAX_MESSAGE:
                    raise LinkBroken(f"a message of {self._missing} bytes")
                if self._missing <= end - at:
                    yield bytes(packet[at : at + self._missing])
                    at += self._missing
                    continue
                self._partial = bytearray()
            piece = packet[at : at + self._missing]
            self._partial += piece
            at += len(piece)
            self._missing -= len(piece)
            if self._missing == 0:
                whole, self._partial = bytes(self._partial), None
                yield whole
