"""Conflict streams through the real system: said to a cube message by message, asked in words with nothing but the question.

    python -m bench.conflict [--streams 20] [--seed 1] [--bank HELD] [--json]

The figures: questions whose first hit is a message that told the value that holds at the asked time; superseded values shown as
current (a stale message first, without a mark); restatements and other people's facts that superseded something.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from bench.machine import machine
from bench.streams import BANKS, Question, Stream, everyday, templated, timed
from loci import MemOS, Message, Outcome


def told(memory: Any, place: dict[str, int]) -> int:
    """The number of the message that a memory is from."""
    return place[memory.spans[-1].source]


def run(cube: Any, stream: Stream, figures: Counter[str]) -> None:
    """Says a stream and asks its questions."""
    place: dict[str, int] = {}
    labels = {label.message: label for label in stream.labels}
    for number, message in enumerate(stream.messages):
        at = message.at.replace(tzinfo=UTC)
        receipt = cube.add(Message("user", message.text, at, message.speaker, session=message.session, id=str(number)))
        place.update(dict.fromkeys(receipt.sources, number))
        for change in receipt.changes:
            if change.outcome is Outcome.SUPERSEDED and stream.kind != "timed":
                old = told(cube.get(change.memory), place)
                label = labels.get(number)
                if label is None or (old not in label.changes and old != number):
                    owner = labels.get(old)
                    is_cross = owner and owner.key and label and label.key and owner.key[0] != label.key[0]
                    figures["cross-person changes" if is_cross else f"wrongly superseded by {label.kind if label else '?'}"] += 1
    cube.drain()
    for question in stream.questions:
        ask(cube, stream, question, place, figures)


def ask(cube: Any, stream: Stream, question: Question, place: dict[str, int], figures: Counter[str]) -> None:
    """One question; questions to which nothing holds are left to the pure rules."""
    if not question.expected or not question.sources:
        return
    as_of = question.as_of.replace(tzinfo=UTC) if question.as_of else None
    hits = cube.search(question.text, as_of=as_of, limit=5).hits
    kind = f"{stream.kind} {question.kind}"
    figures[f"{kind} asked"] += 1
    if not hits:
        return
    first = told(hits[0].memory, place)
    text = hits[0].memory.text.casefold()
    figures[f"{kind} right"] += first in question.sources or any(value.casefold() in text for value in question.expected)
    stale = any(value.casefold() in text for value in question.stale) and not any(v.casefold() in text for v in question.expected)
    figures[f"{kind} stale as current"] += stale and not hits[0].note


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bank", default="HELD")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    bank = BANKS[args.bank]
    figures: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="loci-bench-") as home, MemOS.open(home, background=False) as memory:
        for number in range(args.streams):
            seed = args.seed * 1000 + number
            for kind, stream in (("t", templated(seed)), ("e", everyday(seed, bank)), ("v", timed(seed, bank))):
                run(memory.cube(f"{kind}{number}"), stream, figures)
    asked = {name.removesuffix(" asked"): count for name, count in figures.items() if name.endswith(" asked")}
    table = {
        name: {"asked": count, "right": figures[f"{name} right"] / count, "stale as current": figures[f"{name} stale as current"]}
        for name, count in sorted(asked.items())
    }
    wrong = {name: count for name, count in figures.items() if not name.endswith((" asked", " right", " current"))}
    if args.json:
        print(
            json.dumps(
                {"machine": machine(), "bank": args.bank, "table": table, "wrong": wrong, "at": str(datetime.now(UTC).date())}, indent=1
            )
        )
        return
    for name, row in table.items():
        print(f"{name:28} {row['asked']:>5} asked  {row['right']:>7.1%} right  {row['stale as current']:>4} stale as current")
    print("wrong changes:", wrong or "none")
    print(machine())


if __name__ == "__main__":
    main()
