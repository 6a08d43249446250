"""`loci demo`: a conversation of two friends, walked through with the very commands a person would type."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from loci.cli.place import Place, verb
from loci.cli.values import emit
from loci.errors import Conflict, Missing

if TYPE_CHECKING:
    from loci.system import Cube

SECRETS = ("Rua das Andorinhas", "door code is 4471", "So 4471")


@verb("demo")
@click.option(
    "--three-forms", is_flag=True, help="One fact as words, KV memory and weights instead, with a model trained for it (minutes)."
)
def demo(place: Place, three_forms: bool, as_json: bool) -> None:
    """See it all in a minute.

    A year of two friends' messages, in a fresh folder or in --vault FOLDER. Every line is the answer of a real
    command, which is shown above it. With --json: the steps, commands and answers.
    """
    from loci.wire import MemOS

    if three_forms:
        from loci.cli.demo_forms import show_forms

        show_forms(place, as_json)
        return
    start = perf_counter()
    folder = Path(place.vault) if place.vault else Path(tempfile.mkdtemp(prefix="loci-demo-"))
    with MemOS.open(folder, embedder=place.embedder, background=False) as memory:
        if memory.cubes():
            raise Conflict(f"{folder} holds cubes already. Name an empty folder with --vault, or leave it out. Nothing was changed.")
        cube = place.settings().cube
        walk = Walk(Place(str(folder), None, place.embedder, memory=memory), memory.cube(cube), as_json)
        walk.say(f"The vault of this demo is the folder {folder}; its cube is one file in it, {cube}.loci.")
        walk.say(f"To type these commands yourself: export LOCI_VAULT={shlex.quote(str(folder))}{_path()}")
        for step in STEPS:
            step(walk)
    walk.say("")
    walk.say(f"That was it: {walk.count} commands in {perf_counter() - start:.0f} s, with no server and no key.", "bold")
    walk.say(f"The vault stays at {folder}.")
    if as_json:
        emit({"vault": str(folder), "steps": walk.steps})


@dataclass
class Walk:
    """Where the demo is: it says a line, types a command, and keeps both for ``--json``."""

    place: Place
    cube: Cube
    is_json: bool
    steps: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0

    def step(self, title: str, line: str) -> None:
        self.steps.append({"step": title, "says": line, "commands": []})
        if not self.is_json:
            from rich.rule import Rule

            from loci.cli import render

            render.show("", Rule(f"{len(self.steps)}. {title}", align="left", style="cyan"))
        self.say(line)

    def say(self, line: str, style: str = "") -> None:
        if not self.is_json:
            from rich.text import Text

            from loci.cli import render

            render.show(Text(line, style))

    def type(self, *arguments: str, cube: str | None = None) -> Any:
        """Runs one command line as a person would type it. Raises what it raises."""
        from loci.cli import root

        self.count += 1
        shown = ["loci", *(["--cube", cube] if cube else []), *arguments]
        place = replace(self.place, cube=cube) if cube else self.place
        if not self.is_json:
            click.secho(f"\n$ {' '.join(map(_quoted, shown))}", fg="green", bold=True)
            root.main(args=list(arguments), prog_name="loci", standalone_mode=False, obj=place)
            return None
        with contextlib.redirect_stdout(io.StringIO()) as answer:
            root.main(args=[*arguments, "--json"], prog_name="loci", standalone_mode=False, obj=place)
        found = json.loads(answer.getvalue())
        self.steps[-1]["commands"].append({"command": " ".join(map(_quoted, shown)), "answer": found})
        return found

    def said(self, words: str, at: str | None = None) -> str:
        """The id of the shortest memory that says ``words``, as it held on the day ``at``."""
        as_of = datetime.fromisoformat(at).replace(tzinfo=UTC) if at else None
        found = [memory for memory in self.cube.list(as_of=as_of, limit=100_000) if words in memory.text]
        if not found:
            raise Missing(f"No memory says {words!r}{f' on {at}' if at else ''}: the sample is not what this demo was written for.")
        return min(found, key=lambda memory: len(memory.text)).id


def remember(walk: Walk) -> None:
    walk.step("It remembers", "Runa and Casimir wrote to each other for most of a year. The file is taken in once, word for word.")
    with as_file(files("loci.samples") / "conversation.jsonl") as sample:
        walk.type("import", str(sample))
    walk.type("stats")


def find(walk: Walk) -> None:
    walk.step("It finds", "A question in words; the hits carry a score, the date, the speaker and the message they are from.")
    walk.type("search", "What is Casimir allergic to?", "--limit", "3")


def correct(walk: Walk) -> None:
    walk.step("It takes correction", "On 13 July Runa wrote what the cat is called. On 27 July she wrote that it is called something else.")
    walk.type("search", "What is Runa's cat called?", "--limit", "3")


def look_back(walk: Walk) -> None:
    walk.step("It looks back in time", "Runa moved in spring 2025. The same question, asked of today and of the first of March.")
    walk.type("search", "Where does Runa live?", "--limit", "2")
    walk.type("search", "Where does Runa live?", "--limit", "2", "--as-of", "2025-03-01")


def follow(walk: Walk) -> None:
    walk.step(
        "It follows a plan that changes",
        "The wedding was set in July and moved in August. What did they plan at the start of August, and in September?",
    )
    for at in ("2025-08-01", "2025-09-15"):
        walk.type("search", "When is the wedding?", "--limit", "2", "--as-of", at)


def explain(walk: Walk) -> None:
    walk.step("It explains", "Casimir had one phone number in July and another in August. Why does the old one no longer hold?")
    walk.type("why", walk.said("902-555-0143", "2025-07-20"))


def keep_apart(walk: Walk) -> None:
    walk.step("It keeps people apart", "Lucjan moved that year, as did Runa. What is said of one does not touch the other.")
    for name in ("Lucjan", "Runa"):
        walk.type("search", f"Where does {name} live?", "--limit", "2")


def change(walk: Walk) -> None:
    walk.step("It keeps every version", "A change is a further version with a reason; the first one can be had back.")
    id = walk.said("She restores clocks at a workshop")
    walk.type("update", id, "Yeva restores clocks at Tik & Zoon in Ghent, and she was once on time.", "--reason", "she insisted")
    walk.type("restore", id, "--to", "1", "--reason", "she was not")
    walk.type("history", id)


def ask_why_not(walk: Walk) -> None:
    walk.step("It says why something is not in an answer", "In January Runa still lived in Porto. Where is that memory today?")
    walk.type("why-not", "Where does Runa live?", walk.said("I still live in Porto", "2025-03-01"))


def imagine(walk: Walk) -> None:
    walk.step("It plays what-if", "A branch is a cube of its own, here as things were in April 2025. What is said in it stays in it.")
    walk.type("branch", "what-if", "--as-of", "2025-04-30")
    walk.type("add", "I live in Trondheim now, the tapes came with me.", "--speaker", "Runa", "--at", "2025-05-20", cube="what-if")
    walk.type("search", "Where does Runa live?", "--limit", "1", cube="what-if")
    walk.type("search", "Where does Runa live?", "--limit", "1")


def hand_over(walk: Walk) -> None:
    walk.step("It hands over to a model", "The same memories as a block for a prompt: fenced as data, cited, and within 300 tokens.")
    walk.type("search", "What should I know before I visit Runa in Lisbon?", "--budget-tokens", "300", "--text")


def erase(walk: Walk) -> None:
    walk.step("It forgets for good", "Runa sent her address and the door code of the house. Such words should leave no trace.")
    walk.type("search", "What is the door code?", "--limit", "2")
    ids = [walk.said(words) for words in SECRETS]
    _look_through(walk, "before")
    for id in ids:
        walk.type("erase", id, "--yes")
    _look_through(walk, "after")
    walk.type("search", "What is the door code?", "--limit", "2")


def check(walk: Walk) -> None:
    walk.step("It can be checked", "Every word against its hash, every quote against its source, the chain of the audit log.")
    walk.type("verify")
    walk.type("log", "--limit", "5")


STEPS = (
    remember, find, correct, look_back, follow, explain, keep_apart, change, ask_why_not, imagine, hand_over, erase, check,
)  # fmt: skip


def _look_through(walk: Walk, when: str) -> None:
    """Counts the secret words in every byte of the cubes' files, with no help of the engine."""
    vault = Path(str(walk.place.vault))
    paths = sorted(path for path in vault.glob("*.loci*") if path.stat().st_size)
    found = {p.name: [p.read_bytes().count(words.encode()) for words in SECRETS] for p in paths}
    if walk.is_json:
        walk.steps[-1][f"bytes_{when}"] = found
        return
    from loci.cli import render

    walk.say(f"\nHow often the words stand in the bytes of the cubes' files, {when}:")
    rows: list[Sequence[str]] = [[name, f"{(vault / name).stat().st_size:,}", *map(str, counts)] for name, counts in found.items()]
    render.show_table(["file", "bytes", *SECRETS], rows, right=("bytes", *SECRETS))


def _quoted(word: str) -> str:
    if re.search(r"[\s?']", word) and not re.search(r'["$`\\!]', word):
        return f'"{word}"'
    return shlex.quote(word)


def _path() -> str:
    """Where the command is, for a shell that does not find it."""
    place = Path(sys.executable).parent
    return "" if shutil.which("loci") else f" PATH={shlex.quote(str(place))}:$PATH"
