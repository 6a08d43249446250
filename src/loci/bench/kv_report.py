"""The report of `loci bench kv --report`: every cell with its absolute times, what it is beside, and a picture."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ARMS = {"device": "#c2410c", "host": "#7c3aed", "disk": "#1d4ed8", "disk cold": "#0891b2", "disk int8": "#15803d"}
WARM = {
    "disk": "disk, warm",
    "disk cold": "disk, cold",
    "disk int8": "int8, warm",
}  # what comes from the system's page cache, and what does not


def arms_of(found: Mapping[str, Any]) -> list[str]:
    """Where states come from. Without a GPU the host's memory is where the model runs; not every system lets go of files, so that they are cold."""
    return [arm for arm in ARMS if (arm != "host" or found["device"] != "cpu") and all(arm in cell["ms"] for cell in found["first token"])]


def named(arm: str) -> str:
    return WARM.get(arm, arm)


def write(folder: Path, found: Mapping[str, Any], machine: str) -> None:
    """Writes report.md and saved.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved.svg").write_text(picture(found), "utf-8")
    (folder / "report.md").write_text("\n".join(lines(found, machine)) + "\n", "utf-8")


def lines(found: Mapping[str, Any], machine: str) -> list[str]:
    cells, arms = found["first token"], arms_of(found)
    head = ["context", "query", "text ms", *(f"{named(arm)} ms" for arm in arms), *(f"{named(arm)} saved" for arm in arms), "predicted", "MemOS 8B", "build ms",
            "uses to pay (disk)", "over query alone", "logits differ by"]  # fmt: skip
    told = [
        "# Activation memory: time to the first token",
        "",
        f"Written by `loci bench kv`. A model of random weights in the shape {found['shape']} ({found['parameters'] / 1e6:,.0f} million parameters), "
        f"{found['dtype']}, attention {found['attention']}, on {found['device']}" + (f", {found['threads']} thread(s)" if found["device"] == "cpu" else "") + f". {machine}.",
        "",
        "Random weights say nothing about answers; times do not depend on them. \"text\" reads memory and question, \"device\" goes on from a state "
        "that is at hand, \"disk\" reads, hashes and decodes its pages first: warm is from the system's page cache, as for a memory that is used "
        "again and again, cold after the system has let go of it, before each try (where it does that when asked). \"predicted\" is the saving from the disk, warm, "
        "and from the device, by the cost model with the rates measured at the start. MemOS 8B is what its documentation reports for Qwen3-8B on an H800, whose build time contradicts "
        "some of its cells.",
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
    ]  # fmt: skip
    for c in cells:
        row = [
            f"{c['context']:,}", f"{c['query']:,}", f"{c['ms']['text']:,.0f}", *(f"{c['ms'][arm]:,.0f}" for arm in arms),
            *(f"{c['saved'][arm]:.1f} %" for arm in arms), f"{c['predicted']['disk']:.1f} %, {c['predicted']['device']:.1f} %",
            "-" if c["published"] is None else f"{c['published']:.1f} %", f"{c['build_ms']:,.0f}",
            "never" if c["uses to pay"]["disk"] is None else f"{c['uses to pay']['disk']:.1f}", f"{c['over the query alone']:.2f}x",
            f"{c['difference']:.1e}{'' if c['same token'] else ', another token'}",
        ]  # fmt: skip
        told.append(f"| {' | '.join(row)} |")
    rates, tiers, uses, restart = found["rates"], found["tiers"], found["uses"], found["restart"]
    worst = max(abs(c["saved"][arm] - c["predicted"][arm]) for c in cells for arm in ("device", "disk"))
    told += [
        "",
        "![Share of the time to the first token that is saved](saved.svg)",
        "",
        *transfer_lines(cells),
        f"- Rates: {rates['start_ms']:.1f} ms to start, {rates['token_us']:.1f} us a token, {rates['pair_ns']:.2f} ns a pair of tokens, "
        f"{rates['held_us']:.2f} us a token that is held; {rates['host_GB_per_s']:.1f} GB/s from the host, {rates['disk_GB_per_s']:.1f} GB/s from the disk.",
        f"- The cost model is off by {worst:.1f} points at the most; it chooses the faster way in {tiers['right']:.0%} of the cases and loses "
        f"{tiers['regret']:.1f} % by its choices.",
        f"- {uses['uses']:,} uses by {uses['threads']} threads: {uses['same answers']:,} the same logits, bytes "
        f"{'the same' if uses['same bytes'] else 'CHANGED'}.",
    ]
    if restart is not None:
        told.append(
            f"- After a restart, {max(c['context'] for c in cells):,} tokens from the disk: first token after {restarted(restart)}; logits differ by {restart['difference']:.1e}."
        )
    told += ["", *speed_lines(found["codec speed"]), ""]
    told += codec_lines(found["codecs"]) if "codecs" in found else []
    losing = [c for c in cells for arm in arms if c["saved"][arm] < 0]
    told.append(f"- Cells in which it loses: {len(losing) or 'none'}.")
    return told


def transfer_lines(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table of what having all pages takes, and nothing else, and of the whole beside that and the query."""
    arms = [arm for arm in ARMS if all(arm in cell["transfer_ms"] for cell in cells)]
    head = ["context", "query", "query alone ms", *(f"{named(arm)} ms" for arm in arms), *(f"{named(arm)}, times" for arm in arms)]
    return [
        "Transfer: having all pages where the model runs, from the host's memory or the disk, and no more; and how many times the time to the first token is that "
        "and the query read alone, with nothing before it.",
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(
            "| "
            + " | ".join(
                [
                    f"{c['context']:,}",
                    f"{c['query']:,}",
                    f"{c['ms']['query alone']:,.0f}",
                    *(f"{c['transfer_ms'][arm]:,.1f}" for arm in arms),
                    *(f"{c['over transfer and query'][arm]:.2f}x" for arm in arms),
                ]
            )
            + " |"
            for c in cells
        ),
        "",
    ]


def restarted(found: Mapping[str, float]) -> str:
    """The first token after a restart: from the files warm and, where that could be had, cold, and from the text."""
    cold = f", {found['cold_ms']:,.0f} ms cold ({found['times_faster_cold']:.1f}x)" if "cold_ms" in found else ""
    return f"{found['held_ms']:,.0f} ms with its files in the system's page cache ({found['times_faster']:.1f}x){cold}, {found['text_ms']:,.0f} ms from the text"


def speed_lines(found: Mapping[str, Any]) -> list[str]:
    """How fast a state becomes bytes and is made of them again."""
    rows = [f"| {name} | {row['encode_GB_per_s']:.2f} | {row['decode_GB_per_s']:.2f} |" for name, row in found.items()]
    return ["GB of the state a second, in memory, where the model runs:", "", "| codec | encoded | decoded |", "|---|---|---|", *rows]


def codec_lines(found: Mapping[str, Any]) -> list[str]:
    """A table of what the codecs cost a model that was trained."""
    return [
        "",
        f"Codecs, on {found['streams']} texts of {found['tokens']} tokens and {found['facts']} facts, each asked for. {found['model']} It says nothing about language.",
        "",
        "| codec | bytes over float16 | divergence, mean | worst | same best token | facts right | largest error over its bound |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {name} | {row['bytes over float16']:.3f} | {row['kl']:.1e} | {row['worst kl']:.1e} | {row['same best']:.1%} | {row['facts right']:.1%} | "
            f"{row['error over bound']:.3f} |"
            for name, row in found["codecs"].items()
        ),
        "",
    ]


def picture(found: Mapping[str, Any]) -> str:
    """A group of bars for each cell: what is saved, and what the official system reports as a line."""
    cells: Sequence[Mapping[str, Any]] = found["first token"]
    arms, bar, gap, left, top, height = arms_of(found), 14, 18, 48, 28, 240
    group = bar * len(arms) + gap
    width = left + group * len(cells) + 110

    def up(percent: float) -> float:
        return top + height * (1 - max(percent, 0) / 100)

    parts = [_text(left, 16, f"Time to the first token saved, {found['shape']}, {found['device']}", "#111827", "bold")]
    for percent in (0, 25, 50, 75, 100):
        parts.append(f'<line x1="{left}" y1="{up(percent):.1f}" x2="{width - 100}" y2="{up(percent):.1f}" stroke="#e5e7eb"/>')
        parts.append(_text(6, up(percent) + 4, f"{percent} %"))
    for number, cell in enumerate(cells):
        x = left + gap / 2 + number * group
        for place, arm in enumerate(arms):
            y = up(cell["saved"][arm])
            parts.append(
                f'<rect x="{x + place * bar:.1f}" y="{y:.1f}" width="{bar - 2}" height="{top + height - y:.1f}" fill="{ARMS[arm]}"/>'
            )
        if cell["published"] is not None:
            y = up(cell["published"])
            parts.append(
                f'<line x1="{x - 2:.1f}" y1="{y:.1f}" x2="{x + bar * len(arms):.1f}" y2="{y:.1f}" stroke="#111827" stroke-width="2"/>'
            )
        parts += [_text(x, top + height + 14, f"{cell['context']:,}"), _text(x, top + height + 28, f"+{cell['query']:,}")]
    for place, (name, colour) in enumerate([*((named(arm), ARMS[arm]) for arm in arms), ("MemOS, 8B", "#111827")]):
        parts.append(_text(width - 92, top + 14 + 16 * place, name, colour))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {top + height + 40}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _text(x: float, y: float, text: str, colour: str = "#374151", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-weight="{weight}">{html.escape(text)}</text>'
