"""What a connection needs from below: whole messages over some kind of socket.

`websocket.py` is the one that goes over the network; a test or an in-process engine brings its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from iii_sdk.protocol import ChannelRef


class Receiver(Protocol):
    """Whoever reads a socket. Its methods are called on the loop and must not raise."""

    def opened(self, transport: Transport) -> None:
        """The socket is open; comes before everything else."""

    def received(self, data: bytes, is_text: bool) -> None:
        """One whole message."""

    def flow(self, open: bool) -> None:
        """The peer reads too slowly (False), or has caught up (True)."""

    def closed(self, code: int, reason: str) -> None:
        """The end, once: the peer's close code, or 1006 when there was none."""


class Transport(Protocol):
    """One open socket."""

    def send(self, messages: Sequence[bytes]) -> None:
        """Send whole text messages in one write."""

    def send_bytes(self, data: bytes) -> None:
        """Send one binary message."""

    def pause_reading(self) -> None:
        """Receive nothing more for now; a little that was on its way may still come."""

    def resume_reading(self) -> None:
        """Receive again."""

    def ping(self) -> None:
        """Ask for a sign of life; it arrives as `heard`."""

    @property
    def heard(self) -> bool:
        """Whether anything arrived since this was last read."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close after what was sent."""

    def abort(self) -> None:
        """Drop the socket at once."""

    async def wait_closed(self) -> None:
        """Return when nothing is left of the socket."""


class Endpoint(Protocol):
    """An engine that can be connected to. Failing to connect raises `OSError`.

    The receiver has been told `opened` when the transport is returned.
    """

    async def connect(self, receiver: Receiver) -> Transport:
        """Open a worker socket."""

    async def open_channel(self, ref: ChannelRef, receiver: Receiver) -> Transport:
        """Open one end of a data channel."""
