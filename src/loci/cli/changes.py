"""Change: update, forget, restore, move, erase."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from loci.cli.place import Place, reading, verb
from loci.cli.values import JsonObject, VersionOrWhen, When, emit, standard_input
from loci.errors import Invalid
from loci.types import Kind

if TYPE_CHECKING:
    from loci.operation.erasure import Erased
    from loci.system import Cube
    from loci.types import Receipt


@verb("update")
@click.argument("id")
@click.argument("text", required=False)
@click.option("--mode", default="overwrite", show_default=True, help="overwrite, append or merge.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the version.")
@click.option("--at", type=When(), help="Since when it is so; default now.")
@click.option("--if-version", type=int, metavar="N", help="Only if this version is still the latest.")
@click.option(
    "--metadata", type=JsonObject(), metavar="JSON", help="An object to keep with it instead of what was; without TEXT the words stay."
)
@click.option("--expires", type=When(is_end=True), help="When it may be forgotten by itself.")
@click.option("--forever", is_flag=True, help="Never by itself.")
@click.option(
    "--channel", metavar="NAME", help="The way the new words came in, if not from the user: assistant, tool, web, file, import or derived."
)
def update(
    place: Place, id: str, text: str | None, mode: str, reason: str, at: datetime | None, if_version: int | None,
    metadata: dict[str, Any] | None, expires: datetime | None, forever: bool, channel: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Give memory ID a further version that says TEXT.

    '-' reads it from stdin. The version before stays in history.
    """
    from loci.cli.verbs import channel_of

    words, came = standard_input("Nothing was changed.") if text == "-" else text, channel_of(channel)
    with place.open_cube(is_writing=True) as cube:
        memory = id if if_version is None else cube.as_read(id, if_version)
        _answer(
            cube.update(memory, words, mode=mode, reason=reason, at=at, metadata=metadata, expires=expires, forever=forever, channel=came),
            as_json,
        )


@verb("forget")
@click.argument("id")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the version.")
def forget(place: Place, id: str, reason: str, as_json: bool) -> None:
    """Take memory ID out of every present answer.

    It stays in history, and `restore` brings it back; `erase` is for good.
    """
    with place.open_cube(is_writing=True) as cube:
        _answer(cube.forget(id, reason=reason), as_json)


@verb("restore")
@click.argument("id", required=False)
@click.option("--to", type=VersionOrWhen(), help="A version of the memory, or the time to go back to.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the version.")
def restore(place: Place, id: str | None, to: int | datetime | None, reason: str, as_json: bool) -> None:
    """Bring back memory ID, or the cube as it was known.

    Without ID, --to is the time to bring the whole cube back to. Nothing is lost by it.
    """
    with place.open_cube(is_writing=True) as cube:
        _answer(cube.restore(id, to=to, reason=reason), as_json)


@verb("move")
@click.argument("id")
@click.argument("move", metavar="MOVE")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the receipt.")
def move(place: Place, id: str, move: str, reason: str, as_json: bool) -> None:
    """Archive, freeze, thaw or restore memory ID.

    A step in its life that changes no words.
    """
    with place.open_cube(is_writing=True) as cube:
        _answer(cube.move(id, move, reason=reason), as_json)


@verb("erase")
@click.argument("id", required=False)
@click.option("--source", metavar="ID", help="All that was made of this message.")
@click.option("--user", metavar="NAME", help="All that belongs to this user.")
@click.option("--agent", metavar="NAME", help="All of this agent.")
@click.option("--session", metavar="NAME", help="All of this session.")
@click.option("--whole", is_flag=True, help="Everything in the cube.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reading
def erase(
    place: Place, id: str | None, source: str | None, user: str | None, agent: str | None, session: str | None, whole: bool, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Erase for good, down to the bytes of the files.

    The message, all that was made of it, every byte of it in the cube's files. Give exactly one of: a memory's ID,
    --source, --whole, or some of --user, --agent and --session: what is of all of them goes. Of an activation memory or
    an adapter goes what the model made, and its memories stay. Asks first, also with --json, unless --yes.
    """
    from loci.cli.render import working

    with place.open_cube(is_writing=True) as cube:
        if not yes:
            _ask(_about(cube, id, source, user, agent, session))
        with working("erasing"):
            erased = cube.erase(id, source=source, user=user, agent=agent, session=session, whole=whole)
    if as_json:
        emit(erased)
    else:
        _show_erased(erased)


def _about(cube: Cube, id: str | None, source: str | None, user: str | None, agent: str | None, session: str | None) -> str:
    if id is not None:
        memory = cube.get(id)
        if memory.kind is not Kind.PLAINTEXT:
            return f"{memory.kind.value} memory {id}; the memories that it was made of stay:\n  {memory.text}"
        return f"memory {id} and the whole message that it is from:\n  {memory.text}"
    if source is not None:
        return f"all that was made of message {source}"
    found = cube.count(user=user, agent=agent, session=session, archived=True, expired=True).total
    named = (("user", user), ("agent", agent), ("session", session))
    whose = ", ".join(f"{word} {name!r}" for word, name in named if name is not None) or "everybody"
    return f"everything of {whose} in cube {cube.name}: {found:,} memories at present, and their past"


def _ask(what: str) -> None:
    from loci.cli import render

    if not sys.stdin.isatty():
        raise Invalid("erase asks before it destroys, and nobody is there to answer. Give --yes if you are sure. Nothing was erased.")
    click.echo(f"This erases {render.safe(what)}", err=True)
    click.confirm("It cannot be undone. Erase?", abort=True, err=True)


def _show_erased(erased: Erased) -> None:
    from loci.cli import render

    if erased.kind is not Kind.PLAINTEXT:
        render.show_fields({"erased": f"the {erased.kind.value} memory, every byte of it", "audit": _recorded(erased)})
        render.note("the memories that it was made of stay.")
        _warn_of_left(erased)
        return
    render.show_fields(
        {
            "erased": f"{len(erased.sources)} source{'s' if len(erased.sources) != 1 else ''}", "rows removed": erased.removed,
            "bytes scanned": f"{erased.bytes_scanned:,}{_as_read(erased)}: none of the erased words is in the cube's files",
            "hashes kept": erased.hashes[:3], "audit": _recorded(erased),
        }
    )  # fmt: skip
    for branch in erased.branches:
        render.note(f"cube {branch!r} was copied from this one and may hold the same words; erase there as well.")
    _warn_of_left(erased)


def _warn_of_left(erased: Erased) -> None:
    from loci.cli import render

    for told in erased.left:
        render.warn(f"{told}. `loci verify` tries again, and says so until it is gone.")


def _recorded(erased: Erased) -> str:
    return f"record {erased.record.seq}, {erased.record.hash}" if erased.record else ""


def _as_read(erased: Erased) -> str:
    return ", pages as they read with the cube's key" if erased.is_encrypted else ""


def _answer(receipt: Receipt, as_json: bool) -> None:
    if as_json:
        emit(receipt)
        return
    from loci.cli import render

    render.show_receipt(receipt)
