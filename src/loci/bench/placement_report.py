"""What `loci bench placement` runs and reports: every rule on every trace and machine, the targets, how much hangs on the constants, and a picture."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loci.bench.placement import EXTRA, MACHINES, NOTHING, OURS, PREFIX_CACHE, RULES, Cost, Declared, Trace, replay
from loci.bench.placement_traces import asked, made
from loci.bench.report import label, line
from loci.policy.placing import Terms

COLOURS = {
    "LRU cache of activations": "#a16207",
    "fixed timer, made anew on change": "#be185d",
    OURS: "#15803d",
    **dict.fromkeys(EXTRA, "#6b7280"),
}
BELOW, ABOVE = 0.30, 0.05
OTHERS: dict[str, Terms] = {
    "as it is": Terms(), "caution 1": Terms(caution=1.0), "caution 1.5": Terms(caution=1.5), "caution 3": Terms(caution=3.0), "caution 5": Terms(caution=5.0),
    "quiet for a quarter of a day": Terms(quiet_days=0.25), "quiet for three days": Terms(quiet_days=3.0), "room free": Terms(room_s=0.0),
    "room ten times dearer": Terms(room_s=1.0),
}  # fmt: skip
CAVEAT = (
    "Rates are declared, not taken in this run: of the first machine measured (results/kv/report.md), of the others derived from a peak. So figures are the same "
    "everywhere, and they are those of the cost model. Traces other than LoCoMo's are made, from a seed."
)


@dataclass(frozen=True, slots=True)
class Row:
    """What a kind of trace cost under a rule, summed over its seeds or conversations."""

    machine: str
    trace: str
    rule: str
    tokens: int
    ms: float
    made: int
    attached: int


def traces_of(folder: Path | None, seeds: int) -> dict[str, list[Trace]]:
    """The traces by kind. ``folder`` has the questions of a data set; None leaves them out."""
    found: dict[str, list[Trace]] = {}
    for seed in range(seeds):
        for trace in made(seed):
            found.setdefault(trace.name, []).append(trace)
    if folder is not None:
        found[f"{folder.name}, asked afterwards"] = asked(folder)
        found[f"{folder.name}, asked along"] = asked(folder, is_along=True)
    return found


def run(
    traces: Mapping[str, Sequence[Trace]], machines: Sequence[Declared] = MACHINES, advance: Callable[[int, int], None] | None = None
) -> list[Row]:
    """Every rule on every trace of every machine."""
    rules = {**RULES, **EXTRA}
    found: list[Row] = []
    total = len(machines) * len(traces) * len(rules)
    for declared in machines:
        for kind, own in traces.items():
            for name, rule in rules.items():
                found.append(_row(declared.name, kind, name, [replay(trace, rule(), declared) for trace in own]))
                if advance is not None:
                    advance(len(found), total)
    return found


def _row(machine: str, kind: str, rule: str, costs: Sequence[Cost]) -> Row:
    return Row(
        machine,
        kind,
        rule,
        sum(c.tokens for c in costs),
        sum(c.ms for c in costs),
        sum(c.made for c in costs),
        sum(c.attached for c in costs),
    )


def sensitivity(traces: Mapping[str, Sequence[Trace]], machine: Declared) -> dict[str, list[float]]:
    """What ours costs beside text (ms) on each kind of trace, with other constants."""
    first = {kind: own[:2] for kind, own in traces.items()}
    text = {kind: sum(replay(trace, RULES[NOTHING](), machine).ms for trace in own) for kind, own in first.items()}
    found = {}
    for name, terms in OTHERS.items():
        declared = replace(machine, machine=replace(machine.machine, terms=terms))
        found[name] = [sum(replay(trace, RULES[OURS](), declared).ms for trace in own) / text[kind] for kind, own in first.items()]
    return found


@dataclass(frozen=True, slots=True)
class Total:
    """Over all traces of a machine, of a rule beside text: all that they cost, and the mean of their ratios, which lets each trace count alike."""

    rule: str
    ms: float
    tokens: float
    mean_ms: float
    mean_tokens: float


def totals(rows: Sequence[Row], machine: str) -> dict[str, Total]:
    own = [row for row in rows if row.machine == machine]
    text = {row.trace: row for row in own if row.rule == NOTHING}
    found = {}
    for rule in dict.fromkeys(row.rule for row in own):
        mine = [row for row in own if row.rule == rule]
        found[rule] = Total(
            rule,
            sum(row.ms for row in mine) / sum(row.ms for row in text.values()),
            sum(row.tokens for row in mine) / sum(row.tokens for row in text.values()),
            sum(row.ms / text[row.trace].ms for row in mine) / len(mine),
            sum(row.tokens / text[row.trace].tokens for row in mine) / len(mine),
        )
    return found


def targets(rows: Sequence[Row]) -> list[str]:
    """What was to be reached, on each machine: the total below the best of the others, in milliseconds and in tokens, and never much above text. A verdict says
    what is left of that beside a cache that keeps what was just read, which the target does not name."""
    lines = ["| machine | what | measured | target | |", "|---|---|---|---|---|"]
    for machine in dict.fromkeys(row.machine for row in rows):
        found = totals(rows, machine)
        rivals = [total for name, total in found.items() if name != OURS and name not in EXTRA]
        for what, of in _measures():
            best = min(rivals, key=of)
            below, keeps = (1 - of(found[OURS]) / of(other) for other in (best, found[PREFIX_CACHE]))
            aside = f"; below the {PREFIX_CACHE}: {round(keeps, 3) + 0.0:.1%}"
            lines.append(
                _target(machine, f"{what}, below the best of the others ({best.rule})", below, below >= BELOW, f">= {BELOW:.0%}", aside)
            )
        text = {row.trace: row for row in rows if row.machine == machine and row.rule == NOTHING}
        mine = [row for row in rows if row.machine == machine and row.rule == OURS]
        worst = max(mine, key=lambda row: max(row.ms / text[row.trace].ms, row.tokens / text[row.trace].tokens))
        above = max(worst.ms / text[worst.trace].ms, worst.tokens / text[worst.trace].tokens) - 1
        lines.append(_target(machine, f"above text at most, in either ({worst.trace})", above, above <= ABOVE, f"<= {ABOVE:.0%}"))
    return lines


def _measures() -> list[tuple[str, Callable[[Total], float]]]:
    return [
        ("total ms", lambda total: total.ms),
        ("total tokens", lambda total: total.tokens),
        ("ms, each trace alike", lambda total: total.mean_ms),
        ("tokens, each trace alike", lambda total: total.mean_tokens),
    ]


def _target(machine: str, what: str, measured: float, is_met: bool, target: str, aside: str = "") -> str:
    return f"| {machine} | {what} | {measured:.1%} | {target} | {'met' if is_met else 'missed'}{aside} |"


def table(rows: Sequence[Row], machine: str) -> list[str]:
    """Milliseconds and tokens beside text, by trace and rule."""
    own = [row for row in rows if row.machine == machine]
    rules = [rule for rule in dict.fromkeys(row.rule for row in own) if rule != NOTHING]
    text = {row.trace: row for row in own if row.rule == NOTHING}
    by = {(row.trace, row.rule): row for row in own}
    lines = ["| trace | text: s, tokens | " + " | ".join(rules) + " |", "|---|---|" + "---|" * len(rules)]
    for trace, base in text.items():
        cells = [f"{by[trace, rule].ms / base.ms:.3f}, {by[trace, rule].tokens / base.tokens:.3f}" for rule in rules]
        lines.append(f"| {trace} | {base.ms / 1000:,.0f}, {base.tokens:,} | {' | '.join(cells)} |")
    found = totals(rows, machine)
    for what, name in (("all together", "sum"), ("each trace alike", "mean")):
        cells = [f"{_of(found[rule], name)[0]:.3f}, {_of(found[rule], name)[1]:.3f}" for rule in rules]
        lines.append(f"| **{what}** | | {' | '.join(cells)} |")
    return lines


def _of(total: Total, name: str) -> tuple[float, float]:
    return (total.ms, total.tokens) if name == "sum" else (total.mean_ms, total.mean_tokens)


def write(folder: Path, rows: Sequence[Row], sensitive: Mapping[str, Sequence[float]], kinds: Sequence[str], about: str) -> None:
    """Writes report.md and cost.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cost.svg").write_text(_picture(rows), "utf-8")
    parts = [
        "# What it costs to keep memory in which form",
        "",
        CAVEAT,
        "",
        about,
        "",
        "## Targets",
        "",
        *targets(rows),
        "",
        "![Cost beside text](cost.svg)",
        "",
    ]
    parts += ["Cells below are milliseconds and tokens read, beside reading the text always; below 1 is cheaper.", ""]
    for machine in dict.fromkeys(row.machine for row in rows):
        parts += [f"## {machine}", "", *table(rows, machine), ""]
    parts += [f"## With other constants ({rows[-1].machine}, where they matter most; ms beside text, two traces of each kind)", ""]
    parts += ["| | " + " | ".join(kinds) + " |", "|---|" + "---|" * len(kinds)]
    parts += [f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |" for name, values in sensitive.items()]
    (folder / "report.md").write_text("\n".join([*parts, ""]), "utf-8")


def _picture(rows: Sequence[Row]) -> str:
    """For each machine and trace a row, for each rule a dot: the cost in ms beside text, as far as twice that."""
    left, right, step, most = 230, 260, 20, 2.0
    places = list(dict.fromkeys((row.machine, row.trace) for row in rows))
    width, height = 820, 44 + step * len(places) + 30

    def across(share: float) -> float:
        return left + (width - left - right) * min(share, most) / most

    text = {(row.machine, row.trace): row.ms for row in rows if row.rule == NOTHING}
    parts = ['<text x="8" y="16" font-weight="bold">Milliseconds beside reading the text (at 2: that or more)</text>']
    for share in (0, 0.5, 1, 1.5, 2):
        parts.append(line(across(share), 30, across(share), height - 26, "#111827" if share == 1 else "#e5e7eb"))
        parts.append(label(across(share) - 6, height - 10, f"{share:g}"))
    for number, place in enumerate(places):
        y = 44 + step * number
        parts.append(label(8, y + 4, f"{place[0]}: {place[1]}"))
        for row in rows:
            if (row.machine, row.trace) == place and row.rule in COLOURS:
                parts.append(f'<circle cx="{across(row.ms / text[place]):.1f}" cy="{y}" r="4" fill="{COLOURS[row.rule]}"/>')
    for number, (rule, colour) in enumerate(COLOURS.items()):
        parts.append(f'<circle cx="{width - right + 16}" cy="{44 + 18 * number}" r="4" fill="{colour}"/>')
        parts.append(label(width - right + 26, 48 + 18 * number, html.unescape(rule), colour))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )
