"""Both forms of `iii trigger` against a real engine."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from tests.support.engine import RunningEngine
from tests.support.raw_worker import RawWorker
from tests.support.servers import free_port

from iii_engine.cli.main import main
from iii_engine.cli.trigger import NO_ENGINE

Output = pytest.CaptureFixture[str]


async def trigger(engine: RunningEngine, *words: str) -> int:
    """Run the command in a thread, beside the engine; the exit code."""
    address, port = engine.app.address
    options = ["--address", address, "--port", str(port), "--timeout-ms", "5000"]
    return await asyncio.to_thread(main, ["trigger", *options, *words])


async def test_modules_case_125_both_forms(engine: RunningEngine, capsys: Output) -> None:
    set_ = '{"scope": "s", "key": "k", "value": {"n": 1}}'
    assert await trigger(engine, "--function-id", "state::set", "--payload", set_) == 0
    assert json.loads(capsys.readouterr().out) == {"old_value": None, "new_value": {"n": 1}}
    assert await trigger(engine, "state::get", "scope=s", "key=k") == 0
    assert capsys.readouterr().out == '{\n  "n": 1\n}\n'
    assert await trigger(engine, "state::get", "--json", '{"scope": "s"}', "key=k", "--raw") == 0
    assert capsys.readouterr().out == '{"n":1}\n'


async def test_modules_case_125_null_prints_nothing(engine: RunningEngine, capsys: Output) -> None:
    assert await trigger(engine, "state::get", "scope=s", "key=none") == 0
    assert capsys.readouterr().out == ""


async def test_modules_case_126_an_error_of_the_function(
    engine: RunningEngine, capsys: Output
) -> None:
    assert await trigger(engine, "nope") == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("Error: {")
    assert json.loads(output.err.removeprefix("Error: ")) == {
        "code": "function_not_found",
        "message": "Function nope not found",
        "stacktrace": None,
    }


async def test_void(engine: RunningEngine, capsys: Output) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.register("f")
        assert await trigger(engine, "f", "n=1", "--void") == 0
        assert (await worker.invoked("f"))["data"]["n"] == 1
    assert capsys.readouterr().out == ""


async def test_enqueue_without_a_queue_module(engine: RunningEngine, capsys: Output) -> None:
    assert await trigger(engine, "f", "--enqueue", "q") == 1
    assert "enqueue_error" in capsys.readouterr().err


async def test_help_asks_the_engine(engine: RunningEngine, capsys: Output) -> None:
    assert await trigger(engine, "engine::baggage::get", "--help") == 0
    output = capsys.readouterr().out
    assert "usage: iii trigger" in output
    assert "One value of the baggage" in output
    assert '"key"' in output


async def test_a_function_that_does_not_answer_in_time(
    engine: RunningEngine, capsys: Output
) -> None:
    async with RawWorker(engine.url) as worker:
        await worker.register("never")
        assert await trigger(engine, "never", "--timeout-ms", "100") == 1
        await worker.invoked("never")
    assert capsys.readouterr().err.strip() == NO_ENGINE


def test_modules_case_126_no_engine(capsys: Output) -> None:
    words = ["t", "f", "--address", "127.0.0.1", "--port", str(free_port()), "--timeout-ms", "500"]
    began = time.monotonic()
    assert main(words) == 1
    assert time.monotonic() - began < 10  # of 30 without the option
    assert capsys.readouterr().err.strip() == NO_ENGINE


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["f", "--payload", "{"], "Invalid JSON payload: "),
        (["f", "x"], "expected key=value, got `x`"),
        (
            ["f", "--json", "[1]", "a=1"],
            "Invalid JSON payload: with key=value it must be an object",
        ),
    ],
)
def test_modules_case_127_bad_payloads_end_with_1(
    capsys: Output, words: list[str], reason: str
) -> None:
    assert main(["trigger", *words]) == 1
    assert capsys.readouterr().err.startswith(reason)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["f", "--function-id", "g"],
        ["f", "--payload", "{}", "--json", "{}"],
        ["f", "--void", "--enqueue", "q"],
        ["f", "--nope"],
    ],
)
def test_wrong_usage_ends_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["trigger", *words])
    assert caught.value.code == 2


def test_help_without_a_function(capsys: Output) -> None:
    assert main(["trigger", "--help"]) == 0
    assert "usage: iii trigger" in capsys.readouterr().out
