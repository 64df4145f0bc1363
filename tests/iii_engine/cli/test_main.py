"""Case numbers are those of the engine-modules spec."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from iii_engine.cli.main import UNAVAILABLE, main
from iii_engine.version import VERSION

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def check(text: str, *arguments: str) -> int:
    Path("config.yaml").write_text(text)
    return main([*arguments, "--check"])


def usage_error(*arguments: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_modules_case_124_the_version_is_that_of_the_distribution(capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["-v"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{VERSION}\n"
    assert importlib.metadata.version("agentos") == VERSION


def test_modules_case_8_a_missing_file(capsys: Output) -> None:
    assert main([]) == 1
    assert capsys.readouterr().err.startswith("Config file not found: 'config.yaml'.")


def test_modules_case_9_default_config_and_a_file(capsys: Output) -> None:
    usage_error("--use-default-config", "--config", "x.yaml")
    usage_error("--use-default-config", "start", "--config", "x.yaml")
    assert "--config" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("workers: [{name: iii-state, config: {x: ${NOPE}, y: ${NADA}}}]", "NOPE, NADA"),  # case 5
        ("foo: 1", "unknown field `foo`"),  # case 6
        ("workers: [{name: iii-http, config: {prot: 3111}}]", "unknown field `prot`"),  # case 7
        ("workers: [{name: iii-http, image: x}]", "cannot have an 'image' field"),  # case 11
        ("workers: [{name: mine}]", "'mine': it is not a built-in module"),
        ("workers: [{name: iii-observability, config: {level: x}}]", "unknown level `x`"),
    ],
)
def test_modules_cases_5_to_7_and_11_end_with_1(capsys: Output, text: str, reason: str) -> None:
    assert check(text) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert reason in output.err
    assert output.err.count("\n") == 1


def test_check_prints_the_modules_and_what_is_missing(capsys: Output) -> None:
    assert check("workers: [{name: iii-state}, {name: iii-sandbox}]", "start") == 0
    output = capsys.readouterr()
    assert output.out.split() == [
        "iii-state",
        "iii-engine-functions",
        "iii-observability",
        "iii-worker-manager",
    ]
    assert output.err == "warning: module iii-sandbox is not available in this version\n"


def test_check_of_the_default_config(capsys: Output) -> None:
    assert main(["--use-default-config", "--check"]) == 0
    assert main(["start", "--use-default-config", "--check", "--port", "1"]) == 0
    output = capsys.readouterr()
    assert "iii-http" in output.out
    assert output.err == ""


def test_options_work_before_and_after_start(capsys: Output) -> None:
    Path("a.yaml").write_text("workers: [{name: iii-state}]")
    assert main(["-c", "a.yaml", "--no-update-check", "start", "--check"]) == 0
    assert main(["start", "-c", "a.yaml", "--no-update-check", "--check"]) == 0
    assert main(["--check", "-c", "a.yaml", "start"]) == 0
    assert capsys.readouterr().out.count("iii-state") == 3


@pytest.mark.parametrize("command", UNAVAILABLE)
def test_commands_that_are_not_there(capsys: Output, command: str) -> None:
    assert main([command, "anything", "--flag", "x"]) == 1
    assert capsys.readouterr().err == f"iii {command} is not available in this version\n"


@pytest.mark.parametrize(
    "arguments", [["--nope"], ["nope"], ["--port", "70000"], ["--port", "x"], ["start", "x"]]
)
def test_wrong_usage(arguments: list[str]) -> None:
    usage_error(*arguments)


def test_unavailable_commands_are_not_advertised(capsys: Output) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    output = capsys.readouterr().out
    assert "trigger" in output
    assert "sandbox" not in output
