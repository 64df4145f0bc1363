"""The links of an engine: one for each address, shared by all who ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from iii_engine.core.engine import Engine
from iii_engine.modules.bridge.link import Link


@dataclass
class _Shared:
    link: Link
    users: int = 0


_links: WeakKeyDictionary[Engine, dict[str, _Shared]] = WeakKeyDictionary()


def acquire(engine: Engine, url: str) -> Link:
    """The link to an address, made when it is the first; give it back with `release`."""
    links = _links.setdefault(engine, {})
    shared = links.get(url)
    if shared is None:
        shared = links[url] = _Shared(Link(url, engine))
    shared.users += 1
    return shared.link


async def release(link: Link, patience: float = 0.0) -> None:
    """The last one who lets go of it closes it, when what is under way on it has ended, at the
    latest after `patience` seconds."""
    links = _links[link.engine]
    shared = links[link.url]
    shared.users -= 1
    if not shared.users:
        del links[link.url]
        await link.close(patience)
