"""What memory recalled and somebody hands back creates nothing."""

from __future__ import annotations

import pytest

from loci import Message, Outcome
from loci.system import Cube
from loci.testing import ManualClock

SAID = (
    "I keep the <blue> kettle in the shed.",
    "The ladder & the rope are in the garage.",
    'My sister said: "bring the tent".\nShe will come in May.',
)
DISGUISES = {
    "verbatim": lambda text: text,
    "with talk around it": lambda text: f"Here is what I know:\n{text}\nShall I go on?",
    "requoted": lambda text: "\n".join(f"> {line}" for line in text.splitlines()),
    "as bullets, turned round": lambda text: "\n".join(f"- {line}" for line in reversed(text.splitlines()[1:-1])),
    "without citations": lambda text: "\n".join(line.split("] ", 1)[-1] for line in text.splitlines()[1:-1]),
    "twice": lambda text: f"{text}\n\n{text}",
}  # fmt: skip


@pytest.fixture
def told(cube: Cube, clock: ManualClock) -> Cube:
    for text in SAID:
        clock.advance(days=1)
        cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann")
    return cube


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("role", ["user", "assistant", "tool"])
def test_recalled_text_creates_no_memory(told: Cube, disguise: str, role: str) -> None:
    before = {m.id for m in told.list(user="ann")}
    text = told.search("kettle ladder tent sister", user="ann").text
    receipt = told.add(Message(role, DISGUISES[disguise](text)), user="ann")
    fresh = [m for m in told.list(user="ann") if m.id not in before]
    assert [c for c in receipt.changes if c.outcome is Outcome.IGNORED and "recalled" in c.reason]
    for memory in fresh:  # what was said around it
        assert not {"kettle", "ladder", "tent", "sister", "memory"} & set(memory.text.lower().split()), memory.text
    assert bool(fresh) is (disguise == "with talk around it")


def test_what_only_looks_recalled_is_remembered(told: Cube) -> None:
    receipt = told.add("[1] 2026-05-01 Bob: I sold the boat.", user="ann")
    assert len(receipt.ids) == 1 and told.search("boat", user="ann").hits


def test_what_is_another_users_is_not_known_here(told: Cube) -> None:
    text = told.search("kettle", user="ann").text
    assert told.add(text, user="bob").ids, "bob's memory does not tell what ann's holds"


def test_memory_does_not_grow_by_being_read(told: Cube) -> None:
    before = len(told.list(user="ann"))
    for _ in range(50):
        told.add(Message("assistant", told.search("kettle ladder tent sister", user="ann").text), user="ann")
    assert len(told.list(user="ann")) == before
