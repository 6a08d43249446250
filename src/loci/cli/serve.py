"""Serve: every verb over HTTP."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loci.cli.place import Place, verb
from loci.cli.values import emit
from loci.errors import Invalid, Unsupported
from loci.settings import count_in

if TYPE_CHECKING:
    from loci.server.app import Serving
    from loci.server.proxy import Proxy
    from loci.server.siblings import Share
    from loci.server.traces import Traces

PORT = 8377
MOST_PROCESSES = 64
SECONDS_BEFORE_MCP = 5.0  # unless it is called: what a page or a chat asks first comes before it


@verb("serve")
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Where to listen; another machine reaches it only by another address.",
)
@click.option("--port", type=int, metavar="N", default=PORT, show_default=True, help="0 takes any that is free.")
@click.option("--processes", type=int, metavar="N", default=1, show_default=True, help="At the same port. Linux; one a core answers most.")
@click.option("--open", "is_open", is_flag=True, help="Without keys, for every program on this machine.")
@click.option("--read-only", "is_closed", is_flag=True, help="Refuse whatever would change something; see the setting read_only.")
@click.option(
    "--upstream",
    metavar="URL",
    help="Where models are, for the proxy at /v1: https://api.openai.com/v1, say. Else the setting of that name.",
)
@click.option("--describe", "is_description", is_flag=True, help="Print the OpenAPI document, and serve nothing.")
@click.option("--log", "is_logging", is_flag=True, help="A line of JSON on stderr for each request: verb, status, time; no words.")
def serve(
    place: Place, host: str, port: int, processes: int, is_open: bool, is_closed: bool, upstream: str | None, is_description: bool, is_logging: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Serve the vault: every verb over HTTP, described at /openapi.json, the Model Context Protocol at /mcp, at /v1 a model's API with memory, and what
    mem0's clients call.

    Who asks needs an API key (see key) and a grant (see grant), unless it is --open. An interrupt ends it, after what was begun is finished.
    """
    _check(host, port, processes, is_open)
    if is_description:
        from loci.server.openapi import described

        emit(described())
        return
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("loci.requests").setLevel(logging.INFO if is_logging else logging.WARNING)
    with _counted(processes) as counts:
        _serve(place, host, port, processes, counts, is_open=is_open, is_closed=is_closed, upstream=upstream, as_json=as_json)


@contextmanager
def _counted(processes: int) -> Iterator[Path | None]:
    """Where several processes count their requests. What serves is imported behind this."""
    if processes == 1:
        yield None
        return
    first, folder = os.getpid(), Path(tempfile.mkdtemp(prefix="loci-meters-"))
    count_in(folder)
    try:
        yield folder
    finally:
        if os.getpid() == first:
            shutil.rmtree(folder)


def _serve(
    place: Place, host: str, port: int, processes: int, counts: Path | None, *, is_open: bool, is_closed: bool, upstream: str | None, as_json: bool,
) -> None:  # fmt: skip
    from loci.server import page
    from loci.server.app import Serving, at_hand
    from loci.server.http import Room
    from loci.server.mem0 import Mem0
    from loci.server.meters import Meters
    from loci.server.rest import AT_ONCE, Verbs, computing
    from loci.server.siblings import LOCAL, divided, listening
    from loci.types import Trust

    proxy = _proxy(place, upstream)
    share = divided(listening(host, port, processes))
    with share.together(), share.taken, _tracing(place) as traces, place.open(is_new=True, is_writing=True, is_closed=is_closed) as memory:
        cube = place.cube or place.settings().cube
        opened = memory.cube(cube, create=memory.is_writable)
        vault = place.folder()
        verbs = Verbs(vault, searches=AT_ONCE if place.settings().is_embedder_elsewhere else computing())
        protocol = Room(cube, {}, Trust.REPORTED, after=SECONDS_BEFORE_MCP, run=verbs.run)
        mem0 = Mem0(cube, verbs.run)
        routes = (*verbs.routes(), protocol.route(), *mem0.routes(), *proxy.routes(), *page.routes(is_writable=memory.is_writable))
        running = (protocol.run, proxy.run, partial(at_hand, opened))
        meters = Meters(counts)
        serving = Serving(
            memory, is_open, routes, running, page.paths(), is_local=host in LOCAL, refusal=mem0.refusal, meters=meters, traces=traces
        )
        run(serving, share, what=str(vault), as_json=as_json)


@contextmanager
def _tracing(place: Place) -> Iterator[Traces | None]:
    """Where spans go, as the settings say; what is left is sent in the end."""
    url = place.settings().traces
    if not url:
        yield None
        return
    from loci.server.traces import Traces

    traces = Traces(url)
    try:
        yield traces
    finally:
        traces.close()


def _proxy(place: Place, upstream: str | None) -> Proxy:
    """The room before models; without an upstream it says that there is none."""
    from loci.server.proxy import Proxy, States, Upstream
    from loci.server.tools import Door

    settings = place.settings()
    url = upstream or settings.upstream or settings.endpoint
    leads_to = Upstream(url, settings.upstream_key()) if url else None
    return Proxy(leads_to, Door(place.cube or settings.cube), States(settings.cache_folder() / "conversations"))


def run(serving: Serving, share: Share, path: str = "", *, what: str = "the vault", as_json: bool) -> None:
    """Serves until an interrupt. Says ``what``, where, and to whom."""
    import anyio

    from loci.server.app import serve as serve_on

    host, port = share.taken.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"

    def ready() -> None:
        if not share.is_first:
            return
        if as_json:
            emit({"url": url, "is_open": serving.is_open, "is_writable": serving.system.is_writable})
            sys.stdout.flush()
        note = "for every program on this machine, without a key" if serving.is_open else "with an API key (`loci key`)"
        note += "" if serving.system.is_writable else ", for reading only"
        click.echo(f"serving {what} at {url} {note}; an interrupt ends it.", err=True)

    anyio.run(serve_on, serving, share, ready)


def _check(host: str, port: int, processes: int, is_open: bool) -> None:
    if any(find_spec(name) is None for name in ("mcp", "starlette", "uvicorn", "prometheus_client")):
        raise Unsupported("What serves is not installed: pip install 'loci-memos[serve]'.")
    if not 0 <= port < 1 << 16:
        raise Invalid(f"--port is {port}; it must be from 0 to 65535.")
    if not 1 <= processes <= MOST_PROCESSES:
        raise Invalid(f"--processes is {processes}; it must be from 1 to {MOST_PROCESSES}.")
    if processes > 1 and sys.platform != "linux":
        raise Unsupported("Several processes at one port need Linux. Leave --processes out.")
    from loci.server.siblings import LOCAL

    if is_open and host not in LOCAL:
        raise Invalid(f"--open is for this machine alone, and --host {host} is for others too. Leave one of them out.")
