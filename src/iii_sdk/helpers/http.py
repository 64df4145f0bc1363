"""HTTP handlers, and functions that the engine calls over HTTP."""

from iii_sdk.compat import (
    HttpAuthConfig,
    HttpInvocationConfig,
    HttpRequest,
    HttpResponse,
    http,
)

__all__ = ["HttpAuthConfig", "HttpInvocationConfig", "HttpRequest", "HttpResponse", "http"]
