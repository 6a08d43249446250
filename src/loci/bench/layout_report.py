"""The report of `loci bench layout --report`: the tables, and a picture of what each turn of a session costs."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loci.bench.replay import Replayed, costs
from loci.bench.report import free, label, line

COLOURS = {"A": "#b91c1c", "B": "#f97316", "C": "#1d4ed8", "D": "#15803d", "E": "#7c3aed", "F": "#6b7280", "Loci": "#c2410c"}
MEANS = {
    "A": "recalled memories first, by relevance", "B": "recalled memories first, by id", "C": "recalled memories last, dropped",
    "D": "a core first, the rest last, dropped", "E": "new memories last, kept", "F": "no memory",
    "Loci": "a core first, the rest last, kept while that pays",
}  # fmt: skip
SMOOTH = 5  # turns that a point of the picture is the mean of
Figures = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Told:
    """A data set's replay, and what was asked of it."""

    name: str
    how: str
    replayed: Replayed


def write(folder: Path, simulated: Mapping[str, Figures], replays: Sequence[Told], about: str) -> None:
    """Writes report.md and a picture for each replay."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = ["# Prompt layouts", "", about, ""]
    for case, figures in simulated.items():
        parts += [f"## Simulated: {case}", "", *table(figures), ""]
    for told in replays:
        figures = told.replayed.figures()
        rewritten = ", ".join(f"{count} x {why}" for why, count in figures["rewritten"].items()) or "never"
        expected = figures["expected of found"]
        parts += [
            f"## {told.name}, {told.how}",
            "",
            f"{figures['turns']} turns in {figures['sessions']} sessions.",
            "",
            *table(figures["layouts"]),
            "",
        ]
        share = "-" if expected is None else f"{expected:.1%}"
        parts += [
            f"Loci rewrote: {rewritten}. It expected {share} of the hits that there were, and saw {figures['gaps']} gaps where there were none.",
            "",
        ]
        picture = f"{told.name}-{told.how.split()[0]}.svg"
        (folder / picture).write_text(curve(f"{told.name}, {told.how}", told.replayed), "utf-8")
        parts += [f"![Cost by turn]({picture})", ""]
    (folder / "report.md").write_text("\n".join(parts), "utf-8")


def table(figures: Figures) -> list[str]:
    """Rows of a table by layout."""
    lines = ["| layout | | prompt tokens | cached | cost a turn | over A | over A uncached |", "|---|---|---|---|---|---|---|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows(figures)]


def rows(figures: Figures) -> list[list[str]]:
    """By layout: what it is, tokens of a prompt, share found in the cache, cost of a turn, and that over A's with and without a cache."""
    over = costs(figures)
    return [
        [name, MEANS[name], f"{row['prompt tokens']:,.0f}", f"{row['cached']:.1%}", f"{row['cost']:,.0f} ± {row['deviation']:,.0f}",
         f"{over[name][0]:.2f}", f"{over[name][1]:.2f}"]
        for name, row in figures.items()
    ]  # fmt: skip


def curve(title: str, replayed: Replayed) -> str:
    """The cost of each turn of a session, a line each layout, as a small picture."""
    width, height, left, bottom = 560, 320, 56, 40
    by_turn = {name: _smooth(replayed.by_turn(name)) for name in replayed.sessions}
    longest = max(len(told) for told in by_turn.values())
    top = max(max(told) for told in by_turn.values())

    def across(turn: float) -> float:
        return left + (width - left - 60) * turn / max(1, longest - 1)

    def up(cost: float) -> float:
        return height - bottom - (height - bottom - 28) * cost / top

    parts = [f'<text x="{left}" y="16" font-weight="bold">{html.escape(title)}: cost of a turn</text>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(line(left, up(share * top), across(longest - 1), up(share * top), "#e5e7eb"))
        parts.append(label(4, up(share * top) + 4, f"{share * top:,.0f}"))
    parts += [label(across(turn), height - bottom + 16, str(turn + 1)) for turn in range(0, longest, max(1, longest // 5))]
    parts.append(label(left + 120, height - 6, "turn of the session (cost in tokens at the price of uncached ones)"))
    ends: list[float] = []
    for name, told in sorted(by_turn.items(), key=lambda entry: entry[1][-1], reverse=True):
        points = " ".join(f"{across(turn):.1f},{up(cost):.1f}" for turn, cost in enumerate(told))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="{3 if name == "Loci" else 1.5}"/>')
        at = free(up(told[-1]) + 4, ends)
        ends.append(at)
        parts.append(label(across(longest - 1) + 6, at, name, COLOURS[name]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _smooth(costs_by_turn: Sequence[float]) -> list[float]:
    """The mean of the last few turns at each."""
    windows = (costs_by_turn[max(0, place - SMOOTH + 1) : place + 1] for place in range(len(costs_by_turn)))
    return [sum(window) / len(window) for window in windows]
