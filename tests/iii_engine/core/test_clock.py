from __future__ import annotations

import time

from iii_engine.core.clock import SeededIds, SystemClock, SystemIds, VirtualClock
from iii_sdk.protocol import is_uuid
from iii_sdk.traceparent import parse_traceparent


def test_ids_have_their_forms_and_do_not_repeat() -> None:
    ids = SystemIds()
    uuids = [ids.uuid() for _ in range(1000)]
    assert all(is_uuid(uuid) and uuid[14] == "4" and uuid[19] == "a" for uuid in uuids)
    assert len(set(uuids)) == 1000
    assert parse_traceparent(f"00-{ids.trace_id()}-{ids.span_id()}-01") is not None
    assert len({ids.span_id() for _ in range(10_000)}) == 10_000
    assert len({ids.trace_id() for _ in range(10_000)}) == 10_000
    assert ids.secret() != ids.secret()
    assert SystemIds().trace_id() != SystemIds().trace_id()


def test_no_span_id_is_all_zero() -> None:
    ids = SystemIds()
    ids._bytes = bytes
    assert int(ids.span_id(), 16) != 0


def test_seeded_ids_replay() -> None:
    one, two = SeededIds(7), SeededIds(7)
    for name in ("uuid", "trace_id", "span_id", "secret", "secret_uuid"):
        assert getattr(one, name)() == getattr(two, name)()


def test_clocks() -> None:
    assert abs(SystemClock.now_ns() - time.time_ns()) < 1e9
    clock = VirtualClock()
    start = clock.now_ns()
    clock.advance(1.5)
    assert clock.now_ns() - start == 1_500_000_000
