"""`loci bench bank`: answers from compressed documents, beside their text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isqrt
from pathlib import Path

import click


@click.command()
@click.option("--documents", type=click.IntRange(2), multiple=True, default=(10, 100, 1000), show_default=True, help="In the bank.")
@click.option("--tokens", type=click.IntRange(1), default=8, show_default=True, help="Memory tokens of a document.")
@click.option("--k", type=click.IntRange(1), default=4, show_default=True, help="Entries that an answer is aggregated from.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Of everything; each trains anew.")
@click.option("--layers", type=click.IntRange(1), default=3, show_default=True, help="Of the model.")
@click.option("--width", type=click.IntRange(48), default=96, show_default=True, help="Of the model.")
@click.option(
    "--model-steps", type=click.IntRange(1), default=4500, show_default=True, help="Of the model's training; some minutes on one core."
)
@click.option("--steps", type=click.IntRange(1), default=500, show_default=True, help="Of each compressor's training; some minutes.")
@click.option("--lessons", type=click.IntRange(32), default=1300, show_default=True, help="Documents that compressors are taught on.")
@click.option("--asked", type=click.IntRange(1), default=1000, show_default=True, help="Questions at each size, at most.")
@click.option("--device", default="cpu", show_default=True, help="Where it is trained and asked, as torch spells it.")
@click.option(
    "--weights", type=click.Path(file_okay=False, path_type=Path), help="Keep trained models in this folder, and take them from it."
)
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write report.md, a picture and rows.jsonl here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def bank(
    documents: Sequence[int], tokens: int, k: int, seeds: int, layers: int, width: int, model_steps: int, steps: int, lessons: int, asked: int, device: str,
    weights: Path | None, report: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Train a small model and a compressor of documents for it, fill a bank, and ask for what the documents say.

    Beside closed book, the text in context, and the text found by the same matcher. Needs the extra `parametric`. A made-up language: it says nothing about
    the quality of a model's words.
    """
    from loci.cli.bench_kv import check_torch
    from loci.errors import Invalid, Unsupported

    check_torch(device)
    try:
        from loci.bench.bank import Setting
        from loci.cli.bank import measured
    except ImportError as error:
        raise Unsupported(f"This needs peft ({error}): pip install 'loci-memos[parametric]'.") from error
    if width % 48:
        raise Invalid(f"width is {width}; it must be a multiple of 48, two heads of 24 that share their keys.")
    usual = Setting()
    syllables = max(usual.language.syllables, isqrt(max(documents) + lessons) + 1)  # names enough for both
    setting = replace(
        usual, sizes=tuple(sorted(set(documents))), k=k, lessons=lessons, asked=asked, weights=weights, language=replace(usual.language, syllables=syllables),
        shape=replace(usual.shape, layers=layers, width=width, heads=width // 24, kv_heads=width // 48, steps=model_steps, device=device),
        recipe=replace(usual.recipe, tokens=tokens), course=replace(usual.course, steps=steps),
    )  # fmt: skip
    measured(setting, seeds=seeds, report=report, as_json=as_json)
