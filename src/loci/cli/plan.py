"""In which form memories are kept: plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from loci.cli.place import Place, reading, verb
from loci.cli.values import emit

if TYPE_CHECKING:
    from loci.operation.placing import Placed


@verb("plan")
@click.option("--apply", is_flag=True, help="Do it: make KV memories and adapters, and let go of them. Every move is in the log.")
@click.option("--most", type=int, metavar="N", help="With --apply: do at most N moves.")
@reading
def plan(place: Place, apply: bool, most: int | None, as_json: bool) -> int:
    """Show which memories had better be text, a KV memory or weights, and why.

    Decided by what it costs here to read, load, make and keep them, and by how often answers cited them of late. Exit 8 where a move
    could not be done.
    """
    from loci.cli import render
    from loci.errors import Unsupported

    with place.open_cube(is_writing=apply) as cube:
        found = cube.plan(apply=apply, most=most)
    left = [one for one in found if one.left]
    if as_json:
        emit(found)
        return Unsupported.exit_code if left else 0
    moves = [one for one in found if one.decision.is_move]
    render.show_table(
        ["body", "user", "memories", "tokens", "uses", "form", "why"],
        [_row(one) for one in found],
        right=["memories", "tokens", "uses"],
    )
    stay = len(found) - len(moves)
    done = f"{sum(one.is_done for one in moves)} moves were done" if apply else f"{len(moves)} moves; --apply does them"
    render.note(f"{done}; {stay} stay as they are.")
    for one in left:
        render.warn(f"{one.name or one.decision.body.id} was left: {one.left}")
    return Unsupported.exit_code if left else 0


def _row(one: Placed) -> list[str]:
    decision = one.decision
    form = decision.before.value
    if decision.is_move:
        form = f"{form} -> {decision.after.value if decision.after is not decision.before else 'of more'}"
    return [
        one.name or decision.body.id,
        one.user or "",
        str(len(decision.body.memories)),
        f"{decision.body.tokens:,}",
        f"{decision.body.uses:.1f}",
        form,
        decision.why,
    ]
