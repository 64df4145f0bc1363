"""What every store does: the same tests over all of them."""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.iii_engine.storage.writing import keys, look, put, submit

from iii_engine.storage.base import Store, StoreError, Transaction

ODD_NAMES = ["", "a/b", "ä", "\x00", "x\x00y", "😀", "\U0010ffff", "'; DROP TABLE item", "%_"]


async def test_a_missing_key_is_none(store: Store) -> None:
    assert await look(store, lambda t: t.get("s", "k")) is None
    assert await look(store, lambda t: t.count("s")) == 0
    assert await keys(store, "s") == []


async def test_reads_see_what_was_acknowledged(store: Store) -> None:
    for number in range(5):
        value = b"%d" % number
        await submit(store, lambda t, value=value: t.put("s", "k", value))
        assert await look(store, lambda t: t.get("s", "k")) == value


async def test_works_run_in_order_and_see_each_other(store: Store) -> None:
    def append(letter: bytes) -> asyncio.Future[bytes]:
        def work(t: Transaction) -> bytes:
            value = (t.get("s", "k") or b"") + letter
            t.put("s", "k", value)
            return value

        return submit(store, work)

    answers = [append(letter) for letter in (b"a", b"b", b"c")]
    assert [await answer for answer in answers] == [b"a", b"ab", b"abc"]


async def test_items_keep_the_order_of_insertion(store: Store) -> None:
    await put(store, "s", "b", "a", "c")
    await put(store, "s", "b", value=b"2")
    assert await look(store, lambda t: list(t.items("s"))) == [
        ("b", b"2"),
        ("a", b"1"),
        ("c", b"1"),
    ]
    await submit(store, lambda t: t.delete("s", "b"))
    await put(store, "s", "b")
    assert await keys(store, "s") == ["a", "c", "b"]


async def test_items_in_pages(store: Store) -> None:
    await put(store, "s", "x1", "y1", "x2", "x3", "y2")

    async def page(**which: object) -> list[str]:
        return await look(store, lambda t: [key for key, _ in t.items("s", **which)])  # type: ignore[arg-type]

    assert await page(prefix="x") == ["x1", "x2", "x3"]
    assert await page(prefix="x", limit=1, offset=1) == ["x2"]
    assert await page(offset=3) == ["x3", "y2"]
    assert await page(limit=0) == []
    assert await page(offset=9) == []


async def test_spaces_are_those_with_items(store: Store) -> None:
    await put(store, "a/2", "k")
    await put(store, "a/1", "k", "l")
    await put(store, "b", "k")
    assert await look(store, lambda t: t.spaces()) == ["a/1", "a/2", "b"]
    assert await look(store, lambda t: t.spaces("a/")) == ["a/1", "a/2"]
    assert await look(store, lambda t: t.spaces("c")) == []
    await submit(store, lambda t: t.delete("a/2", "k"))
    assert await look(store, lambda t: t.spaces("a/")) == ["a/1"]


async def test_delete_says_whether_there_was_one(store: Store) -> None:
    await put(store, "s", "k")
    assert await submit(store, lambda t: t.delete("s", "k")) is True
    assert await submit(store, lambda t: t.delete("s", "k")) is False


async def test_delete_space(store: Store) -> None:
    await put(store, "s", "a", "b")
    await put(store, "t", "a")
    assert await submit(store, lambda t: t.delete_space("s")) == 2
    assert await submit(store, lambda t: t.delete_space("s")) == 0
    assert await look(store, lambda t: t.spaces()) == ["t"]


async def test_any_text_is_a_name(store: Store) -> None:
    for name in ODD_NAMES:
        await put(store, name, *ODD_NAMES)
    for name in ODD_NAMES:
        assert await keys(store, name) == ODD_NAMES
        assert await look(store, lambda t, name=name: t.get(name, name)) == b"1"
    assert await look(store, lambda t: t.spaces()) == sorted(ODD_NAMES)
    top = await look(store, lambda t: [key for key, _ in t.items("", prefix="\U0010ffff")])
    assert top == ["\U0010ffff"]


async def test_values_come_back_as_they_are(store: Store) -> None:
    for value in (b'""', b' {"a": 1.50 }', b'"\\ud800"', b'"%b"' % (b"x" * 1_000_000)):
        await put(store, "s", "k", value=value)
        assert await look(store, lambda t: t.get("s", "k")) == value
        assert await look(store, lambda t: list(t.items("s"))) == [("k", value)]


async def test_values_of_megabytes(joint_store: Store) -> None:
    value = b'"%b"' % os.urandom(1_500_000).hex().encode()
    await put(joint_store, "s", "k", value=value)
    assert await look(joint_store, lambda t: t.get("s", "k")) == value


async def test_a_failing_work_undoes_only_itself(store: Store) -> None:
    def failing(t: Transaction) -> None:
        t.put("s", "lost", b"1")
        t.delete("s", "kept")
        t.delete_space("other")
        raise KeyError("no")

    await put(store, "other", "k")
    first = submit(store, lambda t: t.put("s", "kept", b"1"))
    failed = submit(store, failing)
    last = submit(store, lambda t: t.put("s", "last", b"1"))
    await first
    with pytest.raises(KeyError):
        await failed
    await last
    assert await keys(store, "s") == ["kept", "last"]
    assert await keys(store, "other") == ["k"]


async def test_a_work_sees_its_own_writes(joint_store: Store) -> None:
    await put(joint_store, "s", "a", "b", "c")
    await put(joint_store, "gone", "a")

    def work(t: Transaction) -> None:
        t.put("s", "b", b"2")
        t.delete("s", "a")
        t.put("s", "d", b"1")
        t.put("s", "a", b"3")
        t.delete("s", "c")
        assert t.get("s", "c") is None
        assert list(t.items("s")) == [("b", b"2"), ("d", b"1"), ("a", b"3")]
        assert list(t.items("s", limit=1, offset=1)) == [("d", b"1")]
        assert t.count("s") == 3
        assert t.delete_space("gone") == 1
        assert t.spaces() == ["s"]
        t.put("gone", "z", b"1")
        assert t.count("gone") == 1
        assert t.get("gone", "a") is None
        assert t.spaces() == ["gone", "s"]

    await submit(joint_store, work)
    assert await look(joint_store, lambda t: list(t.items("s"))) == [
        ("b", b"2"),
        ("d", b"1"),
        ("a", b"3"),
    ]
    assert await keys(joint_store, "gone") == ["z"]


async def test_a_closed_store_refuses(store: Store) -> None:
    await put(store, "s", "k")
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await look(store, lambda t: t.get("s", "k"))
    with pytest.raises(StoreError, match="closed"):
        await submit(store, lambda t: t.put("s", "k", b"2"))


STEP = st.tuples(
    st.sampled_from(["put", "delete", "delete_space", "fail"]),
    st.sampled_from(["s", "t"]),
    st.sampled_from(["a", "b", "ab", "c"]),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(works=st.lists(st.lists(STEP, max_size=6), max_size=6))
def test_buffered_works_do_what_direct_ones_would(works: list[list[tuple[str, str, str]]]) -> None:
    from iii_engine.storage.buffer import Buffer
    from iii_engine.storage.memory import Maps, MemoryStore

    store, model = MemoryStore(), Maps()

    def run(t: Transaction, steps: list[tuple[str, str, str]], number: int) -> None:
        for what, space, key in steps:
            if what == "put":
                t.put(space, key, b"%d" % number)
            elif what == "delete":
                t.delete(space, key)
            elif what == "delete_space":
                t.delete_space(space)
            elif isinstance(t, Buffer):
                raise KeyError(key)

    def content(t: Transaction) -> list[object]:
        return [
            (space, t.count(space), list(t.items(space)), list(t.items(space, prefix="a", limit=1)))
            for space in t.spaces()
        ]

    for number, steps in enumerate(works):

        def work(t: Transaction, steps=steps, number=number) -> None:  # type: ignore[no-untyped-def]
            run(t, steps, number)
            run(model, steps, number)
            assert content(t) == content(model)

        store.write(work, lambda result, error: None)
        assert store.read(content) == content(model)
