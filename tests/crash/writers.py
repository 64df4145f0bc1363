"""Writers that never stop, and what each of them may expect to find in the store afterwards.

A writer has one call under way. When the engine dies it does not know what became of that one:
the store must have all that was acknowledged, and besides it nothing but that one, whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from tests.crash.link import Link


class Writer(ABC):
    """Makes its changes number 0, 1, 2, …; `acknowledged` of them were answered or found."""

    function_id: str

    def __init__(self, name: str) -> None:
        self.name = name
        self.acknowledged = 0

    @abstractmethod
    def change(self, number: int) -> dict[str, Any]:
        """The payload of one call."""

    @abstractmethod
    def check_answer(self, number: int, answer: Any) -> None: ...

    @abstractmethod
    async def found(self, link: Link) -> int:
        """How many changes the store has; fails when they are not the first ones, each whole."""

    def write(self, link: Link) -> None:
        """Make the next change, and the ones after it, until the link is lost."""
        number = self.acknowledged

        def answered(result: Any, error: Any) -> None:
            assert error is None, error
            self.check_answer(number, result)
            self.acknowledged += 1
            self.write(link)

        link.call(self.function_id, self.change(number), answered)

    async def verify(self, link: Link) -> None:
        """Compare with the store. What it has of the unanswered change counts from now on."""
        found = await self.found(link)
        assert self.acknowledged <= found <= self.acknowledged + 1, self.name
        self.acknowledged = found


class Setter(Writer):
    """`state::set` of a new key each time."""

    function_id = "state::set"

    def record(self, number: int) -> dict[str, Any]:
        return {"number": number, "text": "x" * (number * 7 % 300)}

    def change(self, number: int) -> dict[str, Any]:
        return {"scope": self.name, "key": str(number), "value": self.record(number)}

    def check_answer(self, number: int, answer: Any) -> None:
        assert answer == {"old_value": None, "new_value": self.record(number)}

    async def found(self, link: Link) -> int:
        items = await listed(link, self.name)
        assert items == {str(number): self.record(number) for number in range(len(items))}
        return len(items)


class Counter(Writer):
    """`state::update` that increments one record: twice applied would show."""

    function_id = "state::update"

    def change(self, number: int) -> dict[str, Any]:
        return {"scope": "counters", "key": self.name, "ops": [increment("n")]}

    def check_answer(self, number: int, answer: Any) -> None:
        assert answer["new_value"] == {"n": number + 1}

    async def found(self, link: Link) -> int:
        record = await link.ask("state::get", {"scope": "counters", "key": self.name})
        return 0 if record is None else int(record["n"])


class Transactor(Writer):
    """`state::transact` over three scopes: two new records and a count of them."""

    function_id = "state::transact"

    def change(self, number: int) -> dict[str, Any]:
        left, right = (
            {"op": "set", "scope": f"{self.name}/{side}", "key": str(number), "value": number}
            for side in ("left", "right")
        )
        count = {"op": "update", "scope": "sums", "key": self.name, "ops": [increment("n")]}
        return {"ops": [left, count, right]}

    def check_answer(self, number: int, answer: Any) -> None:
        assert answer["applied"] is True
        assert answer["results"][1]["new_value"] == {"n": number + 1}

    async def found(self, link: Link) -> int:
        left = await listed(link, f"{self.name}/left")
        right = await listed(link, f"{self.name}/right")
        record = await link.ask("state::get", {"scope": "sums", "key": self.name})
        assert left == right == {str(number): number for number in range(len(left))}
        assert len(left) == (0 if record is None else record["n"])
        return len(left)


class Outbox(Writer):
    """`engine::transact` over three modules: a record, an item of a stream, and a job."""

    function_id = "engine::transact"

    def change(self, number: int) -> dict[str, Any]:
        record = {"scope": self.name, "key": str(number), "value": number}
        item = {**self.group, "item_id": str(number), "data": number}
        message = {"topic": self.name, "data": number}
        return {
            "changes": [
                {"function_id": "state::set", "data": record},
                {"function_id": "stream::set", "data": item},
                {"function_id": "iii::durable::publish", "data": message},
            ]
        }

    @property
    def group(self) -> dict[str, str]:
        return {"stream_name": "outbox", "group_id": self.name}

    def check_answer(self, number: int, answer: Any) -> None:
        assert answer["applied"] is True

    async def found(self, link: Link) -> int:
        records = await listed(link, self.name)
        items = await link.ask("stream::list", self.group)
        jobs = await link.ask("engine::queue::topic_stats", {"topic": self.name})
        assert list(records.values()) == items == list(range(len(records)))
        assert jobs["depth"] == len(records)
        return len(records)


class Publisher(Writer):
    """`iii::durable::publish` to a topic that nobody consumes: every job must wait there."""

    function_id = "iii::durable::publish"

    def change(self, number: int) -> dict[str, Any]:
        return {"topic": self.name, "data": number, "return_receipt": True}

    def check_answer(self, number: int, answer: Any) -> None:
        assert answer["duplicate"] is False

    async def found(self, link: Link) -> int:
        question = {"topic": self.name, "details": True}
        stats = await link.ask("engine::queue::topic_stats", question)
        assert (stats["active"], stats["delayed"], stats["dlq_depth"]) == (0, 0, 0)
        return int(stats["waiting"])


def increment(path: str) -> dict[str, Any]:
    return {"type": "increment", "path": path, "by": 1}


async def listed(link: Link, scope: str) -> dict[str, Any]:
    """The records of a scope by key."""
    items = await link.ask("state::list", {"scope": scope, "include_keys": True})
    return {item["key"]: item["value"] for item in items}
