"""A strict reader of Prometheus's text format, version 0.0.4: whatever is not in it is an error."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r"[a-zA-Z_][a-zA-Z0-9_]*"
VALUE = r'"((?:[^"\\\n]|\\["\\n])*)"'
NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?|Inf)|NaN"
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}={VALUE}(?:,{LABEL}={VALUE})*)\}})? ({NUMBER})")
PAIR = re.compile(rf"({LABEL})={VALUE}")
HELP = re.compile(rf"# HELP ({NAME}) ((?:[^\\\n]|\\[\\n])*)")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|histogram)")

Labels = frozenset[tuple[str, str]]


@dataclass
class Family:
    type: str
    help: str = ""
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float:
        return self.samples[name, frozenset(labels.items())]


def parse(body: bytes) -> dict[str, Family]:
    """The families by name. Raises `AssertionError` that names the line."""
    text = body.decode("utf-8")
    assert not text or text.endswith("\n")
    families: dict[str, Family] = {}
    help, current = "", ""
    for line in text.split("\n")[:-1]:
        if match := HELP.fullmatch(line):
            help, current = match[2], match[1]
        elif match := TYPE.fullmatch(line):
            assert match[1] not in families, f"twice: {line}"
            assert not help or match[1] == current, f"help of another: {line}"
            families[match[1]] = Family(match[2], help)
            help, current = "", match[1]
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"not in the format: {line!r}"
            _sample(families[current], current, match)
    for name, family in families.items():
        if family.type == "histogram":
            _check_histogram(name, family)
    return families


def _sample(family: Family, name: str, match: re.Match[str]) -> None:
    suffixes = ("_bucket", "_sum", "_count") if family.type == "histogram" else ("",)
    assert match[1] in {name + suffix for suffix in suffixes}, f"{match[1]} within {name}"
    pairs = [(key, _unescape(value)) for key, value in PAIR.findall(match[2] or "")]
    assert len(dict(pairs)) == len(pairs), f"a label twice: {match[0]}"
    key = (match[1], frozenset(pairs))
    assert key not in family.samples, f"a series twice: {match[0]}"
    family.samples[key] = float(match[match.re.groups].replace("Inf", "inf"))


def _unescape(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), value)


def _check_histogram(name: str, family: Family) -> None:
    series: dict[Labels, list[tuple[float, float]]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            (bound,) = (float(v.replace("Inf", "inf")) for k, v in labels if k == "le")
            rest = frozenset(pair for pair in labels if pair[0] != "le")
            series.setdefault(rest, []).append((bound, value))
    for labels, buckets in series.items():
        assert [bound for bound, _ in buckets] == sorted(bound for bound, _ in buckets)
        assert [count for _, count in buckets] == sorted(count for _, count in buckets)
        assert buckets[-1] == (float("inf"), family.samples[f"{name}_count", labels])
        assert (f"{name}_sum", labels) in family.samples
