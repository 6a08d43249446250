"""The report of `loci bench adapters`: each target beside what was measured, the tables, and a picture of what is kept under further updates."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OURS = "half replayed"
COLOURS = {"no replay": "#be185d", "a quarter replayed": "#a16207", OURS: "#15803d"}
CAVEAT = (
    "A made-up language and a model trained here for minutes on that alone. These figures say what these adapters do to such a model. They say nothing about the "
    "quality of any language model, and are never to be quoted so."
)


def write(folder: Path, found: Mapping[str, Any], about: str) -> None:
    """Writes report.md, figures.json and retention.svg. Parts that were measured before, of the same model, and not now, stay as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {**merged(folder, found), **found}
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    parts = ["# Facts in weights", "", CAVEAT, "", about, "", "## Targets", "", *targets(figures), "", *tables(figures)]
    if "retention" in figures:
        (folder / "retention.svg").write_text(picture(figures["retention"]), "utf-8")
    (folder / "report.md").write_text("\n".join(parts), "utf-8")


def merged(folder: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    """What a report of the same model says already."""
    path = folder / "figures.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return known if known.get("model") == found["model"] else {}


def targets(found: Mapping[str, Any]) -> list[str]:
    """What was to be reached, for every part that was measured."""
    rows: list[tuple[str, str, str, bool]] = []
    if "lifecycle" in found:
        life = found["lifecycle"]
        is_met = life["not bitwise"] == 0 and life["weights the same"]
        rows.append(
            (
                f"off, swap, stack, unload, reload, {life['events']} events",
                f"{life['not bitwise']} not bitwise",
                "bitwise in every case",
                is_met,
            )
        )
    for words in ("lessons' words", "other words") if "facts" in found else ():
        told = found["facts"][words]
        for what in ("recognition", "recall"):
            value = told["after"][what]
            rows.append((f"{what}, {words}", f"{value:.3f} (before {told['before'][what]:.3f})", ">= .95", value >= 0.95))
    if "facts" in found:
        cost = found["facts"]["other words"]["collateral"]
        rows.append(("collateral loss on untouched text", f"{cost:+.2%}", "<= +1 %", cost <= 0.01))
    for row in found.get("retention", ()):
        if row["updates"] == 100 and row["how"] == OURS:
            rows.append(
                (
                    "recall after 100 interfering updates, half of each batch the lessons again",
                    f"{row['recall']:.3f}",
                    ">= .9",
                    row["recall"] >= 0.9,
                )
            )
    if "cartridges" in found:
        kl, recall = ratios(found["cartridges"])
        rows.append(("cartridge of 8x fewer tokens: KL beside the text cut short", f"1/{1 / kl:.1f}", "<= 1/8", kl <= 1 / 8))
        rows.append(("its recall beside that of the text in context", f"{recall:.1%}", ">= 95 %", recall >= 0.95))
    if "unlearning" in found:
        gone = found["unlearning"]
        rows.append(
            (f"rebuilt after {gone['edits']} edits beside never seen", f"{gone['not bitwise']} not bitwise", "0", gone["not bitwise"] == 0)
        )
    lines = ["| what | measured | target | |", "|---|---|---|---|"]
    return lines + [f"| {what} | {measured} | {target} | {'met' if is_met else '**missed**'} |" for what, measured, target, is_met in rows]


def ratios(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Of all texts together: the divergence of the trained beside that of the cut, and its recall beside that of the text."""
    total = {(name, what): sum(row[name][what] for row in rows) for name in ("text", "cut", "trained") for what in ("kl", "recall")}
    return total["trained", "kl"] / total["cut", "kl"], total["trained", "recall"] / max(total["text", "recall"], 1e-9)


def tables(found: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    if "base" in found:
        lines += [
            "Values said by the model before anything is learned: " + ", ".join(f"{k} {v:.1%}" for k, v in found["base"].items()) + ".",
            "",
        ]
    if "facts" in found:
        lines += _facts(found["facts"])
    if "retention" in found:
        lines += _retention(found["retention"])
    if "cartridges" in found:
        lines += _cartridges(found["cartridges"])
    if "lifecycle" in found:
        lines += ["## The life of adapters", "", _told(found["lifecycle"]), ""]
    if "unlearning" in found:
        lines += ["## Unlearning", "", _told(found["unlearning"]), ""]
    return lines


def _facts(told: Mapping[str, Any]) -> list[str]:
    recipe = told["recipe"]
    lines = [
        f"## {told['facts']:,} facts", "",
        f"{told['lessons']:,} lessons, {told['steps']:,} steps, {told['seconds']:,.0f} s; rank {recipe['rank']}, rate {recipe['rate']:g}, {recipe['exposures']} exposures, "
        f"batches of {recipe['batch']}, replay {recipe['replay']:.0%} (texts of the model's own), {told['bytes']:,} bytes, seed {recipe['seed']}.", "",
        "| asked in | recognition (another's value) | (one word changed) | recall, tokens | whole values | nats a token |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for words in ("lessons' words", "other words"):
        before, after, near = (told[words][key] for key in ("before", "after", "one word"))
        pairs = (
            [(before[k], after[k]) for k in ("recognition",)]
            + [tuple(near)]
            + [(before[k], after[k]) for k in ("recall", "verbatim", "loss")]
        )
        lines.append(f"| {words} | " + " | ".join(f"{a:.3f} -> {b:.3f}" for a, b in pairs) + " |")
    return [*lines, "", f"Untouched text: {told['other words']['collateral']:+.2%}; what a text tells of free entities {told['collateral of what is told']:+.2%}, "
            f"known facts {told['of what is known']:+.2%}.", ""]  # fmt: skip


def _retention(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "## Kept under further updates", "", "The adapter is trained on, at the same rate, on other facts.", "",
        "| how | updates | recognition | recall | whole values | untouched text | s |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in rows:
        lines.append(
            f"| {r['how']} | {r['updates']:,} | {r['recognition']:.3f} | {r['recall']:.3f} | {r['verbatim']:.3f} | {r['collateral']:+.2%} | {r['seconds']:,.0f} |"
        )
    return [*lines, "", "![Recall by further updates](retention.svg)", ""]


def _cartridges(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = ("nothing", "cut", "trained", "text")
    lines = [
        "## Cartridges",
        "",
        "Nats a token from the whole text, on continuations that were drawn before training; recall of its facts, in other words.",
        "",
    ]
    lines += [
        "| text | tokens | kept | "
        + " | ".join(f"KL, {n}" for n in names[:3])
        + " | "
        + " | ".join(f"recall, {n}" for n in names)
        + " | s |"
    ]
    lines += ["|---" * 11 + "|"]
    for r in rows:
        kl, recall = " | ".join(f"{r[n]['kl']:.4f}" for n in names[:3]), " | ".join(f"{r[n]['recall']:.3f}" for n in names)
        lines.append(f"| {r['number']} | {r['tokens']} | {r['kept']} | {kl} | {recall} | {r['seconds']:,.0f} |")
    return [*lines, ""]


def _told(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:,.0f}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()) + "."


def picture(rows: Sequence[Mapping[str, Any]]) -> str:
    """Recall by updates (logarithmic, 1 for at once), a line a schedule."""
    width, height, left, bottom, right = 560, 300, 48, 40, 150
    most = max(10, *(row["updates"] for row in rows))
    parts = [f'<text x="{left}" y="16" font-weight="bold" fill="#374151">Recall of what was learned, under further updates</text>']

    def across(updates: int) -> float:
        return left + (width - left - right) * math.log10(max(1, updates)) / math.log10(most)

    def up(share: float) -> float:
        return height - bottom - (height - bottom - 28) * share

    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<polyline points="{left},{up(share):.1f} {width - right},{up(share):.1f}" fill="none" stroke="#e5e7eb"/>')
        parts.append(f'<text x="6" y="{up(share) + 4:.1f}" fill="#374151">{100 * share:.0f} %</text>')
    for updates in sorted({row["updates"] for row in rows if row["how"] in COLOURS}):
        parts.append(f'<text x="{across(updates) - 8:.1f}" y="{height - bottom + 16}" fill="#374151">{updates}</text>')
    begin = next(row for row in rows if row["updates"] == 0)
    for place, (how, colour) in enumerate(COLOURS.items()):
        line = [begin, *(row for row in rows if row["how"] == how)]
        points = " ".join(f"{across(row['updates']):.1f},{up(row['recall']):.1f}" for row in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{width - right + 12}" y="{40 + 18 * place}" fill="{colour}">{how}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
        '<rect width="100%" height="100%" fill="#ffffff"/>' + "".join(parts) + "</svg>\n"
    )
