"""What `loci bench bank` does once torch is known to be there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean

import click
import torch

from loci.bench.bank import ARMS, Run, Setting, run
from loci.bench.bank_report import CAVEAT, spread, targets, values, write
from loci.bench.machine import machine
from loci.cli.render import note, progress, show_table


def measured(setting: Setting, *, seeds: int, report: Path | None, as_json: bool) -> None:
    """Trains, fills banks, asks, and shows what came of it."""
    torch.set_num_threads(1)  # on tensors this small, threads wait for each other
    runs: list[Run] = []
    with progress("training") as advance:
        for seed in range(seeds):
            runs.append(run(setting, seed, lambda done, every, seed=seed: advance(seed * every + done, seeds * every)))  # type: ignore[misc]
            told = f"Written by `loci bench bank --seeds {len(runs)}`. {about(setting, runs)} {machine()}."
            if report is not None:
                write(report, setting, runs, told)  # after each seed: what is done is there, should the rest be stopped
    if as_json:
        click.echo(json.dumps({"about": told, "caveat": CAVEAT, "runs": [asdict(one) for one in runs]}, indent=1))
        return
    sizes = sorted(setting.sizes)
    rows = [[arm, *(spread(values(runs, arm, n, lambda cell: 100 * cell.right)) for n in sizes)] for arm in ARMS]
    show_table(["right answers, %", *(f"{n:,} documents" for n in sizes)], rows, right=[f"{n:,} documents" for n in sizes])
    for line in targets(setting, runs)[2:]:
        note(line.strip("| ").replace(" | ", "; "))
    note(f"{CAVEAT} {told}")


def about(setting: Setting, runs: Sequence[Run]) -> str:
    """What was trained, in words."""
    told, shape, course, recipe = runs[0].about, setting.shape, setting.course, setting.recipe
    right = mean(one.about["answers right in the last steps"] for one in runs)
    seconds, others = (mean(one.about[f"{what} seconds"] for one in runs) for what in ("model", "compressor"))
    language = setting.language
    return (
        f"{len(runs)} seed{'s' if len(runs) > 1 else ''}. Model: Qwen3's shape, {shape.layers} layers, width {shape.width}, {told['weights']:,.0f} weights, float32, {shape.steps:,} steps in {seconds:,.0f} CPU seconds on "
        f"{shape.device}; answers from one, two or four documents in context right in the last steps: {right:.1%}. Documents of {language.length} tokens with {language.facts} facts; answers of {language.values} values. "
        f"Two compressors of {recipe.tokens} memory tokens ({language.length / recipe.tokens:.1f}x fewer), {told['learned weights']:,.0f} weights (rank {recipe.rank}), {course.steps:,} steps on {setting.lessons:,} documents each, "
        f"{others:,.0f} CPU seconds for both; k = {setting.k}."
    )
