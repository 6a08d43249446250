"""The report of `loci bench bank`: a table and a picture of right answers by documents, each target beside what was measured."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev

from loci.bench.bank import ARMS, BANK, CLOSED, GOLD, PLAIN, SUM, TEXT, WHOLE, Cell, Run, Setting
from loci.bench.chart import picture

COLOURS = dict(zip(ARMS, ("#6b7280", "#111827", "#1d4ed8", "#c2410c", "#15803d", "#a16207", "#be185d", "#0e7490"), strict=True))
OURS = (BANK, SUM)
GAIN, LOST = 4.0, 1.0  # points
FLAT = 1.2  # of the time with the fewest documents: what is flat, for us
CAVEAT = (
    "A made-up language and a model of a few hundred thousand weights, trained here to answer from what it reads. These figures say what a bank of compressed documents keeps "
    "of such facts beside the text. They say nothing about the quality of any language model, and are never to be quoted so."
)


def write(folder: Path, setting: Setting, runs: Sequence[Run], about: str) -> None:
    """Writes report.md, a picture, and every cell as a JSON line."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as out:
        for cell in (cell for run in runs for cell in run.cells):
            out.write(json.dumps({k: _told(v) for k, v in asdict(cell).items()}) + "\n")
    shares = {arm: [mean(values(runs, arm, n, lambda c: c.right)) for n in sorted(setting.sizes)] for arm in ARMS}
    told = "Right answers by documents in the bank, none of them seen in training"
    (folder / "bank.svg").write_text(picture(told, sorted(setting.sizes), shares, COLOURS), "utf-8")
    parts = [
        "# A bank of compressed documents", "", CAVEAT, "", about, "", "## Targets", "", *targets(setting, runs), "",
        "## Right answers", "", "In %, with the spread (standard deviation) over seeds, by documents in the bank. *found* is how often the document asked for was among those matched.", "",
        *table(setting, runs), "", "![Right answers by documents in the bank](bank.svg)", "",
        "## What is forgotten", "", "Points lost on the first documents when all others are added; the documents take turns to be the first.", "", *forgotten(runs), "",
        "## Time and room", "", *room(setting, runs), "",
    ]  # fmt: skip
    (folder / "report.md").write_text("\n".join(parts), "utf-8")


def table(setting: Setting, runs: Sequence[Run]) -> list[str]:
    """A row an arm, a column a size."""
    sizes = sorted(setting.sizes)
    lines = ["| answered from | " + " | ".join(f"{n:,}" for n in sizes) + " | found |", "|---|" + "---|" * (len(sizes) + 1)]
    for arm in ARMS:
        cells = [spread(values(runs, arm, size, lambda c: 100 * c.right)) for size in sizes]
        found = [mean(values(runs, arm, size, lambda c: 100 * c.found)) for size in sizes]
        told = "" if any(map(math.isnan, found)) else " ".join(f"{f:.1f}" for f in found)
        lines.append(f"| {arm} | " + " | ".join(cells) + f" | {told} |")
    return lines


def targets(setting: Setting, runs: Sequence[Run]) -> list[str]:
    """What was to be reached, beside what was: the mean over seeds, and the least of them. A verdict is of the mean, and says where a seed fails alone. The sum that
    the target names is one whose compressor learned without contrast; what is gained over a sum of all entries by the same compressor stands beside it."""
    lines = ["| what | documents | measured (least of the seeds) | target | |", "|---|---|---|---|---|"]

    def tell(what: str, size: str, found: Sequence[float], target: str, verdict: str) -> None:
        lines.append(f"| {what} | {size} | {mean(found):+.1f} ({min(found):+.1f}) | {target} |{f' {verdict}' if verdict else ''} |")

    for size in sorted(setting.sizes):
        for arm in OURS:
            for other in (CLOSED, PLAIN):
                gain = difference(runs, size, arm, other)
                tell(f"{arm}, over {other}", f"{size:,}", gain, f">= +{GAIN:.0f} points", _at_least(gain, GAIN))
    for arm in OURS:
        for first in runs[0].forgotten[arm]:
            lost = [run.forgotten[arm][first] for run in runs]
            lines.append(
                f"| {arm}, points lost on the first {first} | {max(setting.sizes):,} | {mean(lost):.1f} (most {max(lost):.1f}) | <= {LOST:.0f} | {_at_most(lost, LOST)} |"
            )
    for arm in OURS:
        ratio = [run.milliseconds[arm][max(setting.sizes)] / run.milliseconds[arm][min(setting.sizes)] for run in runs]
        lines.append(
            f"| {arm}, time of an answer over that with {min(setting.sizes)} | {max(setting.sizes):,} | {mean(ratio):.2f}x (most {max(ratio):.2f}x) | <= {FLAT}x | {_at_most(ratio, FLAT)} |"
        )
    for size in sorted(setting.sizes):
        for arm in OURS:
            for other in (WHOLE, TEXT, GOLD):
                tell(f"{arm}, over {other}", f"{size:,}", difference(runs, size, arm, other), "reported", "")
    return lines


def _at_most(found: Sequence[float], most: float) -> str:
    return _at_least([-one for one in found], -most)


def _at_least(found: Sequence[float], least: float) -> str:
    if mean(found) < least:
        return "missed"
    return "met" if min(found) >= least else "met on the mean, missed on the worst seed"


def forgotten(runs: Sequence[Run]) -> list[str]:
    """A row an arm, a column a number of first documents."""
    firsts = sorted(runs[0].forgotten[BANK])
    lines = ["| answered from | " + " | ".join(f"first {n}" for n in firsts) + " |", "|---|" + "---|" * len(firsts)]
    for arm, by in runs[0].forgotten.items():
        lines.append(f"| {arm} | " + " | ".join(spread([run.forgotten[arm][first] for run in runs]) for first in by) + " |")
    return lines


def room(setting: Setting, runs: Sequence[Run]) -> list[str]:
    """Milliseconds of an answer, and bytes."""
    sizes = sorted(setting.sizes)
    lines = ["| milliseconds of an answer | " + " | ".join(f"{n:,}" for n in sizes) + " |", "|---|" + "---|" * len(sizes)]
    for arm in runs[0].milliseconds:
        lines.append(f"| {arm} | " + " | ".join(f"{mean([run.milliseconds[arm][n] for run in runs]):.1f}" for n in sizes) + " |")
    told = runs[0].about
    entry, text = told["bytes of an entry"], told["bytes of the text's keys and values"]
    unchanged = all(run.about["base unchanged"] for run in runs)
    return [
        *lines, "",
        f"An entry takes {entry:,.0f} bytes (formula {told['formula']:,.0f}), its key among them; the keys and values of its {setting.language.length} tokens of text {text:,.0f} ({text / entry:.1f}x). "
        f"The text itself, two bytes a token, {2 * setting.language.length}. The model's weights were {'the same bit for bit' if unchanged else 'CHANGED'} after all adds.",
    ]  # fmt: skip


def values(runs: Sequence[Run], arm: str, size: int, of: Callable[[Cell], float]) -> list[float]:
    """One figure of an arm at a size, from each seed."""
    return [of(cell) for run in runs for cell in run.cells if cell.arm == arm and cell.documents == size]


def difference(runs: Sequence[Run], size: int, one: str, other: str) -> list[float]:
    """Points that one arm has more than another, from each seed."""
    pairs = (values(runs, arm, size, lambda c: 100 * c.right) for arm in (one, other))
    return [a - b for a, b in zip(*pairs, strict=True)]


def spread(found: Sequence[float]) -> str:
    return f"{mean(found):.1f}" + (f" ± {stdev(found):.1f}" if len(found) > 1 else "")


def _told(value: object) -> object:
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value
