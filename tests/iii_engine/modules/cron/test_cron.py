"""The trigger type `cron`: conformance cases 105 to 109."""

from __future__ import annotations

import json
import logging
from datetime import datetime

import msgspec
import pytest
from tests.support.desk import Desk, running
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker

from iii_engine.core.router import Call
from iii_engine.modules.adapters import BadAdapter
from iii_engine.modules.cron import CronModule
from iii_engine.modules.cron.options import CronOptions

HOUR = 3600


def scheduled(desk: Desk, function_id: str = "job") -> list[str]:
    return [payload["scheduled_time"][:19] for payload in desk.payloads(function_id)]


def test_modules_case_105_once_per_second_with_its_payload(desk: Desk) -> None:
    desk.handler("job")
    desk.bind("t", "job", {"expression": "*/1 * * * * *"})
    desk.advance(3.5)
    assert scheduled(desk) == [f"2023-11-14T22:13:2{n}" for n in (1, 2, 3)]
    assert desk.payloads("job")[0] == {
        "trigger": "cron",
        "job_id": "t",
        "scheduled_time": "2023-11-14T22:13:21+00:00",
        "actual_time": "2023-11-14T22:13:21+00:00",
    }


async def test_modules_case_105_the_seconds_of_a_real_clock(engine: RunningEngine) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.register("tick")
        await worker.register_trigger("cron", "tick", {"expression": "*/1 * * * * *"}, id="t")
        result = await worker.receive("triggerregistrationresult")
        assert result.get("error") is None
        times = []
        for _ in range(2):
            call = await worker.invoked("tick")
            assert set(call["data"]) >= {"trigger", "job_id", "scheduled_time", "actual_time"}
            assert (call["data"]["trigger"], call["data"]["job_id"]) == ("cron", "t")
            times.append(datetime.fromisoformat(call["data"]["scheduled_time"]))
            await worker.answer(call)
        assert (times[1] - times[0]).total_seconds() == 1
        assert times[0].microsecond == 0


def test_modules_case_106_five_fields_mean_second_0(desk: Desk) -> None:
    desk.handler("job")
    assert desk.bind("t", "job", {"expression": "*/2 * * * *"}) is None
    desk.advance(300)
    assert scheduled(desk) == ["2023-11-14T22:14:00", "2023-11-14T22:16:00", "2023-11-14T22:18:00"]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "Cron expression is required"),
        (None, "Cron expression is required"),
        ({"expression": " "}, "Cron expression is required"),
        ({"expression": "not a cron"}, "Invalid cron expression 'not a cron': expected 5, 6 or 7"),
        ({"cron": "61 * * * * *"}, "Invalid cron expression '61 * * * * *': second: 61 is not"),
        ({"expression": 5}, "config of a cron trigger: Expected `str | null`, got `int`"),
        ({"interval": "5 minutes"}, "Invalid cron interval '5 minutes': expected a whole number"),
        ({"interval": "5m", "cron": "@daily"}, "both an expression and an interval"),
        ({"cron": "@daily", "timezone": "Mars/Olympus"}, "Invalid timezone 'Mars/Olympus'"),
        ({"cron": "@daily", "timezone": "../etc/passwd"}, "Invalid timezone '../etc/passwd'"),
        ({"cron": "@daily", "timezone": "America"}, "Invalid timezone 'America'"),
        ({"cron": "@daily", "overlap": "allow"}, "$.overlap"),
        ({"cron": "@daily", "missed": "all"}, "$.missed"),
    ],
)
def test_modules_cases_106_and_107_what_is_refused(desk: Desk, config: object, reason: str) -> None:
    refused = desk.bind("t", "job", config)
    assert refused is not None
    assert reason in refused.message
    assert desk.engine.triggers.get("t") is None
    assert desk.engine.next_deadline_ns() is None


def test_what_is_never_due_again_is_refused(desk: Desk) -> None:
    past = {"expression": "0 0 0 1 1 * 1999"}
    refused = desk.bind("t", "job", past)
    assert refused is not None
    assert "never due again" in refused.message
    assert desk.bind("missed", "job", {**past, "missed": "run_once"}) is None


@pytest.mark.parametrize("name", ["expression", "schedule", "cron"])
def test_modules_case_107_other_names_of_the_expression(desk: Desk, name: str) -> None:
    desk.handler("job")
    assert desk.bind("t", "job", {name: "0 0 * * * *"}) is None
    desk.advance(HOUR)
    assert scheduled(desk) == ["2023-11-14T23:00:00"]


@pytest.mark.parametrize("expression", ["0 0 0 * * 1", "0 0 * * 0"])
def test_modules_case_108_sundays(desk: Desk, expression: str) -> None:
    desk.handler("job")
    desk.bind("t", "job", {"expression": expression})
    desk.advance(14 * 24 * HOUR)
    assert scheduled(desk) == ["2023-11-19T00:00:00", "2023-11-26T00:00:00"]


@pytest.mark.promise(
    "Events",
    "A tick of a schedule runs once, however many instances of a worker register it, and on one "
    "engine its runs never overlap.",
)
@pytest.mark.parametrize("instances", [1, 3])
def test_modules_case_109_runs_never_overlap(desk: Desk, instances: int) -> None:
    running: list[str] = []
    most: list[int] = []

    def job(call: Call) -> None:
        running.append(json.loads(bytes(call.data))["scheduled_time"][11:19])
        most.append(len(running))

        def end() -> None:
            done.append(running.pop())
            call.reply(b"null")

        desk.engine.timers.after(2.5, end)

    done: list[str] = []
    desk.engine.add_function("job", job, module="test")
    for number in range(instances):
        desk.bind(f"t{number}", "job", {"expression": "* * * * * *"})
    desk.advance(10)
    assert set(most) == {1}
    assert done == ["22:13:21", "22:13:24", "22:13:27"]


def test_instances_share_the_ticks_of_an_interval(desk: Desk) -> None:
    desk.handler("job")
    for number in range(3):
        desk.bind(f"t{number}", "job", {"interval": "5s"})
        desk.advance(1)
    desk.advance(8)
    assert scheduled(desk) == ["2023-11-14T22:13:25", "2023-11-14T22:13:30"]


def test_a_condition_holds_back_no_other_trigger(desk: Desk) -> None:
    desk.handler("job")
    desk.handler("never", answer=b"false")
    desk.bind("t1", "job", {"cron": "@hourly", "condition_function_id": "never"})
    desk.bind("t2", "job", {"cron": "@hourly"})
    desk.advance(HOUR)
    assert [event["job_id"] for event in desk.payloads("job")] == ["t2"]


def test_another_instance_takes_over(desk: Desk) -> None:
    runs = desk.handler("job", answer=None)
    for name in ("t1", "t2"):
        desk.bind(name, "job", {"interval": "1s"})
    desk.advance(1)
    desk.engine.triggers.remove("t1")
    desk.advance(3)
    assert len(runs) == 1  # it still runs
    runs[0].fail("invocation_stopped", "its worker is gone")
    desk.advance(1)
    assert [event["job_id"] for event in desk.payloads("job")] == ["t1", "t2"]


def test_a_run_outlives_its_trigger_and_never_meets_the_next(desk: Desk) -> None:
    runs = desk.handler("job", answer=None)
    desk.bind("t1", "job", {"interval": "1s"})
    desk.advance(1)
    desk.engine.triggers.remove("t1")
    desk.bind("t2", "job", {"interval": "1s"})
    desk.advance(5)
    assert len(runs) == 1
    runs[0].reply(b"null")
    desk.advance(1)
    assert len(runs) == 2
    desk.engine.triggers.remove("t2")
    runs[1].reply(b"null")
    assert desk.module.jobs == {}


async def test_other_locks_while_a_run_is_going_on(desk: Desk) -> None:
    runs = desk.handler("job", answer=None)
    desk.bind("t", "job", {"interval": "1s"})
    desk.advance(1)
    adapter = {"name": "kv", "config": {"lock_ttl_ms": 9000}}
    options = msgspec.convert({"adapter": adapter}, CronOptions)
    assert await desk.module.reconfigure(options)
    desk.advance(3)
    assert len(runs) == 1
    runs[0].reply(b"null")
    desk.advance(1)
    assert len(runs) == 2


def test_an_interval_goes_on_over_registrations(desk: Desk) -> None:
    desk.handler("job")
    for _ in range(5):
        desk.bind("t", "job", {"interval": "3s"})
        desk.advance(2)
        desk.engine.triggers.remove("t")
    assert scheduled(desk) == [f"2023-11-14T22:13:{s}" for s in (23, 26, 29)]


async def test_an_interval_goes_on_over_restarts_of_the_engine(desk: Desk) -> None:
    desk.bind("t", "job", {"interval": "6h"})
    desk.clock.advance(5 * HOUR)
    async with running(
        CronModule, trigger_type="cron", clock=desk.clock, store=desk.store
    ) as later:
        later.handler("job")
        later.bind("t", "job", {"interval": "6h"})
        later.advance(HOUR)
        assert scheduled(later) == ["2023-11-15T04:13:20"]


def test_ticks_wait_for_their_turn_when_they_shall(desk: Desk) -> None:
    runs = desk.handler("job", answer=None)
    desk.bind("t", "job", {"interval": "1s", "overlap": "queue"})
    desk.advance(3.5)
    assert len(runs) == 1
    for n in (2, 3):
        runs[-1].reply(b"null")
        desk.advance(0)
        assert len(runs) == n
    assert scheduled(desk) == [f"2023-11-14T22:13:{s}" for s in (21, 22, 23)]
    assert runs[2].data != runs[1].data


def test_an_interval_begins_with_a_pause(desk: Desk) -> None:
    desk.handler("job")
    desk.bind("t", "job", {"interval": "6h"})
    desk.advance(6 * HOUR - 1)
    assert scheduled(desk) == []
    desk.advance(6 * HOUR + 1)
    assert scheduled(desk) == ["2023-11-15T04:13:20", "2023-11-15T10:13:20"]


def test_the_zone_of_a_trigger(desk: Desk) -> None:
    desk.handler("job")
    desk.bind("t", "job", {"expression": "0 0 9 * * *", "timezone": "Asia/Kolkata"})
    desk.advance(24 * HOUR)
    assert scheduled(desk) == ["2023-11-15T03:30:00"]


def test_the_data_of_a_trigger_reaches_its_handler(desk: Desk) -> None:
    desk.handler("job")
    desk.bind("t", "job", {"cron": "@hourly", "data": {"tenant": ["a"]}})
    desk.advance(HOUR)
    assert desk.payloads("job")[0]["data"] == {"tenant": ["a"]}


@pytest.mark.parametrize(("answer", "runs"), [(b"false", 0), (b"null", 1)])
def test_a_condition_decides(desk: Desk, answer: bytes, runs: int) -> None:
    desk.handler("job")
    desk.handler("may", answer=answer)
    desk.bind("t", "job", {"cron": "@hourly", "condition_function_id": "may"})
    desk.advance(HOUR)
    assert desk.payloads("may")[0]["job_id"] == "t"
    assert len(desk.payloads("job")) == runs


def test_a_failing_handler_is_logged_and_not_called_again(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    calls = desk.handler("job", answer=None)
    desk.bind("t", "job", {"cron": "@hourly"})
    with caplog.at_level(logging.WARNING):
        desk.advance(HOUR)
        calls[0].fail("broken", "it is broken")
        desk.advance(60)
        assert len(calls) == 1
        desk.advance(HOUR)
    assert len(calls) == 2
    assert "job failed: broken: it is broken" in caplog.text


def test_each_run_begins_a_trace(desk: Desk) -> None:
    calls = desk.handler("job")
    desk.bind("t", "job", {"interval": "1s"})
    desk.advance(2)
    assert len({call.traceparent.split("-")[1] for call in calls}) == 2


def test_an_unbound_trigger_does_not_tick(desk: Desk) -> None:
    desk.handler("job")
    desk.bind("t", "job", {"interval": "1s"})
    desk.engine.triggers.remove("t")
    desk.advance(5)
    assert desk.payloads("job") == []
    assert desk.engine.next_deadline_ns() is None


async def test_a_module_that_quiesces_does_not_tick(desk: Desk) -> None:
    desk.handler("job")
    desk.bind("t", "job", {"interval": "1s"})
    await desk.module.quiesce()
    desk.advance(5)
    assert desk.payloads("job") == []


def test_a_clock_that_jumps_fires_no_burst(desk: Desk) -> None:
    desk.handler("job")
    desk.bind("t", "job", {"expression": "0 * * * * *"})
    desk.clock.jump(10 * HOUR)
    desk.advance(59)
    assert len(scheduled(desk)) <= 1
    desk.clock.jump(-20 * HOUR)
    before = len(scheduled(desk))
    desk.advance(180)
    assert 1 <= len(scheduled(desk)) - before <= 3


@pytest.mark.parametrize(("missed", "runs"), [("skip", 0), ("run_once", 1)])
def test_ticks_that_the_machine_slept_through(desk: Desk, missed: str, runs: int) -> None:
    desk.handler("job")
    desk.bind("t", "job", {"expression": "0 0 * * * *", "missed": missed})
    desk.clock.jump(10 * HOUR)
    desk.advance(100)
    assert scheduled(desk) == ["2023-11-14T23:00:00"] * runs


@pytest.mark.parametrize(("missed", "ran"), [("skip", []), ("run_once", ["2023-11-14T23:00:00"])])
async def test_ticks_while_the_engine_was_down(desk: Desk, missed: str, ran: list[str]) -> None:
    config = {"expression": "0 0 * * * *", "missed": missed}
    desk.bind("t", "job", config)
    desk.clock.advance(10 * HOUR)
    async with running(
        CronModule, trigger_type="cron", clock=desk.clock, store=desk.store
    ) as later:
        later.handler("job")
        later.bind("other id", "job", config)
        later.advance(60)
        assert scheduled(later) == ran
        later.advance(HOUR)
        assert scheduled(later) == [*ran, "2023-11-15T09:00:00"]


async def test_the_adapter_is_known_by_its_legacy_name() -> None:
    async with running(CronModule, {"adapter": {"class": "modules::cron::KvCronAdapter"}}):
        pass
    with pytest.raises(BadAdapter, match="Adapter factory 'x' not found"):
        async with running(CronModule, {"adapter": {"name": "x"}}):
            pass
    with pytest.raises(BadAdapter, match=r"config.adapter.config: .*lock_ttl_ms"):
        async with running(CronModule, {"adapter": {"config": {"lock_ttl_ms": 0}}}):
            pass


def test_two_registrations_of_one_logical_job_run_once_per_tick(desk: Desk) -> None:
    desk.handler("job")
    desk.bind("t1", "job", {"expression": "0 0 * * * *"})
    desk.bind("t2", "job", {"expression": "0 0 * * * *"})
    desk.bind("t3", "job", {"expression": "0 0 * * * *", "data": "another"})
    desk.advance(HOUR)
    assert [p.get("data") for p in desk.payloads("job")] == [None, "another"]
    desk.advance(HOUR)
    assert len(desk.payloads("job")) == 4
    assert json.dumps(desk.payloads("job")).count('"t2"') == 0


def test_a_run_begins_a_trace(desk: Desk) -> None:
    calls = desk.handler("job")
    desk.bind("t", "job", {"expression": "*/1 * * * * *"})
    desk.advance(2.5)
    run, handled = list(desk.engine.spans)[:2]
    assert (run.name, run.kind, run.parent_span_id) == ("call job", "producer", None)
    assert dict(run.attributes) == {"job_id": "t", "function_id": "job", "faas.trigger": "timer"}
    assert (handled.parent_span_id, handled.trace_id) == (run.span_id, run.trace_id)
    assert calls[0].traceparent[3:35] != calls[1].traceparent[3:35]
