"""Addresses of servers with a mistake in their password: what people, logs and health are told."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.support.engine import RunningEngine, loopback

from iii_engine.net import nats_client

#: Parts of all passwords below; some are numbers, which a library may take for a port.
PARTS = ("s3cr3t", "p4ssw0rd", "64999")

#: What is between the scheme and the end of an address.
NASTY = (
    "me:s3cr3t@127.0.0.1:1",
    "me:s3cr3t@127.0.0.1:bad",
    "me:s3cr3t@[::1",
    "me:s3cr3t#@127.0.0.1:1",
    "me:p/s3cr3t@127.0.0.1:1",
    "me:p?s3cr3t@127.0.0.1:1",
    "me:[s3cr3t]@127.0.0.1:1",
    "me:s3cr3t@p4ssw0rd@127.0.0.1:1",
    "me:s3cr3t,p4ssw0rd@127.0.0.1:1",
    "127.0.0.1:64999/s3cr3t@127.0.0.1:1",
    "127.0.0.1:s3cr3t",
    ":s3cr3t#p4ssw0rd@127.0.0.1:1",
    "127.0.0.1:1/x?password=s3cr3t&token=p4ssw0rd",
)

ADAPTERS = [
    ("iii-state", "redis", "redis_url"),
    ("iii-pubsub", "redis", "redis_url"),
    ("iii-queue", "redis", "redis_url"),
    ("iii-cron", "redis", "redis_url"),
    ("iii-queue", "rabbitmq", "amqp_url"),
    ("iii-state", "nats", "nats_url"),
    ("iii-pubsub", "nats", "nats_url"),
    ("iii-queue", "nats", "nats_url"),
    ("iii-cron", "nats", "nats_url"),
    ("iii-cluster", "nats", "nats_url"),
    ("iii-state", "bridge", "bridge_url"),
    ("iii-queue", "bridge", "bridge_url"),
    ("iii-bridge", "bridge", "url"),
]

SCHEMES = {"redis": "redis", "rabbitmq": "amqp", "nats": "nats", "bridge": "ws"}


def config_of(module: str, adapter: str, option: str, url: str) -> dict[str, Any]:
    if module in ("iii-cluster", "iii-bridge"):
        return {module: {option: url}}
    return {module: {"adapter": {"name": adapter, "config": {option: url}}}}


async def health(engine: RunningEngine) -> str:
    answers: list[bytes] = []
    engine.core.call("engine::health::check", b"{}", lambda data, _: answers.append(bytes(data)))
    return answers[0].decode()


@pytest.mark.parametrize(("module", "adapter", "option"), ADAPTERS)
async def test_no_part_of_a_password_is_told(
    module: str,
    adapter: str,
    option: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nats_client, "RECONNECT_SECONDS", 0.001)
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "iii")
    told: list[str] = []
    scheme = SCHEMES[adapter]
    engine = RunningEngine()
    await engine.start()
    try:
        for url in [*(f"{scheme}://{nasty}" for nasty in NASTY), *NASTY]:
            options = config_of(module, adapter, option, url)
            try:
                problem = await engine.app.apply(
                    engine.app.prepare(loopback(engine._config, options))
                )
                told.append(str(problem))
            except Exception as error:  # noqa: BLE001  (every way to say it counts)
                told.append(str(error))
            told.append(await health(engine))
    finally:
        await engine.stop()
    told += caplog.text.splitlines()
    assert len(told) >= 2 * len(NASTY)
    assert [line for line in told if any(part in line for part in PARTS)] == []
