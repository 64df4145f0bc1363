"""Names of exchanges and queues, as other programs find them (engine-modules §9.5)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from iii_engine.modules.queue.job import QueueName
from iii_sdk.errors import BusError

#: Bytes of a name in AMQP.
LONGEST: Final = 255
#: Bytes of the name of an exchange that the client library takes.
LONGEST_EXCHANGE: Final = 127
#: Room for what is added to a name.
ROOM: Final = 40

#: What is escaped in a name.
FOREIGN: Final = re.compile(r"[^A-Za-z0-9_.:@#,/+ -]+|\+(?=[0-9A-F]{2})")

NAMED: Final = "__fn_queue::"


class BadName(BusError):
    """RabbitMQ cannot have a queue of that name."""

    code = "bad_queue_name"


class Names(NamedTuple):
    """`exchange` and `key` lead to `queue`, and so on; the exchange "" leads to any queue.

    `fanout` is where a topic is published.
    """

    queue: str
    exchange: str
    key: str
    dead: str
    dead_exchange: str
    dead_key: str
    fanout: str

    @property
    def holders(self) -> str:
        """The queue whose consumers are the engines that want this one."""
        return f"{self.queue}.holders"


def names_of(queue: QueueName, prefix: str) -> Names:
    """Raises `BadName`."""
    names = _topic(queue, prefix) if queue.topic else _named(escaped(queue.name), prefix)
    exchanges = (names.exchange, names.dead_exchange, names.fanout)
    too_long = max(map(len, exchanges)) > LONGEST_EXCHANGE
    if too_long or max(map(len, names)) > LONGEST - ROOM:
        raise BadName(f"{queue.text[:80]}… is too long for a queue in RabbitMQ")
    return names


def _named(name: str, prefix: str) -> Names:
    base = f"{prefix}.{NAMED}{name}"
    return Names(
        queue=f"{base}.queue",
        exchange=base,
        key=name,
        dead=f"{base}::dlq.queue",
        dead_exchange=f"{base}::dlq",
        dead_key=name,
        fanout="",
    )


def _topic(queue: QueueName, prefix: str) -> Names:
    if queue.name.startswith(NAMED):
        raise BadName(f"topic {queue.name}: in RabbitMQ {NAMED}… are the named queues")
    # Without dots, so that the topic ends where it does.
    topic, function = escaped(queue.name), escaped(queue.function_id).replace(".", "+2E")
    base = f"{prefix}.{topic}.{function}"
    return Names(
        queue=f"{base}.queue",
        exchange="",
        key=f"{base}.queue",
        dead=f"{base}.dlq",
        dead_exchange="",
        dead_key=f"{base}.dlq",
        fanout=f"{prefix}.{topic}.exchange",
    )


def escaped(name: str) -> str:
    """With `+XX` for each byte that the client library refuses in names of queues.

    A plus that could be read as such a byte is written so, too; any other stays.
    """
    return FOREIGN.sub(lambda found: "".join(map("+{:02X}".format, _bytes(found[0]))), name)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
