"""Where a module keeps its records: in the engine's store, on a server, or in another engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

from iii_engine.extras import need
from iii_engine.modules.adapters import (
    Adapter,
    BadAdapter,
    BridgeConfig,
    KvConfig,
    NatsConfig,
    RedisConfig,
    adapter_config,
    adapter_name,
    kv_config,
)
from iii_engine.storage.base import LocalStore, Store, StoreError
from iii_engine.storage.remote import RemoteStore

Choice: TypeAlias = KvConfig | RedisConfig | NatsConfig | BridgeConfig

CONFIGS: dict[str, type[RedisConfig] | type[NatsConfig] | type[BridgeConfig]] = {
    "bridge": BridgeConfig,
    "redis": RedisConfig,
    "nats": NatsConfig,
}


#: What each adapter of a module that keeps records is configured with.
RECORD_ADAPTERS: Mapping[str, type[Struct]] = {"kv": KvConfig, **CONFIGS}


class Place(Struct, frozen=True):
    """Where the records of one module go on a server.

    In the engine's own store they are in the spaces that begin with `spaces`.
    """

    spaces: str
    #: What the keys of hashes in Redis begin with, in place of that.
    redis: str
    #: What the name of the bucket in JetStream ends with.
    nats: str
    #: Whether spaces have two names, with a `/` between them here and a `:` in Redis.
    pairs: bool = False


class RecordStore:
    """The store of one module by its option `adapter`."""

    def __init__(
        self, adapter: Adapter, known: Mapping[str, tuple[str, ...]], place: Place
    ) -> None:
        """Raises `BusError` that names what is wrong with the option; connects to nothing."""
        name = adapter_name(adapter, known, "kv")
        self.choice: Choice = (
            adapter_config(adapter, CONFIGS[name]) if name in CONFIGS else kv_config(adapter)
        )
        if isinstance(self.choice, BridgeConfig):
            from iii_engine.modules.bridge.link import check_url

            check_url(self.choice.bridge_url, "config.adapter.config.bridge_url")
        try:
            self._remote = _remote_store(self.choice, place)
        except StoreError as error:
            raise BadAdapter(f"config.adapter.config: {error}") from None

    @property
    def bridge_url(self) -> str | None:
        """The engine that keeps the records, when it is another one; there is no store then."""
        return self.choice.bridge_url if isinstance(self.choice, BridgeConfig) else None

    @property
    def problem(self) -> str | None:
        """Why the server of the records could not be used when it was asked last."""
        return None if self._remote is None else self._remote.problem

    async def open(self, own: LocalStore) -> Store:
        """The store to use; `own` is the engine's. Raises `StoreError` that names the server."""
        if self._remote is None:
            return own
        await self._remote.open()
        return self._remote

    async def close(self) -> None:
        """Finish what was submitted to a server, and leave it."""
        if self._remote is not None:
            await self._remote.close()

    def same_as(self, other: RecordStore) -> bool:
        """Whether both mean the same records. The engine's own store is always the same."""
        if isinstance(self.choice, KvConfig) and isinstance(other.choice, KvConfig):
            return True
        return self.choice == other.choice


def _remote_store(choice: Choice, place: Place) -> RemoteStore | None:
    match choice:
        case RedisConfig():
            need("redis", "the adapter 'redis'")
            from iii_engine.storage.redis.names import Names, PairNames
            from iii_engine.storage.redis.remote import RedisRemote

            kind = PairNames if place.pairs else Names
            return RemoteStore(RedisRemote(choice.redis_url, kind(place.spaces, place.redis)))
        case NatsConfig():
            need("nats", "the adapter 'nats'")
            from iii_engine.storage.nats.remote import NatsRemote

            return RemoteStore(
                NatsRemote(choice.nats_url, f"{choice.prefix}_{place.nats}", choice.replicas)
            )
        case _:
            return None
