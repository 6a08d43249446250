"""KV budgets on the command line: their options, and what is shown of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from loci.cli.place import F, Place, reading, scoped, verb
from loci.cli.values import emit

if TYPE_CHECKING:
    from loci.ports.engine import Manifest
    from loci.types import Handle


def kept(function: F) -> F:
    """The options of what is kept of a text under a budget."""
    for option in (
        click.option("--most-evicted", type=float, help="Share of the attention that may be evicted.  [default: 0.5]"),
        click.option("--layers", help="How layers share the budget: equal, or by their profile.  [default: equal]"),
        click.option(
            "--method",
            help="What stays: sirllm, key_difference, kvzip, snapkv, key_norm or streaming; of episodes epicache too.  [default: sirllm]",
        ),
        click.option("--budget", type=int, metavar="N", help="Keep N entries a layer only, not all: answers from it are approximate."),
    ):
        function = option(function)
    return function


def approximate(function: F) -> F:
    """The options of who takes an answer that need not be that of the text."""
    for option in (
        click.option("--most-evicted", type=float, help="With --approximate: use nothing that lost more of the attention.  [default: 1.0]"),
        click.option("--approximate", is_flag=True, help="Go on from what was read under a budget, too."),
    ):
        function = option(function)
    return function


def fields(handle: Handle, budget: int | None) -> dict[str, Any]:
    """Of what was just built: what is left of it, or that all of it is."""
    if not handle.method:
        return {} if budget is None else {"kept": f"all, exactly: it is no longer than the budget of {budget:,}"}
    return {"kept": cell(handle), "approximate": "yes: `loci generate --approximate` uses it"}


def cell(handle: Handle) -> str:
    """What is left of a text, in a few words; empty where all is."""
    if not handle.method:
        return ""
    return f"{handle.kept:,} of {handle.tokens:,} by {handle.method}, {handle.quality['evicted_mass']:.2f} evicted"


def told(manifest: Manifest) -> dict[str, Any]:
    """Everything that is known of how a text was cut down to a budget."""
    eviction = manifest.eviction
    if eviction is None:
        return {}
    stored = [page.tokens for page in manifest.pages]
    return {
        "method": f"{eviction.method} ({eviction.scorer})",
        "kept": f"{min(stored):,} to {max(stored):,} of {len(manifest.ids):,} tokens in a layer, shared {eviction.layers}",
        "protected": f"the first {eviction.sinks} and the last {eviction.recent}", "read in blocks of": eviction.block,
        "attention evicted": f"{manifest.quality['evicted_mass']:.2f} (99th percentile, of the block that lost most)",
        "approximate": "yes",
    }  # fmt: skip


@verb("profile")
@click.argument("memories", nargs=-1)
@reading
@scoped
@click.option("--about", metavar="WORDS", help="Read what a search for these words finds, instead of memories by their ids.")
@click.option("--limit", type=int, metavar="N", help="Memories of that search at most.")
@click.option("--budget", type=int, default=1024, show_default=True, metavar="N", help="Entries a layer to share, on average.")
@click.option("--method", default="sirllm", show_default=True, help="What stays; as for `loci activate`.")
def profile(place: Place, as_json: bool, **wanted: Any) -> None:
    """How much each layer of the model matters when it reads MEMORIES under a budget, and how they would share it.

    Divergence: how much what the model says next changes, in nats a token, where that layer alone keeps its budget only.
    """
    from loci.cli import render

    with place.open_cube() as cube:
        found = cube.profile(**wanted)
    if as_json:
        emit(found)
        return
    rows: list[list[render.Cell]] = [
        [str(layer), f"{nats:.3g}", f"{weight:.3f}", f"{entries:,}"]
        for layer, (nats, weight, entries) in enumerate(zip(found.divergence, found.weights, found.budgets, strict=True))
    ]
    render.show_table(["layer", "divergence", "weight", "entries"], rows, right=["layer", "divergence", "weight", "entries"])
    render.note(f"{found.method}, {found.tokens:,} tokens, judged by {found.probe}; `loci activate --layers profile` shares by it.")
