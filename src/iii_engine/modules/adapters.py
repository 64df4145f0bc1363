"""Which back end a module was asked to use, by its name or its older class name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from iii_sdk.errors import BusError

log = logging.getLogger("iii.modules")

T = TypeVar("T", bound=Struct)


class Adapter(Struct, forbid_unknown_fields=True):
    """The option `adapter`. `config` is checked by whoever the name stands for."""

    #: Which one.
    name: str | None = None
    #: Its older class name.
    class_: str | None = msgspec.field(default=None, name="class")
    #: What it needs.
    config: dict[str, object] = {}


class KvConfig(Struct, forbid_unknown_fields=True):
    """Config of the adapter `kv`, and options of `iii-kv`.

    `file_based` data is in the engine's durable store: what was answered is on disk, so
    `save_interval_ms` is accepted and has no effect. `file_path` is a directory.
    """

    #: `in_memory` (gone with the engine, and nothing but the machine's memory bounds it) or
    #: `file_based`.
    store_method: str = "in_memory"
    #: A directory.
    file_path: str = "kv_store_data.db"
    #: Accepted, without effect: what was answered is on disk.
    save_interval_ms: int = 5000


class RedisConfig(Struct, forbid_unknown_fields=True):
    """Config of the adapter `redis`. The server is one, or a primary with replicas of its own.

    What was answered is as durable as the server was told to keep it: give it `appendonly yes` and
    `appendfsync always`. With Redis' own defaults all is lost when it ends; with `everysec` the
    last second is, when its machine fails.
    """

    #: Where it is; `rediss://` is encrypted. Passwords are never shown.
    redis_url: str = "redis://localhost:6379"


class NatsConfig(Struct, forbid_unknown_fields=True):
    """Config of the adapter `nats` (an extension): NATS with JetStream.

    What was answered survives the end of the server. What its machine has not yet written to disk
    when it fails may be lost on it: keep `replicas` on several, or give servers from 2.10 on
    `sync_interval: always`.
    """

    #: Where it is; several addresses of one cluster are separated by commas.
    nats_url: str = "nats://localhost:4222"
    #: What the names of its buckets and subjects begin with.
    prefix: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$")] = "iii"
    #: On how many servers of a cluster each record is kept.
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1


class BridgeConfig(Struct, forbid_unknown_fields=True):
    """Config of the adapter `bridge`: the same module of another engine does the work."""

    #: Address of the other engine's worker listener.
    bridge_url: str = "ws://localhost:49134"


class BadAdapter(BusError):
    """The option `adapter` cannot be used; nothing was started."""

    code = "bad_adapter"


def adapter_name(adapter: Adapter, known: Mapping[str, tuple[str, ...]], default: str) -> str:
    """The adapter's name; `known` gives the older class names of each.

    Raises `BadAdapter` when there is none of that name.
    """
    wanted = adapter.name or adapter.class_ or default
    for name, classes in known.items():
        if wanted == name or wanted in classes:
            return name
    available = ", ".join(f'"{name}"' for name in known)
    raise BadAdapter(f"Adapter factory '{wanted}' not found. Available: [{available}]")


def adapter_config(adapter: Adapter, kind: type[T]) -> T:
    """The config of the adapter as `kind`. Raises `BadAdapter` that names the wrong key."""
    try:
        return msgspec.convert(adapter.config, kind)
    except msgspec.ValidationError as error:
        raise BadAdapter(f"config.adapter.config: {error}") from None


def kv_config(adapter: Adapter) -> KvConfig:
    """The config of the adapter `kv`. Raises `BadAdapter` that names the wrong key."""
    config = adapter_config(adapter, KvConfig)
    warn_of_method(config)
    return config


def warn_of_method(config: KvConfig) -> None:
    """Say that an unknown `store_method` is taken for `in_memory`."""
    if config.store_method not in ("in_memory", "file_based"):
        log.warning("unknown store_method %r: data is kept in memory", config.store_method)
