"""Memories that a model has read: activate, generate, kv."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loci.cli import budgets
from loci.cli.place import F, Place, reading, scoped, verb
from loci.cli.values import emit
from loci.errors import Invalid

if TYPE_CHECKING:
    from loci.types import Handle


@verb("activate")
@click.argument("memories", nargs=-1)
@reading
@scoped
@click.option("--about", metavar="WORDS", help="Read what a search for these words finds, instead of memories by their ids.")
@click.option("--limit", type=int, metavar="N", help="Memories of that search at most.")
@click.option("--codec", help="How numbers are kept: raw, hidden, exact (the smaller of these), int8 or int4.  [default: raw]")
@click.option("--most-divergence", type=float, default=1e-3, show_default=True, help="Nats a token that a codec may cost the answers.")
@budgets.kept
@click.option(
    "--episodes",
    type=int,
    metavar="N",
    help="As N episodes at most, each under the budget: of every message, unless MEMORIES or --about say which.",
)
@click.option("--id", metavar="ID", help="Build this one anew: without MEMORIES of its own, and as it was kept.")
def activate(place: Place, episodes: int | None, as_json: bool, **wanted: Any) -> None:
    """Have a model read MEMORIES once, and keep what it makes of them.

    Later answers (`loci generate`) go on from there: the same answer, sooner. With a budget it is not the same (`loci generate --approximate`).
    """
    from loci.cli import render

    if episodes is not None:
        _activate_episodes(place, episodes, as_json, wanted)
        return
    with place.open_cube(is_writing=True) as cube, render.progress("pages") as advance:
        handle = cube.activate(**wanted, progress=advance)
    if as_json:
        emit(handle)
        return
    render.show_fields({
        "id": handle.id, "memories": len(handle.memories), "tokens": handle.tokens, "bytes": handle.bytes, "codec": handle.codec,
        "divergence": f"{handle.quality['kl']:.1e} nats a token" if "kl" in handle.quality else "",
        **budgets.fields(handle, wanted["budget"]),
    })  # fmt: skip
    if handle.is_reused:
        render.note(f"it was there already, and is as it was; `loci activate --id {handle.id}` makes it anew.")


def _activate_episodes(place: Place, episodes: int, as_json: bool, wanted: dict[str, Any]) -> None:
    from loci.cli import render

    if wanted.pop("id") is not None or wanted["budget"] is None:
        raise Invalid(
            "--episodes needs --budget, entries a layer of each episode, and no --id: asked again, each is read anew where it must be."
        )
    with place.open_cube(is_writing=True) as cube, render.progress("episodes") as advance:
        handles = cube.activate_episodes(**wanted, episodes=episodes, progress=advance)
    if as_json:
        emit(handles)
        return
    rows = [
        [
            handle.id,
            str(len(handle.memories)),
            f"{handle.tokens:,}",
            budgets.cell(handle) or "all, exactly",
            "as it was" if handle.is_reused else "read",
        ]
        for handle in handles
    ]
    render.show_table(["episode", "memories", "tokens", "kept", ""], rows, right=("memories", "tokens"))
    render.note("`loci generate --approximate` goes on from the one that holds most of what is recalled.")


@verb("generate")
@click.argument("question")
@reading
@scoped
@click.option("--limit", type=int, metavar="N", help="Memories that are recalled at most.")
@click.option("--budget-tokens", type=int, metavar="N", help="Tokens of recalled text at most, besides what was activated.")
@click.option("--max-tokens", type=int, default=256, show_default=True, help="Length of the answer at most.")
@click.option("--temperature", type=float, default=0.0, show_default=True, help="0 takes the likeliest token each time.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the choice, where the temperature is above 0.")
@click.option(
    "--activation", "activations", multiple=True, metavar="ID", help="Begin with this activation memory; several times for several."
)
@click.option(
    "--compose",
    default="prefix",
    show_default=True,
    metavar="MODE",
    help="Of several: prefix goes on from one, exactly; block and blend put all behind one another, approximately.",
)
@click.option("--share", type=float, default=0.15, show_default=True, help="Of the tokens that blend reads again.")
@click.option("--adapter", "adapters", multiple=True, metavar="ID", help="With this adapter, mounted or not; several times for several.")
@click.option("--no-adapters", is_flag=True, help="Without any, mounted or not.")
@click.option("--keep", is_flag=True, help="Keep what is read for it as an activation memory, where that is worth it.")
@budgets.approximate
def generate(place: Place, question: str, no_adapters: bool, as_json: bool, **wanted: Any) -> None:
    """Answer QUESTION from memory with a model that runs here, or behind a server.

    Says on stderr what of the prompt an activation memory held, or why none did.
    """
    from loci.cli import render

    wanted["adapters"] = () if no_adapters else wanted["adapters"] or None
    with place.open_cube(is_writing=wanted["keep"]) as cube:
        answer = cube.generate(question, **wanted)
        if as_json:
            emit({"text": answer.text(), "attached": answer.attached, "memories": answer.recall.ids})
            return
        for piece in answer:
            click.echo(render.safe(piece), nl=False)
            sys.stdout.flush()
        click.echo()
        told = answer.attached
        if told.adapters:
            render.note(f"mounted: {', '.join(told.adapters)}; {told.read_tokens} tokens were read ({told.reason}).")
            return
        render.note(
            f"{told.held_tokens} tokens were held by {', '.join(told.handles) or 'no activation memory'},"
            f" {told.read_tokens + told.reread_tokens} were read ({told.reason})."
        )
        if told.is_approximate:
            render.warn("the answer is approximate: it need not be that of the text.")


@click.group()
def kv() -> None:
    """Look after what models have read: list, inspect, profile, verify, drop, export, import, server, write-off."""


def kv_verb(name: str) -> Callable[[F], F]:
    """A command of the group."""

    def decorate(function: F) -> F:
        kv.add_command(verb(name)(function))
        return function

    return decorate


def _kept(handle: Handle) -> str:
    """How it is kept, what of it, and whether it can be used."""
    what = "read for an answer" if handle.is_kept else budgets.cell(handle)
    return "; ".join(filter(None, (f"{handle.codec} {handle.dtype}", what, "void" if handle.void else "")))


@kv_verb("list")
@scoped
def list_(place: Place, as_json: bool, **scope: Any) -> None:
    """The activation memories of a user's, oldest first, and why one is void: it cannot be used as things are.

    `loci kv drop ID` lets go of such a one, `loci activate --id ID` makes it anew from its memories as they read now.
    """
    from loci.cli import render

    with place.open_cube() as cube:
        found = cube.activations(**scope)
    if as_json:
        emit(found)
        return
    rows: list[list[render.Cell]] = [
        [h.id, str(len(h.memories)), f"{h.tokens:,}", f"{h.bytes:,}", str(h.uses), render.lines(_kept(h), under=render.moment(h.created))]
        for h in found
    ]
    render.show_table(["id", "memories", "tokens", "bytes", "uses", "kept, and since"], rows, right=["memories", "tokens", "bytes", "uses"])
    for handle in found:
        if handle.void:
            render.warn(f"{handle.id} cannot be used: {handle.void}")
    if not found:
        render.note_nothing_of("activation memories", scope)


@kv_verb("inspect")
@click.argument("id")
def inspect(place: Place, id: str, as_json: bool) -> None:
    """Everything that is known of the activation memory ID: model, tokens, files, memories."""
    from loci.cli import render

    with place.open_cube() as cube:
        found = cube.activation(id)
    if as_json:
        emit(found)
        return
    model, remote = found.fingerprint, found.remote
    held = (
        {"server": remote.server, "held as": remote.name, "read in": f"{remote.seconds:.2f} s"} if remote else {"files": len(found.pages)}
    )
    render.show_fields({
        "id": found.id, "version": found.version, "built": found.created, "tokens": len(found.ids), "codec": found.codec.name,
        "model": model.model[:16], "tokenizer": model.tokenizer[:16], "template": model.template[:16], "adapters": model.adapters or "none",
        "dtype": model.dtype, "attention": model.attention, "rope": f"{model.rope[0]}, theta {model.rope[1]:g}" if model.rope[0] else "", "layers": len(model.layers),
        "context": model.context, **held, **budgets.told(found), "bytes": found.bytes, "quality": {k: f"{v:.2e}" for k, v in found.quality.items()},
        "tools": found.tools, "memories": [f"{q.memory} v{q.version}" for q in found.quoted],
    })  # fmt: skip


kv.add_command(budgets.profile)


@kv_verb("verify")
@reading
def verify(place: Place, as_json: bool) -> int:
    """Look at every byte of every activation memory; exit 7 where one is not as it was written."""
    from loci.cli import render
    from loci.errors import Corrupt

    with place.open_cube() as cube:
        report = cube.verify()
        count = cube.stats()["activations"]
    faults = [fault for fault in report.faults if fault.where.startswith("activation")]
    if as_json:
        emit({"checked": count, "faults": faults, "let_go": report.let_go})
        return Corrupt.exit_code if faults else 0
    render.warn_of_gone(report.let_go)
    if faults:
        render.show_table(["where", "what"], [[fault.where, fault.what] for fault in faults])
    is_whole = bool(count) and not faults
    render.note(f"{count} activation memories were checked{': every page is as it was written' if is_whole else ''}.")
    return Corrupt.exit_code if faults else 0


@kv_verb("drop")
@click.argument("id")
@reading
def drop(place: Place, id: str, as_json: bool) -> None:
    """Let go of the activation memory ID. The memories that it was built of stay."""
    from loci.cli import render

    with place.open_cube(is_writing=True) as cube:
        left = cube.deactivate(id)
    if as_json:
        emit({"dropped": id, "left": left})
    for told in () if as_json else left:
        render.warn(told)


@kv_verb("export")
@click.argument("id")
@click.argument("path", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--plain", is_flag=True, help="You know that it is not encrypted though the cube is.")
def export(place: Place, id: str, path: Path, plain: bool, as_json: bool) -> None:
    """Write the activation memory ID to a new FOLDER, for another vault with the same words and model."""
    from loci.cli import render

    with place.open_cube() as cube:
        written = cube.export_activation(id, path, plain=plain)
    if written["of_encrypted"]:
        render.note(f"the cube is encrypted, and {path} is not: whoever has it has the words.")
    if as_json:
        emit(written)
    else:
        render.show_fields({"folder": str(path), **written})


@kv_verb("import")
@click.argument("path", metavar="FOLDER", type=click.Path(path_type=Path))
@reading
@scoped
@click.option("--trusted", is_flag=True, help="You vouch for its numbers: the model does not read the words to compare.")
@click.option("--most-divergence", type=float, default=1e-3, show_default=True, help="Nats a token that its codec may cost the answers.")
def import_(place: Place, path: Path, as_json: bool, **wanted: Any) -> None:
    """Take in the activation memory that `loci kv export` wrote to FOLDER.

    Its words must be here too, and the model the very same; everything in it is checked, and nothing in it is run.
    """
    from loci.cli import render

    with place.open_cube(is_writing=True) as cube:
        handle = cube.import_activation(path, **wanted)
    if as_json:
        emit(handle)
        return
    render.show_fields(
        {"id": handle.id, "memories": len(handle.memories), "tokens": handle.tokens, "bytes": handle.bytes, "codec": handle.codec}
    )
    if handle.is_reused:
        render.note("the same was there already: nothing was taken in.")


@kv_verb("write-off")
@click.argument("name")
@click.option("--reason", default="", metavar="TEXT", help="How you know; kept in the log.")
def write_off(place: Place, name: str, reason: str, as_json: bool) -> None:
    """Vouch that what a server holds as NAME is gone, where nobody could make it forget."""
    with place.open_cube(is_writing=True) as cube:
        cube.write_off(name, reason=reason)
    if as_json:
        emit({"written_off": name})


@kv_verb("server")
@reading
def server(place: Place, as_json: bool) -> None:
    """What the server that is the engine says it is, and what it holds of the cube."""
    from loci.cli import render

    with place.open_cube() as cube:
        found = cube.server()
    if as_json:
        emit(found)
        return
    hits = f"{found.hits.cached_tokens:,} of {found.hits.tokens:,} tokens, of all who use it" if found.hits else "it does not tell"
    render.show_fields({
        "server": f"{found.kind} at {found.url}", "model": found.model, "context": found.context or "it does not tell", "cache held": hits,
        "holds of this cube": len(found.lent), "bytes": f"{sum(max(lent.bytes, 0) for lent in found.lent):,} of {found.room:,}",
    })  # fmt: skip
