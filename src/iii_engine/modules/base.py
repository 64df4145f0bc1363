"""What every module is: options, functions, trigger types, start and stop.

A module lives in `modules/<name>/`: `module.py` holds its `Module` class and what it offers,
`options.py` its options, other files one noun each.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from iii_engine.core.engine import Engine
from iii_engine.core.router import Call
from iii_engine.core.triggers import TriggerType
from iii_engine.core.turns import Turns
from iii_engine.modules.component import Component
from iii_engine.modules.shared_type import SharedType
from iii_engine.modules.steps import Step
from iii_engine.net.broadcast import Message
from iii_engine.storage.base import LocalStore, StoreError
from iii_sdk.errors import BusError
from iii_sdk.protocol import NULL, EnqueueAction

log = logging.getLogger("iii.modules")

Opts = TypeVar("Opts", bound=Struct)
T = TypeVar("T")


#: The status of a module that has nothing to complain about.
RUNNING: Final = "running"


@dataclass
class Host:
    """What a module may use of the process it runs in."""

    engine: Engine
    store: LocalStore
    loop: asyncio.AbstractEventLoop
    #: The modules that have started, by instance name.
    modules: dict[str, Module[Any]] = field(default_factory=dict)
    #: The trigger types of modules, by module kind and type id.
    types: dict[tuple[str, str], SharedType] = field(default_factory=dict)
    #: Functions that can be part of a transaction, by id.
    steps: dict[str, Step] = field(default_factory=dict)
    #: The step that puts a call on a queue; None without one whose jobs are in `store`.
    enqueue_step: Callable[[EnqueueAction], Step] | None = None
    #: Tells the subscribers of a topic, if there are any; None without pub/sub.
    publish: Callable[[str, Callable[[], Message]], None] | None = None
    #: What worker listeners without access rules answer to a plain `GET`, by path: content type
    #: and body.
    pages: dict[str, Callable[[], tuple[str, bytes]]] = field(default_factory=dict)
    #: Why the config file and what runs differ; None when they agree.
    config_problem: str | None = None

    def __post_init__(self) -> None:
        #: For answers that take long.
        self.turns = Turns(self._soon)

    def _soon(self, step: Callable[[], None]) -> None:
        self.loop.call_soon(step)


def changed(old: Struct, new: Struct) -> set[str]:
    """The names of the options that differ."""
    return {name for name in new.__struct_fields__ if getattr(old, name) != getattr(new, name)}


class Module(ABC, Generic[Opts]):
    """One built-in worker. Subclasses set `kind`, `Options` and implement `start` and `stop`.

    `name` is the instance: `iii-http`, `iii-http#1`…; `kind` is what the config file calls it.
    """

    kind: ClassVar[str]
    Options: ClassVar[type[Struct]]
    #: Host and port it listens on once started; None for a module without a listener.
    address: tuple[str, int] | None = None

    def __init__(self, name: str, options: Opts, host: Host) -> None:
        self.name = name
        self.options = options
        self.host = host
        self.engine = host.engine
        self._functions: list[str] = []
        self._types: list[TriggerType] = []

    @classmethod
    def check(cls, options: Opts) -> None:
        """Refuse options whose form is right and whose content is not, before anything starts.

        Raises `BusError` that names the option.
        """

    @abstractmethod
    async def start(self) -> None:
        """Open what is needed and register what is offered. Raises on a problem that names it."""

    async def reconfigure(self, options: Opts) -> bool:
        """Take other options while running, without dropping what is connected or under way.

        True: they apply from now on, and are `self.options`. False: this module cannot change
        these in place, so it is stopped and one with the new options started; that is the default.
        A change that fails raises what `start` would (`BusError`, `OSError`) and changes nothing.
        Neither connections nor calls may end that need not: only another host or port ends
        connections, and those after what is under way on them.
        """
        return False

    def status(self) -> str:
        """How it is, in a few words: `running`, or what is not as it should be."""
        return RUNNING

    def components(self) -> dict[str, Component]:
        """What `engine::health::check` shows of this module, by name."""
        return {}

    async def drain(self, seconds: float) -> None:
        """Taken out of a running engine: let what is under way here end, then `stop` follows."""

    async def quiesce(self) -> None:
        """Shutdown begins: accept no new connections; what is under way goes on until `stop`."""

    async def stop(self) -> None:
        """Unregister everything; subclasses close what they opened, then call this."""
        self.withdraw_all()

    def withdraw_all(self) -> None:
        """Unregister everything, if that was not done yet."""
        for function_id in self._functions:
            self.engine.remove_function(function_id)
            self.host.steps.pop(function_id, None)
        for kind in self._types:
            key = (self.kind, kind.id)
            if self.host.types[key].leave(kind):
                del self.host.types[key]
                self.engine.remove_trigger_type(kind.id)
        self._functions.clear()
        self._types.clear()

    def offer(
        self,
        function_id: str,
        handler: Callable[[Call], None],
        *,
        description: str,
        request: type[Struct] | None = None,
        response: Any = None,
    ) -> None:
        """Register a function with the JSON Schemas of its request and response types.

        One whose handler is a `Step` can be part of a transaction with other modules.
        """
        if isinstance(handler, Step):
            self.host.steps[function_id] = handler
        self.engine.add_function(
            function_id,
            handler,
            module=self.name,
            description=description,
            formats=lambda: (schema(request), schema(response)),
        )
        self._functions.append(function_id)

    def withdraw(self, function_id: str) -> None:
        """Take back an `offer`."""
        self._functions.remove(function_id)
        self.engine.remove_function(function_id)

    def offer_type(self, kind: TriggerType, aliases: tuple[str, ...] = ()) -> None:
        """Serve a trigger type. Instances of one kind share it: each trigger is bound at all."""
        kind.module = self.name
        key = (self.kind, kind.id)
        shared = self.host.types.get(key)
        if shared is None:
            shared = self.host.types[key] = SharedType(kind)
            self.engine.add_trigger_type(shared.type, aliases)
        else:
            shared.join(kind, self.engine.triggers.of_type(shared.type))
        self._types.append(kind)


def schema(kind: Any) -> Raw:
    """The JSON Schema of a type as bytes; null for None."""
    return NULL if kind is None else Raw(msgspec.json.encode(msgspec.json.schema(kind)))


def read(call: Call, kind: type[T]) -> T:
    """The call's payload as `kind`; null counts as `{}`. Raises `deserialization_error`."""
    return read_input(call.function_id, call.data, kind)


def read_input(function_id: str, data: Raw | bytes, kind: type[T]) -> T:
    """What a function is called with as `kind`; as `read`."""
    if len(data) == 4 and bytes(data) == b"null":
        data = b"{}"
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BusError(
            f"Failed to deserialize input for {function_id}: {error}",
            code="deserialization_error",
        ) from None


def fail(call: Call, error: BaseException | None, code: str = "invocation_failed") -> None:
    """Answer with an error; what is not meant for callers stays in the log.

    `code` is for errors that bring none.
    """
    if isinstance(error, BusError):
        call.fail(error.code, error.message)
    elif isinstance(error, StoreError):
        _tell(call, f"{call.function_id}: {error}", code)
        call.fail(code, str(error))
    else:
        log.error("%s failed", call.function_id, exc_info=error)
        call.fail(code, "internal server error")


def _tell(call: Call, text: str, code: str) -> None:
    """A server that is lost fails thousands of calls: one line for each would bury the others."""

    def sum_up(number: int) -> None:
        log.error("%d more calls failed with %s, as did %s", number, code, text)

    if call.router.log_gate.passes(f"failed calls: {code}", sum_up):
        log.error("%s", text)


def answering(work: Callable[[Call], Any]) -> Callable[[Call], None]:
    """A handler that answers with what `work(call)` returns, or with the error it raises."""

    def handler(call: Call) -> None:
        try:
            result = work(call)
        except Exception as error:  # noqa: BLE001  (`fail` logs it)
            fail(call, error)
        else:
            call.reply(result if isinstance(result, (Raw, bytes)) else msgspec.json.encode(result))

    return handler
