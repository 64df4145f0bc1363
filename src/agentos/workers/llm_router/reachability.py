"""Is a provider there, and does it accept our key?"""

from __future__ import annotations

import time

from agentos.workers.llm_router.endpoints import Endpoint
from agentos.workers.llm_router.requests import Reachability

PATIENCE_S = 5.0


async def try_endpoint(endpoint: Endpoint) -> Reachability:
    """A HEAD shows that a host answers; the list of models, read with the key, that we may use it.

    `latencyMs` is the time of the HEAD. `authenticated` is left out when the list call failed for
    another reason than the key.
    """
    import httpx2

    started = time.monotonic()
    async with httpx2.AsyncClient(timeout=PATIENCE_S, follow_redirects=False) as client:
        try:
            head = await client.head(endpoint.base_url)
        except httpx2.HTTPError:
            return Reachability(False, reason=f"{endpoint.host} cannot be reached")
        report = Reachability(True, head.status_code)
        report.latency_ms = round((time.monotonic() - started) * 1000)
        try:
            listed = await client.get(_models_url(endpoint), headers=_headers(endpoint))
        except httpx2.HTTPError:
            return report
    if listed.status_code == 200:
        report.authenticated = True
    elif listed.status_code in (401, 403):
        report.authenticated = False
    return report


def _models_url(endpoint: Endpoint) -> str:
    prefix = "/v1" if endpoint.provider.driver == "anthropic" else ""
    return f"{endpoint.base_url}{prefix}/models"


def _headers(endpoint: Endpoint) -> dict[str, str]:
    if not endpoint.key:
        return {}
    if endpoint.provider.driver == "anthropic":
        return {"x-api-key": endpoint.key, "anthropic-version": "2023-06-01"}
    return {"Authorization": f"Bearer {endpoint.key}"}
