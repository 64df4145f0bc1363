"""Rows, targets, and the table and JSON made of them."""

from __future__ import annotations

import os
import platform
import statistics
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct


class Target(Struct, frozen=True, omit_defaults=True):
    """What a median must reach. `ratio` is ours to the baseline; all limits given must hold."""

    at_least: float | None = None
    at_most: float | None = None
    ratio_at_least: float | None = None
    ratio_at_most: float | None = None
    above_baseline_at_most: float | None = None

    def met(self, ours: float, baseline: float | None) -> bool:
        if self.at_least is not None and ours < self.at_least:
            return False
        if self.at_most is not None and ours > self.at_most:
            return False
        if not baseline:  # none, or too little to measure
            return True
        ratio = ours / baseline
        if self.ratio_at_least is not None and ratio < self.ratio_at_least:
            return False
        if self.ratio_at_most is not None and ratio > self.ratio_at_most:
            return False
        limit = self.above_baseline_at_most
        return limit is None or ours <= baseline + limit

    def text(self, unit: str) -> str:
        parts = []
        if self.at_least is not None:
            parts.append(f"≥ {number(self.at_least)} {unit}")
        if self.at_most is not None:
            parts.append(f"≤ {number(self.at_most)} {unit}")
        if self.ratio_at_least is not None:
            parts.append(f"≥ {self.ratio_at_least} × baseline")
        if self.ratio_at_most is not None:
            parts.append(f"≤ {self.ratio_at_most} × baseline")
        if self.above_baseline_at_most is not None:
            parts.append(f"≤ baseline + {number(self.above_baseline_at_most)} {unit}")
        return ", ".join(parts)


class Row(Struct, omit_defaults=True):
    """One measured quantity, run by run. `problem` says why it could not be measured."""

    key: str
    name: str
    unit: str
    target: Target
    ours: list[float] = []
    baseline: list[float] = []
    baseline_name: str = ""
    note: str = ""
    problem: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.ours) if self.ours else None

    @property
    def baseline_median(self) -> float | None:
        return statistics.median(self.baseline) if self.baseline else None

    @property
    def met(self) -> bool:
        ours = self.median
        return not self.problem and ours is not None and self.target.met(ours, self.baseline_median)


def number(value: float) -> str:
    """Three significant digits for the small, whole numbers for the large."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def cells(row: Row) -> list[str]:
    ours, baseline = row.median, row.baseline_median
    target = row.target.text(row.unit)
    if row.problem or ours is None:
        return [row.name, row.unit, "–", "–", "–", target, f"no: {row.problem or 'no result'}"]
    spread = f"{number(ours)} ({number(min(row.ours))}–{number(max(row.ours))})"
    beside = "–" if baseline is None else f"{number(baseline)} ({row.baseline_name})"
    ratio = "–" if not baseline else f"{ours / baseline:.2f}"
    verdict = "yes" if row.met else "**no**"
    return [row.name, row.unit, spread, beside, ratio, target, verdict]


HEADS = ["what", "unit", "ours (min–max)", "baseline", "ratio", "target", "met"]


def table(rows: list[Row]) -> str:
    """The rows as an aligned markdown table, notes below."""
    lines = [HEADS, *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    text = [_line(HEADS, widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
    text += [_line(line, widths) for line in lines[1:]]
    notes = [f"- {row.name}: {row.note}" for row in rows if row.note]
    if notes:
        text += ["", *notes]
    return "\n".join(text)


def _line(parts: list[str], widths: list[int]) -> str:
    padded = (part.ljust(width) for part, width in zip(parts, widths, strict=True))
    return "| " + " | ".join(padded) + " |"


def save(rows: list[Row], path: Path, runs: int) -> None:
    """Write the rows, their medians and what they were measured on as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    results = [
        {
            **msgspec.to_builtins(row),
            "median": row.median,
            "baseline_median": row.baseline_median,
            "met": row.met,
        }
        for row in rows
    ]
    document = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": runs,
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.system(),
            "architecture": platform.machine(),
            "python": platform.python_version(),
        },
        "rows": results,
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
