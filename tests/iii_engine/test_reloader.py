"""What happens to the file that an engine follows."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from tests.support.followed import HTTP, MANAGER, STATE, Followed, put, text_of
from tests.support.raw_worker import RawWorker
from tests.support.waiting import until

from iii_engine import logs
from iii_engine.cli.main import make_parser
from iii_engine.cli.run import source_of
from iii_engine.log_settings import LogSettings
from iii_engine.reloader import Reloader


@pytest.mark.parametrize("text", ["", "\n \n"])
async def test_an_emptied_file_keeps_what_runs(followed: Followed, text: str) -> None:
    async with RawWorker(followed.url) as worker:
        put(followed.path, text)
        await followed.taken_up()
        config = (await worker.call("engine::health::check", {}))["components"]["config"]
        assert config["status"] == "degraded"
        assert config["details"]["error"].endswith("it is empty")


async def test_a_file_that_goes_and_comes_back(followed: Followed) -> None:
    text = text_of(followed.path)
    followed.path.unlink()
    await followed.taken_up()
    assert "Config file not found" in (await followed.health())["details"]["error"]
    put(followed.path, text)
    await followed.taken_up()
    assert (await followed.health())["status"] == "healthy"


async def test_a_file_that_is_replaced_or_a_link_that_is_switched(
    followed: Followed, tmp_path: Path
) -> None:
    new = tmp_path / "new.yaml"
    put(new, "workers:\n" + MANAGER % "" + HTTP % 0 + STATE)
    new.rename(followed.path)
    await followed.taken_up()
    assert "iii-state" in followed.app.modules
    target = tmp_path / "target.yaml"
    put(target, "workers:\n" + MANAGER % "")
    link = tmp_path / "link"
    link.symlink_to(target)
    link.rename(followed.path)
    await followed.taken_up()
    assert "iii-http" not in followed.app.modules


async def test_a_file_is_read_when_it_has_been_quiet(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    read, stamp = followed.source.read, followed.source.stamp

    def counted() -> Any:
        nonlocal reads
        reads += 1
        return read()

    text = "workers:\n" + MANAGER % "" + STATE
    pieces = [text[:length] for length in range(1, len(text), 20)] + [text]

    def written_on() -> Any:
        """The file whenever it is looked at, while an editor writes it piece by piece."""
        if pieces:
            put(followed.path, pieces.pop(0))
        return stamp()

    monkeypatch.setattr(followed.source, "read", counted)
    monkeypatch.setattr(followed.source, "stamp", written_on)
    await until(lambda: not pieces)
    await followed.taken_up()
    assert reads == 1
    assert (await followed.health())["status"] == "healthy"


async def test_stopping_while_the_file_is_being_written(followed: Followed) -> None:
    put(followed.path, "workers: [")
    await followed.reloader.stop()
    assert followed.app.host.config_problem is None


def test_the_default_config_is_not_watched() -> None:
    parser = make_parser()
    assert source_of(parser.parse_args(["--use-default-config"])) is None
    source = source_of(parser.parse_args(["--config", "x.yaml", "--port", "7"]))
    assert source is not None
    assert source.path == Path("x.yaml")


async def test_the_level_of_the_log_changes(followed: Followed) -> None:
    """Only the program's own log is configured, so the settings are given here."""
    await followed.reloader.stop()
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    followed.reloader = Reloader(followed.app, followed.source, LogSettings("iii.x=debug"))
    try:
        await followed.write(
            MANAGER % "" + "- {name: iii-observability, config: {level: 'warn,iii.y=trace'}}\n"
        )
        assert root.level == logging.WARNING
        assert logging.getLogger("iii.x").level == logging.NOTSET
        assert logging.getLogger("iii.y").level == logs.TRACE
    finally:
        logging.getLogger("iii.y").setLevel(logging.NOTSET)
        root.handlers[:], level = before[0], before[1]
        root.setLevel(level)
