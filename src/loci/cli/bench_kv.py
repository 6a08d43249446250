"""`loci bench kv`: what activation memory saves here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click


@click.command()
@click.option(
    "--shape", default="30m", show_default=True, help="Of the model, whose weights are random: 1m, 30m, hybrid-30m, qwen3-8b or qwen3-14b."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda.")
@click.option("--dtype", help="float32 on a CPU, bfloat16 on a GPU.")
@click.option(
    "--attention",
    default="sdpa",
    show_default=True,
    help="As transformers calls it: eager, or flash_attention_2 where flash-attn is installed.",
)
@click.option("--context", "contexts", type=click.IntRange(2), multiple=True, help="Tokens of a memory; 583, 2773 and 6064.")
@click.option("--query", "queries", type=click.IntRange(1), multiple=True, help="Tokens of a question; 167, 303 and 953.")
@click.option("--tries", type=click.IntRange(1), default=3, show_default=True, help="How often each thing is timed.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of the CPU.")
@click.option(
    "--codecs", type=click.IntRange(1), metavar="N", help="Measure the codecs too, over N texts, on the model that kv-recall trains."
)
@click.option("--weights", type=click.Path(dir_okay=False, path_type=Path), help="Of that model; written here if the file is not there.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write a report with a picture here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def kv(
    shape: str, device: str, dtype: str | None, attention: str, contexts: Sequence[int], queries: Sequence[int], tries: int, threads: int,
    codecs: int | None, weights: Path | None, report: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Time the first token of an answer: from the text of a memory, and from what a model made of it.

    From the disk both warm, out of the system's page cache, and cold, where the system lets go of files when it is asked. Also whether use changes it, whether it is the same after a restart, and how well the cost model predicts all this. Needs the
    extra `activation`. Timings vary from run to run: compare within one.
    """
    check_torch(device)
    import torch

    from loci.bench.kv import CONTEXTS, QUERIES, SHAPES, run
    from loci.bench.kv_report import arms_of, named, restarted, write
    from loci.bench.machine import machine
    from loci.cli.render import note, progress, show_table
    from loci.errors import Invalid

    if shape not in SHAPES:
        raise Invalid(f"There is no shape {shape!r}; there are {', '.join(SHAPES)}.")
    torch.set_num_threads(threads)
    chosen = dtype or ("bfloat16" if device.startswith("cuda") else "float32")
    if chosen not in ("float32", "float16", "bfloat16"):
        raise Invalid(f"dtype is {chosen!r}; it must be float32, float16 or bfloat16.")
    with progress("cells") as advance:
        found = run(shape, device, chosen, tries, contexts or CONTEXTS, queries or QUERIES, advance, attention)
    if codecs is not None:
        from loci.bench.kv_codecs import run as run_codecs

        with progress("training") as advance:
            found["codecs"] = run_codecs(weights, codecs, advance)
    if report is not None:
        write(report, found, machine())
    if as_json:
        click.echo(json.dumps({**found, "machine": machine()}, indent=1))
        return
    arms = arms_of(found)
    rows = [
        [f"{c['context']:,}", f"{c['query']:,}", f"{c['ms']['text']:,.0f}", *(f"{c['ms'][arm]:,.0f} ({c['saved'][arm]:.1f} %)" for arm in arms),
         f"{c['predicted']['disk']:.1f} %", "-" if c["published"] is None else f"{c['published']:.1f} %", f"{c['build_ms']:,.0f}", f"{c['difference']:.0e}"]
        for c in found["first token"]
    ]  # fmt: skip
    columns = ["context", "query", "text", *(named(arm) for arm in arms), "predicted", "MemOS 8B", "build", "differ"]
    show_table(columns, rows, right=columns, title="milliseconds to the first token (saved)")
    uses, restart = found["uses"], found["restart"]
    for name, row in found["codec speed"].items():
        note(f"{name}: {row['encode_GB_per_s']:.2f} GB of the state encoded a second, {row['decode_GB_per_s']:.2f} decoded.")
    note(
        f"{uses['uses']} uses by {uses['threads']} threads: {uses['same answers']} the same; bytes {'the same' if uses['same bytes'] else 'CHANGED'}."
    )
    if restart is not None:
        note(f"after a restart {restarted(restart)}.")
    for name, row in found.get("codecs", {}).get("codecs", {}).items():
        note(f"{name}: {row['bytes over float16']:.3f} of float16, divergence {row['kl']:.1e} nats, {row['facts right']:.1%} of the facts.")
    note(machine())


@click.command("kv-memory")
@click.option(
    "--shape", default="30m", show_default=True, help="Of the model, whose weights are random: 1m, 30m, hybrid-30m, qwen3-8b or qwen3-14b."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda.")
@click.option("--context", type=click.IntRange(64), default=4096, show_default=True, help="Tokens that are read.")
@click.option("--budget", type=click.IntRange(16), default=1024, show_default=True, help="Entries that a layer keeps.")
@click.option("--block", type=click.IntRange(16), default=256, show_default=True, help="Tokens that are read at once.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def kv_memory(shape: str, device: str, context: int, budget: int, block: int, as_json: bool) -> None:
    """Read a long context with and without a budget for its cache: bytes at the peak, and a token of the answer.

    Random weights: it says nothing about what is recalled (`loci bench kv-recall` does, for a made-up language). Needs the extra `activation`.
    """
    check_torch(device)
    from loci.bench.kv import SHAPES
    from loci.bench.kv_memory import run
    from loci.bench.machine import machine
    from loci.cli.render import note, progress, show_table
    from loci.errors import Invalid

    if shape not in SHAPES:
        raise Invalid(f"There is no shape {shape!r}; there are {', '.join(SHAPES)}.")
    with progress("caches") as advance:
        found = run(shape, device, "bfloat16" if device.startswith("cuda") else "float32", context, budget, block, advance)
    if as_json:
        click.echo(json.dumps({**found, "machine": machine()}, indent=1))
        return
    rows = [
        [name, f"{row['peak_entries']:,.0f}", f"{row['peak_bytes'] / 1e6:,.1f}", f"{row['stored_bytes'] / 1e6:,.1f}", f"{row['read_s']:.1f}", f"{row['decode_ms']:.1f}"]
        for name, row in (("full", found["full"]), ("budgeted", found["budgeted"]))
    ]  # fmt: skip
    columns = ["cache", "peak entries", "peak MB", "stored MB", "read s", "token ms"]
    show_table(columns, rows, right=columns[1:])
    note(f"peak {found['peak of full over budgeted']:.1f}x, a token {found['decode of full over budgeted']:.1f}x; {machine()}.")


@click.command("kv-cube")
@click.option(
    "--shape", default="30m", show_default=True, help="Of the model, whose weights are random: 1m, 30m, hybrid-30m, qwen3-8b or qwen3-14b."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda.")
@click.option("--context", "contexts", type=click.IntRange(64), multiple=True, help="Tokens of memories, about; 600, 2800 and 6000.")
@click.option("--tries", type=click.IntRange(1), default=3, show_default=True, help="How often each thing is timed.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of the CPU.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def kv_cube(shape: str, device: str, contexts: Sequence[int], tries: int, threads: int, as_json: bool) -> None:
    """Time the first token of an answer through a whole cube: from the disk with and without its pages brought ahead, and of several
    activation memories put together.

    Timings vary from run to run: compare within one. Random weights say nothing about answers. Needs the extra `activation`.
    """
    check_torch(device)
    import torch

    from loci.bench.kv import SHAPES
    from loci.bench.kv_cube import run
    from loci.bench.machine import machine
    from loci.cli.render import note, progress, show_table
    from loci.errors import Invalid

    if shape not in SHAPES:
        raise Invalid(f"There is no shape {shape!r}; there are {', '.join(SHAPES)}.")
    torch.set_num_threads(threads)
    with progress("contexts") as advance:
        found = run(shape, device, "bfloat16" if device.startswith("cuda") else "float32", tries, contexts or (600, 2800, 6000), advance)
    if as_json:
        click.echo(json.dumps({**found, "machine": machine()}, indent=1))
        return
    ways = ("text", "disk", "prepared", "device", "bringing it", "prefix", "block", "blend", "read", "kept", "gone on")
    rows = [
        [f"{row['context']:,}", *(f"{row['ms'][way]:,.0f}" for way in ways), f"{row['disk over prepared']:.2f}x", f"{row['prefix over block']:.2f}x",
         f"{row['kept over read']:.2f}x"]
        for row in found["first token"]
    ]  # fmt: skip
    columns = ["context", *ways, "disk / prepared", "prefix / block", "kept / read"]
    show_table(columns, rows, right=columns, title="milliseconds to the first token")
    note("block and blend are approximate: each memory was read without the others.")
    note(machine())


def check_torch(device: str) -> None:
    """Raises `Unsupported` where it cannot be measured."""
    from importlib.util import find_spec

    from loci.errors import Unsupported

    if find_spec("torch") is None or find_spec("transformers") is None:
        raise Unsupported("This needs torch and transformers: pip install 'loci-memos[activation]'.")
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise Unsupported("There is no GPU here that torch can use. --device cpu measures a small model.")
