"""Serve: every verb over HTTP."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec

import click

from loci.cli.place import Place, verb
from loci.cli.values import emit
from loci.errors import Invalid, Unsupported

PORT = 8377


@verb("serve")
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Where to listen; another machine reaches it only by another address.",
)
@click.option("--port", type=int, metavar="N", default=PORT, show_default=True, help="0 takes any that is free.")
@click.option("--open", "is_open", is_flag=True, help="Without keys, for every program on this machine.")
@click.option("--log", "is_logging", is_flag=True, help="A line of JSON on stderr for each request: verb, status, time; no words.")
def serve(place: Place, host: str, port: int, is_open: bool, is_logging: bool, as_json: bool) -> None:
    """Serve the vault: every verb over HTTP, described at /openapi.json.

    Who asks needs an API key (see key) and a grant (see grant), unless it is --open. An interrupt ends it, after what was begun is finished.
    """
    _check(host, port, is_open)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("loci.requests").setLevel(logging.INFO if is_logging else logging.WARNING)
    import anyio

    from loci.server.app import LOCAL, Serving, listening
    from loci.server.app import serve as serve_on

    taken = listening(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{taken.getsockname()[1]}"

    def ready() -> None:
        if as_json:
            emit({"url": url, "is_open": is_open})
            sys.stdout.flush()
        note = "for every program on this machine, without a key" if is_open else "with an API key (`loci key`)"
        click.echo(f"serving at {url} {note}; an interrupt ends it.", err=True)

    with taken, place.open(is_new=True, is_writing=True) as memory:
        memory.cube(place.cube or place.settings().cube)
        anyio.run(serve_on, Serving(memory, is_open, host in LOCAL), taken, ready)


def _check(host: str, port: int, is_open: bool) -> None:
    if find_spec("starlette") is None or find_spec("uvicorn") is None or find_spec("prometheus_client") is None:
        raise Unsupported("What serves is not installed: pip install 'loci-memos[serve]'.")
    if not 0 <= port < 1 << 16:
        raise Invalid(f"--port is {port}; it must be from 0 to 65535.")
    if is_open and host not in ("127.0.0.1", "localhost", "::1"):
        raise Invalid(f"--open is for this machine alone, and --host {host} is for others too. Leave one of them out.")
