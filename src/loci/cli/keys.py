"""Keys: encrypt, decrypt, rekey, shred, keygen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from loci.cli.place import Place, verb
from loci.cli.values import emit
from loci.errors import Invalid


@verb("encrypt")
@click.argument("name", metavar="CUBE")
def encrypt(place: Place, name: str, as_json: bool) -> None:
    """Encrypt the plain cube CUBE in place.

    It gets a data key of its own, which the passphrase in the variable that the setting passphrase_variable names, or the file of
    the setting key_file, opens from then on. New cubes are encrypted as soon as one of the two is set.
    """
    from loci.cli.render import working

    with place.open() as memory, working("encrypting"):
        gone = memory.encrypt(name)
    _answer(
        {"cube": name, "encrypted": True, "activations_let_go": gone},
        as_json,
        "without the passphrase or key file nobody opens it, nor any copy: keep it safe.",
    )


@verb("decrypt")
@click.argument("name", metavar="CUBE")
def decrypt(place: Place, name: str, as_json: bool) -> None:
    """Make the encrypted cube CUBE a plain one again."""
    from loci.cli.render import working

    with place.open() as memory, working("decrypting"):
        memory.decrypt(name)
    _answer(
        {"cube": name, "encrypted": False}, as_json, "its key is destroyed: older copies of the encrypted file cannot be opened any more."
    )


@verb("rekey")
@click.argument("name", metavar="CUBE")
@click.option("--to-variable", metavar="NAME", help="Environment variable that holds the new passphrase.")
@click.option("--to-key-file", type=click.Path(path_type=Path), metavar="FILE", help="The new key file.")
def rekey(place: Place, name: str, to_variable: str | None, to_key_file: Path | None, as_json: bool) -> None:
    """Give the encrypted cube CUBE another passphrase or key file.

    Its data key stays the same. Asks for the new passphrase where neither option is given.
    """
    if to_variable and to_key_file:
        raise Invalid("Give --to-variable or --to-key-file, not both.")
    with place.open() as memory:
        memory.rekey(name, passphrase=None if to_key_file else _passphrase(to_variable), key_file=to_key_file)
    _answer({"cube": name, "rekeyed": True}, as_json, "a copy of the old key file still opens with the old secret: destroy such copies.")


@verb("shred")
@click.argument("name", metavar="CUBE")
@click.option("--yes", is_flag=True, help="Do not ask.")
def shred(place: Place, name: str, yes: bool, as_json: bool) -> None:
    """Destroy the key of CUBE: it and its copies become noise.

    The way to erase backups that are out of reach. Copies of the key file itself must be destroyed as well. Asks first, also
    with --json, unless --yes.
    """
    if not yes:
        if not sys.stdin.isatty():
            raise Invalid("shred asks before it destroys, and nobody is there to answer. Give --yes if you are sure. Nothing was shredded.")
        click.echo(f"This destroys the key of cube {name!r}: nothing opens it or any copy of it again.", err=True)
        click.confirm("It cannot be undone. Shred?", abort=True, err=True)
    with place.open() as memory:
        shredded = memory.shred(name)
    if as_json:
        emit(shredded)
        return
    from loci.cli import render

    render.show_fields(
        {"cube": shredded.cube, "keys destroyed": shredded.keys, "left": "the cube's file, which is noise; delete it at will"}
    )
    render.note("a process that has the cube open can read on until it ends, and a copy of the key file still opens copies of the cube.")
    for branch in shredded.branches:
        render.note(f"cube {branch!r} shares a past with it and has a key of its own: it is as readable as before.")


@verb("keygen")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--for", "purpose", type=click.Choice(["signing", "cubes"]), default="signing", show_default=True, help="Sign exports, or open cubes."
)
def keygen(place: Place, path: Path, purpose: str, as_json: bool) -> None:
    """Make a key in FILE, readable by you alone.

    A signing key has its public key in FILE.pub: `export --sign FILE` signs, `import --signed-by FILE.pub` checks. A key for
    cubes is 32 random bytes, for the setting key_file.
    """
    from loci.wire import keygen as make

    public = make(path, purpose)
    shown = {"file": str(path), **({} if public is None else {"public": public})}
    _answer(
        shown,
        as_json,
        "whoever has the file can sign as you." if public else "whoever has the file can open the cubes; without it nobody can.",
    )


def _passphrase(variable: str | None) -> str:
    """The new passphrase, from a variable or from whoever sits there."""
    from loci.settings import held_by

    if variable:
        return held_by(variable)
    if not sys.stdin.isatty():
        raise Invalid("Nobody is there to type a passphrase. Give --to-variable or --to-key-file. Nothing was changed.")
    return str(click.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True))


def _answer(fields: dict[str, Any], as_json: bool, note: str) -> None:
    if as_json:
        emit(fields)
        return
    from loci.cli import render

    render.show_fields(fields)
    render.note(note)
