"""`loci bench mom` and `loci bench memo`: published mechanisms that serve models being trained, each beside what it is to be better than."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click


@click.command()
@click.option(
    "--pairs",
    type=click.IntRange(1),
    multiple=True,
    default=(4, 8, 16, 32),
    show_default=True,
    help="Of a key and a value that a text tells.",
)
@click.option("--length", type=click.IntRange(4), default=128, show_default=True, help="Tokens of a text.")
@click.option("--width", type=click.IntRange(8), default=64, show_default=True, help="Of the models.")
@click.option(
    "--keys",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Of a memory's matrix, a head; its values are as many as the width over the heads.",
)
@click.option("--heads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--words", type=click.IntRange(2), default=128, show_default=True, help="That keys are chosen from, and values.")
@click.option("--steps", type=click.IntRange(1), default=1500, show_default=True, help="Of each model's training.")
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Texts of a step.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes that train beside one another; one on a GPU."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write report.md, a picture and rows.jsonl here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def mom(
    pairs: Sequence[int], length: int, width: int, keys: int, heads: int, words: int, steps: int, batch: int, seeds: int, workers: int, device: str, report: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Train small models that keep several matrices in a layer, and ask them for what a text told.

    Beside one matrix of the same size, one of as many numbers as all together, and attention, each at the better of two learning rates. About an hour on two cores. Needs the extra `activation`. Made-up words: it
    says nothing about the quality of a model's.
    """
    from loci.cli.bench_kv import check_torch
    from loci.errors import Invalid

    check_torch(device)
    from dataclasses import asdict

    from loci.bench.machine import machine
    from loci.bench.mom import ARMS, Setting, run
    from loci.bench.mom_report import CAVEAT, compared, table, write
    from loci.cli.render import note, progress, show_table

    if width % heads:
        raise Invalid(f"width is {width}, which {heads} heads cannot share; give a multiple.")
    setting = Setting(
        tuple(sorted(set(pairs))), length, width, heads=heads, keys=keys, values=width // heads, words=words, steps=steps, batch=batch, device=device,
    )  # fmt: skip
    with progress("models") as advance:
        found = run(setting, seeds, ARMS, advance, workers if device == "cpu" else 1)
    told = (
        f"`loci bench mom --seeds {seeds}`: {setting.layers} layers of width {width}, texts of {length} tokens, {words} keys and values, {steps:,} steps of {batch} texts, rates {', '.join(f'{r:g}' for r in setting.rates)}; "
        f"{setting.memories} memories beside a shared one, {setting.top} for each token, {heads} heads of {keys} x {setting.values}. {device}; {machine()}."
    )
    if report is not None:
        write(report, setting, found, told)
    if as_json:
        click.echo(json.dumps({"about": told, "caveat": CAVEAT, "models": [asdict(one) for one in found]}, indent=1))
        return
    columns, rows = table(setting, found)
    shown = 3 + len(setting.pairs)  # the rest is in the report
    show_table(columns[:shown], [row[:shown] for row in rows], right=columns[1:])
    columns, rows = compared(setting, found)
    show_table([*columns[:2], *columns[3:]], [[*row[:2], *row[3:]] for row in rows], right=columns[3:])
    note(f"{CAVEAT} {told}")


@click.command()
@click.option("--shape", default="30m", show_default=True, help="Of the model, whose weights are random: 1m, 30m, qwen3-8b or qwen3-14b.")
@click.option("--layers", type=click.IntRange(1), default=4, show_default=True, help="That it has of them.")
@click.option("--tokens", type=click.IntRange(2), multiple=True, default=(512, 2048), show_default=True, help="Of a text.")
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda.")
@click.option("--dtype", help="float32 on a CPU, bfloat16 on a GPU.")
@click.option("--host-gib", type=click.FloatRange(0, min_open=True), help="What may be kept in the host's memory; half of what is free.")
@click.option("--tries", type=click.IntRange(1), default=3, show_default=True, help="How often each step is timed.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write report.md and found.json here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
def memo(
    shape: str, layers: int, tokens: Sequence[int], device: str, dtype: str | None, host_gib: float | None, tries: int, report: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Train a few layers on long texts, split by tokens: the first part keeps what was computed, the rest computes it again.

    Beside everything kept, every layer computed again, and everything kept on the host. Bytes, time, whether gradients are the same, and how well one arena for the tensors can be planned. Needs the
    extra `activation`. Timings vary from run to run: compare within one.
    """
    from loci.cli.bench_kv import check_torch
    from loci.errors import Invalid

    check_torch(device)
    from loci.bench.machine import machine
    from loci.bench.memo import Setting, run
    from loci.bench.memo_report import CAVEAT, kept, plans, steps, write
    from loci.cli.render import note, progress, show_table

    chosen = dtype or ("bfloat16" if device.startswith("cuda") else "float32")
    if chosen not in ("float32", "float16", "bfloat16"):
        raise Invalid(f"dtype is {chosen!r}; it must be float32, float16 or bfloat16.")
    setting = Setting(shape, layers, tuple(sorted(set(tokens))), device, chosen, tries, None if host_gib is None else int(host_gib * 2**30))
    with progress("steps") as advance:
        found = run(setting, advance)
    told = f"`loci bench memo`: {layers} layers of the shape {shape}, {chosen}, {found['device']}; {machine()}."
    if report is not None:
        write(report, found, told)
    if as_json:
        click.echo(json.dumps({**found, "about": told, "caveat": CAVEAT}, indent=1))
        return
    for columns, rows in (steps(found), kept(found), plans(found)):
        show_table(columns, rows, right=[one for one in columns if one not in ("way", "of")])
    note(f"{CAVEAT} {told}")
