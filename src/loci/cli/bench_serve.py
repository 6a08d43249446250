"""`loci bench serve`: a server under load."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import click


@click.command()
@click.option("--memories", type=click.IntRange(1), default=10_000, show_default=True, help="In the cube.")
@click.option("--connections", type=click.IntRange(1), default=32, show_default=True, help="Kept open, each with one request at a time.")
@click.option("--seconds", type=click.FloatRange(0.5), default=10.0, show_default=True, help="Of searches, and of adds, in a round.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--processes", type=click.IntRange(1, 64), default=2, show_default=True, help="Of a second server, after that of one process."
)
@click.option("--minutes", type=click.FloatRange(0.5), default=30.0, show_default=True, help="In which the server's memory is watched.")
@click.option("--beside", type=click.Choice(["hindsight"]), help="The same load on another system's server; first use installs it.")
@click.option("--report", "written", type=click.Path(file_okay=False, path_type=Path), help="Write report.md and figures.json here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def serve(
    memories: int, connections: int, seconds: float, rounds: int, processes: int, minutes: float, beside: str | None, written: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Measure `loci serve` under load: searches and durable adds a second, the slowest of them, its start, its memory over time.

    Server and load are processes of their own. Needs Linux, the extra `serve` and an embedding model.
    """
    from loci.bench.serve import COLUMNS, notes, report, run, table
    from loci.bench.served import kept
    from loci.cli.render import note, progress, show_table
    from loci.errors import Unavailable, Unsupported
    from loci.settings import load
    from loci.wire import embedder_of

    if find_spec("starlette") is None or find_spec("prometheus_client") is None:
        raise Unsupported("What serves is not installed: pip install 'loci-memos[serve]'.")
    model = embedder_of(load()[0])
    if model is None:
        raise Unavailable("A server is measured with an embedding model, and none is installed: `loci settings` says how.")
    with progress("steps") as advance:
        found = run(model, memories, connections, seconds, minutes, rounds, processes, advance, is_beside=beside is not None)
    if written is not None:
        kept(written, report(found), found)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    show_table(list(COLUMNS), table(found), right=list(COLUMNS[1:]))
    for line in notes(found):
        note(line)
    note(found["machine"])
