"""What a model has learned of memories: distil, adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from loci.cli.place import F, Place, reading, scoped, verb
from loci.cli.values import emit
from loci.types import Adapter


@verb("distil")
@click.argument("memories", nargs=-1)
@reading
@scoped
@click.option("--about", metavar="WORDS", help="Learn what a search for these words finds. Without it, and without ids: everything.")
@click.option("--limit", type=int, metavar="N", help="Memories of that at most.")
@click.option("--form", help="lora (low-rank deltas), or cartridge (keys and values of a few virtual tokens).  [default: lora]")
@click.option("--rank", type=int, help="Of a lora.  [default: 8]")
@click.option("--tokens", type=int, help="Of a cartridge.")
@click.option("--exposures", type=int, help="How often each lesson is seen.  [default: 60]")
@click.option("--rate", type=float, help="Of learning.  [default: 0.001]")
@click.option(
    "--replay", type=float, help="Share of what is seen that is the model's own, so that it forgets nothing else.  [default: 0.25]"
)
@click.option(
    "--minutes", type=float, default=10.0, show_default=True, help="It may take; what is learned by then is kept, and --id goes on."
)
@click.option("--most-bytes", type=int, help="An adapter may have.  [default: 268435456]")
@click.option("--seed", type=int, help="Of chance: the same gives the same weights.  [default: 0]")
@click.option(
    "--pairs", help="Who asks about the memories: rules, or the model at the endpoint, which is sent them one by one.  [default: rules]"
)
@click.option(
    "--id", metavar="ID", help="Learn this adapter anew, of the memories that it has, or go on with it: as before in what is not said anew."
)
@click.option("--wait/--no-wait", default=True, help="Learn now, or put it into the queue for `loci worker`.")
def distil(place: Place, as_json: bool, **wanted: Any) -> int:
    """Have the model learn MEMORIES, and keep what it learned as an adapter.

    It is examined before it may answer; one that fails is kept as failed, says why, and exits 5. The memories stay as they are.
    """
    from loci.cli import render
    from loci.errors import Conflict

    with place.open_cube(is_writing=True) as cube, render.progress("steps") as advance:
        made = cube.distil(**wanted, progress=advance)
    _show(made, as_json)
    if made.is_reused and not as_json:
        render.note(f"it was there already: the same words and recipe give the same weights. `loci distil --id {made.id}` learns it anew.")
    return Conflict.exit_code if made.stage == "failed" else 0


@click.group()
def adapter() -> None:
    """Look after what models have learned: list, inspect, probe, mount, unmount, drop, export."""


def adapter_verb(name: str) -> Callable[[F], F]:
    """A command of the group."""

    def decorate(function: F) -> F:
        adapter.add_command(verb(name)(function))
        return function

    return decorate


@adapter_verb("list")
@scoped
def list_(place: Place, as_json: bool, **scope: Any) -> None:
    """The adapters of a user's, oldest first, and whether each may answer now."""
    from loci.cli import render

    with place.open_cube() as cube:
        found = cube.adapters(**scope)
    if as_json:
        emit(found)
        return
    rows: list[list[render.Cell]] = [
        [
            a.id,
            str(a.version),
            a.form,
            str(len(a.memories)),
            f"{a.bytes:,}",
            a.stage,
            a.state.value,
            "mounted" if a.is_mounted else "",
            a.reason,
        ]
        for a in found
    ]
    render.show_table(
        ["id", "version", "form", "memories", "bytes", "stage", "state", "", "why"], rows, right=["version", "memories", "bytes"]
    )
    if not found:
        render.note_nothing_of("adapters", scope)


@adapter_verb("inspect")
@click.argument("id")
@click.option("--version", type=int, metavar="N", help="This version; otherwise the latest.")
def inspect(place: Place, id: str, version: int | None, as_json: bool) -> None:
    """Everything that is known of the adapter ID: what it learned, by which model, how, and what its examination found."""
    from loci.cli import render

    with place.open_cube() as cube:
        found = cube.adapter(id, version)
    if as_json:
        emit(found)
        return
    recipe, report = found.recipe, found.report
    shape = f"rank {recipe.rank}" if recipe.form == "lora" else f"{recipe.tokens} tokens"
    render.show_fields({
        "id": found.id, "version": found.version, "begun": found.created, "stage": found.stage, "form": f"{recipe.form}, {shape}",
        "model": found.fingerprint.model[:16] if found.fingerprint else "", "lessons": found.lessons,
        "pairs": f"{sum(len(one.pairs) for one in found.pairs)} of {', '.join(sorted({one.model for one in found.pairs}))}, {sum(one.refused for one in found.pairs)} refused"
        if found.pairs else "by rules", "exposures": recipe.exposures,
        "steps": found.steps, "loss": f"{found.loss:.4f} nats a token", "seconds": f"{found.seconds:.1f}", "seed": recipe.seed,
        "recall": f"{report.recall_before:.1%} before, {report.recall:.1%} now, {report.recall_in_text:.1%} with the text in context" if report else "",
        "recognition": f"{report.recognition_before:.1%} before, {report.recognition:.1%} now" if report else "",
        "other texts": f"{report.collateral:+.2%} less expected, of {report.untouched}" if report else "",
        "retention": [f"{one.updates:,} further updates: recall {one.recall:.1%}, recognition {one.recognition:.1%}" for one in found.retained],
        "faults": list(found.faults), "tools": found.tools, "memories": [f"{q.memory} v{q.version}" for q in found.quoted],
    })  # fmt: skip


@adapter_verb("probe")
@click.argument("id")
@reading
@click.option("--version", type=int, metavar="N", help="This version; otherwise the latest.")
@click.option(
    "--updates", type=int, multiple=True, metavar="N", default=(10, 100, 1000), show_default=True, help="Further ones; may be given again."
)
def probe(place: Place, id: str, version: int | None, updates: Sequence[int], as_json: bool) -> None:
    """What the adapter ID knows now, and what would be left of it after so many further updates.

    Copies of it are trained on other texts and thrown away: it takes as long as so many steps of learning. The adapter stays as it is;
    what was found is kept with it (`loci adapter inspect`).
    """
    from loci.cli import render

    with place.open_cube() as cube, render.progress("updates") as advance:
        found = cube.probe_adapter(id, version, updates=updates, progress=advance)
    if as_json:
        emit(found)
        return
    rows: list[list[render.Cell]] = [
        [f"{one.updates:,}", f"{one.recognition:.1%}", f"{one.recall:.1%}", f"{one.verbatim:.1%}", f"{one.collateral:+.2%}"]
        for one in found
    ]
    titles = ["further updates", "recognition", "recall", "whole answers", "other texts less expected"]
    render.show_table(titles, rows, right=titles)


@adapter_verb("mount")
@click.argument("id")
@reading
@click.option("--version", type=int, metavar="N", help="This version; otherwise the latest.")
def mount(place: Place, id: str, version: int | None, as_json: bool) -> None:
    """Answer with the adapter ID from now on: what it learned is not read again."""
    with place.open_cube(is_writing=True) as cube:
        _show(cube.mount(id, version), as_json)


@adapter_verb("unmount")
@click.argument("id")
@reading
def unmount(place: Place, id: str, as_json: bool) -> None:
    """Answer without the adapter ID again."""
    with place.open_cube(is_writing=True) as cube:
        _show(cube.unmount(id), as_json)


@adapter_verb("drop")
@click.argument("id")
def drop(place: Place, id: str, as_json: bool) -> None:
    """Let go of the adapter ID, every version and every byte. The memories that it learned stay."""
    with place.open_cube(is_writing=True) as cube:
        cube.drop_adapter(id)
    if as_json:
        emit({"dropped": id})


@adapter_verb("export")
@click.argument("id")
@click.argument("path", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--plain", is_flag=True, help="You know that it is not encrypted though the cube is.")
@reading
def export(place: Place, id: str, path: Path, plain: bool, as_json: bool) -> None:
    """Write the adapter ID to a new FOLDER, as peft loads it, and vLLM where it is a lora. An erasure does not reach it there."""
    from loci.cli import render

    with place.open_cube(is_writing=True) as cube:
        folder = cube.export_adapter(id, path, plain=plain)
    if as_json:
        emit({"folder": str(folder)})
    else:
        render.show_fields({"folder": str(folder), "files": sorted(file.name for file in folder.iterdir())})


def _show(made: Adapter, as_json: bool) -> None:
    from loci.cli import render

    if as_json:
        emit(made)
        return
    found = made.found
    render.show_fields({
        "id": made.id, "version": made.version, "form": made.form, "memories": len(made.memories), "stage": made.stage, "state": made.state.value,
        "mounted": "yes" if made.is_mounted else "no", "why": made.reason, "bytes": made.bytes, "lessons": made.lessons,
        "seconds": f"{made.seconds:.1f}",
        "recall": f"{found['recall_before']:.1%} before, {found['recall']:.1%} now" if found else "",
        "other texts": f"{found['collateral']:+.2%} less expected" if found else "",
    })  # fmt: skip
