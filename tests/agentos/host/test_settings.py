"""Which worker runs in which host."""

from __future__ import annotations

from pathlib import Path

from agentos.host.catalogue import load_worker, worker_names
from agentos.host.settings import Settings, read_settings


def test_without_a_file_all_share_one_host(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "config.toml").placement() == {"main": worker_names()}


def test_named_workers_leave_the_main_host(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[hosts]\nmodels = ["llm-router"]\n\n[other]\nkey = 1\n')
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
