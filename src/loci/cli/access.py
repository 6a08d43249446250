"""Who may do what: grant, revoke, grants, key, keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from loci.cli.place import Place, scoped, verb
from loci.cli.values import When, emit

if TYPE_CHECKING:
    from loci.system import System
    from loci.types import Grant


@verb("grant")
@click.argument("principal")
@click.argument("role", metavar="ROLE")
@click.option("--on", "cube", required=True, metavar="CUBE|PATH", help="A cube, a path such as 'team.*', or '*' for all.")
@scoped
@click.option("--memory", metavar="ID", help="Only this memory.")
@click.option("--channel", metavar="NAME", help="What words that come in by it count as: tool, web, file, ...")
@click.option("--expires", type=When(is_end=True), help="When it ends.")
@click.option("--uses", type=int, metavar="N", help="Calls it is good for.")
def grant(place: Place, principal: str, role: str, channel: str | None, as_json: bool, **limits: Any) -> None:
    """Let PRINCIPAL do what a ROLE may: reader, writer, curator, auditor or owner.

    '*' is everybody. LOCI_PRINCIPAL=name acts as somebody; a key (see key) does so at a server's doors.
    """
    from loci.cli.verbs import channel_of

    with _opened(place) as memory:
        before = {known.id for known in memory.grants()}
        made = memory.grant(principal, role, channel=channel_of(channel), **limits)
        is_there = made.cube.endswith("*") or made.cube in memory.cubes()
    if not is_there:
        click.echo(
            f"note: there is no cube {made.cube} yet. Its owner makes it by adding to it: `loci add TEXT --cube {made.cube}`.", err=True
        )
    if made.id in before:
        click.echo(f"note: that is granted already, since {made.at:%Y-%m-%d}; no second grant was made.", err=True)
    if as_json:
        emit(made)
    else:
        from loci.cli import render

        until = {"until": made.expires, "uses": made.uses, "channel": made.channel and made.channel.value}
        render.show_fields(
            {"grant": made.id, "lets": made.principal, "be": made.role.value, "on": made.cube, "only": _narrowed(made), **until}
        )


@verb("revoke")
@click.argument("id")
def revoke(place: Place, id: str, as_json: bool) -> None:
    """Take grant ID back, or end key ID."""
    with place.open() as memory:
        memory.revoke(id)
    if as_json:
        emit({"revoked": id})
    else:
        from loci.cli import render

        render.note(f"{id} is revoked.")


@verb("grants")
def grants(place: Place, as_json: bool) -> None:
    """Show who may do what."""
    with place.open() as memory:
        found = memory.grants()
    if as_json:
        emit(found)
        return
    from loci.cli import render

    rows: list[list[render.Cell]] = [
        [g.id, g.principal, g.role.value, g.cube, _narrowed(g), _until(g.expires, g.uses), g.by] for g in found
    ]
    if rows:
        render.show_table(["grant", "principal", "role", "on", "only", "until", "by"], rows)
    else:
        render.note("nobody but the owner may do anything.")


@verb("key")
@click.argument("principal")
@click.option("--role", metavar="ROLE", help="No more than this role may.")
@click.option("--on", "cube", metavar="CUBE|PATH", help="Only there.")
@click.option("--user", metavar="NAME", help="Only for this user.")
@click.option("--expires", type=When(is_end=True), help="When it ends.")
def key(place: Place, principal: str, as_json: bool, **limits: Any) -> None:
    """Make an API key for PRINCIPAL and show it, this once.

    It gives no rights: it stands for who has them (see grant), and may narrow them.
    """
    with _opened(place) as memory:
        made, text = memory.issue_key(principal, **limits)
    if as_json:
        emit({"key": text, "id": made.id, "principal": made.principal, "expires": made.expires})
    else:
        click.echo(text)
        click.echo(f"note: keep it; only a hash of it is stored. `loci revoke {made.id}` ends it.", err=True)


@verb("keys")
def keys(place: Place, as_json: bool) -> None:
    """Show the API keys there are, without their secrets."""
    with place.open() as memory:
        found = memory.keys()
    if as_json:
        emit(found)
        return
    from loci.cli import render

    rows: list[list[render.Cell]] = [
        [k.id, k.principal, k.role.value if k.role else "", k.cube or "", k.user or "", render.day(k.created), _ended(k.expires, k.revoked)]
        for k in found
    ]
    render.show_table(["key", "principal", "at most", "on", "user", "made", "until"], rows)


def _narrowed(grant: Grant) -> str:
    named = {"user": grant.user, "agent": grant.agent, "session": grant.session, "memory": grant.memory}
    return ", ".join(f"{word} {name}" for word, name in named.items() if name is not None)


def _until(expires: datetime | None, uses: int | None) -> str:
    return ", ".join([*([f"{expires:%Y-%m-%d %H:%M}"] if expires else []), *([f"{uses} uses"] if uses is not None else [])])


def _ended(expires: datetime | None, revoked: datetime | None) -> str:
    return f"revoked {revoked:%Y-%m-%d}" if revoked else f"{expires:%Y-%m-%d %H:%M}" if expires else ""


@contextmanager
def _opened(place: Place) -> Iterator[System]:
    """The vault, which may be made by this: whoever meant another one is told."""
    with place.told_if_new(), place.open(is_new=True) as memory:
        yield memory
