"""A TCP port that is listened on, and that may move."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

log = logging.getLogger("iii.net")

BACKLOG: Final = 2048

#: Taken from the kernel in one turn of the loop; the rest has the next.
AT_ONCE: Final = 256

#: How long nobody is accepted after the system refused to, in seconds.
REST_SECONDS: Final = 1.0

#: Descriptors that connections leave for files and for what the engine connects to itself; a
#: process that has few leaves an eighth.
RESERVED: Final = 64

#: Makes a transport for an accepted socket, and gives it to a protocol that the factory makes.
Connect = Callable[..., Coroutine[Any, Any, object]]


class Port:
    """Makes a protocol for each connection; what becomes of the connections is not its business.

    Without free descriptors it leaves new connections to the kernel for a second at a time. (The
    servers of event loops do not: they spin, or close themselves.)
    """

    def __init__(
        self, protocol: Callable[[], asyncio.BaseProtocol], connect: Connect | None = None
    ) -> None:
        self._protocol = protocol
        self._connect = connect
        self._sockets: list[socket.socket] = []
        self._arriving: set[asyncio.Task[object]] = set()
        self._rest: asyncio.TimerHandle | None = None
        self._full = False
        self.host = ""
        self.number = 0

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one when 0 was asked for. Raises `OSError`."""
        self._loop = asyncio.get_running_loop()
        found = await self._loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        self._sockets = _listening(list(dict.fromkeys((each[0], each[4]) for each in found)))
        self.host, self.number = host, int(self._sockets[0].getsockname()[1])
        self._read()
        return self.number

    async def move(self, host: str, port: int) -> int:
        """Listen elsewhere. Raises `OSError`, and listens where it did, when that fails."""
        old, old_host = self._sockets, self.host
        if port == self.number:
            # Two addresses with one port may overlap: the old one has to go first.
            self._drop(old)
        try:
            await self.open(host, port)
        except OSError:
            if port == self.number:
                await self.open(old_host, port)
            raise
        self._drop(old)
        return self.number

    def close(self) -> None:
        """Accept no more connections; those that are open stay."""
        self._drop(self._sockets)
        self._sockets = []
        if self._rest is not None:
            self._rest.cancel()
        for task in self._arriving:
            task.cancel()

    def _drop(self, sockets: list[socket.socket]) -> None:
        for each in sockets:
            if each.fileno() >= 0:
                self._loop.remove_reader(each.fileno())
                each.close()

    # -- accepting -------------------------------------------------------------------------------

    def _read(self) -> None:
        for each in self._sockets:
            self._loop.add_reader(each.fileno(), self._accept, each)

    def _accept(self, listening: socket.socket) -> None:
        connect: Connect = self._connect or type(self._loop).connect_accepted_socket
        for _ in range(AT_ONCE):
            try:
                accepted, _peer = listening.accept()
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._pause(str(error))
                return
            bound = _descriptors()
            if accepted.fileno() >= bound:
                accepted.close()
                self._pause(f"connections may have no more than {bound} descriptors")
                return
            accepted.setblocking(False)
            task = self._loop.create_task(connect(self._loop, self._protocol, accepted))
            self._arriving.add(task)
            task.add_done_callback(partial(self._arrived, accepted))
        if self._full:
            self._full = False
            log.info("port %d accepts connections again", self.number)

    def _arrived(self, accepted: socket.socket, task: asyncio.Task[object]) -> None:
        self._arriving.discard(task)
        if task.cancelled():
            accepted.close()
        elif (error := task.exception()) is not None:
            accepted.close()
            expected = isinstance(error, OSError)  # the peer is gone already
            level = logging.DEBUG if expected else logging.ERROR
            log.log(level, "a connection to port %d did not begin", self.number, exc_info=error)

    def _pause(self, why: str) -> None:
        if not self._full:
            self._full = True
            log.error("port %d accepts nobody for now: %s", self.number, why)
        for each in self._sockets:
            self._loop.remove_reader(each.fileno())
        self._rest = self._loop.call_later(REST_SECONDS, self._read)


def _descriptors() -> int:
    """Connections may have the descriptors below this one: the system gives the lowest first."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        limit = 2**31
    return limit - min(RESERVED, limit // 8)


def _listening(addresses: list[tuple[int, Any]]) -> list[socket.socket]:
    """A socket for each address, all or none. Raises `OSError`."""
    made: list[socket.socket] = []
    try:
        for family, address in addresses:
            try:
                each = socket.socket(family, socket.SOCK_STREAM)
            except OSError:
                if (family, address) == addresses[-1] and not made:
                    raise
                continue  # names may have addresses of a kind that the machine does not have
            made.append(each)
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            each.bind(address)
            each.listen(BACKLOG)
    except BaseException:
        for each in made:
            each.close()
        raise
    return made
