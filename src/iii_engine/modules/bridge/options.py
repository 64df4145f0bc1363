"""Options of `iii-bridge`."""

from __future__ import annotations

import os
from typing import Annotated

from msgspec import Meta, Struct

from iii_engine.modules.bridge.link import check_url
from iii_sdk.errors import BusError

DEFAULT_URL = "ws://127.0.0.1:49134"

Id = Annotated[str, Meta(min_length=1)]
Milliseconds = Annotated[int, Meta(ge=1)]


class Exposed(Struct, forbid_unknown_fields=True, frozen=True):
    """A function of this engine that the other one offers."""

    #: Its id here.
    local_function: Id
    #: Its id there; without one the same.
    remote_function: Id | None = None

    @property
    def remote_id(self) -> str:
        return self.remote_function or self.local_function


class Forwarded(Struct, forbid_unknown_fields=True, frozen=True):
    """A function of the other engine that this one offers."""

    #: Its id here.
    local_function: Id
    #: Its id there.
    remote_function: Id
    #: How long a call may take, also when the other engine cannot be reached, in milliseconds.
    timeout_ms: Milliseconds = 30_000


class BridgeOptions(Struct, forbid_unknown_fields=True):
    """Which engine, and which functions go from one to the other."""

    #: Address of the other engine's worker listener; without one `III_URL` from the environment,
    #: else `ws://127.0.0.1:49134`.
    url: str | None = None
    #: A service to announce on the other engine.
    service_id: Id | None = None
    #: Its name; without one its id.
    service_name: Id | None = None
    #: Functions of this engine that the other one offers.
    expose: list[Exposed] = []
    #: Functions of the other engine that this one offers.
    forward: list[Forwarded] = []

    @property
    def address(self) -> str:
        return self.url or os.environ.get("III_URL") or DEFAULT_URL


def check(options: BridgeOptions) -> None:
    """Raises `BusError` that names the option."""
    check_url(options.address, "config.url")
    _once("expose", "remote_function", [exposed.remote_id for exposed in options.expose])
    _once("forward", "local_function", [item.local_function for item in options.forward])


def _once(option: str, field: str, ids: list[str]) -> None:
    for index, function_id in enumerate(ids):
        if function_id in ids[:index]:
            raise BusError(
                f"config.{option}[{index}].{field}: '{function_id}' is there twice",
                code="invalid_config",
            )
