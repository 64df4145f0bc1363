from __future__ import annotations

from pathlib import Path

import pytest

from iii_engine.config.entries import Config, Entry, default, dotted, load, parse, with_port
from iii_engine.config.errors import ConfigError

SEED = """
port: 49134
modules:
  - class: modules::api::RestApiModule
    config: {port: 3111, host: 0.0.0.0, default_timeout: 300000, concurrency_request_limit: 2048,
             cors: {allowed_origins: ['*'], allowed_methods: [GET, POST], allowed_headers: ['*']}}
  - class: modules::state::StateModule
    config: {adapter: {class: modules::state::adapters::KvStore,
             config: {store_method: file_based, file_path: ./data/state}}}
  - class: modules::stream::StreamModule
    config: {port: 3112}
  - class: modules::observability::OtelModule
    config: {enabled: true, exporter: stdout}
"""


def read(text: str, **variables: str) -> Config:
    return parse(text, Path("config.yaml"), variables)


def names(config: Config) -> list[str]:
    return [entry.name for entry in config.entries]


def refused(text: str, **variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, **variables)
    return str(caught.value)


def test_modules_case_1_the_legacy_form() -> None:
    config = read(SEED)
    assert names(config) == [
        "iii-http",
        "iii-state",
        "iii-stream",
        "iii-observability",
        "iii-worker-manager",
        "iii-engine-functions",
    ]
    http, manager = config.entries[0], config.entries[4]
    assert http.config["default_timeout"] == 300000
    assert manager.config == {"port": 49134}
    assert [entry.injected for entry in config.entries] == [False] * 5 + [True]


def test_names_and_classes_are_synonyms_and_workers_start_first() -> None:
    config = read(
        "modules: [{name: iii-cron}]\n"
        "workers: [{class: 'workers::queue::QueueModule'}, {name: iii-http}]\n"
    )
    assert names(config)[:3] == ["iii-queue", "iii-http", "iii-cron"]


def test_mandatory_modules_are_injected() -> None:
    for text in ("# nothing", "workers: []", "modules:\n"):
        assert names(read(text)) == [
            "iii-worker-manager",
            "iii-engine-functions",
            "iii-observability",
        ]


def test_port_zero_is_the_default_port() -> None:
    assert read("port: 0").entries[0].config == {"port": 49134}


def test_port_beside_an_entry_is_ignored_with_a_warning() -> None:
    config = read("port: 1\nworkers: [{name: iii-worker-manager, config: {port: 2}}]")
    assert config.entries[0].config == {"port": 2}
    assert config.warnings == ("port: 1 is ignored: there is an iii-worker-manager entry",)


def test_instances_of_one_kind_are_numbered() -> None:
    config = read("workers: [{name: iii-http}, {name: other}, {name: iii-http}, {name: iii-http}]")
    assert names(config)[:4] == ["iii-http", "other", "iii-http#1", "iii-http#2"]
    assert config.entries[2].kind == "iii-http"


def test_modules_cases_2_and_3_interpolation_of_a_port() -> None:
    text = "workers: [{name: iii-http, config: {port: %s}}]"
    assert read(text % '"${API_PORT:3999}"').entries[0].config == {"port": "3999"}
    assert read(text % "${API_PORT:3999}").entries[0].config == {"port": 3999}
    assert read(text % "${API_PORT:3999}", API_PORT="4001").entries[0].config == {"port": 4001}


def test_modules_case_4_a_default_keeps_its_colons() -> None:
    config = read(
        "workers:\n  - name: x\n    config:\n      endpoint: ${X:http://localhost:4317}\n"
    )
    assert config.entries[0].config == {"endpoint": "http://localhost:4317"}


def test_modules_case_5_all_missing_variables_are_named_at_once() -> None:
    text = "workers:\n  - name: ${NOPE}\n    config: ${NADA}\n# ${COMMENT}\n"
    assert refused(text) == "config: environment variables not set and no default: NOPE, NADA"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("foo: 1", "unknown field `foo`, expected one of `workers`"),  # case 6
        ("[]", "invalid type: list, expected a mapping at line 1 column 1"),
        ("workers: 3", "workers: invalid type: integer, expected a list at line 1 column 1"),
        ("workers: [x]", "workers[0]: invalid type: string, expected a mapping"),
        ("workers:\n  - nme: x", "workers[0]: unknown field `nme`, expected one of `name`"),
        ("workers: [{config: {}}]", "workers[0]: missing `name` at line 1 column 11"),
        ("workers: [{name: 3}]", "workers[0].name: invalid type: integer, expected a string"),
        ("workers: [{name: x, config: 3}]", "workers[0].config: invalid type: integer"),
        ("port: '1'", "port: invalid type: string, expected an integer"),
        ("port: true", "port: invalid type: boolean, expected an integer"),
        ("a: [", "at line 1 column"),
    ],
)
def test_bad_shapes_are_named_with_their_place(text: str, reason: str) -> None:
    message = refused(text)
    assert message.startswith("Failed to parse config file 'config.yaml': ")
    assert reason in message


@pytest.mark.parametrize("text", ["", "\n", " \t\r\n"])
def test_an_empty_file_is_a_broken_one(text: str) -> None:
    assert refused(text) == "Failed to parse config file 'config.yaml': it is empty"


def test_modules_case_8_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"Config file not found: 'config.yaml'.*--use-default"):
        load("config.yaml")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="Failed to read config file"):
        load(path)
    with pytest.raises(ConfigError, match="Failed to read config file"):
        load(tmp_path)


def test_load_keeps_the_path(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("workers: [{name: '${N}'}]")
    config = load(path, {"N": "iii-cron"})
    assert config.path == path
    assert names(config)[0] == "iii-cron"


def test_default_has_only_injected_entries() -> None:
    entries = default().entries
    assert {"iii-worker-manager", "iii-http", "iii-state"} <= {entry.name for entry in entries}
    assert all(entry.injected for entry in entries)


def test_with_port_changes_the_first_listener_only() -> None:
    one = "{name: iii-worker-manager, config: {port: 1, host: h}}"
    config = with_port(read(f"workers: [{one}, {one}]"), 7)
    assert config.entries[0].config == {"port": 7, "host": "h"}
    assert config.entries[1].config == {"port": 1, "host": "h"}


def test_dotted() -> None:
    assert dotted(("workers", 2, "config", "port")) == "workers[2].config.port"


def test_entries_do_not_share_their_config() -> None:
    assert Entry("a", "a").config is not Entry("b", "b").config
