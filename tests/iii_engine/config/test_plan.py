from __future__ import annotations

from pathlib import Path

import pytest

from iii_engine.config.entries import parse
from iii_engine.config.errors import ConfigError
from iii_engine.config.plan import Plan, make_plan


def plan(text: str) -> Plan:
    return make_plan(parse(text, Path("config.yaml"), {}))


def test_worker_listeners_start_last() -> None:
    made = plan("workers: [{name: iii-worker-manager}, {name: iii-http}]")
    assert [planned.entry.name for planned in made.modules] == [
        "iii-http",
        "iii-engine-functions",
        "iii-observability",
        "iii-worker-manager",
    ]


def test_what_this_version_lacks_is_a_warning() -> None:
    made = plan("workers: [{name: iii-sandbox}, {name: iii-telemetry}]")
    assert made.warnings == [
        "module iii-sandbox is not available in this version",
    ]


def test_what_nobody_asked_for_is_no_warning() -> None:
    assert plan("workers: []").warnings == []


def test_warnings_of_the_config_come_along() -> None:
    made = plan("port: 1\nworkers: [{name: iii-worker-manager}]")
    assert made.warnings == ["port: 1 is ignored: there is an iii-worker-manager entry"]


def test_an_unknown_name_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match=r"'my-worker': it is not a built-in module.*`iii-http`"):
        plan("workers: [{name: my-worker}]")


def test_modules_case_11_an_image_on_a_builtin() -> None:
    with pytest.raises(ConfigError) as caught:
        plan("workers: [{name: iii-http, image: x}]")
    assert str(caught.value).startswith(
        "Worker 'iii-http' is a built-in worker and cannot have an 'image' field."
    )


def test_modules_case_2_a_quoted_port_is_a_string() -> None:
    with pytest.raises(ConfigError, match=r"config.port: invalid type: string, expected integer$"):
        plan('workers: [{name: iii-http, config: {port: "${API_PORT:3999}"}}]')


def test_modules_case_7_an_unknown_option_of_http() -> None:
    with pytest.raises(ConfigError, match="unknown field `prot`, expected one of `port`"):
        plan("workers: [{name: iii-http, config: {prot: 3111}}]")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("port", 70000),
        ("port", -1),
        ("max_message_bytes", -1),
        ("handshake_timeout_ms", 0),
        ("worker_silence_ms", -5),
        ("invocation_timeout_ms", -1),
    ],
)
def test_numbers_that_a_worker_listener_cannot_use(option: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"config\.{option}: expected `int` [<>]= \d+$"):
        plan(f"workers: [{{name: iii-worker-manager, config: {{{option}: {value}}}}}]")
