"""`loci bench retention` and `loci bench placement`: what stays at hand, and in which form, by replay."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True, help="Lives of the memory, each with every rule.")
@click.option("--main", "is_main", is_flag=True, help="Only the two main readings of the simulator.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write report.md and a picture here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def retention(seeds: int, is_main: bool, report: Path | None, as_json: bool) -> None:
    """Simulate 180 days of needs with room for a tenth of the memories, and count the needs that each rule of retention meets.

    1,500 memories, needed once, in bursts, at intervals or steadily. A hit is a need whose memory is still at hand.
    """
    from dataclasses import asdict

    from loci.bench.machine import machine
    from loci.bench.retention import BACK, BASE, WORLDS, growths, run
    from loci.bench.retention_report import CAVEAT, table, targets, write
    from loci.cli.render import note, progress, show_table

    worlds = (BASE, BACK) if is_main else WORLDS
    with progress("rules") as advance:
        figures = run(worlds, seeds, advance)
    if report is not None:
        told = f"Written by `loci bench retention --seeds {seeds}`: seeds 0 to {seeds - 1}, the same for every rule; ± is the deviation over them. {machine()}."
        write(report, figures, growths(worlds, min(seeds, 5)), told)
    if as_json:
        click.echo(json.dumps([asdict(figure) for figure in figures], indent=1))
        return
    heads, _, *rows = ([cell.strip() for cell in row.strip("|").split("|")] for row in table(figures))
    show_table(heads, [list(row) for row in rows], right=tuple(dict.fromkeys(heads[1:])))
    for row in targets(figures)[2:]:
        note(row.strip("| ").replace(" | ", "; "))
    note(CAVEAT)
