from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from iii_engine.core.clock import SeededIds, VirtualClock
from iii_engine.modules.observability.logs import store as log_store
from iii_engine.modules.observability.logs.record import LogRecord
from iii_engine.modules.observability.logs.store import LogStore
from iii_engine.modules.observability.options import ObservabilityOptions
from iii_engine.modules.observability.settings import resolve

Make = Callable[..., LogRecord]


def store(clock: VirtualClock, **options: Any) -> LogStore:
    made = LogStore(clock)
    use(made, **options)
    return made


def use(made: LogStore, **options: Any) -> None:
    made.use(resolve(msgspec.convert(options, ObservabilityOptions), {}))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def test_the_newest_are_kept(clock: VirtualClock, record: Make) -> None:
    logs = store(clock, logs_max_count=2)
    logs.take([record(body) for body in "abc"])
    assert [r.body for r in logs] == ["b", "c"]
    use(logs, logs_max_count=1)
    assert [r.body for r in logs] == ["c"]
    logs.clear()
    assert len(logs) == 0


def test_listeners_get_what_is_stored(clock: VirtualClock, record: Make) -> None:
    logs, heard = store(clock), []
    logs.listeners.append(lambda records: heard.append(len(records)))
    logs.take([record(), record()])
    use(logs, logs_enabled=False)
    logs.take([record()])
    assert (heard, len(logs)) == ([2], 0)


def test_switched_off_forgets_what_there_was(clock: VirtualClock, record: Make) -> None:
    logs = store(clock)
    logs.take([record()])
    use(logs, logs_enabled=False)
    assert len(logs) == 0


def test_retention_goes_by_the_time_of_writing(clock: VirtualClock, record: Make) -> None:
    logs = store(clock, logs_retention_seconds=60)
    now = clock.now_ns()
    logs.take(
        [
            record("new", timestamp_unix_nano=now),
            record("late", timestamp_unix_nano=now - 61 * 10**9),
            record("undated", timestamp_unix_nano=0, observed_timestamp_unix_nano=now),
        ]
    )
    assert [r.body for r in logs] == ["new", "undated"]
    clock.advance(61)
    logs.forget_old()
    assert len(logs) == 0
    logs.take([record(timestamp_unix_nano=clock.now_ns())])
    assert len(list(logs)) == 1


def test_sampling_keeps_a_share(clock: VirtualClock, record: Make) -> None:
    logs = store(clock, logs_sampling_ratio=0.25)
    heard: list[Any] = []
    logs.listeners.append(heard.append)
    for _ in range(100):
        logs.take([record()])
    assert (len(logs), len(heard)) == (25, 25)
    logs.take([record(trace_id="strange"), record(trace_id="x" * 32)] * 50)
    assert len(logs) == 50


def test_sampling_keeps_traces_together(clock: VirtualClock, record: Make) -> None:
    logs, ids = store(clock, logs_sampling_ratio=0.5), SeededIds(1)
    for _ in range(100):
        trace_id = ids.trace_id()
        logs.take([record(trace_id=trace_id) for _ in range(3)])
    counts: dict[str | None, int] = {}
    for found in logs:
        counts[found.trace_id] = counts.get(found.trace_id, 0) + 1
    assert set(counts.values()) == {3}
    assert 30 < len(counts) < 70


@pytest.mark.parametrize(("ratio", "count"), [(0.0, 0), (1.0, 10)])
def test_none_and_all(clock: VirtualClock, record: Make, ratio: float, count: int) -> None:
    logs = store(clock, logs_sampling_ratio=ratio)
    logs.take([record(trace_id="a" * 32) for _ in range(10)])
    assert len(logs) == count


def test_a_record_that_is_too_large_is_cut(clock: VirtualClock, record: Make) -> None:
    logs = store(clock)
    logs.take(
        [record("b" * 300_000, attributes={"k": "v"}, trace_id="t" * 999), record("x" * 1000)]
    )
    cut, whole = logs
    assert (len(cut.body), list(cut.attributes)) == (64 * 1024, ["iii.log.cut_bytes"])
    assert len(cut.trace_id or "") == 256
    assert len(whole.body) == 1000


def test_many_large_records_do_not_fill_the_memory(
    clock: VirtualClock, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_store, "MAX_BYTES", 10_000)
    logs = store(clock)
    for number in range(50):
        logs.take([record("x" * 1000 + str(number))])
    assert 5 <= len(logs) <= 9
    assert [r.body[1000:] for r in logs][-1] == "49"
    logs.clear()
    logs.take([record()])
    assert len(logs) == 1
