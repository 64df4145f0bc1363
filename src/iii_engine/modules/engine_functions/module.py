"""`iii-engine-functions`: everything the engine tells about itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from iii_engine.core.access import Access
from iii_engine.core.channels import ChannelPair, CreateChannel
from iii_engine.core.router import Call
from iii_engine.core.sessions import Session
from iii_engine.core.turns import Pieces
from iii_engine.modules.base import Module, answering, read
from iii_engine.modules.engine_functions import (
    baggage,
    binding,
    functions,
    health,
    transaction,
    triggers,
    workers,
)
from iii_engine.modules.engine_functions.events import FunctionsAvailable, WorkersAvailable
from iii_engine.modules.engine_functions.options import EngineFunctionsOptions
from iii_engine.modules.pieces import in_pieces
from iii_sdk.protocol import WorkerMetadata

Q = TypeVar("Q", bound=Struct)


class Nothing(Struct):
    """A request without fields."""


def access_of(caller: Session | None) -> Access | None:
    return None if caller is None else caller.access


class EngineFunctionsModule(Module[EngineFunctionsOptions]):
    kind = "iii-engine-functions"
    Options = EngineFunctionsOptions

    async def start(self) -> None:
        self._workers = workers.Workers(self.host)
        self._offer_functions()
        self._offer_workers()
        self._offer_triggers()
        self._offer_bindings()
        self._offer_context()
        self._functions_available = FunctionsAvailable(self.engine, self.host.loop, self.host.turns)
        self._workers_available = WorkersAvailable(self.engine)
        for source in (self._functions_available, self._workers_available):
            self.offer_type(source.type)
            source.start()

    async def stop(self) -> None:
        self._functions_available.stop()
        self._workers_available.stop()
        await super().stop()

    def _serve(
        self,
        function_id: str,
        request: type[Q],
        work: Callable[[Q, Call], Struct],
        response: object,
        description: str,
    ) -> None:
        """Offer a function that reads `request` and answers with what `work` returns."""
        self.offer(
            function_id,
            answering(lambda call: work(read(call, request), call)),
            description=description,
            request=request,
            response=response,
        )

    def _browse(
        self,
        function_id: str,
        request: type[Q],
        work: Callable[[Q, Call], Pieces[bytes]],
        response: object,
        description: str,
    ) -> None:
        """As `_serve`, for what is looked up and written as JSON in pieces."""
        self.offer(
            function_id,
            in_pieces(self.host.turns, lambda call: work(read(call, request), call)),
            description=description,
            request=request,
            response=response,
        )

    def _offer_functions(self) -> None:
        engine = self.engine
        self._browse(
            "engine::functions::list",
            functions.FunctionsQuery,
            lambda query, call: functions.list_functions(engine, query, access_of(call.caller)),
            functions.FunctionRows,
            "List the functions that the caller may call",
        )
        self._serve(
            "engine::functions::info",
            functions.FunctionInfoQuery,
            lambda query, call: functions.function_info(engine, query, call.caller),
            functions.FunctionDetail,
            "Describe one function, or several",
        )

    def _offer_workers(self) -> None:
        self._serve(
            "engine::workers::list",
            workers.WorkersQuery,
            lambda query, call: self._workers.find(query, call.caller),
            workers.WorkerRows,
            "List the connected workers and the engine's modules",
        )
        self._serve(
            "engine::workers::info",
            workers.WorkerInfoQuery,
            lambda query, call: self._workers.info(query, call.caller),
            workers.WorkerDetail,
            "Describe one worker with its functions, trigger types and triggers",
        )
        self._serve(
            "engine::workers::register",
            WorkerMetadata,
            lambda metadata, call: self._workers.register(metadata, call.caller),
            workers.Success,
            "Tell name, runtime and process of the calling worker",
        )

    def _offer_triggers(self) -> None:
        engine = self.engine
        self._browse(
            "engine::triggers::list",
            triggers.TriggersQuery,
            lambda query, call: triggers.list_triggers(engine, query, call.caller),
            triggers.TriggerEntries,
            "List the registered triggers (to newer clients: the trigger types)",
        )
        self._serve(
            "engine::triggers::info",
            triggers.TypeQuery,
            lambda query, call: triggers.type_info(engine, query),
            triggers.TypeDetail,
            "Describe one trigger type",
        )
        self._browse(
            "engine::registered-triggers::list",
            triggers.RegisteredQuery,
            lambda query, call: triggers.list_registered(engine, query, call.caller),
            triggers.TriggerRows,
            "List the registered triggers",
        )
        self._serve(
            "engine::registered-triggers::info",
            triggers.TriggerQuery,
            lambda query, call: triggers.registered_info(engine, query, call.caller),
            triggers.TriggerDetail,
            "Describe one trigger with its type and function",
        )
        self._serve(
            "engine::trigger-types::list",
            triggers.TypesQuery,
            lambda query, call: triggers.list_types(engine, query),
            triggers.TypeEntries,
            "List the trigger types with their schemas",
        )

    def _offer_bindings(self) -> None:
        engine = self.engine
        for function_id, request, description in (
            (
                "engine::register_trigger",
                binding.RegisterTrigger,
                "Bind a function to an event source until it is unregistered",
            ),
            (
                "engine::triggers::register",
                binding.RegisterTriggerAlias,
                "Bind a function to an event source (another spelling)",
            ),
        ):
            self.offer(
                function_id,
                binding.registering(engine, request),
                description=description,
                request=request,
                response=binding.Registered,
            )
        self._serve(
            "engine::unregister_trigger",
            binding.UnregisterTrigger,
            lambda request, call: binding.unregister_trigger(engine, request, call.caller),
            binding.Removed,
            "Remove a trigger",
        )

    def _offer_context(self) -> None:
        self.offer(
            "engine::channels::create",
            self.engine.channels.answer_create,
            description="Make a channel: a reference for its writer and one for its reader",
            request=CreateChannel,
            response=ChannelPair,
        )
        self._serve(
            "engine::baggage::get",
            baggage.BaggageKey,
            lambda request, call: baggage.BaggageValue(
                baggage.parse_baggage(call.baggage).get(request.key)
            ),
            baggage.BaggageValue,
            "One value of the baggage that came with the call",
        )
        self._serve(
            "engine::baggage::set",
            baggage.BaggageEntry,
            lambda request, call: baggage.SET_NOTE,
            baggage.BaggageNote,
            "Explains how baggage is set",
        )
        self._serve(
            "engine::baggage::get_all",
            Nothing,
            lambda request, call: baggage.BaggageItems(baggage.parse_baggage(call.baggage)),
            baggage.BaggageItems,
            "The baggage that came with the call",
        )
        self.offer(
            "engine::transact",
            transaction.transacting(self.host),
            description="Make changes of several modules together or not at all, in one commit",
            request=transaction.Transact,
            response=transaction.Transacted,
        )
        self.offer(
            "engine::health::check",
            health.checking(self.host),
            description="How the engine and its parts are",
            request=Nothing,
            response=health.Health,
        )
