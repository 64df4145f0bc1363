"""Metrics as text for Prometheus: its exposition format, version 0.0.4.

Names keep their words: what Prometheus does not allow in a name becomes `_`, nothing is added.
Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate
from typing import Final

from iii_engine.core.meters import Distribution, Reading
from iii_engine.modules.observability.metrics.series import Series

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

#: Names and labels that are known as text: those of a page, which is made again and again.
REMEMBERED: Final = 16_384

_TYPES: Final = {"updowncounter": "gauge"}
_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_:]")
_NOT_IN_LABELS: Final = re.compile(r"[^a-zA-Z0-9_]")
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Family:
    """All series of one name, which must stand together."""

    def __init__(self, name: str, type: str, help: str) -> None:
        self.type = type
        self._name = name
        self._help = help
        self._samples: dict[str, str] = {}

    def add(self, labels: tuple[tuple[str, str], ...], value: float | Distribution) -> None:
        """A series. Of two whose labels become the same the first counts."""
        text = _labels(labels, self.type)
        if text in self._samples or isinstance(value, Distribution) != (self.type == "histogram"):
            return
        if isinstance(value, Distribution):
            self._samples[text] = "".join(self._spread(text, value))
        elif text:
            self._samples[text] = f"{self._name}{{{text}}} {_number(value)}\n"
        else:
            self._samples[text] = f"{self._name} {_number(value)}\n"

    def _spread(self, labels: str, value: Distribution) -> Iterator[str]:
        """Buckets that do not fit their bounds, as a worker may send them, are left out."""
        total = value.total
        before = f"{self._name}_bucket{{{labels}{labels and ','}le="
        if len(value.counts) == len(value.bounds) + 1:
            *totals, total = accumulate(value.counts)
            for bound, count in zip(value.bounds, totals, strict=True):
                yield f'{before}"{_number(bound)}"}} {count}\n'
        yield f'{before}"+Inf"}} {total}\n'
        yield f"{self._name}_sum{_braces(labels)} {_number(value.sum)}\n"
        yield f"{self._name}_count{_braces(labels)} {total}\n"

    def lines(self) -> Iterator[str]:
        """Lines, and several in one."""
        if self._help:
            yield f"# HELP {self._name} {self._help.translate(_HELP_ESCAPES)}\n"
        yield f"# TYPE {self._name} {self.type}\n"
        yield from self._samples.values()


def exposition(readings: Iterable[Reading], series: Iterable[Series]) -> bytes:
    """The engine's instruments, then the series of workers, with their service as a label."""
    families: dict[str, Family] = {}
    for reading in readings:
        family = _family(families, reading.name, reading.kind, reading.description)
        if family is not None:
            for values, value in reading.points:
                family.add(tuple(zip(reading.labels, values, strict=True)), value)
    for name, kind, description, service, attributes, value, _ in series:
        family = _family(families, name, kind, description)
        if family is not None:
            family.add((("service_name", service), *attributes), value)
    lines = [line for family in families.values() for line in family.lines()]
    return "".join(lines).encode("utf-8", "replace")


def _family(families: dict[str, Family], name: str, kind: str, help: str) -> Family | None:
    """The family of a name; None when another kind of metric has it, or its samples would."""
    name, type = _name(name), _TYPES.get(kind, kind)
    known = families.get(name)
    if known is not None:
        return known if known.type == type else None
    for suffix in ("_bucket", "_sum", "_count"):
        whole = families.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        part = families.get(name + suffix) if type == "histogram" else None
        if part is not None or (whole is not None and whole.type == "histogram"):
            return None
    family = families[name] = Family(name, type, help)
    return family


@lru_cache(REMEMBERED)
def _name(name: str) -> str:
    name = _NOT_IN_NAMES.sub("_", name)
    return f"_{name}" if not name or name[0].isdigit() else name


@lru_cache(REMEMBERED)
def _labels(labels: tuple[tuple[str, str], ...], type: str) -> str:
    """Pairs as text. A name that Prometheus uses itself gets the prefix `exported_`."""
    found: dict[str, str] = {}
    for name, value in labels:
        found.setdefault(_label(name, type), value)
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in found.items())


def _label(name: str, type: str) -> str:
    name = _NOT_IN_LABELS.sub("_", name)
    if name.startswith("__") or (name == "le" and type == "histogram"):
        return f"exported_{name}"
    return f"_{name}" if not name or name[0].isdigit() else name


def _braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
