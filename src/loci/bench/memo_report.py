"""The report of `loci bench memo`: time and bytes of a step, what is kept by alpha, and plans of an arena."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loci.bench.chart import markdown
from loci.bench.memo import AGAIN, PLAIN

CAVEAT = "Random weights, a few layers, one text a step: time and bytes, and whether gradients are what they were. Nothing is learned."


def write(folder: Path, found: Mapping[str, Any], about: str) -> None:
    """Writes report.md, and all that was found as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "found.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    parts = ["# Training on long texts, split by tokens", "", CAVEAT, "", about, "", "## A step", ""]
    parts += [*markdown(*steps(found)), "", "## What the forward pass keeps for the backward one", "", *markdown(*kept(found)), ""]
    parts += [
        "## Plans for the tensors of a step",
        "",
        "Bytes that the plan takes beyond the most that lives at once, which no plan goes below.",
        "",
        *markdown(*plans(found)),
        "",
    ]
    (folder / "report.md").write_text("\n".join(parts), "utf-8")


def steps(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: every way at every length; a dash where it did not fit, or nobody tells."""
    columns = ["tokens", "way", "alpha", "ms", "speed beside all computed again", "peak, GiB", "gradients differ"]
    again = {row["tokens"]: row["ms"] for row in found["steps"] if row["way"] == AGAIN}
    rows = []
    for row in found["steps"]:
        ratio = again[row["tokens"]] / row["ms"] if row["ms"] and again[row["tokens"]] else None
        rows.append([
            f"{row['tokens']:,}", row["way"], _told(row["alpha"], "{:.2f}"), _told(row["ms"], "{:,.0f}") if row["ms"] else "did not fit", _told(ratio, "{:.2f}x"),
            _told(row["peak"] and row["peak"] / 2**30, "{:.2f}"), _told(row["differ"], "{:.0e}"),
        ])  # fmt: skip
    return columns, rows


def kept(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    whole = {row["tokens"]: row["bytes"] for row in found["kept"] if row["way"] == PLAIN}
    rows = [
        [f"{r['tokens']:,}", r["way"], _told(r["alpha"], "{:.2f}"), f"{r['bytes'] / 2**20:,.1f}", f"{r['bytes'] / whole[r['tokens']]:.3f}"]
        for r in found["kept"]
    ]
    return ["tokens", "way", "alpha", "MiB", "of everything"], rows


def plans(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = [
        [r["of"], str(r["tensors"]), f"{r['bound'] / 2**20:,.1f}", f"+{r['online']:.1%}", f"+{r['by size']:.1%}"] for r in found["plans"]
    ]
    return ["of", "tensors", "most alive, MiB", "first fit as they come", "first fit by size"], rows


def _told(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
