"""Which worker runs in which host."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentos.cli.client import CommandError
from agentos.cli.running import addresses
from agentos.host.catalogue import load_worker, worker_names
from agentos.host.home import Home, HomeError
from agentos.host.settings import Settings, read_settings


def test_without_a_file_all_share_one_host(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "config.toml").placement() == {"main": worker_names()}


def test_named_workers_leave_the_main_host(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[hosts]\nmodels = ["llm-router"]\n\n[api]\nkey = "k"\n')
    hosts = read_settings(path).placement()
    assert hosts["models"] == ["llm-router"]
    assert sorted(hosts["main"] + hosts["models"]) == worker_names()


def test_main_may_be_named_and_empty_hosts_are_none() -> None:
    names = worker_names()
    assert Settings({"main": [names[0]], "x": []}).placement() == {"main": names}
    assert Settings({"all": names}).placement() == {"all": names}


def test_every_folder_holds_a_worker_of_its_name() -> None:
    for name in worker_names():
        assert load_worker(name).name == name


def test_unknown_keys_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("hostz = 1\n")
    with pytest.raises(HomeError, match="hostz"):
        read_settings(file)
    file.write_text('default_model = "gpt-4o"\n[keys]\nopenai = "sk"\n[api]\nkey = "k"\n')
    assert read_settings(file).default_model == "gpt-4o"


def test_an_empty_engine_config_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.engine_config.write_text("")
    with pytest.raises(HomeError, match=r"config\.yaml is empty"):
        home.prepare()


@pytest.mark.parametrize("port", ["abc", "99999", "0", "-1"])
def test_a_wrong_port_variable_is_named(
    port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTOS_ENGINE_PORT", port)
    with pytest.raises(CommandError, match="AGENTOS_ENGINE_PORT"):
        addresses(Home(tmp_path))
