"""The running system: what dies comes back, and what ends takes everything along."""

from __future__ import annotations

import os
import signal
import stat

from tests.support.house import House, all_ended, running
from tests.support.waiting import until_sync

SOON = 30.0


def answers(house: House) -> bool:
    """Whether an agent answers: API, agent, model and memory are all there."""
    return house.agentos("message", "default", "hello").returncode == 0


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_the_engine_and_the_hosts_come_back(house: House) -> None:
    house.start()
    before = house.state
    assert answers(house)

    kill(before.engine_pid)
    until_sync(lambda: house.state.engine_pid not in (0, before.engine_pid), "a new engine", SOON)
    until_sync(lambda: answers(house), "the workers are back", SOON)
    assert house.state.hosts == before.hosts  # they came back by themselves
    assert "engine died; starting it again in 0." in house.output

    kill(before.hosts["main"])
    until_sync(lambda: house.state.hosts["main"] not in (0, before.hosts["main"]), "a host", SOON)
    until_sync(lambda: answers(house), "its workers are back", SOON)
    assert "main died; starting it again in 0." in house.output

    processes = house.processes()
    assert all(map(running, processes))
    assert house.stop() == 0
    assert not any(map(running, processes))
    assert not house.home.state_file.exists()


def test_nothing_outlives_a_supervisor_that_was_killed(house: House) -> None:
    house.start()
    processes = house.processes()
    assert house.supervisor is not None
    house.supervisor.kill()
    house.supervisor.wait()
    all_ended(processes)
    assert house.home.state_file.exists()  # nobody was there to remove it
    house.start()
    assert house.processes() != processes
    assert house.agentos("stop").returncode == 0


def test_hosts_as_the_settings_say(house: House) -> None:
    house.home.prepare()
    house.home.settings.write_text('[hosts]\nmodels = ["llm-router"]\nempty = []\n')
    house.start()
    hosts = house.state.hosts
    assert sorted(hosts) == ["main", "models"]
    assert len(set(hosts.values())) == 2
    assert (house.home.logs / "models.log").exists()
    assert answers(house)
    kill(hosts["models"])
    until_sync(lambda: house.state.hosts["models"] not in (0, hosts["models"]), "a host", SOON)
    assert house.state.hosts["main"] == hosts["main"]
    assert house.stop() == 0


def test_a_start_that_is_interrupted_leaves_nothing(house: House) -> None:
    supervisor = house.begin()
    until_sync((house.home.logs / "engine.log").exists, "the engine is being started", SOON)
    supervisor.terminate()
    assert supervisor.wait(SOON) == 0
    assert not house.home.state_file.exists()
    assert house.agentos("status").returncode == 5


def test_the_key_of_the_first_start(house: House) -> None:
    house.start()
    key = house.home.key_file.read_text().strip()
    assert key.startswith("ak_")
    assert stat.S_IMODE(house.home.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(house.home.key_file.parent.stat().st_mode) == 0o700
    assert key not in house.output
    assert "(made now)" in house.output
    house.stop()
    house.start()
    assert house.home.key_file.read_text().strip() == key
    assert "(made now)" not in house.output


def test_a_key_of_the_environment_wins(house: House) -> None:
    house.environment["AGENTOS_API_KEY"] = "ak_mine-7f3"
    house.start()
    assert not house.home.key_file.exists()
    assert answers(house)
    refused = house.agentos("message", "default", "hi", AGENTOS_API_KEY="another")
    assert refused.returncode == 3
    logs = "".join(path.read_text() for path in house.home.logs.iterdir())
    assert "ak_mine-7f3" not in logs + house.output
