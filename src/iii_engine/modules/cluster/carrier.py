"""Parcels between engines over NATS.

Subjects, below `iii.<cluster>`: `all` for what everybody hears, and `to.<engine>.<sender>` for one
engine. Packets ask for a reply, so that the server says at once when nobody takes them; that word
comes to `to.<sender>.<engine>.<packet>`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any, Final

from iii_engine.core.cluster.cluster import Cluster, Parcel
from iii_engine.net.server_url import masked, reason
from iii_engine.tasks import end_tasks

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from iii_engine.net.tolerant_nats import TolerantClient

log = logging.getLogger("iii.cluster")

#: Seconds between two attempts to reach NATS.
RETRY_SECONDS: Final = 0.25
#: Seconds without an answer to a ping after which another connection is made.
STALE_SECONDS: Final = 10
#: Pings in the time in which the server must have answered one.
PINGS: Final = 8
#: Seconds in which a server must take a connection.
CONNECT_SECONDS: Final = 5
#: Seconds that a goodbye may take.
GOODBYE_SECONDS: Final = 1.0

#: What the server says of a packet that nobody takes.
NO_RESPONDERS: Final = "503"


class Carrier:
    """The connection of one engine. `wake` may be called at any time once it is made."""

    def __init__(self, servers: list[str], name: str) -> None:
        self.cluster: Cluster
        self._servers = servers
        self._url = ",".join(servers)
        self._where = masked(self._url)
        self._prefix = f"iii.{name}"
        self._client: TolerantClient | None = None
        self._to_send = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._reached = asyncio.Event()
        self._problem = ""

    @property
    def where(self) -> str:
        """The servers, without secrets."""
        return self._where

    def wake(self) -> None:
        """The cluster has something to send."""
        self._to_send.set()

    async def open(self, patience: float) -> bool:
        """Connect, and go on trying; whether that was done within `patience` seconds."""
        from iii_engine.net.tolerant_nats import TolerantClient

        self._client = client = TolerantClient()
        self._tasks = [
            asyncio.create_task(self._connect(client)),
            asyncio.create_task(self._write(client)),
        ]
        try:
            await asyncio.wait_for(self._reached.wait(), patience)
        except TimeoutError:
            return False
        return True

    async def close(self, last: list[Parcel]) -> None:
        """Send what is last, and end."""
        await end_tasks(self._tasks)
        client, self._client = self._client, None
        if client is None:
            return
        try:
            if client.is_connected:
                for parcel in last:
                    await self._publish(client, parcel)
                await client.flush(GOODBYE_SECONDS)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001  (whatever NATS has against it, this is the end)
            log.debug("goodbye was not sent: %s", error)
        await client.close()

    async def _connect(self, client: TolerantClient) -> None:
        """Tries for ever, and so does the client when the connection is lost later."""
        while True:
            try:
                await self._connect_once(client)
                return
            except Exception as error:  # noqa: BLE001  (`_failed` logs it)
                await self._failed(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _connect_once(self, client: TolerantClient) -> None:
        await client.connect(
            self._servers,
            name=f"iii engine {self.cluster.metadata.name}",
            error_cb=self._failed,
            disconnected_cb=self._lost,
            reconnected_cb=self._found,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RETRY_SECONDS,  # type: ignore[arg-type]
            connect_timeout=CONNECT_SECONDS,
            **self._pace(),
            no_echo=True,
            pending_size=0,  # what cannot leave now must not leave later
        )
        # Links bound what is on its way; a limit here would only lose packets.
        for subject, handler in (
            (f"{self._prefix}.all", self._announced),
            (f"{self._prefix}.to.{self.cluster.id}.>", self._received),
        ):
            await client.subscribe(subject, cb=handler, pending_msgs_limit=0, pending_bytes_limit=0)
        client.on_answer = self._answered
        await self._found()

    def keep_pace(self) -> None:
        """The times of the cluster have changed."""
        if self._client is not None:
            self._client.options.update(self._pace())

    def _pace(self) -> dict[str, Any]:
        """How often the server is asked whether it lives, and when that has been too often."""
        seconds = self.cluster.silence_s / PINGS
        return {
            "ping_interval": seconds,
            "max_outstanding_pings": max(PINGS, math.ceil(STALE_SECONDS / seconds)),
        }

    # -- inward ----------------------------------------------------------------------------------

    def _answered(self) -> None:
        """The server is there. It may have been silent while the connection stood."""
        if self.cluster.connected:
            self.cluster.heard()
        else:
            self._begin()

    async def _found(self) -> None:
        if not self.cluster.connected:
            self._begin()

    def _begin(self) -> None:
        assert self._client is not None
        log.info("connected to NATS at %s", self._where)
        self._problem = ""
        self.cluster.packet_bytes = self._client.max_payload
        self.cluster.connect()
        self._reached.set()

    async def _lost(self) -> None:
        if self.cluster.connected:
            log.warning("the connection to NATS at %s is lost", self._where)
            self.cluster.disconnect()

    async def _failed(self, error: Exception) -> None:
        """Say once what is wrong, not at every attempt."""
        problem = f"{type(error).__name__}: {reason(self._url, error)}"
        if problem != self._problem:
            self._problem = problem
            log.warning("NATS at %s: %s", self._where, problem)

    async def _announced(self, message: Msg) -> None:
        if self.cluster.connected:  # else it is of a time that is over
            self.cluster.heard()
            self.cluster.announced(message.data)

    async def _received(self, message: Msg) -> None:
        if not self.cluster.connected:
            return
        self.cluster.heard()
        # iii.<cluster>.to.<this engine>.<other engine>[.<packet>]
        other, _, packet = message.subject.split(".", 4)[4].partition(".")
        if not packet:
            self.cluster.received(other, message.data)
        elif packet.isdigit() and (message.headers or {}).get("Status") == NO_RESPONDERS:
            self.cluster.undeliverable(other, int(packet))

    # -- outward ---------------------------------------------------------------------------------

    async def _write(self, client: Client) -> None:
        """Send what waits; what comes within one round of the loop leaves together."""
        import nats.errors

        while True:
            await self._to_send.wait()
            self._to_send.clear()
            try:
                for parcel in self.cluster.take():
                    await self._publish(client, parcel)
            except (nats.errors.Error, OSError) as error:
                await self._failed(error)
                await self._begin_anew(client)
            except Exception:  # a fault of ours must not silence this engine for ever
                log.exception("messages to other engines were lost")
                await self._begin_anew(client)

    async def _begin_anew(self, client: Client) -> None:
        """What was on its way is lost: links end, and new ones begin while NATS is there."""
        await self._lost()
        if client.is_connected:
            await self._found()

    async def _publish(self, client: Client, parcel: Parcel) -> None:
        if parcel.to is None:
            await client.publish(f"{self._prefix}.all", parcel.payload)
            return
        me = self.cluster.id
        reply = (
            "" if parcel.number is None else f"{self._prefix}.to.{me}.{parcel.to}.{parcel.number}"
        )
        await client.publish(f"{self._prefix}.to.{parcel.to}.{me}", parcel.payload, reply)
