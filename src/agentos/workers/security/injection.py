"""Finding text that tries to take over the model.

Nine rules, each counted once. The text is normalised first (compatibility forms, invisible
characters, look-alike letters). Every pattern runs in linear time: a run of blanks is taken
possessively, never given back. Pure, but for the handler's signature.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from msgspec import Struct

#: Texts are scanned in windows of this many characters.
WINDOW = 200_000
#: Neighbouring windows share this much, so that no phrase is cut in two.
OVERLAP = 2_000
RISK_PER_MATCH = 0.25

# A word that begins with a literal is found much faster than one after `\b`; hence the look-behind.
_DAN = re.compile(r"dan(?<!\wdan)\b")
_MODE = re.compile(r"mode(?<!\wmode)\b")


def _dan_mode(text: str) -> bool:
    """`dan` and later on the same line `mode`; one pass per line, where a pattern would be n²."""
    for line in text.splitlines():
        start = _DAN.search(line)
        if start is not None and _MODE.search(line, start.end()):
            return True
    return False


def _phrase(pattern: str) -> Callable[[str], bool]:
    """Whether the phrase occurs in a lower-case text; a blank stands for any white space."""
    compiled = re.compile(pattern.replace(" ", r"\s++"))
    return lambda text: compiled.search(text) is not None


RULES: dict[str, Callable[[str], bool]] = {
    "ignore_previous_instructions": _phrase(
        r"ignore (?:all )?(?:previous|above|prior) (?:instruction|prompt)"
    ),
    "you_are_now": _phrase(r"you are now "),
    "system_role_prefix": _phrase(r"system(?<!\wsystem)\s*+:"),
    "dan_mode": _dan_mode,
    "pretend_you_are": _phrase(r"pretend you are"),
    "act_as_if_you": _phrase(r"act as if you"),
    "disregard_rules": _phrase(r"disregard (?:your|all)"),
    "override_system": _phrase(r"override (?:your|system)"),
    "jailbreak": _phrase(r"jailbreak"),
}

#: Together with any other rule these leave no innocent reading.
BLOCKING = frozenset({"ignore_previous_instructions", "dan_mode", "jailbreak"})

#: Cyrillic and Greek letters that look like Latin ones.
_LOOKALIKES = str.maketrans(
    "авеіјкмнорѕстухԁһӏԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧαεικνορτυχ" + "АВЕІЈКМНОРЅСТУХ",
    "abeijkmhopsctyxdhlqwABEZHIKMNOPTYXaeiknoptux" + "ABEIJKMHOPSCTYX",
)


class ScanInjection(Struct):
    """`content` is another name of `text`."""

    text: str | None = None
    content: str | None = None


class Scan(Struct, rename="camel"):
    """`risk_score` is 0..1; `block` says that no reading of the text is innocent."""

    safe: bool
    matches: list[str]
    risk_score: float
    block: bool


def normalise(text: str) -> str:
    """`text` as a reader perceives it: one form per letter, nothing invisible, lower case."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text)
    visible = "".join(c for c in folded if unicodedata.category(c) != "Cf")
    return visible.translate(_LOOKALIKES).lower()


def _windows(text: str) -> Iterator[str]:
    for start in range(0, max(len(text), 1), WINDOW - OVERLAP):
        yield normalise(text[start : start + WINDOW])
        if start + WINDOW >= len(text):
            return


def scan(text: str) -> Scan:
    """Which rules the text matches, in the order of `RULES`."""
    found: set[str] = set()
    for window in _windows(text):
        found.update(
            rule for rule, matches in RULES.items() if rule not in found and matches(window)
        )
    return Scan(
        safe=not found,
        matches=[rule for rule in RULES if rule in found],
        risk_score=min(1.0, RISK_PER_MATCH * len(found)),
        block=len(found) > 1 and not BLOCKING.isdisjoint(found),
    )


async def scan_injection(request: ScanInjection) -> Scan:
    """Look for prompt injection in a text."""
    text = request.content if request.text is None else request.text
    return scan(text or "")
