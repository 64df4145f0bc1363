"""Lists of records are read and written a piece at a time, whatever module they are of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.pieces import counted

from iii_engine.core.stream_messages import Wanted
from iii_engine.core.turns import Pieces
from iii_engine.modules.kv import entries
from iii_engine.modules.pieces import ITEMS
from iii_engine.modules.state import listing as state
from iii_engine.modules.state.requests import ListGroupsRequest, ListRequest, ScopeRequest
from iii_engine.modules.stream import listing as stream
from iii_engine.modules.stream.requests import GroupRequest, ListAllRequest, StreamRequest
from iii_engine.storage.base import Transaction
from iii_engine.storage.memory import Maps

COUNT = 3 * ITEMS
VALUES = list(range(COUNT))
NAMES = sorted(f"g{number}" for number in VALUES)

Listing = Callable[[Transaction], Pieces[bytes]]


def maps(space: str) -> Maps:
    found = Maps()
    for number in VALUES:
        found.put(space.format(number), f"k{number}", b"%d" % number)
    return found


@pytest.mark.parametrize(
    ("space", "listing", "expected"),
    [
        ("state/s", lambda t: state.values(t, ListRequest("s")), VALUES),
        (
            "state/s",
            lambda t: state.values(t, ListRequest("s", include_keys=True)),
            [{"key": f"k{number}", "value": number} for number in VALUES],
        ),
        (
            "state/s",
            lambda t: state.keys(t, ScopeRequest("s")),
            {"keys": [f"k{number}" for number in VALUES]},
        ),
        ("state/g{}", lambda t: state.groups(t, ListGroupsRequest()), {"groups": NAMES}),
        ("kv/i", lambda t: entries.values(t, entries.IndexRequest("i")), VALUES),
        ("kv/g{}", lambda t: entries.indexes(t, entries.PrefixRequest("g")), NAMES),
        ("stream/s/g", lambda t: stream.items(t, GroupRequest("s", "g")), VALUES),
        ("stream/s/g", lambda t: stream.wanted(t, Wanted("1", "s", "g")), VALUES),
        ("stream/s/g{}", lambda t: stream.groups(t, StreamRequest("s")), NAMES),
        (
            "stream/g{}/h",
            lambda t: stream.streams(t, ListAllRequest()),
            {"stream": [{"id": name, "groups": ["h"]} for name in NAMES], "count": COUNT},
        ),
    ],
)
def test_a_long_list_has_pieces(space: str, listing: Listing, expected: Any) -> None:
    answer, pieces = counted(listing(maps(space)))
    assert json.loads(answer) == expected
    assert pieces >= 3
