"""A worker connection without a socket: whole conversations in one process, in any order."""

from __future__ import annotations

from iii_engine.core.access import Access
from iii_engine.core.engine import Engine
from iii_engine.core.sessions import Session


class MemoryPeer:
    """One connected worker.

    Nothing happens by itself: a message is applied when it is sent, and what the engine sends is
    kept until `receive`. That makes it the transport of tests and of simulations.
    """

    def __init__(self, engine: Engine, ip: str = "memory", access: Access | None = None) -> None:
        self._engine = engine
        self.session: Session = engine.connect(lambda session: None, ip=ip, access=access)

    def send(self, frame: bytes) -> None:
        """A message from the worker."""
        self._engine.receive(self.session, frame)

    def receive(self) -> list[bytes]:
        """The messages that the engine has sent since the last time, oldest first."""
        return self.session.take()

    def close(self) -> None:
        """The connection ends, from whichever side."""
        self._engine.disconnect(self.session)

    @property
    def closed_with(self) -> int:
        """The close code that the engine asked for; 0 when it did not."""
        return self.session.close_code
