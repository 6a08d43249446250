"""Look back: history, diff, branch."""

from __future__ import annotations

from datetime import datetime

import click

from loci.cli.place import Place, verb
from loci.cli.values import When, emit


@verb("history")
@click.argument("id")
def history(place: Place, id: str, as_json: bool) -> None:
    """Show every version of memory ID, and why it came."""
    with place.open_cube() as cube:
        versions = cube.history(id)
    if as_json:
        emit(versions)
        return
    from loci.cli import render

    rows: list[list[render.Cell]] = [
        [
            str(m.version), render.period(m.valid.start, m.valid.end),
            render.lines(m.text, under=f"{m.author}: {m.reason}{render.ended(m)} · known since {render.moment(m.recorded.start)}"),
        ]
        for m in versions
    ]  # fmt: skip
    render.show_table(["#", "true", "words, by whom, and why"], rows, right=("#",))


@verb("diff")
@click.argument("t1", type=When())
@click.argument("t2", type=When())
@click.option("--known", is_flag=True, help="Compare what was known at the two times, not what was true.")
def diff(place: Place, t1: datetime, t2: datetime, known: bool, as_json: bool) -> None:
    """Show what changed between the times T1 and T2."""
    with place.open_cube() as cube:
        found = cube.diff(t1, t2, known=known)
    if as_json:
        emit(found)
        return
    from loci.cli import render

    changed = [after for _, after in found.changed]
    for name, memories in (("added", found.added), ("removed", found.removed), ("changed", changed)):
        if memories:
            render.show_memories(list(memories), title=f"{name}: {len(memories)}")
    if not (found.added or found.removed or found.changed):
        render.note("nothing changed between these times.")


@verb("branch")
@click.argument("name")
@click.option("--as-of", type=When(), help="Only what was true then.")
def branch(place: Place, name: str, as_of: datetime | None, as_json: bool) -> None:
    """Copy the cube to a cube NAME, to try a what-if.

    Neither touches the other.
    """
    from loci.cli import render

    with place.open_cube(is_writing=True) as cube:
        with render.working("copying"):
            copy = cube.branch(name, as_of=as_of)
        stats = copy.stats()
    if as_json:
        emit({"cube": copy.name, "parent": cube.name, "as_of": as_of, "stats": stats})
        return
    render.show_fields({"cube": copy.name, "copied from": cube.name, "as of": as_of, "findable": stats["findable"]})
    render.note(f"`loci --cube {copy.name} …` works in it.")
