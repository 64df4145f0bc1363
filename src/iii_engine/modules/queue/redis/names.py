"""What the keys of queues in Redis are called."""

from __future__ import annotations

from typing import Final

import msgspec

from iii_engine.modules.queue.job import QueueName

PREFIX: Final = "iii:queue:"
#: A hash: every queue of a topic that was ever used, and whether its function is bound.
TOPICS: Final = f"{PREFIX}topics"
#: Nothing is ever here; the server is asked whether there could be.
ROOM: Final = f"{PREFIX}room"
#: A set, and the channel on which its changes are told: the queues and topics that are paused.
PAUSED: Final = f"{PREFIX}paused"
#: Channels: a queue has something to take; a row of the table of topics is another now.
WAKE: Final = f"{PREFIX}wake"
CHANGED: Final = f"{PREFIX}changed"
#: What the keys of named queues have in place of a topic.
NAMED: Final = "__fn_queue"


def base_of(queue: QueueName) -> str:
    """What the keys of a queue begin with, different for different queues."""
    if not queue.topic:
        return f"{PREFIX}{NAMED}::{queue.name}"
    return f"{PREFIX}{topic_key(queue.name)}::{queue.function_id}"


def functions_of(topic: str) -> str:
    """The hash of the functions that are bound to a topic, with what their queues are like."""
    return f"{PREFIX}{topic_key(topic)}:functions"


def topic_key(topic: str) -> str:
    """A topic without colons, so that one can tell where its function begins."""
    if topic == NAMED:
        return f"%5F{topic[1:]}"
    return topic.replace("%", "%25").replace(":", "%3A")


def row_of(queue: QueueName) -> bytes:
    """The name of a topic's queue in the table of all."""
    return msgspec.json.encode([queue.name, queue.function_id])


def queue_of(row: bytes | str) -> QueueName:
    topic, function_id = msgspec.json.decode(row, type=tuple[str, str])
    return QueueName(topic, True, function_id)
