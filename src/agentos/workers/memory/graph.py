"""A small knowledge graph per agent: entities and typed relations, each with its inverse."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from agentos.kernel.ids import require_id
from agentos.workers.memory.store import ATTEMPTS, PARALLEL, to_json, write
from iii_sdk import Bus, Conflict, InvalidInput
from iii_sdk.state import Op, append

SHARED = "kg:shared"
INVERSE = "inverse:"
MAX_DEPTH = 5
MAX_ENTITIES = 500
#: One transaction holds the entity and its targets, and has room for 128 writes.
MAX_RELATIONS = 100


class Relation(Struct):
    """An edge to the entity with the id `target`."""

    target: str
    type: str


class Entity(Struct):
    """A node. `properties` is free."""

    id: str = ""
    name: str = ""
    type: str = ""
    properties: dict[str, object] = {}
    relations: list[Relation] = []


class AddEntity(Struct, rename="camel"):
    """`entity.id` is required."""

    agent_id: str = "default"
    entity: Entity = msgspec.field(default_factory=Entity)


class EntityAdded(Struct):
    """The id of the entity."""

    id: str
    stored: bool = True


class QueryGraph(Struct, rename="camel"):
    """`depth` levels from the start, clamped to 1..5; 1 is the start alone."""

    agent_id: str = "default"
    entity_id: str = ""
    depth: int = 2
    allow_shared: bool = False


def scope(agent_id: str) -> str:
    """Where the entities of an agent are."""
    return f"kg:{agent_id}"


def with_kept_inverses(entity: Entity, stored: Entity | None) -> Entity:
    """The new entity with the inverse edges that others put into the stored one."""
    if stored is None:
        return entity
    kept = [
        edge
        for edge in stored.relations
        if edge.type.startswith(INVERSE) and edge not in entity.relations
    ]
    return msgspec.structs.replace(entity, relations=[*entity.relations, *kept])


class Known(Struct):
    """A stored entity, and its relations exactly as they are stored."""

    entity: Entity
    raw: object


async def _get(bus: Bus, where: str, entity_ids: Sequence[str]) -> dict[str, Known]:
    """Those of the entities that exist, in the order asked for."""
    found: dict[str, Known] = {}
    for start in range(0, len(entity_ids), PARALLEL):
        some = entity_ids[start : start + PARALLEL]
        values = await asyncio.gather(*(bus.state.get(where, one) for one in some))
        for entity_id, value in zip(some, values, strict=True):
            if isinstance(value, dict):
                entity = msgspec.convert({"id": entity_id, **value}, Entity)
                found[entity_id] = Known(entity, value.get("relations"))
    return found


async def add(request: AddEntity, bus: Bus) -> EntityAdded:
    """Write an entity, and the inverse of each relation into its target if that exists."""
    agent_id = require_id(request.agent_id, "agentId")
    entity = request.entity
    if not entity.id:
        raise InvalidInput("entity.id is required")
    if len(entity.relations) > MAX_RELATIONS:
        raise InvalidInput(f"$.entity.relations: at most {MAX_RELATIONS}")
    where = scope(agent_id)
    targets = list(dict.fromkeys(r.target for r in entity.relations if r.target != entity.id))
    for _ in range(ATTEMPTS):
        known = await _get(bus, where, [entity.id, *targets])
        if await write(bus, _writes(where, entity, known)):
            return EntityAdded(entity.id)
    raise Conflict("the graph changes too fast here; nothing was written")


def _writes(where: str, entity: Entity, known: dict[str, Known]) -> list[Op]:
    """The entity and the missing inverse edges, valid while `known` is what is stored."""
    stored = known.get(entity.id)
    node: Op = {
        "op": "set",
        "scope": where,
        "key": entity.id,
        "value": to_json(with_kept_inverses(entity, stored.entity if stored else None)),
        "expect": {"relations": stored.raw if stored else None},
    }
    edges: dict[str, list[Op]] = {}
    for relation in entity.relations:
        inverse = Relation(entity.id, INVERSE + relation.type)
        target = known.get(relation.target)
        if relation.target == entity.id or target is None or inverse in target.entity.relations:
            continue
        op = append("relations", to_json(inverse))
        ops = edges.setdefault(relation.target, [])
        if op not in ops:
            ops.append(op)
    updates: list[Op] = [
        {
            "op": "update",
            "scope": where,
            "key": target,
            "ops": ops,
            "expect": {"relations": known[target].raw},
        }
        for target, ops in edges.items()
    ]
    return [node, *updates]


async def query(request: QueryGraph, bus: Bus) -> list[Entity]:
    """The entities around one, level by level, the start first; at most 500."""
    agent_id = require_id(request.agent_id, "agentId")
    if not request.entity_id:
        raise InvalidInput("entityId is required")
    found: dict[str, Entity] = {}
    asked = {request.entity_id}
    level = [request.entity_id]
    for _ in range(min(max(request.depth, 1), MAX_DEPTH)):
        here = await _get(bus, scope(agent_id), level)
        if request.allow_shared:
            here |= await _get(bus, SHARED, [one for one in level if one not in here])
        found.update((one, here[one].entity) for one in level if one in here)
        level = []
        for known in here.values():
            for relation in known.entity.relations:
                if relation.target not in asked:
                    asked.add(relation.target)
                    level.append(relation.target)
        level = level[: MAX_ENTITIES - len(found)]
        if not level:
            break
    return list(found.values())
