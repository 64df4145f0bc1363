from __future__ import annotations

import json

import pytest
from tests.support.pieces import counted

from iii_engine.modules import pieces
from iii_engine.modules.pieces import BYTES, ITEMS, array, paced
from iii_sdk.errors import BusError


@pytest.mark.parametrize("count", [0, 1, ITEMS, ITEMS + 1, 3 * ITEMS])
def test_so_many_items_are_written_in_one_piece(count: int) -> None:
    written, number = counted(array(b"%d" % each for each in range(count)))
    assert json.loads(written) == list(range(count))
    assert number == max(1, -(-count // ITEMS))


def test_so_many_bytes_are_written_in_one_piece() -> None:
    part = b'"%b"' % (b"x" * (BYTES // 2))
    written, number = counted(array([part] * 6))
    assert len(json.loads(written)) == 6
    assert number == 3


def test_the_source_says_when_others_may_go_on() -> None:
    assert counted(array([b"1", None, b"2", None])) == (b"[1,2]", 3)


def test_what_stands_around_and_between() -> None:
    parts = [b"a"] * (ITEMS + 1)
    written, _ = counted(array(parts, head=b"<", tail=b">", between=b"-"))
    assert written == b"<%b>" % b"-".join(parts)


def test_a_list_that_nobody_takes_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "MAX_LIST", 10)
    assert counted(array([b"1234", b"5678"])) == (b"[1234,5678]", 1)
    with pytest.raises(BusError) as caught:
        counted(array([b"1234", b"56789"]))
    assert caught.value.code == "payload_too_large"


def test_paces() -> None:
    assert list(paced("abcde", 2)) == ["a", "b", None, "c", "d", None, "e"]
    assert list(paced("ab", 2)) == ["a", "b"]
