"""The report of `loci bench mom`: recall beside bytes of state, and what is compared with what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from loci.bench.bank_report import spread
from loci.bench.chart import markdown, picture
from loci.bench.mom import ARMS, FULL, MOM, ONE, OWN, WIDE, Setting, Trained, best

COLOURS = dict(zip(ARMS, ("#15803d", "#c2410c", "#7c3aed", "#1d4ed8", "#6b7280"), strict=True))
Table = tuple[list[str], list[list[str]]]  # columns and rows
CAVEAT = (
    "Made-up words and models of some ten thousand weights, trained here. These figures say what layers of a given state recall of such texts. They say nothing about the quality of any "
    "language model, and nothing about the published ones."
)


def write(folder: Path, setting: Setting, found: Sequence[Trained], about: str) -> None:
    """Writes report.md, a picture, and every model as a JSON line."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as out:
        for one in found:
            out.write(json.dumps(asdict(one)) + "\n")
    shares = {arm: [mean(one.right[n] for one in ones) for n in range(len(setting.pairs))] for arm, ones in _by_arm(found).items()}
    (folder / "recall.svg").write_text(picture("Values recalled, by pairs of a text", setting.pairs, shares, COLOURS), "utf-8")
    parts = [
        "# Recall from a recurrent memory", "", CAVEAT, "", about, "", "## Comparisons", "", *markdown(*compared(setting, found)), "", "## Values recalled", "",
        "In %, beside the bytes that a layer's state takes, float32; the spread (standard deviation) over seeds, by pairs that a text tells; each arm at the rate that did best on other texts. *Used*: the least and the most share of tokens that a memory got.", "",
        *markdown(*table(setting, found)), "", "![Values recalled by pairs of a text](recall.svg)", "",
    ]  # fmt: skip
    (folder / "report.md").write_text("\n".join(parts), "utf-8")


def table(setting: Setting, found: Sequence[Trained]) -> Table:
    """A row an arm, a column a number of pairs."""
    columns, rows = (
        ["arm", "weights", "bytes of state", *(f"{n} pairs" for n in setting.pairs), "rates", "used", "CPU seconds"],
        list[list[str]](),
    )
    for arm, ones in _by_arm(found).items():
        recalled = [spread([100 * one.right[n] for one in ones]) for n in range(len(setting.pairs))]
        used = f"{min(one.least for one in ones):.2f} to {max(one.most for one in ones):.2f}" if arm in (MOM, OWN) else ""
        rates = ", ".join(f"{one.rate:g}" for one in ones)
        rows.append(
            [arm, f"{ones[0].weights:,}", f"{ones[0].state:,}", *recalled, rates, used, f"{mean(one.seconds for one in ones):,.0f}"]
        )
    return columns, rows


def compared(setting: Setting, found: Sequence[Trained]) -> Table:
    """Points of one arm over another, the mean over seeds and the least of them, at each number of pairs. The first decides whether several memories pay at all; the others are always told."""
    pairs = (
        (MOM, ONE, "as large a memory, as many projections: the gate"), (OWN, ONE, "as published; more weights"), (MOM, WIDE, "as many numbers of state"),
        (OWN, WIDE, "as many numbers of state"), (OWN, FULL, "a state that grows with the text"),
    )  # fmt: skip
    arms, rows = _by_arm(found), list[list[str]]()
    for one, other, why in pairs:
        if one in arms and other in arms:
            gains = [
                [100 * (a.right[n] - b.right[n]) for a, b in zip(arms[one], arms[other], strict=True)] for n in range(len(setting.pairs))
            ]
            rows.append([one, other, why, *(f"{mean(g):+.1f} ({min(g):+.1f})" for g in gains)])
    return ["points of", "over", "which has", *(f"{n} pairs" for n in setting.pairs)], rows


def _by_arm(found: Sequence[Trained]) -> Mapping[str, list[Trained]]:
    return {arm: best(found, arm) for arm in ARMS if any(one.arm == arm for one in found)}
