"""What messages show of the address of a server."""

from __future__ import annotations

import pytest
from tests.support.engine import RunningEngine
from tests.support.queue_engine import adapter_of

from iii_engine.module_set import StartError
from iii_engine.net.server_url import masked


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:1/0", "redis://host:1/0"),
        ("redis://u:s3cret@host:1/0", "redis://u:***@host:1/0"),
        ("redis://s3cret@host", "redis://***@host"),
        ("redis://:s3cret@host", "redis://:***@host"),
        ("redis://u:s3cret#@host", "redis://u:***@host"),
        ("redis://u:p/s3cret@host", "redis://u:***@host"),
        ("redis://u:p?s3cret@host", "redis://u:***@host"),
        ("redis://u:p@s3cret@host", "redis://u:***@host"),
        ("u:s3cret@host:1", "u:***@host:1"),
        ("s3cret@host:1", "***@host:1"),
        ("nats://u:s3cret@a:1, nats://v:s3cret@b:2", "nats://u:***@a:1, nats://v:***@b:2"),
        ("nats://a:1,nats://u:s3,cret@b:2", "nats://a:1,nats://u:***@b:2"),
        ("nats://u:s3cret@a:1,b:2", "nats://u:***@a:1,b:2"),
        ("redis://host/0?password=s3cret#&db=1", "redis://host/0?password=***&db=1"),
        ("amqp://host/?auth_token=s3cret", "amqp://host/?auth_token=***"),
    ],
)
def test_it_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("redis", "redis://u:s3cret#@127.0.0.1:1"),
        ("redis", "redis://u:p/s3cret@127.0.0.1:1"),
        ("redis", "u:s3cret@127.0.0.1:1"),
        ("rabbitmq", "amqp://u:a#s3cret@127.0.0.1:1"),
        ("rabbitmq", "u:s3cret@127.0.0.1:1"),
        ("nats", "nats://u:a#s3cret@127.0.0.1:1"),
        ("nats", "u:s3cret@127.0.0.1:1"),
    ],
)
async def test_an_address_that_is_refused_is_shown_without_its_secrets(
    kind: str, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StartError) as refused:
        await RunningEngine({"iii-queue": {"adapter": adapter_of(kind, url)}}).start()
    assert "127.0.0.1:1" in str(refused.value)
    assert "s3cret" not in str(refused.value) + caplog.text
