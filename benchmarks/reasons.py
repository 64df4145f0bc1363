"""Why rows that miss their target miss it, as far as profiles say; shown below the table."""

from __future__ import annotations

from benchmarks.report import Row

_CALLS = (
    "a relay that also gives each call an id check, a record of its span, two times and the name "
    "of its caller, and does nothing else, needs 1.3 to 1.4 times the bare one's processor time at "
    "16 in flight and 1.5 to 1.6 times at 128; deadlines, bounds, access and errors are the rest"
)
_IN_TURN = (
    "at 128 in flight all calls travel as one batch, so caller, engine and worker work in turn and "
    "what the engine takes more (see the row before) is added to all, and where others want the "
    "cores too, who works longer at a time waits longer for its turn; writing parts of so small a "
    "batch early overlaps them, but only where each has a core, and costs system calls where not"
)
_LARGE = (
    "each frame is looked at for what no reader takes (ASCII 2 µs in 64 KiB, endless integers 1), "
    "beside the decoding of the envelope that the relay does too (13 µs, of structured JSON 29)"
)

WHY = {
    "call_16": _CALLS,
    "call_128": _IN_TURN,
    "payload_64k": _LARGE,
    "structured": _LARGE,
    "http": (
        "the kernel takes the same 6 to 7 µs of both; the baseline's own work is 4 µs, because its "
        "function gets method and path alone. Ours is about 17: reading head and limits 2.5, call "
        "and answer through the bus 5, and 9 that are spread over route, headers, ids, access "
        "keys, payload, span and the lines of the answer, none of them above 1"
    ),
}


def explain(rows: list[Row]) -> None:
    """Give rows that miss their target the reason, where it is known."""
    for row in rows:
        if not row.met and not row.problem and not row.note:
            row.note = WHY.get(row.key, "")
