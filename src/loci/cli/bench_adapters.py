"""`loci bench adapters`: what a model learns into weights of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

PARTS = ("lifecycle", "facts", "retention", "cartridges", "unlearning")


@click.command()
@click.option(
    "--part", "parts", type=click.Choice(PARTS), multiple=True, help="Only this; by default all. Retention learns the facts first."
)
@click.option(
    "--size",
    type=click.Choice(["small", "large"]),
    default="small",
    show_default=True,
    help="Of the model: 1.3 million weights and 100 facts, or 36 million and 1,000.",
)
@click.option("--facts", type=click.IntRange(12), help="New facts that are learned.")
@click.option(
    "--edits", type=click.IntRange(1), default=100, show_default=True, help="Facts dropped or changed, each with an adapter built anew."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda.")
@click.option("--weights", type=click.Path(dir_okay=False, path_type=Path), help="Of the model; written here if the file is not there.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a report with a picture here, or renew the parts that were measured in the one that is there.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def adapters(
    parts: Sequence[str], size: str, facts: int | None, edits: int, device: str, weights: Path | None, report: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Train a small model on a made-up language, have it learn new facts, and examine what it knows, keeps, and has lost.

    It says what adapters do to such a model, and nothing about the quality of a language model. Needs the extra `parametric`.
    """
    from importlib.util import find_spec

    from loci.cli.bench_kv import check_torch
    from loci.errors import Unsupported

    check_torch(device)
    if find_spec("peft") is None:
        raise Unsupported("Learning needs peft: pip install 'loci-memos[parametric]'.")
    from loci.bench.adapters_report import CAVEAT, targets, write
    from loci.bench.machine import machine
    from loci.cli.render import note

    found = _measured(parts or PARTS, size, facts, edits, device, weights)
    told = f"Written by `loci bench adapters`. {found['model']} {_tools()} {machine()}."
    if report is not None:
        write(report, found, told)
    if as_json:
        click.echo(json.dumps({"about": told, "caveat": CAVEAT, **found}, indent=1))
        return
    for line in targets(found)[2:]:
        note(line.strip("| ").replace(" | ", "; "))
    note(f"{CAVEAT} {told}")


def _measured(parts: Sequence[str], size: str, facts: int | None, edits: int, device: str, weights: Path | None) -> dict[str, Any]:
    """The model trained or loaded, and each part measured on it."""
    from dataclasses import replace

    import torch

    from loci.bench import adapters as measures
    from loci.bench.adapters_model import LARGE, Shape, trained
    from loci.cli.render import progress

    torch.set_num_threads(1)  # the same sums whatever the machine has; and on tensors this small, threads wait for each other
    shape = replace(LARGE if size == "large" else Shape(), device=device)
    setting = measures.Setting(facts=facts or (1000 if size == "large" else 100), edits=edits)
    with progress("training") as advance:
        world, engine, about = trained(shape, weights, advance)
    found: dict[str, Any] = {"model": about, "base": measures.base(world, engine)}
    learned = None
    if {"facts", "retention"} & set(parts):
        with progress("facts") as advance:
            learned, found["facts"] = measures.facts(world, engine, setting, advance)
    if "retention" in parts and learned is not None:
        with progress("retention") as advance:
            found["retention"] = measures.retention(world, engine, setting, learned, advance)
    for part in ("lifecycle", "cartridges", "unlearning"):
        if part in parts:
            with progress(part) as advance:
                found[part] = getattr(measures, part)(world, engine, setting, advance)
    return found


def _tools() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft")) + ", one thread;"
