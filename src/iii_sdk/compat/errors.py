"""What a call raises in the published form. `str()` of each is `CODE: message`."""

from __future__ import annotations

from iii_sdk.errors import BusError


class IIIInvocationError(Exception):
    """A call failed: the callee's error, or a local one (`TIMEOUT`, `SHUTDOWN`, …)."""

    def __init__(
        self,
        code: str,
        message: str,
        function_id: str | None = None,
        stacktrace: str | None = None,
        invocation_id: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.function_id = function_id
        self.stacktrace = stacktrace
        self.invocation_id = invocation_id


class IIIForbiddenError(IIIInvocationError):
    """Access control denied the call. `code` is `FORBIDDEN`."""


class IIITimeoutError(IIIInvocationError):
    """No answer in time. `code` is `TIMEOUT`."""


#: The older name.
InvocationError = IIIInvocationError

_BY_CODE: dict[str, type[IIIInvocationError]] = {
    "FORBIDDEN": IIIForbiddenError,
    "TIMEOUT": IIITimeoutError,
}


def published(error: BusError, function_id: str | None = None) -> IIIInvocationError:
    """An error of the asyncio core in the published form. Codes are case-sensitive."""
    kind = _BY_CODE.get(error.code, IIIInvocationError)
    return kind(error.code, error.message, error.function_id or function_id, error.stacktrace)
