"""Names of exchanges and queues in RabbitMQ."""

from __future__ import annotations

import pytest

from iii_engine.modules.queue.job import QueueName
from iii_engine.modules.queue.rabbitmq.names import (
    LONGEST,
    LONGEST_EXCHANGE,
    BadName,
    escaped,
    names_of,
)


def test_a_named_queue_has_a_direct_exchange() -> None:
    names = names_of(QueueName("mails"), "iii")
    assert names.queue == "iii.__fn_queue::mails.queue"
    assert (names.exchange, names.key) == ("iii.__fn_queue::mails", "mails")
    assert names.dead == "iii.__fn_queue::mails::dlq.queue"
    assert (names.dead_exchange, names.dead_key) == ("iii.__fn_queue::mails::dlq", "mails")


def test_each_function_of_a_topic_has_a_queue_behind_its_fanout() -> None:
    names = names_of(QueueName("a.b", True, "work"), "test")
    assert names.fanout == "test.a.b.exchange"
    assert (names.queue, names.dead) == ("test.a.b.work.queue", "test.a.b.work.dlq")
    # The exchange "" leads to the queue of that name.
    assert (names.exchange, names.key) == ("", names.queue)
    assert (names.dead_exchange, names.dead_key) == ("", names.dead)


def test_where_the_topic_ends_is_no_matter_of_luck() -> None:
    names = {
        names_of(QueueName(topic, True, function), "iii").queue
        for topic, function in [("a", "b.c"), ("a.b", "c"), ("a", "b+2Ec"), ("a", "b+c"), ("a", "")]
    }
    assert len(names) == 5
    assert "iii.a.b+2Ec.queue" in names


def test_a_topic_is_no_named_queue() -> None:
    with pytest.raises(BadName, match="topic __fn_queue::q"):
        names_of(QueueName("__fn_queue::q", True, "work"), "iii")


def test_the_longest_name_counts_in_bytes() -> None:
    room = LONGEST_EXCHANGE - len("iii.__fn_queue::::dlq")
    assert names_of(QueueName("q" * room), "iii").dead.endswith("q::dlq.queue")
    for name in ("q" * (room + 1), "é" * (room // 6 + 1)):
        with pytest.raises(BadName, match="is too long for a queue in RabbitMQ"):
            names_of(QueueName(name), "iii")
    topic = "t" * (LONGEST_EXCHANGE - len("iii..exchange"))
    assert names_of(QueueName(topic, True), "iii").fanout.startswith("iii.ttt")
    for name in (QueueName(topic + "t", True), QueueName(topic, True, "f" * LONGEST)):
        with pytest.raises(BadName, match="is too long for a queue in RabbitMQ"):
            names_of(name, "iii")


def test_what_the_library_refuses_is_escaped() -> None:
    assert names_of(QueueName("a é*"), "iii").queue == "iii.__fn_queue::a +C3+A9+2A.queue"
    names = names_of(QueueName("a+b", True, "x.y"), "iii")
    assert (names.queue, names.fanout) == ("iii.a+b.x+2Ey.queue", "iii.a+b.exchange")
    assert names_of(QueueName("\ud800"), "iii").key == "+ED+A0+80"


def test_an_escape_is_no_other_name() -> None:
    written = ["é", "+C3+A9", "+2BC3+A9", "+", "++", "+2B", "+2b", "+2é", "%C3%A9"]
    assert len({escaped(name) for name in written}) == len(written)
    assert escaped("plain-Name_1.x:y@z#,/+ ") == "plain-Name_1.x:y@z#,/+ "
