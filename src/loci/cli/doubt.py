"""Words that are not trusted: review, accept, reject, revert."""

from __future__ import annotations

from typing import Any

import click

from loci.cli.place import Place, scoped, verb
from loci.cli.values import emit


@verb("review")
@scoped
@click.option("--decision", default="", metavar="NAME", help="What was rejected, or reverted, instead of what waits.")
def review(place: Place, as_json: bool, **limits: Any) -> None:
    """Show the quarantine: what waits for somebody to decide.

    Words from a page, a tool or a file that give orders, or contradict what is trusted more.
    """
    with place.open_cube() as cube:
        found = cube.review(**limits)
    if as_json:
        emit(found)
        return
    from loci.cli import render

    if not found:
        render.note("nothing is there.")
        return
    rows: list[list[render.Cell]] = []
    for suspect in found:
        origin = suspect.memory.origin
        came = f"{origin.channel.value} {origin.name or ''} by {origin.principal}"
        rows.append([suspect.memory.id, came, suspect.reason, str(suspect.corroborated_by), render.body(suspect.memory)])
    render.show_table(["id", "from", "because", "others say so", "what it says"], rows)


@verb("accept")
@click.argument("id")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is kept.")
def accept(place: Place, id: str, reason: str, as_json: bool) -> None:
    """Let memory ID, and the message it is of, out of quarantine.

    What it claims overrules what it contradicts. It authorises nothing: where it came from does not change.
    """
    with place.open_cube(is_writing=True) as cube:
        _show(cube.accept(id, reason=reason), as_json)


@verb("reject")
@click.argument("id")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is kept.")
def reject(place: Place, id: str, reason: str, as_json: bool) -> None:
    """Keep memory ID, and the message it is of, in quarantine for good."""
    with place.open_cube() as cube:
        _show(cube.reject(id, reason=reason), as_json)


@verb("revert")
@click.option("--origin", metavar="NAME", help="The page, tool or file it came from.")
@click.option("--session", metavar="NAME", help="The session it was said in.")
@click.option("--user", metavar="NAME", help="The user it was said for.")
@click.option("--principal", metavar="NAME", help="Who wrote it.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is kept.")
def revert(place: Place, as_json: bool, **by: Any) -> None:
    """Take back everything learnt from an origin, with all that was made of it.

    The present is as if it had never been said; the past keeps it, as it was known then.
    """
    with place.open_cube() as cube:
        found = cube.revert(**by)
    if as_json:
        emit(found)
        return
    from loci.cli import render

    render.show_fields(
        {"sources": len(found.sources), "memories out of every answer": len(found.memories), "claims that hold again": found.reopened}
    )


def _show(receipt: Any, as_json: bool) -> None:
    if as_json:
        emit(receipt)
        return
    from loci.cli import render

    render.show_receipt(receipt)
