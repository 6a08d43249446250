"""Explain: why, why-not, log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loci.cli.place import Place, verb
from loci.cli.values import When, emit
from loci.text.plain import plain

if TYPE_CHECKING:
    from loci.system import Cube, System
    from loci.types import Record

LISTED = 100  # records that are shown where no limit is given
WALKED = 1_000  # records that are read at a time for a file


@verb("why")
@click.argument("id")
def why(place: Place, id: str, as_json: bool) -> None:
    """Show what memory ID rests on.

    Its sources word for word, its versions, its steps through the life cycle, what it is linked to, and the audit records.
    """
    with place.open_cube() as cube:
        found = cube.why(id)
        if as_json:
            emit(found)
            return
        from loci.cli import render

        said = [
            [s.message.id or s.id, render.moment(s.message.at), s.message.speaker or s.message.role, s.message.words] for s in found.sources
        ]
        render.show_table(["source", "when", "who", "said, word for word"], said)
        versions = [
            [str(m.version), render.period(m.valid.start, m.valid.end), f"{m.author}: {m.reason}{render.ended(m)}"] for m in found.versions
        ]
        render.show_table(["version", "true", "by, and why"], versions, right=("version",))
        steps = [[render.moment(t.at), f"{t.before.value} to {t.after.value}", f"{t.author}: {t.reason}"] for t in found.transitions]
        if steps:
            render.show_table(["at", "state", "by, and why"], steps)
        linked: list[list[render.Cell]] = []
        for link in found.links:
            other = link.target if link.source == id else link.source
            linked.append([_direction(link.type, link.source == id), link.reason, render.body(cube.get(other))])
        if linked:
            render.show_table(["link", "because", "other memory"], linked)
        records = [[str(r.seq), render.moment(r.at), r.principal, r.verb, render.detail(r.detail)] for r in found.records]
        if records:
            render.show_table(["audit", "at", "principal", "verb", "what"], records, right=("audit",))


def _direction(type: str, is_from: bool) -> str:
    passive = {"supersedes": "superseded by", "evidence": "confirmed by", "made_of": "made into"}
    active = {"supersedes": "supersedes", "evidence": "confirms"}
    return (active if is_from else passive).get(type, type.replace("_", " "))


@verb("why-not")
@click.argument("question")
@click.argument("id")
@click.option("--user", metavar="NAME", help="Asked for this user.")
@click.option("--as-of", type=When(), help="Asked of that time.")
def why_not(place: Place, question: str, id: str, user: str | None, as_of: datetime | None, as_json: bool) -> None:
    """Show what keeps memory ID out of the answer to QUESTION.

    The filter, rank or fold that did it, and by how much.
    """
    with place.open_cube() as cube:
        found = cube.why_not(question, id, user=user, as_of=as_of)
    if as_json:
        emit(found)
        return
    from loci.cli import render

    render.show_fields(
        {
            "in the answer": found.is_in, "step": found.step, "reason": found.reason, "rank": found.rank, "score": found.score,
            "last score that got in": found.last_score,
        }
    )  # fmt: skip


@verb("log")
@click.option("--since", type=When(), help="Done since.")
@click.option("--until", type=When(is_end=True), help="Done before.")
@click.option("--verb", metavar="VERB", help="Only this verb.")
@click.option("--object", metavar="ID", help="Only on this memory, source or cube.")
@click.option("--principal", metavar="NAME", help="Only by this principal.")
@click.option("--before", type=int, metavar="NUMBER", help="Only those before this record, by its number.")
@click.option("--changes", is_flag=True, help="Only those of changes: not who looked at what.")
@click.option("--limit", type=int, help="The newest so many; 100, and all of them with --jsonl.")
@click.option("--of-vault", is_flag=True, help="The vault's own log instead: grants, keys, refusals.")
@click.option(
    "--jsonl", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the records to FILE, one JSON document a line."
)
def log(place: Place, of_vault: bool, jsonl: Path | None, as_json: bool, **limits: Any) -> None:
    """Show the audit log: who did what, when.

    Oldest first, the newest --limit records. It holds ids and counts, never words.
    """
    with place.open() as memory:
        of = memory if of_vault else memory.cube(place.cube or place.settings().cube, create=False)
        if jsonl is not None:
            count = _write(jsonl, _walked(of, limits))
        else:
            records = of.log(**{**limits, "limit": LISTED if limits["limit"] is None else limits["limit"]})
    if as_json:
        emit(records if jsonl is None else {"file": str(jsonl), "records": count})
        return
    from loci.cli import render

    if jsonl is not None:
        render.note(f"{count} records were written to {jsonl}.")
        return
    rows: list[list[render.Cell]] = [
        [str(r.seq), render.moment(r.at), r.principal, r.verb, render.lines(render.detail(r.detail), under=f"on {r.object}")]
        for r in records
    ]
    render.show_table(["#", "at", "principal", "verb", "what"], rows, right=("#",))


def _walked(of: Cube | System, limits: Mapping[str, Any]) -> Iterator[Record]:
    """The newest records, all where no limit is given, oldest first, a page in memory at a time: from the newest page back it is noted where each
    ends, and then each is read again, forward. What is written meanwhile is not among them."""
    pages, before, left = list[tuple[int, int]](), limits["before"], limits["limit"]
    while left is None or left > 0:
        size = WALKED if left is None else min(left, WALKED)
        found = of.log(**{**limits, "before": before, "limit": size})
        if found:
            before = found[0].seq
            pages.append((found[-1].seq + 1, len(found)))
        if len(found) < size or before == 1:
            break
        left = None if left is None else left - size
    for end, count in reversed(pages):
        yield from of.log(**{**limits, "before": end, "limit": count})


def _write(path: Path, records: Iterator[Record]) -> int:
    """Writes each as a line; a file is there whole or not at all. Returns how many there were."""
    from loci.infrastructure.files import writing

    count = 0
    with path.open("wb") if path.exists() and not path.is_file() else writing(path.resolve(), overwrite=True) as file:
        for record in records:
            count += 1
            file.write(f"{json.dumps(plain(record), ensure_ascii=False)}\n".encode(errors="backslashreplace"))
    return count
