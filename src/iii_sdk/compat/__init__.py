"""The published forms of the client: `III` and `register_worker`, over the asyncio core.

Everything that programs import from the published client is here under the same name. `iii_sdk`
exports what does not clash with the names of its core; `http`, `Channel`, `ChannelReader`,
`ChannelWriter` and `HttpRequest` of the published form are only here.
"""

from __future__ import annotations

from iii_sdk.compat.access import (
    AuthInput,
    AuthResult,
    MiddlewareFunctionInput,
    OnFunctionRegistrationInput,
    OnFunctionRegistrationResult,
    OnTriggerRegistrationInput,
    OnTriggerRegistrationResult,
    OnTriggerTypeRegistrationInput,
    OnTriggerTypeRegistrationResult,
)
from iii_sdk.compat.channels import Channel, ChannelReader, ChannelWriter, WritableStream
from iii_sdk.compat.discovery import FunctionInfo, TriggerInfo, TriggerTypeInfo, WorkerInfo
from iii_sdk.compat.errors import (
    IIIForbiddenError,
    IIIInvocationError,
    IIITimeoutError,
    InvocationError,
)
from iii_sdk.compat.exchange import HttpRequest, HttpResponse, InternalHttpRequest, http
from iii_sdk.compat.formats import (
    extract_request_format,
    extract_response_format,
    python_type_to_format,
)
from iii_sdk.compat.iii import III, register_worker
from iii_sdk.compat.link import ConnectionState
from iii_sdk.compat.logger import Logger
from iii_sdk.compat.messages import (
    ApiRequest,
    ApiResponse,
    EnqueueResult,
    HttpAuthConfig,
    HttpInvocationConfig,
    RegisterFunctionFormat,
    RegisterServiceInput,
    RegisterTriggerInput,
    RegisterTriggerTypeInput,
    StreamChannelRef,
    TriggerAction,
    TriggerActionEnqueue,
    TriggerActionVoid,
    TriggerRequest,
)
from iii_sdk.compat.offers import FunctionRef
from iii_sdk.compat.options import InitOptions, OtelConfig, ReconnectionConfig, TelemetryOptions
from iii_sdk.compat.results import PendingCall
from iii_sdk.compat.streams import (
    IStream,
    StreamAuthInput,
    StreamAuthResult,
    StreamChangeEvent,
    StreamChangeEventDetail,
    StreamContext,
    StreamDeleteInput,
    StreamDeleteResult,
    StreamGetInput,
    StreamJoinLeaveEvent,
    StreamJoinLeaveTriggerConfig,
    StreamJoinResult,
    StreamListGroupsInput,
    StreamListInput,
    StreamSetInput,
    StreamSetResult,
    StreamTriggerConfig,
    StreamUpdateInput,
    StreamUpdateResult,
)
from iii_sdk.compat.triggers import Trigger, TriggerConfig, TriggerHandler, TriggerTypeRef

__all__ = [
    "III",
    "ApiRequest",
    "ApiResponse",
    "AuthInput",
    "AuthResult",
    "Channel",
    "ChannelReader",
    "ChannelWriter",
    "ConnectionState",
    "EnqueueResult",
    "FunctionInfo",
    "FunctionRef",
    "HttpAuthConfig",
    "HttpInvocationConfig",
    "HttpRequest",
    "HttpResponse",
    "IIIForbiddenError",
    "IIIInvocationError",
    "IIITimeoutError",
    "IStream",
    "InitOptions",
    "InternalHttpRequest",
    "InvocationError",
    "Logger",
    "MiddlewareFunctionInput",
    "OnFunctionRegistrationInput",
    "OnFunctionRegistrationResult",
    "OnTriggerRegistrationInput",
    "OnTriggerRegistrationResult",
    "OnTriggerTypeRegistrationInput",
    "OnTriggerTypeRegistrationResult",
    "OtelConfig",
    "PendingCall",
    "ReconnectionConfig",
    "RegisterFunctionFormat",
    "RegisterServiceInput",
    "RegisterTriggerInput",
    "RegisterTriggerTypeInput",
    "StreamAuthInput",
    "StreamAuthResult",
    "StreamChangeEvent",
    "StreamChangeEventDetail",
    "StreamChannelRef",
    "StreamContext",
    "StreamDeleteInput",
    "StreamDeleteResult",
    "StreamGetInput",
    "StreamJoinLeaveEvent",
    "StreamJoinLeaveTriggerConfig",
    "StreamJoinResult",
    "StreamListGroupsInput",
    "StreamListInput",
    "StreamSetInput",
    "StreamSetResult",
    "StreamTriggerConfig",
    "StreamUpdateInput",
    "StreamUpdateResult",
    "TelemetryOptions",
    "Trigger",
    "TriggerAction",
    "TriggerActionEnqueue",
    "TriggerActionVoid",
    "TriggerConfig",
    "TriggerHandler",
    "TriggerInfo",
    "TriggerRequest",
    "TriggerTypeInfo",
    "TriggerTypeRef",
    "WorkerInfo",
    "WritableStream",
    "extract_request_format",
    "extract_response_format",
    "http",
    "python_type_to_format",
    "register_worker",
]
