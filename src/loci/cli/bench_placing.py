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


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Made traces of each kind.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write report.md and a picture here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
def placement(folder: Path | None, seeds: int, report: Path | None, as_json: bool) -> None:
    """Replay uses and edits of memories under rules that decide what is text and what a KV memory, and add up what it costs.

    The decisions are those of `loci plan`, beside a timer as the official system has it, an LRU cache, and text always. FOLDER, a data set
    such as LoCoMo, adds its questions as uses of their evidence.
    """
    from dataclasses import asdict

    from loci.bench.placement import MACHINES
    from loci.bench.placement_report import CAVEAT, run, sensitivity, table, targets, traces_of, write
    from loci.cli.render import note, progress, show_table

    traces = traces_of(folder, seeds)
    with progress("replays") as advance:
        rows = run(traces, advance=advance)
    if report is not None:
        named = f" {folder.name}" if folder is not None else ""
        told = f"Written by `loci bench placement{named} --seeds {seeds}`. " + " ".join(
            f"{one.name}: {one.machine.rates}, {one.machine.token_bytes:,.0f} bytes a token, {one.limits.hand_bytes >> 30} GiB at hand, "
            f"{one.limits.disk_bytes >> 30} GiB on the disk."
            for one in MACHINES
        )
        write(report, rows, sensitivity(traces, MACHINES[-1]), list(traces), told)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=1))
        return
    for machine in dict.fromkeys(row.machine for row in rows):
        heads, _, *body = ([cell.strip(" *") for cell in line.strip("|").split("|")] for line in table(rows, machine))
        note(f"{machine}: milliseconds and tokens beside text")
        show_table(heads, [list(line) for line in body])
    for line in targets(rows)[2:]:
        note(line.strip("| ").replace(" | ", "; "))
    note(CAVEAT)
