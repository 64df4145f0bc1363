"""Traces as a part of the module."""

from __future__ import annotations

from iii_engine.core.turns import Pieces
from iii_engine.modules.component import DISABLED, Component
from iii_engine.modules.observability.part import Nothing, Part, Success
from iii_engine.modules.observability.spans.gathering import kept
from iii_engine.modules.observability.spans.listing import TraceRows, TracesQuery, list_traces
from iii_engine.modules.observability.spans.sampling import SamplingRules, sampling_rules
from iii_engine.modules.observability.spans.tree import Tree, TreeQuery, tree
from iii_sdk.errors import BusError


class TracesPart(Part):
    """Makes spans of what the ring holds, when somebody asks."""

    async def start(self) -> None:
        self.browse(
            "engine::traces::list",
            TracesQuery,
            self._list,
            description="The traces that are stored, each by its first span",
            response=TraceRows,
        )
        self.browse(
            "engine::traces::tree",
            TreeQuery,
            self._tree,
            description="All spans of one trace, each with those below it",
            response=Tree,
        )
        self.serve(
            "engine::traces::clear",
            Nothing,
            self._clear,
            description="Forget all spans",
            response=Success,
        )
        self.serve(
            "engine::sampling::rules",
            Nothing,
            self._sampling,
            description="Which traces and logs are recorded",
            response=SamplingRules,
        )

    def components(self) -> dict[str, Component]:
        if not self.telemetry.settings.enabled:
            return {"spans": DISABLED}
        return {"spans": Component("healthy", {"stored_spans": len(self.telemetry.spans)})}

    def _check(self) -> None:
        if not self.telemetry.settings.enabled:
            raise BusError(
                "Spans are not recorded: iii-observability has enabled: false",
                code="memory_exporter_not_enabled",
            )

    def _list(self, query: TracesQuery) -> Pieces[bytes]:
        self._check()
        found = yield from kept(self.telemetry.spans)
        answer = yield from list_traces(found, query, self.telemetry.resource)
        return answer

    def _tree(self, query: TreeQuery) -> Pieces[bytes]:
        self._check()
        found = yield from kept(self.telemetry.spans)
        answer = yield from tree(found, query, self.telemetry.resource)
        return answer

    def _clear(self, _: Nothing) -> Success:
        self._check()
        self.telemetry.spans.clear()
        return Success()

    def _sampling(self, _: Nothing) -> SamplingRules:
        now_ms = self.module.engine.clock.now_ns() // 1_000_000
        return sampling_rules(self.telemetry.settings, now_ms)
