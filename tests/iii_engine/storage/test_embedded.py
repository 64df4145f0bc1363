"""The durable store: conformance cases 16 to 18 at its level, and what a disk may do to it."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from functools import partial
from pathlib import Path

import apsw
import pytest
from tests.iii_engine.storage.writing import keys, put, submit

from iii_engine.storage import files
from iii_engine.storage.base import StoreError, Transaction
from iii_engine.storage.embedded import MAX_BATCH, MAX_BYTES, EmbeddedStore


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.db"


async def opened(file: Path, **options: bool) -> EmbeddedStore:
    store = EmbeddedStore(file, **options)
    await store.open()
    return store


async def test_modules_case_16_what_was_written_is_there_after_a_restart(file: Path) -> None:
    store = await opened(file)
    await put(store, "state/s", "b", "a")
    await store.close()
    again = await opened(file)
    assert await keys(again, "state/s") == ["b", "a"]
    await again.close()


async def test_modules_case_16_closing_waits_for_what_was_submitted(file: Path) -> None:
    store = await opened(file)
    answers = [
        submit(store, lambda t, n=n: t.put("s", str(n), b"1")) for n in range(MAX_BATCH * 2 + 5)
    ]
    await store.close()
    assert all(answer.done() for answer in answers)
    again = await opened(file)
    assert len(await keys(again, "s")) == len(answers)
    await again.close()


async def test_a_commit_of_large_records_has_few(file: Path) -> None:
    """Others wait for it, and so do their records in memory."""
    store = await opened(file)
    ran: list[int] = []
    committed: list[int] = []
    value = bytes(MAX_BYTES // 4)

    def work(transaction: Transaction, number: int) -> None:
        transaction.put("s", str(number), value)
        ran.append(number)

    def done(_: None, error: BaseException | None) -> None:
        assert error is None
        committed.append(len(ran))

    for number in range(20):
        store.write(partial(work, number=number), done)
    await store.close()
    assert ran == list(range(20))
    assert committed == [10] * 5 + [15] * 5 + [20] * 10


@pytest.mark.promise("Data", "Two engines never share one store.")
async def test_modules_case_17_a_second_engine_is_refused(file: Path) -> None:
    store = await opened(file)
    with pytest.raises(StoreError, match="in use by another engine") as caught:
        await opened(file)
    assert str(file.parent) in str(caught.value)
    await put(store, "s", "k")
    await store.close()
    await (await opened(file)).close()


async def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    with pytest.raises(StoreError, match="is a file"):
        await opened(tmp_path / "data" / "store.db")
    assert (tmp_path / "data").read_text() == "mine"


def content(file: Path) -> bytes:
    return file.read_bytes()


def damage(file: Path, page: int) -> None:
    with file.open("r+b") as database:
        database.seek(page * 4096)
        database.write(os.urandom(4096))


def last_leaf(file: Path) -> int:
    """The page, counted from 0, that holds the newest items."""
    connection = apsw.Connection(str(file))
    number: int = connection.execute(
        "SELECT pageno FROM dbstat WHERE name = 'item' AND pagetype = 'leaf'"
        " ORDER BY path DESC LIMIT 1"
    ).get
    connection.close()
    return number - 1


async def filled(file: Path) -> None:
    """A store of many pages, closed."""
    store = await opened(file)
    for space in ("a", "b"):
        await put(store, space, *(f"k{n}" for n in range(500)), value=b"x" * 100)
    await store.close()


@pytest.mark.promise("Data", "A corrupt store keeps what can be read of it.")
async def test_modules_case_18_what_can_be_read_of_a_corrupt_file_is_kept(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(file)
    damage(file, last_leaf(file))
    with caplog.at_level(logging.ERROR, "iii.storage"):
        store = await opened(file)
    assert await keys(store, "a") == [f"k{n}" for n in range(500)]
    assert 450 < len(await keys(store, "b")) < 500
    await put(store, "b", "new")
    await store.close()
    (aside,) = file.parent.glob("store.db.corrupt-*[0-9]")
    assert aside.name in caplog.text
    assert aside.name in (store.replaced or "")
    again = await opened(file)
    assert again.replaced is None
    assert (await keys(again, "b"))[-1] == "new"
    await again.close()


async def test_modules_case_18_a_file_that_is_no_database_is_renamed(file: Path) -> None:
    await filled(file)
    damage(file, 0)
    garbage = content(file)
    store = await opened(file)
    assert store.read(lambda t: t.spaces()) == []
    await store.close()
    (aside,) = file.parent.glob("store.db.corrupt-*[0-9]")
    assert content(aside) == garbage


async def test_without_repair_a_corrupt_file_is_refused_and_kept(file: Path) -> None:
    await filled(file)
    damage(file, 0)
    before = content(file)
    with pytest.raises(StoreError, match="is corrupt") as caught:
        await opened(file, repair=False)
    assert str(file) in str(caught.value)
    assert content(file) == before


async def test_a_torn_end_of_the_log_loses_nothing_before_it(tmp_path: Path) -> None:
    store = await opened(tmp_path / "one" / "store.db")
    for number in range(20):
        await put(store, "s", str(number))
    used = store.read(lambda t: t.count("s"))
    assert used == 20
    copy = tmp_path / "two"
    copy.mkdir()
    for name in ("store.db", "store.db-wal"):
        (copy / name).write_bytes((tmp_path / "one" / name).read_bytes())
    await store.close()
    log = bytearray((copy / "store.db-wal").read_bytes())
    end = len(log.rstrip(b"\0"))
    log[end - 2000 :] = os.urandom(3000)
    (copy / "store.db-wal").write_bytes(log)
    torn = await opened(copy / "store.db")
    assert await keys(torn, "s") == [str(number) for number in range(19)]
    await put(torn, "s", "next")
    await torn.close()
    again = await opened(copy / "store.db")
    assert (await keys(again, "s"))[-1] == "next"
    await again.close()


async def test_a_full_disk_is_told_to_everybody_and_passes(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await opened(file)
    await put(store, "s", "before")
    store._writer.execute("PRAGMA max_page_count = 10").fetchall()
    big = b"x" * 100_000
    answers = [
        submit(store, lambda t: t.put("s", "small", b"1")),
        submit(store, lambda t: t.put("s", "big", big)),
        submit(store, lambda t: t.put("s", "after", b"1")),
    ]
    done = await asyncio.gather(*answers, return_exceptions=True)
    assert isinstance(done[1], StoreError)
    assert "full" in str(done[1])
    with pytest.raises(StoreError):
        await put(store, "s", "big", value=big)
    await submit(store, lambda t: t.get("s", "before"))  # reading is no sign that writing works
    assert store.problem is not None
    assert "full" in store.problem
    assert caplog.text.count("cannot write") == 1
    kept = [key for key, answer in zip(("small", "big", "after"), done, strict=True) if not answer]
    assert await keys(store, "s") == ["before", *kept]
    store._writer.execute("PRAGMA max_page_count = 100000").fetchall()
    await put(store, "s", "later", value=big)
    assert store.problem is None
    assert await keys(store, "s") == ["before", *kept, "later"]
    await store.close()


async def test_a_read_whose_transaction_sqlite_ended_stops_no_write(file: Path) -> None:
    store = await opened(file)
    for _ in range(2):
        answer = submit(store, lambda t: t.put("s", "a", b"1"))
        store.read(lambda t: store._reader.execute("ROLLBACK"))  # as out of memory, or an I/O error
        await asyncio.sleep(0)
        store.read(lambda t: store._reader.execute("ROLLBACK"))
        assert await answer is None
    assert store.read(lambda t: t.count("s")) == 1
    await store.close()


async def test_a_commit_that_fails_is_told_to_everybody_in_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(file)
    await put(store, "s", "before")

    def fail() -> None:
        raise apsw.IOError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(store._committer, "_commit", fail)
        answers = [submit(store, lambda t, n=n: t.put("s", str(n), b"1")) for n in range(3)]
        done = await asyncio.gather(*answers, return_exceptions=True)
    assert all(isinstance(answer, StoreError) for answer in done)
    assert "the disk is gone" in str(done[0])
    assert await keys(store, "s") == ["before"]
    await put(store, "s", "after")
    assert await keys(store, "s") == ["before", "after"]
    await store.close()


async def test_what_a_work_refused_to_do_after_seeing_what_a_failed_commit_undid_is_that_failure(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(file)

    def fail() -> None:
        raise apsw.IOError("disk I/O error")

    def refuse(transaction: Transaction) -> None:
        if transaction.get("s", "k") is not None:
            raise LookupError("it is there")

    with monkeypatch.context() as broken:
        broken.setattr(store._committer, "_commit", fail)
        answers = [submit(store, lambda t: t.put("s", "k", b"1")), submit(store, refuse)]
        done = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(answer) for answer in done] == [StoreError, StoreError]
    assert await keys(store, "s") == []
    await store.close()


async def test_a_name_that_is_no_unicode_fails_alone(file: Path) -> None:
    store = await opened(file)

    def work(t: Transaction) -> None:
        t.put("s", "a", b"1")
        t.put("s", "\ud800", b"1")

    first = submit(store, lambda t: t.put("s", "first", b"1"))
    failed = submit(store, work)
    last = submit(store, lambda t: t.put("s", "last", b"1"))
    await first
    with pytest.raises(UnicodeEncodeError):
        await failed
    await last
    assert await keys(store, "s") == ["first", "last"]
    await store.close()


async def test_writes_during_a_commit_share_the_next(file: Path) -> None:
    store = await opened(file)
    commits = 0
    commit = store._committer._commit

    def counted() -> None:
        nonlocal commits
        commits += 1
        commit()

    store._committer._commit = counted
    first = submit(store, lambda t: t.put("s", "first", b"1"))
    await asyncio.sleep(0)
    others = [submit(store, lambda t, n=n: t.put("s", str(n), b"1")) for n in range(100)]
    await asyncio.gather(first, *others)
    assert commits == 2
    await store.close()


async def test_reads_of_uncommitted_writes_are_not_possible(file: Path) -> None:
    store = await opened(file)
    answer = submit(store, lambda t: t.put("s", "k", b"1"))
    assert store.read(lambda t: t.get("s", "k")) is None
    await answer
    assert store.read(lambda t: t.get("s", "k")) == b"1"
    await store.close()


async def test_a_listener_that_fails_does_not_stop_the_others(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await opened(file)

    def bad(result: object, error: object) -> None:
        raise KeyError("listener")

    store.write(lambda t: t.put("s", "a", b"1"), bad)
    await put(store, "s", "b")
    assert "a listener to the store failed" in caplog.text
    await store.close()


async def test_relaxed_does_not_wait_for_the_disk(file: Path) -> None:
    store = await opened(file, relaxed=True)
    assert store._writer.execute("PRAGMA synchronous").get == 1
    await put(store, "s", "k")
    await store.close()
    store = await opened(file)
    assert store._writer.execute("PRAGMA synchronous").get == 2
    assert await keys(store, "s") == ["k"]
    await store.close()


@pytest.mark.promise("Data", "Only the owner of the engine may read its store.")
async def test_only_the_owner_may_read_the_file(file: Path) -> None:
    store = await opened(file)
    await put(store, "s", "k")
    for name in (file, files.log_of(file)):
        assert stat.S_IMODE(name.stat().st_mode) == 0o600
    await store.close()


async def test_the_log_has_its_size_in_advance(file: Path) -> None:
    store = await opened(file)
    assert files.log_of(file).stat().st_size >= files.LOG_BYTES
    await put(store, "s", "k")
    await store.close()
    assert not files.log_of(file).exists()


async def test_closing_twice_is_no_error(file: Path) -> None:
    store = await opened(file)
    await store.close()
    await store.close()
