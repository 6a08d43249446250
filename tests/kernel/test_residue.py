"""Erased words in a thousand random histories: afterwards no byte of any file of the vault has them, whole, in lower case or as a stem.

A history puts canaries wherever words can be: texts, captions, names of speakers, users, sessions and agents, ids of messages, values of
claims, reasons of changes and steps, questions, branches made before, exports made into the vault's folder; among others who stay."""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

import apsw
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import open_memory

from loci import Message, State
from loci.errors import EmbedderFailed, LociError, Missing
from loci.operation.erasure import Erased
from loci.system import Cube
from loci.testing import CountingIds, FailingEmbedder, ManualClock
from loci.wire import MemOS

PLACES = ("user", "session", "agent", "speaker", "foreign", "text", "caption", "value", "name", "update", "reason", "question")
PLAIN = ("The kettle is on the shelf.", "I live in Porto.", "My favourite colour is green.", "It rained. The ladder was wet.")
ENDINGS = ("ing", "ations", "fully", "ies", "ed", "ness")  # that a stemmer takes off


@dataclass
class Canaries:
    """Words that nobody else says; each begins with letters that no other has."""

    dice: random.Random
    words: dict[str, list[str]] = field(default_factory=dict)

    def new(self, place: str) -> str:
        made = len(self.all())
        letters = "".join(self.dice.choice("bcdfgjklmnpqrvwxz") for _ in range(7))
        word = f"zq{chr(made % 26 + 97)}{letters}{self.dice.choice(ENDINGS)}"
        word = self.dice.choice((word, word.capitalize(), word.upper()))
        self.words.setdefault(place, []).append(word)
        return word

    def all(self) -> list[str]:
        return [word for words in self.words.values() for word in words]


STEMMER = apsw.Connection(":memory:").fts5_tokenizer("porter", ["unicode61"])
WIDTHS = ("utf-8", "utf-16-le", "utf-16-be")


def forms(word: str) -> set[bytes]:
    """What a file may hold of a word: folded, stemmed, or its first letters, in any width."""
    stem = str(STEMMER(word.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None)[0][-1])
    return {form.encode(code) for form in (stem, word.lower()[:8]) for code in WIDTHS}


def leftovers(folder: Path, words: list[str], *, but: tuple[str, ...] = ()) -> list[str]:
    """Words that are in a byte of any file below a folder, whatever the file is called, or in its name."""
    found = []
    wanted = {word: forms(word) for word in words}
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(but or ("\0",))):
        data = (file.read_bytes() + file.name.encode()).lower()
        found += [f"{word} in {file.name}" for word, each in wanted.items() if any(form in data for form in each)]
    return found


class Tattler(FailingEmbedder):
    """An embedder whose errors quote what it was given."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.is_failing:
            raise EmbedderFailed(f"cannot embed {texts!r}")
        return super().embed(texts)


class Confided:
    """A vault in which one user has said what will be erased, among others who say plain things."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice, self.folder = random.Random(seed), folder
        self.clock, self.embedder = ManualClock(), Tattler()
        self.embedder.is_failing = False
        self.ids = CountingIds()
        self.memory = self.open()
        self.cube = self.memory.cube("main")
        self.said = Canaries(self.dice)
        self.user, self.session = self.said.new("user"), self.said.new("session")
        self.mine: list[str] = []  # memories
        self.kept: list[str] = []  # memories of the same user that stay, unless all of the user goes
        self.apart: set[str] = set()  # sources that were told of those
        self.branches: list[str] = []

    def open(self) -> MemOS:
        return open_memory(self.folder, clock=self.clock, ids=self.ids, embedder=self.embedder)

    def live(self, steps: int) -> None:
        verbs = (self.others, self.stay, self.revise, self.tell, self.tell, self.state, self.update, self.forget, self.restore, self.move, self.search, self.fail,
                 self.branch, self.drain, self.correct, self.tell)  # fmt: skip
        self.tell()
        for _ in range(steps):
            self.clock.advance(hours=self.dice.choice((0, 1, 30)))
            self.dice.choice(verbs)()

    def others(self) -> None:
        for _ in range(self.dice.choice((1, 3, 20))):
            text = self.dice.choice(PLAIN) + f" Number {self.dice.randrange(10**6)}." * self.dice.randrange(1, 9)
            self.cube.add(text, user=self.dice.choice(("bo", "cy")), session=self.dice.choice(("one", "two")))

    def stay(self) -> None:
        """The same user's plain words, of the same keys as those that go."""
        self.kept += self.cube.add(self.dice.choice(PLAIN), user=self.user, session="calm").ids

    def revise(self) -> None:
        """A memory that stays is told what goes."""
        if self.kept:
            mode = self.dice.choice(("overwrite", "append", "merge"))
            text = self.dice.choice(("It is {} now.", "I live in {}.", "My favourite colour is {}."))
            id, word = self.dice.choice(self.kept), self.said.new("update")
            with contextlib.suppress(LociError):
                self.apart.update(self.cube.update(id, text.format(word), mode=mode, reason=self.said.new("reason")).sources)

    def say(self, text: str, **fields: str | None) -> None:
        receipt = self.cube.add(Message("user", text, **fields), user=self.user, session=self.session, agent=self.agent())
        self.mine += receipt.ids

    def agent(self) -> str | None:
        return self.said.new("agent") if self.dice.random() < 0.2 else None

    def tell(self) -> None:
        fields = {name: self.said.new(name) for name in ("speaker", "id", "caption") if self.dice.random() < 0.4}
        texts = [f"The {self.said.new('text')} of {self.said.new('name').capitalize()} is here.", self.said.new("text"),
                 f"Number {self.dice.randrange(99)}. {self.said.new('text')} " * self.dice.randrange(1, 30)]  # fmt: skip
        self.say(self.dice.choice(texts), **fields)

    def state(self) -> None:
        value = self.said.new("value").capitalize()
        self.say(self.dice.choice((f"I live in {value}.", f"My favourite colour is {value}.", f"My dog is called {value}.")))

    def correct(self) -> None:
        self.say(f"Actually I moved from {self.said.new('value').capitalize()} to {self.said.new('value').capitalize()}.")

    def one(self) -> str:
        return self.dice.choice(self.mine)

    def attempt(self, change: object, *arguments: object, **named: object) -> None:
        with contextlib.suppress(LociError):  # a step that life does not allow
            change(*arguments, **named)  # type: ignore[operator]

    def update(self) -> None:
        mode = self.dice.choice(("overwrite", "append", "merge"))
        self.attempt(self.cube.update, self.one(), f"It is {self.said.new('update')} now.", mode=mode, reason=self.said.new("reason"))

    def forget(self) -> None:
        self.attempt(self.cube.forget, self.one(), reason=f"as {self.said.new('reason')} said")

    def restore(self) -> None:
        self.attempt(self.cube.restore, self.one(), reason=self.said.new("reason"))

    def move(self) -> None:
        self.attempt(self.cube.move, self.one(), self.dice.choice(("archive", "freeze", "thaw", "restore")), reason=self.said.new("reason"))

    def search(self) -> None:
        self.attempt(self.cube.search, f"Where is {self.said.new('question')}, {self.dice.choice(self.said.all())}?", user=self.user)

    def fail(self) -> None:
        self.embedder.is_failing = not self.embedder.is_failing

    def drain(self) -> None:
        self.attempt(self.cube.drain)

    def branch(self) -> None:
        if len(self.branches) < 2:
            self.branches.append(f"branch-{len(self.branches)}")
            as_of = self.dice.choice((None, self.clock.now() - timedelta(hours=2)))
            self.attempt(self.cube.branch, self.branches[-1], as_of=as_of)

    # -- for good --------------------------------------------------------------------------------------------------------

    def erase(self, cube: Cube, by: str) -> list[Erased]:
        """All of the user, or all that was said in the session and of what stays, in one of four ways."""
        receipts = []
        for memory in cube.list(limit=10**6, archived=True):  # what is frozen is kept until somebody thaws it
            if memory.state is State.FROZEN:
                cube.move(memory.id, "thaw")
        if by in ("user", "session"):
            with contextlib.suppress(Missing):  # a branch of before the first word
                receipts.append(cube.erase(**{by: self.user if by == "user" else self.session}))
        while sources := [s for s in cube._store.sources() if s.scope.session == self.session or s.id in self.apart]:
            listed = cube.list(session=self.session, archived=True) if by == "memory" else []
            receipts.append(cube.erase(listed[0].id) if listed else cube.erase(source=self.dice.choice(sources).id))
        return receipts


def check(seed: int) -> None:
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there) / "vault"
        life = Confided(folder, seed)
        life.live(life.dice.randrange(4, 16))
        words = life.said.all()
        spoken = [w for place, said in life.said.words.items() if place != "question" for w in said]
        assert leftovers(folder, spoken[:1]), "the words were there"
        assert not leftovers(folder, life.said.words.get("question", [])), "a question is in no file"
        by = life.dice.choice(("memory", "source", "user", "session"))
        receipts = life.erase(life.cube, by)
        told = str([asdict(r) for r in receipts]) + str(life.cube.log(limit=10_000))
        assert not [w for w in words if w.lower() in told.lower()], "neither the receipts nor the log say it"
        if by != "user":
            words.remove(life.user)  # who said what stays
        branches = {name for name in life.branches if name in life.memory.cubes()}
        assert {name for r in receipts for name in r.branches} == branches
        assert not leftovers(folder, words, but=tuple(branches)), f"erased by {by}"
        for name in branches:
            life.erase(life.memory.cube(name), by)
        assert not leftovers(folder, words), f"erased by {by}, and in its branches"
        assert list(life.memory.verify().faults) == []
        life.cube.export(Path(there) / "export.jsonl")
        assert not leftovers(Path(there), words), "what is exported now"
        life.memory.close()
        assert not leftovers(folder, words), "after closing"
        with life.open() as again:
            assert list(again.verify().faults) == []
        assert not leftovers(folder, words), "after opening again"


@pytest.mark.parametrize("seed", [*range(50), 57])  # 57: what an embedder said of a text, in the page of a job that was over
def test_erased_words_of_any_history_are_in_no_byte(seed: int) -> None:
    check(seed)


@pytest.mark.slow
def test_erased_words_of_a_thousand_histories_are_in_no_byte() -> None:
    for seed in range(50, 1050):
        check(seed)
