"""`loci foresee`, and `loci bench scene`, which measures it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from loci.cli.place import Place, reading, scoped, verb
from loci.cli.values import emit


@verb("foresee")
@click.argument("questions", nargs=-1)
@reading
@scoped
@click.option("--budget-tokens", type=int, default=1200, show_default=True, metavar="N", help="Tokens of prepared text at most.")
def foresee(place: Place, questions: Sequence[str], as_json: bool, **wanted: Any) -> None:
    """Show what the next turn may want, after QUESTIONS were asked, oldest first, and why.

    It is a guess from what they recalled. A conversation that was begun with ahead=True prepares it whenever a turn is over.
    """
    from loci.cli import render
    from loci.policy.foresight import WAYS

    with place.open_cube() as cube:
        found = cube.foresee(list(questions), **wanted)
    if as_json:
        emit({"guesses": found.guesses, "weights": found.weights, "text": found.recall.text, "tokens": found.recall.tokens,
              "considered": found.recall.trace.considered, "missing": found.recall.trace.missing})  # fmt: skip
        return
    texts = {hit.memory.id: hit.memory.text for hit in found.recall.hits}
    rows = [[f"{guess.share:.3f}", WAYS[guess.why], texts[guess.memory][:80], guess.memory] for guess in found.guesses]
    render.show_table(["share", "why", "memory", "id"], rows, right=("share",))
    counted = ", ".join(f"{way} {weight:.2f}" for way, weight in found.weights.items())
    render.note(f"{found.recall.tokens} tokens, chosen from {found.recall.trace.considered} memories; ways of guessing: {counted}")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--replay", "orders", multiple=True, help="questions, 'questions, shuffled' or turns; all by default.")
@click.option(
    "--skip",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Conversations left out at the start; 3 of LoCoMo's served for tuning.",
)
@click.option("--limit", type=click.IntRange(0), default=0, help="Conversations at most; 0 for all.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write report.md and a picture here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
def scene(folder: Path, orders: Sequence[str], skip: int, limit: int, report: Path | None, as_json: bool) -> None:
    """Replay conversations of FOLDER, and measure how much of what the next turn needs is ready before it comes.

    Beside what is no prediction at all, what who knows the question would prepare, and what its own search finds.
    """
    from loci.bench import scene_report
    from loci.bench.machine import machine
    from loci.bench.scene import ORDERS, run
    from loci.cli.render import note, progress, show_table
    from loci.errors import Invalid
    from loci.settings import load
    from loci.wire import embedder_of

    if unknown := set(orders) - set(ORDERS):
        raise Invalid(f"There is no replay {', '.join(sorted(unknown))}; there are {'; '.join(ORDERS)}.")
    with progress(folder.name) as advance:
        found = run(folder, embedder_of(load()[0]), orders or ORDERS, advance, skip, limit).figures()
    about = f"Written by `loci bench scene`. Data: {folder.name}, without its first {skip} conversations. {machine()}."
    if report is not None:
        scene_report.write(report, found, about)
    if as_json:
        click.echo(json.dumps({"about": about, **found}, indent=1))
        return
    for order, row in found["orders"].items():
        note(f"{order}: {row['questions']:,} of {row['conversations']} conversations")
        show_table(["prepared", "", "ready, %", "tokens"], scene_report.rows(row), right=("ready, %", "tokens"))
        note(scene_report.told(row))
    note(scene_report.milliseconds(found))
