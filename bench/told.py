"""What is told in ordinary words, and changed, corrected, ended or left alone later: is what no longer holds superseded, and nothing else?

    python -m bench.told                       all four sets of scenarios; prints the table (half a minute)

    python -m bench.told --write               and writes bench/results/told.md

    python -m bench.told --misses plain-dev    lists what went wrong in a set that rules may be written for

A line of bench/scenarios/NAME.jsonl is a scenario: two to four messages of one person with the day of each, the question asked at the end, which message
answers it (``right``) and which no longer hold (``over``). They were written without sight of the rules: `plain` as most people would put it, `free` as
idiosyncratically as people can. Rules are written for `dev` alone; what is `held` is counted and never listed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from loci import MemOS, Message
from loci.system import Cube

ROOT = Path(__file__).resolve().parent
REPORT = ROOT / "results" / "told.md"
SETS = ("plain-dev", "plain-held", "free-dev", "free-held")
FIRST_DAY = datetime(2026, 1, 5, 10, tzinfo=UTC)
COLUMNS = (
    ("over", "what no longer holds is superseded"),
    ("kept", "nothing else is"),
    ("first", "the first hit is what holds"),
    ("stale", "the first hit is stale and not marked"),
)
Scenario = Mapping[str, Any]


def scenarios(name: str) -> list[Scenario]:
    """The scenarios of a set."""
    return [json.loads(line) for line in (ROOT / "scenarios" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def told(cube: Cube, scenario: Scenario) -> list[tuple[str, ...]]:
    """Tells a scenario; returns the memories of each message: it as a whole, and its sentences."""
    return [
        cube.add(
            Message("user", turn["text"], at=FIRST_DAY + timedelta(days=turn["day"], minutes=place), session=f"day {turn['day']}"),
            user="ana",
        ).ids
        for place, turn in enumerate(scenario["turns"])
    ]


def ended(cube: Cube, ids: Sequence[str]) -> bool:
    """Whether a later message superseded what this one says, or a part of it."""
    return any(claim.closed_by is not None and claim.closed_by not in ids for id in ids for claim in cube.get(id).claims)


def measured(cube: Cube, scenario: Scenario) -> dict[str, bool]:
    """What came of a scenario; a column that it does not ask for is left out."""
    ids = told(cube, scenario)
    closed, over = [ended(cube, of_one) for of_one in ids], set(scenario["over"])
    hits = cube.search(scenario["question"], user="ana").hits
    texts = [turn["text"] for turn in scenario["turns"]]
    first = next((place for place, text in enumerate(texts) if hits and hits[0].memory.text.strip() in text), None)
    found = {"kept": not any(was for place, was in enumerate(closed) if place not in over)}
    if over:
        found |= {"over": all(closed[place] for place in over), "stale": first in over and first is not None and not closed[first]}
    if scenario["right"] is not None:
        found["first"] = first == scenario["right"]
    return found


def run(name: str, folder: Path) -> Iterator[tuple[Scenario, dict[str, bool]]]:
    """Each scenario of a set in a cube of its own."""
    with MemOS.open(folder / name) as memory:
        for scenario in scenarios(name):
            yield scenario, measured(memory.cube(scenario["id"].lower()), scenario)


def table(folder: Path) -> str:
    """The shares of each set, and of each kind of its scenarios those that came out as they should."""
    lines = ["| set | scenarios | " + " | ".join(what for _, what in COLUMNS) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    kinds: list[str] = []
    for name in SETS:
        hits, asked, right, of = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
        for scenario, found in run(name, folder):
            asked.update(found.keys())
            hits.update(key for key, is_so in found.items() if is_so)
            of[scenario["kind"]] += 1
            right[scenario["kind"]] += found.get("over", True) and found["kept"]
        lines.append(f"| {name} | {sum(of.values())} | " + " | ".join(shared(hits[key], asked[key]) for key, _ in COLUMNS) + " |")
        kinds.append(f"{name}: " + ", ".join(f"{kind} {right[kind]}/{of[kind]}" for kind in sorted(of)))
    return "\n".join([*lines, "", "Superseded as it should be, and nothing else, by kind:", "", *(f"- {line}" for line in kinds), ""])


def shared(part: int, whole: int) -> str:
    return f"{part}/{whole} = {100 * part / whole:.0f} %"


def misses(name: str, folder: Path) -> Iterator[str]:
    """What went wrong, to be read."""
    for scenario, found in run(name, folder):
        if found.get("over", True) and found["kept"]:
            continue
        yield f"{scenario['id']} {scenario['kind']}, {scenario['about']}"
        yield from (
            f"    {'over ' if place in scenario['over'] else '     '}{turn['text']}" for place, turn in enumerate(scenario["turns"])
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the report, too")
    parser.add_argument("--misses", choices=[name for name in SETS if name.endswith("dev")], help="list what went wrong in a set")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.misses:
            print(*misses(arguments.misses, Path(folder)), sep="\n")
            return
        report = table(Path(folder))
    print(report)
    if arguments.write:
        REPORT.write_text(f"# Told in ordinary words\n\n`python -m bench.told --write`\n\n{report}", encoding="utf-8")


if __name__ == "__main__":
    main()
