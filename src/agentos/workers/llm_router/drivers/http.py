"""The HTTP client below both official clients: one pool, no redirects, bounded answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

# Only connecting is limited here: whoever asks for a completion limits the whole of it.
TIMEOUT = httpx2.Timeout(None, connect=10.0)
LARGEST_BODY = 20 * 1024 * 1024


class BodyTooLarge(httpx2.StreamError):
    """The answer is larger than we are willing to hold."""

    def __init__(self) -> None:
        super().__init__(f"answer larger than {LARGEST_BODY} bytes refused")


def new_http_client() -> httpx2.AsyncClient:
    """A client for the official clients to use. Compressed bodies are not asked for: the limit
    is on bytes received, and a small compressed body can be a large one."""
    return httpx2.AsyncClient(
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [_bound]},
    )


async def _bound(response: httpx2.Response) -> None:
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > LARGEST_BODY:
        await response.aclose()
        raise BodyTooLarge
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _BoundedStream(response.stream)


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._inner:
            received += len(chunk)
            if received > LARGEST_BODY:
                raise BodyTooLarge
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
