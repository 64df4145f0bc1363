from __future__ import annotations

from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct, field

from iii_engine.config.entries import Entry
from iii_engine.config.errors import ConfigError
from iii_engine.config.options import read_options


class Cors(Struct, forbid_unknown_fields=True):
    allowed_origins: list[str] = field(default_factory=list)


class Rule(Struct, forbid_unknown_fields=True):
    function_id: str
    when: int | None = None


class Shop(Struct, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1)] = 1
    kind: Literal["big", "small"] = "big"
    rules: dict[str, Rule] = field(default_factory=dict)


class Options(Struct, forbid_unknown_fields=True):
    port: Annotated[int, Meta(le=65535)] = 1
    enabled: bool = True
    cors: Cors | None = None
    rules: list[Rule] = field(default_factory=list)
    kind: str | None = field(default=None, name="class")
    mode: Literal["fast", "safe"] | None = None
    shops: dict[str, Shop] = field(default_factory=dict)


def refused(config: dict[str, object]) -> str:
    with pytest.raises(ConfigError) as caught:
        read_options(Entry("iii-http#1", "iii-http", config), Options)  # type: ignore[arg-type]
    message = str(caught.value)
    prefix = "failed to create worker 'iii-http#1': Failed to create iii-http#1: "
    assert message.startswith(prefix)
    return message.removeprefix(prefix)


def test_modules_case_7_an_unknown_option() -> None:
    assert refused({"prot": 1}) == (
        "unknown field `prot`, expected one of `port`, `enabled`, `cors`, `rules`, `class`, "
        "`mode`, `shops`"
    )


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"port": "1"}, "config.port: invalid type: string, expected integer"),
        ({"enabled": 1}, "config.enabled: invalid type: integer, expected boolean"),
        ({"cors": 3}, "config.cors: invalid type: integer, expected mapping or null"),
        ({"cors": {"x": 1}}, "config.cors: unknown field `x`, expected one of `allowed_origins`"),
        (
            {"cors": {"allowed_origins": "*"}},
            "config.cors.allowed_origins: invalid type: string, expected list",
        ),
        (
            {"rules": [{"function_id": "f"}, {"function_id": "f", "x": 1}]},
            "config.rules[1]: unknown field `x`, expected one of `function_id`, `when`",
        ),
        ({"rules": [{}]}, "config.rules[0]: object missing required field `function_id`"),
        ({"mode": "x"}, "config.mode: invalid enum value 'x', expected one of `fast`, `safe`"),
        ({"shops": {"a": {}, "b.c": {"size": 0}}}, "config.shops.b.c.size: expected `int` >= 1"),
        (
            {"shops": {"a": {}, "b": {"kind": "x"}}},
            "config.shops.b.kind: invalid enum value 'x', expected one of `big`, `small`",
        ),
        (
            {"shops": {"a": {}, "b": {"rules": {"c": {"function_id": "f"}, "d": {"x": 1}}}}},
            "config.shops.b.rules.d: unknown field `x`, expected one of `function_id`, `when`",
        ),
        ({"shops": {"a": 3}}, "config.shops.a: invalid type: integer, expected mapping"),
        ({"port": 70000}, "config.port: expected `int` <= 65535"),
    ],
)
def test_wrong_options_are_named_by_their_path(config: dict[str, object], reason: str) -> None:
    assert refused(config) == reason


def test_values_never_appear_in_messages() -> None:
    assert "s3cret" not in refused({"port": "s3cret"})


def test_null_counts_as_absent() -> None:
    entry = Entry("x", "x", {"port": None, "cors": {"allowed_origins": None}})
    assert read_options(entry, Options) == Options(cors=Cors())


def test_a_name_with_nothing_behind_it_has_the_defaults() -> None:
    entry = Entry("iii-http#1", "iii-http", {"shops": {"corner": None}, "cors": None})
    options = read_options(entry, Options)
    assert options.shops == {"corner": Shop()}
    assert options.cors is None
