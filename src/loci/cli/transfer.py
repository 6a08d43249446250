"""Take in and give out whole files: import, export."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from loci.cli.place import Place, scoped, verb
from loci.cli.values import emit
from loci.errors import Invalid
from loci.text.plain import plain

if TYPE_CHECKING:
    from loci.operation.importing import Imported, Progress
    from loci.system import Cube

SHOWN = 20  # refused items that are named on a terminal


@verb("import")
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@click.option(
    "--format",
    metavar="NAME",
    help="chatgpt, claude, mem0, graphiti, memos, letta, langgraph, transcript, messages, conversations or loci; default: by what is in it.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be taken, and take nothing.")
@click.option(
    "--signed-by", metavar="KEY", help="Only if signed by this public key (ed25519:..., or the file of one), and unchanged since."
)
@click.option("--origin", metavar="NAME", help="Where it is from; default the file's name. `loci revert --origin` takes it back.")
@click.option(
    "--channel", default="import", show_default=True, metavar="NAME", help="What its words count as: web or file where others wrote them."
)
@scoped
def import_(
    place: Place, path: Path, format: str | None, dry_run: bool, signed_by: str | None, origin: str | None, channel: str, user: str | None, agent: str | None, session: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Remember what PATH holds.

    An export of ChatGPT or Claude (zip or folder), mem0 (JSON, history.db, Qdrant folder), Graphiti or Zep, a cube of MemOS,
    a Letta agent file, a LangGraph store, a transcript with dates, JSONL of messages. A malformed file imports nothing; an odd
    item of another system is refused by itself. --json names what became of each item. Importing again adds what is new.
    """
    from loci.cli import render
    from loci.cli.embedding import embed
    from loci.cli.verbs import channel_of
    from loci.types import Channel

    def take(cube: Cube, progress: Progress) -> Imported:
        return cube.import_file(
            path, format=format, user=user, agent=agent, session=session, origin=origin, channel=channel_of(channel) or Channel.IMPORT,
            signed_by=signed_by, dry_run=dry_run, progress=progress,
        )  # fmt: skip

    if not (has_cube := place.has_cube()) and not dry_run:
        with place.rehearsal() as cube, suppress(_Checked):
            take(cube, _stop)
    with place.open_cube(is_new=True) if has_cube or not dry_run else place.rehearsal() as cube:
        try:
            with render.progress("reading, messages") as advance:
                imported = take(cube, advance)
        except KeyboardInterrupt:
            render.note("nothing was stored" if dry_run else "what came in so far is kept; the same command takes in the rest")
            raise
        try:
            embed(cube)
        finally:  # what was taken in is in, also when its vectors have to wait
            if as_json:
                emit(imported)
            else:
                _show(cube.name, imported)


class _Checked(Exception):
    """All that an import looks at before its first write is right."""


def _stop(done: int, total: int) -> None:
    raise _Checked


def _show(cube: str, imported: Imported) -> None:
    from loci.cli import render

    counts = {
        name.replace("_", " "): count for name, count in plain(imported).items() if name not in ("notes", "items", "is_dry_run") and count
    }
    render.show_fields({"cube": cube, **counts})
    for line in imported.notes:
        render.note(line)
    refused = [item for item in imported.items if item.outcome.value in ("refused", "quarantined")]
    for item in refused[:SHOWN]:
        render.note(f"{item.outcome.value}: {item.item}: {item.reason}")
    if len(refused) > SHOWN:
        render.note(f"{len(refused) - SHOWN} more were refused or quarantined; --json names all of them")
    if imported.is_dry_run:
        render.note("a dry run: this is what an import would do; nothing was stored")


@verb("mirror")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--keep", default="", metavar="SIDE", help="Whose words hold where both were changed: file or cube. The others stay in history."
)
@click.option("--dry-run", is_flag=True, help="Say what the folder would bring, and change nothing.")
@scoped
def mirror(
    place: Place, folder: Path, keep: str, dry_run: bool, user: str | None, agent: str | None, session: str | None, as_json: bool
) -> None:  # fmt: skip
    """Keep FOLDER and the cube saying the same.

    A Markdown file a session, a paragraph a memory. Edit one, write a new one, delete one, and mirror again: the memory has a
    further version by 'file', is added, or forgotten. Where both were changed, nothing is, until --keep says whose words hold.
    """
    from loci.cli import render
    from loci.cli.embedding import embed

    if not (has_cube := place.has_cube()) and not dry_run:
        with place.rehearsal() as cube:
            cube.mirror(folder, user=user, agent=agent, session=session, keep=keep, dry_run=True)
    with place.open_cube(is_new=True) if has_cube or not dry_run else place.rehearsal() as cube:
        with render.progress("mirroring, changes") as advance:
            done = cube.mirror(folder, user=user, agent=agent, session=session, keep=keep, dry_run=dry_run, progress=advance)
        try:
            embed(cube)
        finally:
            if as_json:
                emit(done)
            else:
                render.show_fields(
                    {
                        "folder": str(folder),
                        **{name: count for name, count in plain(done).items() if count and name not in ("changes", "is_dry_run")},
                    }
                )
                for step, file, memory in done.changes[:SHOWN]:
                    render.note(f"{step}: {file or folder.name} {memory}")
                if dry_run:
                    render.note("a dry run: nothing was changed")


@verb("export")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there.")
@click.option("--sign", type=click.Path(path_type=Path), metavar="KEYFILE", help="Vouch for it with this signing key (see keygen).")
def export(place: Place, path: Path, overwrite: bool, sign: Path | None, as_json: bool) -> None:
    """Write the cube to FILE, as plain text; '-' is stdout."""
    from loci.cli import render

    is_stdout = path == Path("-")
    if is_stdout and as_json:
        raise Invalid("'-' and --json both want stdout. Name a file, or leave --json out.")
    with place.open_cube() as cube, TemporaryDirectory(prefix="loci-") as aside:
        is_encrypted = cube.stats()["encrypted"]
        if is_stdout and is_encrypted:
            raise Invalid("The cube is encrypted, and on its way to stdout it would lie in a temporary folder as plain text. Name a file.")
        target = Path(aside) / "cube.jsonl" if is_stdout else path
        with render.working("writing"):
            written = cube.export(target, overwrite=overwrite, sign=sign)
        if is_encrypted:
            click.echo(f"note: the cube is encrypted, and {path} is not: it is plain text, for its owner to read.", err=True)
        if is_stdout:
            with target.open("rb") as file:
                copyfileobj(file, sys.stdout.buffer)
            return
    if as_json:
        emit(written)
        return
    render.show_fields({"file": str(path), **written})
