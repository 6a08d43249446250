"""What people see: tables on stdout, notes and progress on stderr. Stored text is shown as data, never as terminal commands."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, chop_cells
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from loci.types import Change, Memory, Receipt

UNSEEN_WIDTH = 120  # columns where nobody is looking: a pipe or a file
MEASURED = 500  # rows whose widths are looked at: a longer table is written as it comes
NARROWEST = 8  # columns that a cell is folded into
GAP = "   "
LONGEST = 600  # characters of a text in a table; `get` and --json show all of it
_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
Cell = str | Text | None


class _Console(Console):
    """Leaves it to `loci.cli.run` what a reader that went away means."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, is_talk: bool = False) -> Console:
    """The console of answers (stdout) or of talk (stderr). Colours only on a terminal, and not with NO_COLOR."""
    stream = sys.stderr if is_talk else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else UNSEEN_WIDTH
    return _Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def note(text: str) -> None:
    """A line of talk on stderr."""
    console(is_talk=True).print(Text(f"note: {safe(text)}", "yellow"), soft_wrap=True)


def note_nothing_of(what: str, scope: Mapping[str, str | None]) -> None:
    """That a scope has none of these; where nobody named one, that those of a user's are that user's alone."""
    named = ", ".join(f"{name} {value}" for name, value in scope.items() if value)
    note(
        f"there are no {what} of {named}."
        if named
        else f"there are no {what} of memories that are no user's; --user NAME shows those of a user's."
    )


def warn(text: str) -> None:
    """A line on stderr that nobody should miss."""
    console(is_talk=True).print(Text(f"warning: {safe(text)}", "bold red"), soft_wrap=True)


def warn_of_gone(ids: Sequence[str]) -> None:
    """Says which activation memories and adapters a check let go of, if any."""
    if ids:
        named = ", ".join(ids)
        warn(
            f"{len(ids)} activation memories were let go: their files were gone ({named}). Their memories are there; `loci activate` reads them again, and what is an"
            " adapter is learned anew (`loci worker`)."
        )


def safe(text: str) -> str:
    """Text without power over the terminal: control, bidirectional and invisible characters are spelled out."""
    return _HIDDEN.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def show(*things: RenderableType) -> None:
    for thing in things:
        console().print(Text(safe(thing)) if isinstance(thing, str) else thing)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, right: Sequence[str] = (), title: str = "") -> None:
    """A table on stdout. Plain strings are made safe; columns named in ``right`` are aligned right and never wrapped. A long one is written
    as it comes."""
    left = iter(rows)
    first = list(islice(left, MEASURED + 1))
    if len(first) > MEASURED:
        _stream(columns, first, left, right, title)
        return
    grid = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
    narrow = {*right, "when", "who", "id", "at", "verb", "outcome"}
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", no_wrap=column in narrow, overflow="fold")
    for row in first:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(safe(cell or "")) for cell in row))
    console().print(grid)


def _stream(
    columns: Sequence[str], first: Sequence[Sequence[Cell]], left: Iterable[Sequence[Cell]], right: Sequence[str], title: str
) -> None:
    """A table whose columns are as wide as its ``first`` rows ask for, and the last takes what is left of the line; without colours."""
    rows = ([_lines(cell) for cell in row] for row in chain(first, left))
    seen = list(islice(rows, len(first)))
    widths = [max(NARROWEST, *map(cell_len, (name, *(line for row in seen for line in row[place])))) for place, name in enumerate(columns)]
    room = console().width - len(GAP) * (len(columns) - 1)
    while (over := sum(widths) - room) > 0 and max(widths) > NARROWEST:
        widest = widths.index(max(widths))
        others = max((width for place, width in enumerate(widths) if place != widest), default=0)
        widths[widest] = max(widths[widest] - over, min(others, widths[widest] - 1), NARROWEST)
    widths[-1] = max(widths[-1], room - sum(widths[:-1]))
    out = sys.stdout.write
    head = [*([safe(title)] if title else []), *_row([[name] for name in columns], widths, columns, right)]
    out("".join(f"{line}\n" for line in head))
    out(f"{'─' * min(sum(widths) + len(GAP) * (len(columns) - 1), console().width)}\n")
    for row in chain(seen, rows):
        out("".join(f"{line}\n" for line in _row(row, widths, columns, right)))


def _lines(cell: Cell) -> list[str]:
    return (cell.plain if isinstance(cell, Text) else safe(cell or "")).splitlines() or [""]


def _row(cells: Sequence[Sequence[str]], widths: Sequence[int], columns: Sequence[str], right: Sequence[str]) -> list[str]:
    """The lines of a row: what is too long for its column goes on below."""
    folded = [[piece for line in cell for piece in _folded(line, width)] for cell, width in zip(cells, widths, strict=True)]
    shown = []
    for place in range(max(map(len, folded))):
        pieces = []
        for column, cell, width in zip(columns, folded, widths, strict=True):
            piece = cell[place] if place < len(cell) else ""
            blank = " " * (width - cell_len(piece))
            pieces.append(blank + piece if column in right else piece + blank)
        shown.append(GAP.join(pieces).rstrip())
    return shown


def _folded(line: str, width: int) -> Sequence[str]:
    if cell_len(line) <= width:
        return [line]
    return textwrap.wrap(line, width) if line.isascii() else chop_cells(line, width)


def show_fields(named: Mapping[str, object]) -> None:
    """Names and values, one a line; what is empty is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in named.items():
        if value is not None and value != "" and value != ():
            grid.add_row(name, Text(safe(words(value))))
    console().print(grid)


def words(value: object) -> str:
    """A value in words: times to the minute, several with commas."""
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {words(entry)}" for key, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(words(entry) for entry in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def detail(found: Mapping[str, object]) -> str:
    """What an audit record says, with lists counted; --json shows them whole."""
    return words({k: f"({len(v)})" if isinstance(v, Sequence) and not isinstance(v, str) else v for k, v in found.items()})


def moment(at: datetime | None) -> str:
    """A time to the minute with its zone, or a dash."""
    return "-" if at is None else f"{at.isoformat(' ', 'minutes')}"


def day(at: datetime | None) -> str:
    return "-" if at is None else at.date().isoformat()


def period(start: datetime | None, end: datetime | None) -> str:
    """An interval in days: since, until, or both."""
    if start is None and end is None:
        return "always"
    return f"until {day(end)}" if start is None else f"since {day(start)}" if end is None else f"{day(start)} to {day(end)}"


def days(start: datetime, end: datetime) -> str:
    """A span of time by its first and its last day."""
    first, last = day(start), day(max(start, end - timedelta(microseconds=1)))
    return first if first == last else f"{first} to {last}"


def body(memory: Memory, *, cite: str = "", remark: str = "") -> Text:
    """A memory in a cell: its words, what one must know of it, and where to go on from: its source and its id."""
    shown = safe(memory.text)
    text = Text(shown if len(shown) <= LONGEST else f"{shown[:LONGEST]} …")
    if remark:
        text.append(f"\n{safe(remark)}", "yellow")
    text.append(f"\n{safe(cite)}{' · ' if cite else ''}{memory.id}", "dim")
    return text


def lines(text: str, *, under: str) -> Text:
    """A cell with a dim line under its text."""
    return Text(safe(text)).append(f"{chr(10) if text else ''}{safe(under)}", "dim")


def show_memories(memories: Sequence[Memory], *, title: str = "") -> None:
    """Memories, one a row: when it was said, by whom, what it is, the words."""
    rows = ([day(m.at), m.speaker or m.origin.channel.value, m.type.value, body(m, remark=_standing(m))] for m in memories)
    show_table(["when", "who", "type", "memory"], rows, title=title)


def show_receipt(receipt: Receipt) -> None:
    """Every outcome of a write, with ids and reasons."""
    rows = [[c.outcome.value, c.memory, _versions(c), c.reason + (f" (by {c.other})" if c.other else "")] for c in receipt.changes]
    show_table(["outcome", "id", "version", "reason"], rows)


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr. Yields ``advance(done, total)``; without a terminal one line at the end says what was done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    talk = console(is_talk=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=talk,
        disable=not talk.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task(title, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance
        end = bar.tasks[0]
    if bar.disable:
        talk.print(f"{title}: {end.completed:,.0f} in {end.elapsed or 0:.1f} s")


@contextmanager
def working(what: str) -> Iterator[None]:
    """What is being done and for how long, on stderr where somebody is looking, of work that cannot say how much of it is done."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console(is_talk=True), transient=True) as shown:
        shown.add_task(what, total=None)
        yield


def ended(memory: Memory) -> str:
    """Why a version no longer holds, to be put behind why it came."""
    return f"; ended: {memory.ending}" if memory.ending else ""


def _standing(memory: Memory) -> str:
    """What is out of the ordinary about a memory."""
    parts = [] if memory.state.value in ("generated", "activated") else [memory.state.value]
    if memory.valid.end is not None:
        parts.append(f"held until {day(memory.valid.end)}")
    if memory.version > 1:
        parts.append(f"version {memory.version}")
    return ", ".join(parts)


def _versions(change: Change) -> str:
    if change.before is None or change.before == change.after:
        return str(change.after or "")
    return f"{change.before} -> {change.after}" if change.after else str(change.before)
