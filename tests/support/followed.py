"""An app that follows its config file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.raw_worker import RawWorker
from tests.support.waiting import until

from iii_engine.app import App
from iii_engine.config.source import ConfigSource
from iii_engine.reloader import Reloader

MANAGER = "- {name: iii-worker-manager, config: {host: 127.0.0.1, port: 0%s}}\n"
HTTP = "- {name: iii-http, config: {host: 127.0.0.1, port: %s}}\n"
STATE = "- {name: iii-state}\n"


class Followed:
    """An app in this process that follows a file; `write` waits until it was taken up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = ConfigSource(path)

    async def start(self, text: str) -> None:
        self.path.write_text(text)
        self.app = App(self.source.read())
        await self.app.start()
        self.reloader = Reloader(self.app, self.source)

    async def stop(self) -> None:
        await self.reloader.stop()
        await self.app.stop(grace=0)

    @property
    def url(self) -> str:
        return "ws://{}:{}".format(*self.app.address)

    async def write(self, text: str) -> None:
        self.path.write_text("workers:\n" + text)
        await self.taken_up()

    async def taken_up(self) -> None:
        await until(lambda: self.source.read_stamp == self.source.stamp(), "the file was read")
        await until(lambda: not self.reloader.applying, "what it says was applied")

    async def health(self) -> Any:
        async with RawWorker(self.url) as worker:
            return (await worker.call("engine::health::check", {}))["components"]["config"]


def put(path: Path, text: str) -> None:
    path.write_text(text)


def text_of(path: Path) -> str:
    return path.read_text()
