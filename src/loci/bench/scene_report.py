"""The report of `loci bench scene`: a table for each replay, a picture, and the target beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loci.bench.report import label, line
from loci.bench.scene import FACTOR, SYSTEMS
from loci.policy.foresight import WAYS

TARGET = 0.6
MEANS = {
    "nothing": "", "said last": "the newest messages", "used most": "what was recalled most often so far",
    "used most, fixed": "the same as it stood after 20 questions", "last recall": "what the question before recalled",
    "foresight": "Loci", "oracle": "who knows the question and its evidence", "its own recall": "the search, once the question is known",
}  # fmt: skip
BAR = 18


def write(folder: Path, figures: Mapping[str, Any], about: str) -> None:
    """Writes report.md and picture.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = ["# Next-scene prediction", "", about, ""]
    for order, row in figures["orders"].items():
        parts += [
            f"## {order.capitalize()}",
            "",
            f"{row['questions']:,} of {row['conversations']} conversations.",
            "",
            *table(row),
            "",
            told(row),
            "",
        ]
    parts += ["## Milliseconds", "", milliseconds(figures), "", "![What is ready beforehand](picture.svg)", ""]
    (folder / "report.md").write_text("\n".join(parts), "utf-8")
    (folder / "picture.svg").write_text(picture(figures["orders"]), "utf-8")


def rows(row: Mapping[str, Any]) -> list[list[str]]:
    """By system: what it prepares, the share of what is needed that is ready, its tokens over those of the question's own recall."""
    return [[name, MEANS[name], f"{100 * row['ready'][name]:.1f}", f"{row['tokens'][name]:.2f}"] for name in SYSTEMS]


def table(row: Mapping[str, Any]) -> list[str]:
    """The same as lines of a table."""
    return ["| prepared | | ready, % | tokens |", "|---|---|---|---|", *(f"| {' | '.join(cells)} |" for cells in rows(row))]


def told(row: Mapping[str, Any]) -> str:
    """The target beside what was measured, and what the ways of guessing counted at the end."""
    ready, tokens = row["ready"]["foresight"], row["tokens"]["foresight"]
    is_met = ready >= TARGET and tokens <= FACTOR
    weights = ", ".join(f"{way} {row['weights'][way]:.2f}" for way in WAYS)
    return f"Ready {100 * ready:.1f} % at {tokens:.2f}x the tokens; {TARGET:.0%} at {FACTOR}x: {'reached' if is_met else 'missed'}. Weights at the end: {weights}."


def milliseconds(figures: Mapping[str, Any]) -> str:
    """What taking what was prepared saves, and what it costs when nobody waits."""
    search, check, foresee = figures["search_ms"], figures["check_ms"], figures["foresee_ms"]
    return (
        f"A search {search:.1f} ms; taking what was prepared, with all that must be checked for it, {check:.1f} ms: {search - check:.1f} ms less "
        f"({search / max(check, 1e-9):.0f}x). Preparing it takes {foresee:.1f} ms while nobody waits. Medians of one run."
    )


def picture(orders: Mapping[str, Any]) -> str:
    """The share that is ready, a bar each system, replay by replay."""
    shown: Sequence[str] = [name for name in SYSTEMS if name not in ("nothing", "oracle")]
    width, left, right = 620, 150, 50
    parts, down = [], 24
    for order, row in orders.items():
        parts.append(f'<text x="8" y="{down}" font-weight="bold">{order}</text>')
        down += 8
        for name in shown:
            across = (width - left - right) * row["ready"][name]
            colour = "#c2410c" if name == "foresight" else "#9ca3af"
            parts.append(
                label(8, down + 13, name) + f'<rect x="{left}" y="{down + 2}" width="{across:.1f}" height="{BAR - 5}" fill="{colour}"/>'
            )
            parts.append(label(left + across + 4, down + 13, f"{100 * row['ready'][name]:.1f}"))
            down += BAR
        at = left + (width - left - right) * TARGET
        parts.append(line(at, down - BAR * len(shown), at, down, "#111827"))
        down += 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {down}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )
