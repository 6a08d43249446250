"""Take in and give out whole files: import, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loci.cli.place import Place, scoped, verb
from loci.cli.values import emit
from loci.interface.outputs import plain

if TYPE_CHECKING:
    from loci.operation.importing import Imported


@verb("import")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--format", metavar="NAME", help="chatgpt, transcript, messages, conversations or loci; default: by what is in the file.")
@click.option(
    "--signed-by", metavar="KEY", help="Only if signed by this public key (ed25519:..., or the file of one), and unchanged since."
)
@click.option("--origin", metavar="NAME", help="Where it is from; default the file's name. `loci revert --origin` takes it back.")
@click.option(
    "--channel", default="import", show_default=True, metavar="NAME", help="What its words count as: web or file where others wrote them."
)
@scoped
def import_(
    place: Place, path: Path, format: str | None, signed_by: str | None, origin: str | None, channel: str, user: str | None, agent: str | None, session: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Remember the conversations of FILE.

    A ChatGPT export, a transcript with dates, JSONL of messages, or the unified format. A malformed file imports
    nothing; a file that was imported before adds nothing.
    """
    from loci.cli import render
    from loci.cli.embedding import embed
    from loci.cli.verbs import channel_of
    from loci.types import Channel

    with place.open_cube(is_new=True) as cube:
        with render.progress("reading, messages") as advance:
            imported = cube.import_file(
                path, format=format, user=user, agent=agent, session=session, origin=origin, channel=channel_of(channel) or Channel.IMPORT,
                signed_by=signed_by, progress=advance,
            )  # fmt: skip
        try:
            embed(cube)
        finally:  # what was taken in is in, also when its vectors have to wait
            if as_json:
                emit(imported)
            else:
                _show(cube.name, imported)


def _show(cube: str, imported: Imported) -> None:
    from loci.cli import render

    counts = {name.replace("_", " "): count for name, count in plain(imported).items() if name != "notes" and count}
    render.show_fields({"cube": cube, **counts})
    for line in imported.notes:
        render.note(line)


@verb("export")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there.")
@click.option("--sign", type=click.Path(path_type=Path), metavar="KEYFILE", help="Vouch for it with this signing key (see keygen).")
def export(place: Place, path: Path, overwrite: bool, sign: Path | None, as_json: bool) -> None:
    """Write the cube to FILE, as plain text."""
    with place.open_cube() as cube:
        written = cube.export(path, overwrite=overwrite, sign=sign)
        is_encrypted = cube.stats()["encrypted"]
    if is_encrypted:
        click.echo(f"note: the cube is encrypted, and {path} is not: it is plain text, for its owner to read.", err=True)
    if as_json:
        emit(written)
        return
    from loci.cli import render

    render.show_fields({"file": str(path), **written})
