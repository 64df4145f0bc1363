"""Answers to frames that are no messages, for whoever waits for what they should have done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from iii_engine.core.call_frames import result_frame
from iii_engine.core.numerals import MAX_DIGITS
from iii_engine.core.router import Router
from iii_sdk import protocol
from iii_sdk.malformed import MalformedMessage
from iii_sdk.protocol import (
    MAX_ID,
    NULL,
    ErrorBody,
    InvocationResult,
    Message,
    TriggerRegistrationResult,
)

if TYPE_CHECKING:
    from iii_engine.core.sessions import Session

CODE: Final = "invalid_message"


def answer_malformed(router: Router, session: Session, malformed: MalformedMessage) -> None:
    """Tell the caller, or the maker of the trigger. A call whose answer it was ends with it."""
    error = ErrorBody(CODE, str(malformed))
    invocation_id = malformed.invocation_id
    match malformed.message_type:
        case "invokefunction" if invocation_id:
            session.send(result_frame(invocation_id, "", NULL, error))
        case "invocationresult" if invocation_id:
            error.message = f"the answer is not a message: {malformed}"
            raw = Raw(msgspec.json.encode(error))
            router.answer(session, InvocationResult(invocation_id, error=raw))
        case "registertrigger" if malformed.id:
            told = TriggerRegistrationResult(malformed.id[:MAX_ID], error=error)
            session.send(protocol.encode(told))


def endless(message: Message) -> MalformedMessage:
    """What a message is whose integer no client can read."""
    return MalformedMessage(
        f"an integer has more than {MAX_DIGITS} digits",
        str(message.__struct_config__.tag),
        getattr(message, "invocation_id", None),
        getattr(message, "id", None),
    )
