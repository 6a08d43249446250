"""What `generate` takes, and what it hands back: an answer as it comes, and whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from loci import MemOS, Message
from loci.errors import Invalid
from loci.system import Cube
from loci.testing import HashEngine


@pytest.fixture
def cube(open_vault: Callable[..., MemOS]) -> Cube:
    found = open_vault(engine=HashEngine()).cube("main")
    found.add(Message("user", "The harbour opens at nine.", speaker="Ann"), user="ann")
    return found


def told(cube: Cube, question: Any = "When does the harbour open?", **options: Any) -> str:
    return cube.generate(question, user="ann", **{"max_tokens": 6, **options}).text()


def test_the_text_is_all_of_it_however_much_has_come(cube: Cube) -> None:
    answer = cube.generate("When does the harbour open?", user="ann", max_tokens=6)
    begun = [next(iter(answer)), next(iter(answer))]
    assert answer.text() == answer.text() == told(cube) and answer.text().startswith("".join(begun))
    assert list(answer) == [], "pieces come once"


def test_a_conversation_may_come_as_chat_dictionaries(cube: Cube) -> None:
    said = [("user", "Hello."), ("assistant", "Good morning."), ("user", "When does the harbour open?")]
    spoken = [{"role": role, "content": text} for role, text in said]
    assert told(cube, spoken) == told(cube, [Message(role, text) for role, text in said]) == told(cube, json.loads(json.dumps(spoken)))
    assert told(cube, spoken[-1]) == told(cube)


@pytest.mark.parametrize(
    "question", [[], 3, [3], [{"role": "user"}], [{"role": "wizard", "text": "x"}], [{"role": "assistant", "text": "x"}]]
)
def test_what_is_no_conversation_is_refused(cube: Cube, question: Any) -> None:
    with pytest.raises(Invalid) as refused:
        told(cube, question)
    assert "stored" not in str(refused.value), "it was only asked"


@pytest.mark.parametrize(
    "options",
    [{"temperature": value} for value in ("hot", -1, float("nan"), float("inf"), 1e-300, 1000, True, None)]
    + [{"seed": value} for value in ("x", -1, 1 << 63, 1.5)],
)  # fmt: skip
def test_odds_that_are_none_are_refused_before_anything_is_read(cube: Cube, options: dict[str, Any]) -> None:
    (name,) = options
    read = cube._activations.engine.read_tokens
    with pytest.raises(Invalid, match=f"^{name} is .*; it must be"):
        cube.generate("When does the harbour open?", user="ann", **options)
    assert cube._activations.engine.read_tokens == read
    assert told(cube, temperature=0.01, seed=(1 << 63) - 1) and told(cube, temperature=100) and told(cube, temperature=0)
