"""The report of `loci bench kv-recall`: a table and a picture for each kind of conversation, and each target beside what was measured."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from loci.bench.kv_recall import AGNOSTIC, EPISODIC, FULL, Row, Setting

SHOWN = {
    FULL: "#111827", "streaming": "#6b7280", "snapkv": "#a16207", "key difference": "#15803d", "surprisal": "#be185d", "sirllm (blended)": "#c2410c",
    "kvzip": "#0e7490", "one cache, all questions as probe": "#7c3aed", "episodic, questions as probe": "#1d4ed8", "episodic, incremental, sirllm": "#0369a1",
}  # fmt: skip
ORACLE = "one cache, oracle"
CAVEAT = (
    "A made-up language and a model of a few hundred thousand weights, trained here to recall it. These figures say which entries a method keeps of "
    "such a cache, and what that takes in memory. They say nothing about the quality of any language model, and are never to be quoted so."
)


def write(folder: Path, rows: Sequence[Row], about: str) -> None:
    """Writes report.md, a picture for each setting, and every row as a JSON line."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as out:
        for row in rows:
            flat = {**asdict(row.setting), **{k: v for k, v in asdict(row).items() if k != "setting"}}
            out.write(json.dumps({k: _told(v) for k, v in flat.items()}) + "\n")
    parts = ["# Recall from a KV cache under a budget", "", CAVEAT, "", about, "", "## Targets", "", *targets(rows), ""]
    for setting in dict.fromkeys(row.setting for row in rows):
        own = [row for row in rows if row.setting == setting]
        name = f"{setting.filler}-{setting.length}{'' if setting.shares == 'equal' else '-' + setting.shares}.svg"
        (folder / name).write_text(_picture(setting, own), "utf-8")
        parts += [f"## {_title(setting)}", "", *table(own), "", f"![Recall by entries stored]({name})", ""]
    (folder / "report.md").write_text("\n".join(parts), "utf-8")


def _told(value: object) -> object:
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value


def _title(setting: Setting) -> str:
    return (
        f"{setting.filler} filler, {setting.length:,} tokens, {setting.facts} facts of {setting.topics} topics, blocks of {setting.block}, "
        f"{setting.streams} conversations" + ("" if setting.shares == "equal" else f", layers by {setting.shares}")
    )


def table(rows: Sequence[Row]) -> list[str]:
    """Recall in %, its standard error over conversations, by method and budget; then what each stores and holds at most, and what reading it takes."""
    budgets = sorted({row.budget for row in rows if row.budget is not None})
    heads = [f"M = {b} (1/{rows[0].setting.length / b:.3g})" for b in budgets]
    lines = ["| method | " + " | ".join(heads) + f" | stored at M = {budgets[-1]} | peak | tokens forwarded | evicted mass |"]
    lines.append("|---|" + "---|" * (len(budgets) + 4))
    for policy in dict.fromkeys(row.policy for row in rows):
        by = {row.budget: row for row in rows if row.policy == policy}
        cells = [_cell(by[b]) if b in by else _cell(by[None]) if None in by else "" for b in budgets]
        last = by.get(budgets[-1]) or by[None]
        lines.append(
            f"| {policy} | "
            + " | ".join(cells)
            + f" | {last.stored:.0f} | {last.peak} | {last.forwarded:.1f}x | {'' if math.isnan(last.mass) else f'{last.mass:.2f}'} |"
        )
    return lines


def _cell(row: Row) -> str:
    return f"{100 * row.recall:.1f}" + ("" if math.isnan(row.error) else f" ± {100 * row.error:.1f}")


def targets(rows: Sequence[Row]) -> list[str]:
    """What was to be reached, for every conversation that it can be asked of."""
    lines = ["| conversation | what | measured | target | |", "|---|---|---|---|---|"]
    for setting in dict.fromkeys(row.setting for row in rows):
        found = {(row.policy, row.budget): row.recall for row in rows if row.setting == setting}
        for what, measured, target, is_met in _asked(setting, found):
            kind = f"{setting.filler}, {setting.length:,}" + ("" if setting.shares == "equal" else f", layers by {setting.shares}")
            lines.append(f"| {kind} | {what} | {measured} | {target} | {'met' if is_met else 'missed'} |")
    return lines


def _asked(setting: Setting, found: dict[tuple[str, int | None], float]) -> list[tuple[str, str, str, bool]]:
    told = []
    for budget in setting.budgets:
        at = {policy: recall for (policy, b), recall in found.items() if b == budget}
        share = setting.length / budget
        for policy in (p for p in EPISODIC if p in at and FULL in {p for p, _ in found}):
            if 4 <= share < 6.05 and found[FULL, None] > 0:
                kept = at[policy] / found[FULL, None]
                told.append((f"{policy}, M = {budget}, of full KV", f"{kept:.1%}", ">= 95 %", kept >= 0.95))
            agnostic = [p for p in AGNOSTIC if p in at]
            if setting.facts > budget and agnostic:
                best = max(agnostic, key=lambda p: at[p])
                gain = 100 * (at[policy] - at[best])
                told.append(
                    (
                        f"{policy}, M = {budget}, over the best single cache that knows no question ({best})",
                        f"{gain:+.1f}",
                        ">= +10",
                        gain >= 10,
                    )
                )
        if "streaming" in at:
            told += _surprise(setting, budget, share, at)
    return told


def _surprise(setting: Setting, budget: int, share: float, at: dict[str, float]) -> list[tuple[str, str, str, bool]]:
    told = []
    for policy in (p for p in ("surprisal", "sirllm (blended)") if p in at):
        gain = 100 * (at[policy] - at["streaming"])
        if setting.filler == "predictable" and 4 <= share <= 10:
            most = 100 * (at[ORACLE] - at["streaming"]) if ORACLE in at else math.nan
            beside = "" if math.isnan(most) else f" (an oracle {most:+.1f})"
            told.append((f"{policy}, M = {budget}, over streaming", f"{gain:+.1f}{beside}", ">= +40", gain >= 40))
        if setting.filler in ("adversarial", "mixed") and policy != "surprisal":
            told.append((f"{policy}, M = {budget}, over streaming", f"{gain:+.1f}", ">= -2", gain >= -2))
    return told


def _picture(setting: Setting, rows: Sequence[Row]) -> str:
    """Recall by entries stored (logarithmic), a line a method."""
    width, height, left, bottom, right = 640, 340, 48, 40, 220
    shown = [p for p in SHOWN if any(r.policy == p for r in rows) and p != FULL]
    stored = [r.stored for r in rows if r.policy in shown]
    low, high = math.log(min(stored)), math.log(max(setting.length, *stored))

    def across(entries: float) -> float:
        return left + (width - left - right) * (math.log(entries) - low) / (high - low)

    def up(share: float) -> float:
        return height - bottom - (height - bottom - 28) * share

    parts = [_label(left, 16, html.escape(_title(setting).split(", blocks")[0]), bold=True)]
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(
            _line([(left, up(share)), (width - right, up(share))], "#e5e7eb", 1) + _label(6, up(share) + 4, f"{100 * share:.0f} %")
        )
    for budget in setting.budgets:
        parts.append(_label(across(budget) - 8, height - bottom + 16, str(budget)))
    parts.append(_label(left, height - 6, "entries stored, over all episodes"))
    full = next((r.recall for r in rows if r.policy == FULL), None)
    if full is not None:
        parts.append(_line([(left, up(full)), (width - right, up(full))], SHOWN[FULL], 1, "4 3"))
    for place, policy in enumerate(shown):
        curve = [(across(r.stored), up(r.recall)) for r in rows if r.policy == policy]
        parts.append(_line(curve, SHOWN[policy], 2) + _label(width - right + 12, 40 + 18 * place, html.escape(policy), SHOWN[policy]))
    if full is not None:
        parts.append(_label(width - right + 12, 40 + 18 * len(shown), "- - full KV", SHOWN[FULL]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
        '<rect width="100%" height="100%" fill="#ffffff"/>' + "".join(parts) + "</svg>\n"
    )


def _line(points: Sequence[tuple[float, float]], colour: str, thick: int, dashes: str = "") -> str:
    told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{told}" fill="none" stroke="{colour}" stroke-width="{thick}"'
        + (f' stroke-dasharray="{dashes}"' if dashes else "")
        + "/>"
    )


def _label(x: float, y: float, text: str, colour: str = "#374151", *, bold: bool = False) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"' + (' font-weight="bold"' if bold else "") + f">{text}</text>"
