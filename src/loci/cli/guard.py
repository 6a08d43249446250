"""What a cube keeps out: scan, protect."""

from __future__ import annotations

from typing import Any

import click

from loci.cli.place import Place, verb
from loci.cli.values import emit


@verb("scan")
def scan(place: Place, as_json: bool) -> None:
    """Look for secrets and personal data in what was said so far.

    It names sources and kinds, and shows nothing of them. `loci erase --source ID` takes one out.
    """
    from loci.cli import render

    with place.open_cube() as cube, render.working("looking for secrets"):
        found = cube.scan()
    if as_json:
        emit(found)
        return
    if not found:
        render.note("nothing was found.")
        return
    rows: list[list[render.Cell]] = [
        [leak.source, render.day(leak.at), ", ".join(f"{n} {kind}" for kind, n in leak.kinds.items())] for leak in found
    ]
    render.show_table(["source", "when", "holds"], rows)


@verb("protect")
@click.option("--secrets", metavar="WAY", help="Keys, tokens, passwords, cards in what comes in: keep, mask or refuse.")
@click.option("--personal", metavar="WAY", help="Addresses, phone and identity numbers: keep, mask or refuse.")
@click.option("--quota", type=int, metavar="N", help="Messages one user may have in it; 0 means no limit.")
@click.option("--read-only/--writable", "read_only", default=None, help="Whether it takes in anything at all.")
def protect(place: Place, as_json: bool, **wanted: Any) -> None:
    """Tell the cube what to keep out, and show what it was told."""
    with place.open_cube() as cube:
        found = cube.protect(**wanted)
    if as_json:
        emit(found)
        return
    from loci.cli import render

    if found:
        render.show_fields(found)
    else:
        render.note("it was told nothing; the settings hold (`loci settings`).")
