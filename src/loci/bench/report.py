"""The report of `loci bench retrieval --report`: figures with intervals, by category, the worst loss, and a curve of recall by budget."""

from __future__ import annotations

import html
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RESAMPLES, SEED = 1000, 7
FEWEST = 30  # questions that a category needs to be compared
CURVE = (100, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 4000)
COLOURS = {
    "loci": "#c2410c", "bm25": "#1d4ed8", "dense": "#15803d", "rank fusion": "#6b7280",
    "mem0": "#7c3aed", "chromadb": "#be185d", "langgraph": "#0e7490", "memoryos": "#a16207",
}  # fmt: skip
SINGLE = ("bm25", "dense")


@dataclass(frozen=True, slots=True)
class Answered:
    """One question, and what each system found of its evidence."""

    dataset: str
    conversation: str
    category: str
    measures: Mapping[str, Mapping[str, float]]


def write(folder: Path, answered: Sequence[Answered], about: str) -> None:
    """Writes report.md, a curve per set as SVG, and every question's measures as JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "questions.jsonl").open("w", encoding="utf-8") as out:
        for a in answered:
            rounded = {system: {name: round(value, 4) for name, value in found.items()} for system, found in a.measures.items()}
            out.write(json.dumps({"set": a.dataset, "conversation": a.conversation, "category": a.category, **rounded}) + "\n")
    sets = list(dict.fromkeys(a.dataset for a in answered))
    parts = ["# Retrieval", "", about, "", *_overall(sets, answered), "", *_by_category(answered), ""]
    for name in sets:
        rows = [a for a in answered if a.dataset == name]
        (folder / f"{name}.svg").write_text(_curve(name, rows), "utf-8")
        parts.append(f"![Evidence found in {name} by token budget]({name}.svg)")
    (folder / "report.md").write_text("\n".join(parts) + "\n", "utf-8")


def _overall(sets: Sequence[str], answered: Sequence[Answered]) -> list[str]:
    """Every set and system, R@10 with its 95 % interval by bootstrap over conversations."""
    metrics = [m for m in next(iter(answered[0].measures.values())) if not m.startswith("curve")]
    lines = ["| set | system | R@10, 95 % | " + " | ".join(metrics) + " |", "|---|---|---|" + "---|" * len(metrics)]
    for name in sets:
        rows = [a for a in answered if a.dataset == name]
        for system in rows[0].measures:
            low, high = _interval(rows, system)
            is_told = rows[0].measures[system].keys()
            figures = " | ".join(f"{100 * _mean(a.measures[system][m] for a in rows):.1f}" if m in is_told else "" for m in metrics)
            lines.append(f"| {name} | {system} | {100 * low:.1f} to {100 * high:.1f} | {figures} |")
    return lines


def _by_category(answered: Sequence[Answered]) -> list[str]:
    """R@10 of each category with enough questions, and how far Loci is above the better single signal."""
    systems = list(answered[0].measures)
    groups: dict[tuple[str, str], list[Answered]] = {}
    for a in answered:
        groups.setdefault((a.dataset, a.category), []).append(a)
    lines = [
        "R@10 by category of at least 30 questions:",
        "",
        "| set | category | n | " + " | ".join(systems) + " | over the better single |",
    ]
    lines.append("|---|---|---|" + "---|" * (len(systems) + 1))
    worst: tuple[float, str] | None = None
    for (name, category), rows in sorted(groups.items()):
        if len(rows) < FEWEST:
            continue
        found = {system: 100 * _mean(a.measures[system]["R@10"] for a in rows) for system in systems}
        gain = found["loci"] - max((found[s] for s in SINGLE if s in found), default=0.0)
        worst = min(worst or (gain, ""), (gain, f"{name}, category {category}"))
        lines.append(f"| {name} | {category} | {len(rows)} | " + " | ".join(f"{found[s]:.1f}" for s in systems) + f" | {gain:+.1f} |")
    if worst is not None and len(systems) > 1:
        lines += ["", f"Least gain over the better of BM25 and dense: {worst[0]:+.1f} points ({worst[1]})."]
    return lines


def _interval(rows: Sequence[Answered], system: str) -> tuple[float, float]:
    """The middle 95 % of means of R@10 when conversations are drawn again with replacement."""
    by: dict[str, list[float]] = {}
    for a in rows:
        by.setdefault(a.conversation, []).append(a.measures[system]["R@10"])
    chance, names = random.Random(SEED), sorted(by)
    means = sorted(_mean(v for _ in names for v in by[chance.choice(names)]) for _ in range(RESAMPLES))
    return means[RESAMPLES // 40], means[-RESAMPLES // 40]


def _mean(values: Iterable[float]) -> float:
    told = list(values)
    return sum(told) / len(told) if told else 0.0


def _curve(name: str, rows: Sequence[Answered]) -> str:
    """Share of the evidence by token budget, a line each system, as a small picture."""
    width, height, left, bottom = 560, 320, 48, 40

    def across(budget: float) -> float:
        return left + (width - left - 110) * budget / CURVE[-1]

    def up(share: float) -> float:
        return height - bottom - (height - bottom - 24) * share

    parts = [f'<text x="{left}" y="16" font-weight="bold">{html.escape(name)}: evidence found by token budget</text>']
    parts += [
        line(left, up(s), across(CURVE[-1]), up(s), "#e5e7eb") + label(6, up(s) + 4, f"{100 * s:.0f} %") for s in (0, 0.25, 0.5, 0.75, 1)
    ]
    parts += [label(across(b) - 12, height - bottom + 16, str(b)) for b in (500, 1000, 2000, 3000, 4000)]
    parts.append(label(across(1500), height - 6, "tokens (four bytes each)"))
    ends: list[float] = []
    for system in rows[0].measures:
        shares = [_mean(a.measures[system][f"curve {b}"] for a in rows) for b in CURVE]
        points = " ".join(f"{across(b):.1f},{up(s):.1f}" for b, s in zip(CURVE, shares, strict=True))
        colour = COLOURS.get(system, "#111827")
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        at = free(up(shares[-1]) + 4, ends)
        ends.append(at)
        parts.append(label(across(CURVE[-1]) + 6, at, system, colour))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def free(at: float, taken: Sequence[float]) -> float:
    """The height of a label moved down until it covers no other."""
    while any(abs(at - other) < 13 for other in taken):
        at += 13
    return at


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """A straight line of a picture."""
    return f'<line x1="{x1}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def label(x: float, y: float, text: str, colour: str = "#374151") -> str:
    """Words in a picture."""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{html.escape(text)}</text>'
