"""Published clients put jobs on queues and work on them."""

from __future__ import annotations

import uuid

import pytest
from tests.support.clients import Start, ask
from tests.support.published import CLIENTS
from tests.support.waiting import until


@pytest.mark.promise("Queues", "Published clients of three generations enqueue and consume jobs.")
@pytest.mark.parametrize("kind", CLIENTS)
async def test_wire_case_31_published_clients_enqueue_and_consume(kind: str, start: Start) -> None:
    client = await start(kind)

    async def heard(*jobs: object) -> None:
        async def came() -> bool:
            return (await ask(client, f"{kind}::events"))["result"] == list(jobs)

        await until(came, f"{jobs} came")

    receipt = (await ask(client, f"{kind}::on-job", {"n": 1}, action="enqueue"))["result"]
    assert uuid.UUID(receipt["messageReceiptId"]).version == 4
    await heard({"n": 1})
    job = {"n": 2, "fail": True}
    published = {"topic": f"{kind}.jobs", "data": job}
    assert (await ask(client, "iii::durable::publish", published))["result"] is None
    await heard({"n": 1}, job, job)
