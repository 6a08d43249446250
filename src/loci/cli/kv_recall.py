"""What `loci bench kv-recall` does once torch is known to be there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import click
import torch

from loci.bench.kv_beside import beside
from loci.bench.kv_language import FILLERS, Filler, Language
from loci.bench.kv_model import Shape, trained
from loci.bench.kv_recall import POLICIES, Setting, run, setting
from loci.bench.kv_recall_report import CAVEAT, targets, write
from loci.bench.machine import machine
from loci.cli.render import note, progress, show_table
from loci.errors import Invalid


def measured(
    *, lengths: Sequence[int], fillers: Sequence[str], facts: int | None, topics: int | None, budgets: str | None, block: int | None,
    methods: Sequence[str], shares: Sequence[str], streams: int, layers: int, width: int, steps: int, device: str, weights: Path | None, is_beside: bool,
    report: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Trains or loads, reads and asks, and shows what came of it."""
    torch.set_num_threads(1)  # on tensors this small, threads wait for each other
    if unknown := set(methods) - set(POLICIES):
        raise Invalid(f"There is no method {', '.join(sorted(unknown))}; there are {', '.join(POLICIES)}.")
    entries = _entries(budgets)
    kinds = cast("Sequence[Filler]", fillers or FILLERS)
    settings = [
        setting(length, filler, streams, facts, topics, entries, block, how) for length in lengths for filler in kinds for how in shares
    ]
    language, shape = (
        Language(),
        Shape(layers=layers, width=width, heads=width // 24, kv_heads=max(1, width // 48), steps=steps, device=device),
    )
    with progress("training") as advance:
        model, about = trained(language, shape, weights, advance)
    with progress("methods") as advance:
        rows = run(model, language, settings, methods or POLICIES, advance)
    if is_beside:
        with progress("kvpress") as advance:
            rows += beside(model, language, settings, advance)
    told = f"Written by `loci bench kv-recall`. {about} {machine()}."
    if report is not None:
        write(report, rows, told)
    if as_json:
        click.echo(json.dumps({"about": told, "caveat": CAVEAT, "rows": [asdict(row) for row in rows]}, indent=1))
        return
    for one in settings:
        note(f"{one.filler} filler, {one.length:,} tokens, {one.facts} facts, {one.shares} shares")
        _show(one, [row for row in rows if row.setting == one])
    for line in targets(rows)[2:]:
        note(line.strip("| ").replace(" | ", "; "))
    note(f"{CAVEAT} {told}")


def _show(one: Setting, rows: Sequence[Any]) -> None:
    heads = ["method", *(f"M={b}" for b in one.budgets), "stored", "peak"]
    shown = []
    for policy in dict.fromkeys(row.policy for row in rows):
        own = [row for row in rows if row.policy == policy]
        cells = (
            [f"{100 * row.recall:.1f}" for row in own]
            if len(own) > 1 or len(one.budgets) == 1
            else [f"{100 * own[0].recall:.1f}"] * len(one.budgets)
        )
        shown.append([policy, *cells, f"{own[-1].stored:.0f}", str(own[-1].peak)])
    show_table(heads, shown, right=tuple(heads[1:]))


def _entries(budgets: str | None) -> tuple[int, ...] | None:
    if budgets is None:
        return None
    try:
        return tuple(sorted({int(part) for part in budgets.split(",")}))
    except ValueError as error:
        raise Invalid(f"Budgets are numbers with commas between them, 64,128 say, not {budgets!r}.") from error
