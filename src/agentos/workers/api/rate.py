"""Who asks, and whether they ask too often."""

from __future__ import annotations

import logging
import os
from typing import Final

from msgspec import Struct

from iii_sdk import Bus, BusError, Call, HttpRequest, RateLimited

log = logging.getLogger("agentos.api")

CHECK_SECONDS: Final = 5.0
UNKNOWN: Final = "unknown"


class _Rate(Struct, rename="camel"):
    allowed: bool = True
    retry_after: float | None = None


async def check_rate(bus: Bus, call: Call, operation: str) -> None:
    """Raises `RateLimited`. Without a limiter, or when it fails, the request is served."""
    asked = {"ip": client_ip(call.http), "operation": operation}
    try:
        rate = await bus.call("rate::check", asked, kind=_Rate, timeout=CHECK_SECONDS)
    except BusError as error:
        if error.code != "function_not_found":
            log.warning("rate check failed, the request is served: %s", error)
        return
    if not rate.allowed:
        raise RateLimited("Rate limit exceeded", retry_after=int(rate.retry_after or 1))


def client_ip(request: HttpRequest | None) -> str:
    """The address the request came from.

    `X-Forwarded-For` can be written by anybody; only behind `TRUSTED_PROXY_COUNT` = n proxies of
    our own the n-th address from the right is believed.
    """
    if request is None:
        return UNKNOWN
    forwarded = request.headers.get("x-forwarded-for", "").split(",")
    trusted = os.environ.get("TRUSTED_PROXY_COUNT", "0")
    count = int(trusted) if trusted.isdecimal() else 0
    if 0 < count <= len(forwarded) and (address := forwarded[-count].strip()):
        return address
    return request.client_ip or UNKNOWN
