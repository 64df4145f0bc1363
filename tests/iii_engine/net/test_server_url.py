"""Addresses as messages may show them."""

from __future__ import annotations

import pytest
from tests.support.engine import RunningEngine
from tests.support.queue_engine import adapter_of

from iii_engine.module_set import StartError
from iii_engine.net.server_url import masked, reason

#: Addresses that can be read in one way only, and how they are shown.
PLAIN = {
    "redis://127.0.0.1:6379/0": "redis://127.0.0.1:6379/0",
    "redis://[::1]:6379": "redis://[::1]:6379",
    "ws://host/path": "ws://host/path",
    "redis://me:pa55word@host:1/0": "redis://me:***@host:1/0",
    "rediss://:pa55word@host": "rediss://:***@host",
    "nats://pa55word@host:4222": "nats://***@host:4222",
    "amqp://me:pa%2F55@host/vhost?heartbeat=5": "amqp://me:***@host/vhost?***",
    "redis://host/0?password=pa55word": "redis://host/0?***",
    "ws://host/x?token=pa55word&a=b#c": "ws://host/x?***",
    "unix://me:pa55word@/run/redis.sock": "unix://me:***@/run/redis.sock",
    "nats://a:pa55word@one, tls://two:1": "nats://a:***@one,tls://two:1",
    "redis://me:pa:55:word@host": "redis://me:***@host",
}

#: Addresses with a mistake, and what is left of them.
DOUBTFUL = {
    "redis://me:pa55#word@host:1/0": "***@host:1/0",
    "redis://me:pa55/word@host:1": "***@host:1",
    "redis://me:pa55?word@host:1?db=pa55": "***@host:1",
    "redis://me:pa55@word@host:1": "***@host:1",
    "redis://me:pa55[word]@host:1": "***@host:1",
    "redis://me:pa55 word@host:1": "***@host:1",
    "redis://me:pa55\\word@host": "***@host",
    "redis://me:pä55wörd@host": "***@host",
    "redis://me:55/word@host": "***@host",
    "nats://me:pa55,word@host": "***@host",
    "nats://one,nats://me:pa55,word@two": "***@two",
    "me:pa55word@host:1": "***@host:1",
    "redis:/me:pa55word@host": "***@host",
    "redis://host/0?password=pa55@word": "***",
    "redis://me:pa55word": "redis://me:***",
    "me:pa55word": "me:***",
    ":pa55word": ":***",
    "h:1": "h:***",
    "": "",
}


@pytest.mark.parametrize(("url", "shown"), [*PLAIN.items(), *DOUBTFUL.items()])
def test_what_may_be_a_secret_is_not_shown(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_the_words_of_a_library_are_repeated_only_about_addresses_that_are_clear() -> None:
    error = ValueError("Port could not be cast to integer value as 'pa55'.")
    for url in PLAIN:
        assert reason(url, error) == "Port could not be cast to integer value as 'pa55'"
        assert reason(url, TimeoutError()) == "no answer"
    for url in DOUBTFUL.keys() - {""}:
        assert "pa55" not in reason(url, error)
        assert "%XX" in reason(url, error)


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
