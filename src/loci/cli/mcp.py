"""Serve: the Model Context Protocol."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from loci.cli.place import Place, scoped, verb
from loci.cli.serve import PORT
from loci.errors import Invalid, LociError, Unsupported

if TYPE_CHECKING:
    from loci.system import System


@verb("mcp")
@scoped
@click.option("--as", "principal", metavar="NAME", help="With the rights of this principal (see grant) instead of the owner's.")
@click.option("--key-variable", metavar="NAME", help="With the rights of the API key in this environment variable (see key).")
@click.option(
    "--trusted", is_flag=True, help="Take what comes in for the user's own words; otherwise they inform, and overrule none of these."
)
@click.option("--read-only", "is_closed", is_flag=True, help="Refuse whatever would change something; see the setting read_only.")
@click.option("--http", "is_http", is_flag=True, help="Over streamable HTTP on 127.0.0.1, for several clients, each with an API key.")
@click.option("--port", type=int, metavar="N", default=PORT, show_default=True, help="With --http; 0 takes any that is free.")
@click.option("--open", "is_open", is_flag=True, help="With --http: without keys, for every program on this machine.")
def mcp(
    place: Place, user: str | None, agent: str | None, session: str | None, principal: str | None, key_variable: str | None, trusted: bool,
    is_closed: bool, is_http: bool, port: int, is_open: bool, as_json: bool,
) -> None:  # fmt: skip
    """Serve the vault to a host of models, by the Model Context Protocol.

    Over stdin and stdout, as a host starts it, or with --http. --cube, --user, --agent and --session fix what can be reached; without them,
    a call may name any. It ends when stdin does, or by an interrupt.
    """
    _check(is_http, is_open, as_json, principal, key_variable, port)
    words = {"cube": place.cube, "user": user, "agent": agent, "session": session}
    fixed = {word: name for word, name in words.items() if name is not None}
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    opened = partial(_opened, place, fixed, principal, key_variable, trusted, is_closed)
    cube = place.cube or place.settings().cube
    if is_http:
        _serve_http(opened, cube, fixed, port, is_open, as_json)
    else:
        if sys.stdin.isatty():
            click.echo(
                "note: this speaks MCP over stdin and stdout, to a host that starts it (docs/how-to/mcp.md has the line for each). Ctrl-D ends it; --http"
                " serves several hosts.", err=True,
            )  # fmt: skip
        _serve_stdio(opened, cube, fixed)


def _check(is_http: bool, is_open: bool, as_json: bool, principal: str | None, key_variable: str | None, port: int) -> None:
    """What was asked for goes together, and the protocol is there."""
    if find_spec("mcp") is None:
        raise Unsupported("The Model Context Protocol is not installed: pip install 'loci-memos[mcp]'.")
    if as_json and not is_http:
        raise Invalid("--json goes with --http: without it, stdout belongs to the protocol.")
    if is_open and not is_http:
        raise Invalid("--open goes with --http; over stdin and stdout there are no keys but --key-variable.")
    if principal is not None and key_variable is not None:
        raise Invalid("Give --as or --key-variable, not both.")
    if is_http and not is_open and (principal, key_variable) != (None, None):
        raise Invalid("With --http each request has a key of its own, and rights by that; --as and --key-variable go with --open.")
    if not 0 <= port < 1 << 16:
        raise Invalid(f"--port is {port}; it must be from 0 to 65535.")


@contextmanager
def _opened(
    place: Place, fixed: Mapping[str, str], principal: str | None, key_variable: str | None, is_trusted: bool, is_closed: bool
) -> Iterator[System]:
    """The vault as far as the door opens; made, and its cube with it, where they are not there and may be."""
    from loci.settings import held_by
    from loci.types import Trust

    with place.open(is_new=True, is_writing=True, is_closed=is_closed) as memory:
        memory.cube(place.cube or place.settings().cube, create=memory.is_writable)
        who = memory
        if principal is not None:
            who = memory.acting(principal)
        elif key_variable is not None:
            who = memory.authenticate(held_by(key_variable, "an API key"))
        yield who.within(**fixed, trust=Trust.TRUSTED if is_trusted else Trust.REPORTED)


def _serve_stdio(opened: Callable[[], AbstractContextManager[System]], cube: str, fixed: Mapping[str, str]) -> None:
    """The protocol is spoken at once, while the vault is opened behind it; what keeps it from being opened is the answer to every call."""
    import anyio

    from loci.server.mcp import serve_stdio, server

    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:

        def enter() -> System:
            try:
                return stack.enter_context(opened())
            except LociError as error:
                click.echo(f"error: {error}", err=True)
                raise

        opening = cache(partial(pool.submit, enter))
        anyio.run(serve_stdio, server(cube, fixed, lambda _: opening().result()), opening)


def _serve_http(
    opened: Callable[[], AbstractContextManager[System]], cube: str, fixed: Mapping[str, str], port: int, is_open: bool, as_json: bool
) -> None:
    """The vault is open before the port answers."""
    from loci.cli.serve import run
    from loci.server.app import Serving
    from loci.server.http import PATH, Room
    from loci.server.siblings import divided, listening
    from loci.types import Trust

    share = divided(listening("127.0.0.1", port))
    with share.taken, opened() as system:
        protocol = Room(cube, fixed, Trust.TRUSTED)  # no further than the vault is open to
        run(Serving(system, is_open, (protocol.route(),), (protocol.run,)), share, PATH, as_json=as_json)
