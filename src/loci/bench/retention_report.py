"""The report of `loci bench retention`: a table of every rule, one of every reading of the simulator, and a picture."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from loci.bench.report import label, line
from loci.bench.retention import BACK, BASE, INVERTED, OURS, TARGET, Figure

SHOWN = {INVERTED: "#b91c1c", "LRU": "#6b7280", "ACT-R base level": "#a16207", "the paper's law as a rank": "#1d4ed8", "spaced, by the whole gap": "#0e7490", OURS: "#15803d"}  # fmt: skip
CAVEAT = (
    "Needs are made up, from a seed: the order of the rules is the claim, and not the values. Where the words of the simulator leave something open, "
    "every reading that was tried is below, but one: all said at the start and nothing coming back, where 90 % is gone on the first day and every rule is alike."
)


def write(folder: Path, figures: Sequence[Figure], growth: Mapping[float, Sequence[float]], about: str) -> None:
    """Writes report.md and hits.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hits.svg").write_text(_picture(figures), "utf-8")
    parts = ["# What a full memory keeps at hand", "", CAVEAT, "", about, "", "## Targets", "", *targets(figures), ""]
    parts += ["## Every rule, in the two main readings", "", *table(figures), "", "![Hits in every reading](hits.svg)", ""]
    parts += ["## Every reading", "", *readings(figures), ""]
    parts += ["## How much hangs on the limit of growth", "", *_growths(growth), ""]
    (folder / "report.md").write_text("\n".join(parts), "utf-8")


def targets(figures: Sequence[Figure]) -> list[str]:
    """What was to be reached, over all readings."""
    ours = [figure for figure in figures if figure.rule == OURS]
    inverted = [figure for figure in figures if figure.rule == INVERTED]
    base, least = ours[0], min(ours, key=lambda figure: figure.gain)
    worst = max(inverted, key=lambda figure: figure.gain)
    rows = [
        (f"ours over LRU, {base.world}", base.gain, f">= +{TARGET}", base.gain >= TARGET),
        (f"ours over LRU, the least of {len(ours)} readings ({least.world})", least.gain, f">= +{TARGET}", least.gain >= TARGET),
        (f"the official code's law over LRU, the most of {len(inverted)} readings ({worst.world})", worst.gain, "< 0", worst.gain < 0),
    ]
    lines = ["| what | measured | target | |", "|---|---|---|---|"]
    return lines + [f"| {what} | {measured:+.3f} | {target} | {'met' if met else 'missed'} |" for what, measured, target, met in rows]


def table(figures: Sequence[Figure]) -> list[str]:
    """Each rule's hits and deviation over seeds, in the two main readings."""
    by = {(figure.world, figure.rule): figure for figure in figures}
    lines = [f"| rule | {BASE.name} | over LRU | {BACK.name} | over LRU |", "|---|---|---|---|---|"]
    for rule in dict.fromkeys(figure.rule for figure in figures):
        cells = [f"{f.hit:.3f} ± {f.deviation:.3f} | {f.gain:+.3f}" for f in (by[BASE.name, rule], by[BACK.name, rule])]
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    return lines


def readings(figures: Sequence[Figure]) -> list[str]:
    """The hits of some rules in every reading, and what ours has over LRU in it: on average, and for the worst seed."""
    by = {(figure.world, figure.rule): figure for figure in figures}
    lines = ["| reading | " + " | ".join(SHOWN) + " | ours over LRU | its worst seed |", "|---|" + "---|" * (len(SHOWN) + 2)]
    for world in dict.fromkeys(figure.world for figure in figures):
        cells = " | ".join(f"{by[world, rule].hit:.3f}" for rule in SHOWN)
        lines.append(f"| {world} | {cells} | {by[world, OURS].gain:+.3f} | {by[world, OURS].least:+.3f} |")
    return lines


def _growths(growth: Mapping[float, Sequence[float]]) -> list[str]:
    lines = ["| a use makes it at most so much longer | least gain over LRU in any reading | mean |", "|---|---|---|"]
    return lines + [f"| {step:.0%} | {min(gains):+.3f} | {sum(gains) / len(gains):+.3f} |" for step, gains in growth.items()]


def _picture(figures: Sequence[Figure]) -> str:
    """A row for each reading, a dot for each rule."""
    worlds = list(dict.fromkeys(figure.world for figure in figures))
    by = {(figure.world, figure.rule): figure.hit for figure in figures}
    left, right, top, step = 300, 190, 34, 22
    width, height = 760, top + step * len(worlds) + 34

    def across(share: float) -> float:
        return left + (width - left - right) * share

    parts = [f'<text x="8" y="16" font-weight="bold">Needs whose memory was at hand, {len(worlds)} readings</text>']
    for share in (0, 0.25, 0.5, 0.75):
        parts.append(line(across(share), top - 8, across(share), height - 30, "#e5e7eb"))
        parts.append(label(across(share) - 8, height - 14, f"{share:.2f}"))
    for place, world in enumerate(worlds):
        y = top + step * place + 8
        parts.append(label(8, y + 4, html.unescape(world)))
        parts += [f'<circle cx="{across(by[world, rule]):.1f}" cy="{y}" r="4" fill="{colour}"/>' for rule, colour in SHOWN.items()]
    for place, (rule, colour) in enumerate(SHOWN.items()):
        parts.append(f'<circle cx="{width - right + 10}" cy="{top + 20 * place}" r="4" fill="{colour}"/>')
        parts.append(label(width - right + 20, top + 20 * place + 4, rule, colour))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )
