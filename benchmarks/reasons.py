"""Why rows that miss their target miss it, as far as profiles say; shown below the table."""

from __future__ import annotations

from benchmarks.report import Row

_CALLS = (
    "a call takes some 13 Python functions (two frames read, call, span, tally, two frames "
    "made), the relay four; the profile is flat, so only fewer of them would help"
)
_LARGE = (
    "each frame is looked at for what no reader takes and for who called, beside the decoding of "
    "the envelope that the relay does too"
)

WHY = {
    "call_16": _CALLS,
    "call_128": _CALLS,
    "payload_64k": _LARGE,
    "structured": _LARGE,
    "http": (
        "of about 30 µs a request, 9 are the system call that writes the response, the same as the "
        "baseline's; the rest is spread over routing, payload, call, span and response"
    ),
}


def explain(rows: list[Row]) -> None:
    """Give rows that miss their target the reason, where it is known."""
    for row in rows:
        if not row.met and not row.problem and not row.note:
            row.note = WHY.get(row.key, "")
