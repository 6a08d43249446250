"""`loci bench proxy`: what a chat waits for its memory."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import click


@click.command()
@click.option("--memories", type=click.IntRange(1), default=10_000, show_default=True, help="In the cube.")
@click.option("--conversations", type=click.IntRange(1), default=20, show_default=True, help="Of six turns each.")
@click.option("--pause", type=click.FloatRange(0), default=0.5, show_default=True, help="Seconds between two turns.")
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="On whose disk; the system's for temporary files."
)
@click.option("--report", "written", type=click.Path(file_okay=False, path_type=Path), help="Write report.md and figures.json here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def proxy(memories: int, conversations: int, pause: float, folder: Path | None, written: Path | None, as_json: bool) -> None:
    """Measure how much later the first token comes through the proxy than from the upstream itself.

    The upstream is a script that answers at once. With the MiniLM embedder where it is installed. Needs the extra `serve`.
    """
    from loci.bench.proxy import report, run, table
    from loci.bench.served import kept
    from loci.cli.render import note, progress, show_table
    from loci.errors import Unsupported
    from loci.settings import load
    from loci.wire import embedder_of

    if find_spec("starlette") is None or find_spec("httpx2") is None:
        raise Unsupported("What serves is not installed: pip install 'loci-memos[serve]'.")
    settings, _ = load()
    with progress("conversations") as advance:
        found = run(folder, embedder_of(settings), memories, conversations, pause, advance)
    if written is not None:
        kept(written, report(found), found)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    columns = ["turns", "straight ms", "proxied ms", "difference", "p95", "processor ms"]
    show_table(columns, table(found), right=columns[1:])
    note(f"{found['requests']} requests, {found['failed']} without memory; load {found['load']}")
