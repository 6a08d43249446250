"""A context longer than the model: as much of the text as fits is read instead, and the answer says so. The engine refuses a prompt that is longer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from loci import MemOS, Message
from loci.errors import Invalid
from loci.ports.engine import Fingerprint
from loci.system import Cube
from loci.testing import HashEngine, ManualClock, TeachableEngine

SAID = tuple(
    f"Ann keeps {thing} in the {place} shed." for thing in ("rope", "paint", "nails", "glue") for place in ("red", "green", "blue")
)
QUESTION = "What does Ann keep in the sheds?"
Open = Callable[..., Cube]


class Short(TeachableEngine):
    """Reads no more than ``context`` tokens, and says what it was asked."""

    def __init__(self, context: int) -> None:
        super().__init__()
        self.context, self.prompts = context, list[str]()

    def fingerprint(self) -> Fingerprint:
        return replace(super().fingerprint(), context=self.context)

    def generate(self, state: Any, ids: Any, *, max_tokens: int, **options: Any) -> Any:
        prompt = [i for page in state for i in page.ids] + list(ids)
        if len(prompt) + max_tokens > self.context:
            raise Invalid(f"{len(prompt)} and {max_tokens} are more than this model reads.")
        self.prompts.append(bytes(prompt).decode())
        return HashEngine.generate(self, state, ids, max_tokens=max_tokens, **options)


@pytest.fixture
def opened(open_vault: Callable[..., MemOS], clock: ManualClock) -> Open:
    def open_(context: int) -> Cube:
        cube = open_vault(engine=Short(context)).cube("main")
        for text in SAID:
            clock.advance(1)
            cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann")
        return cube

    return open_


def ids(cube: Cube) -> list[str]:
    return [memory.id for memory in cube.list(user="ann")]


def whole(cube: Cube) -> int:
    """The tokens of the prompt with everything that is recalled."""
    recall = cube._recall(cube._everything(), QUESTION)
    return len(cube._activations._prompt(recall.text, [Message("user", QUESTION)]))


def asked(cube: Cube, **options: Any) -> tuple[Any, str]:
    found = cube.generate(QUESTION, user="ann", **{"max_tokens": 4, **options})
    found.text()
    return found, cube._activations.engine.prompts[-1]  # type: ignore[attr-defined]


def test_what_fits_is_read_whole_and_nothing_is_said(opened: Open) -> None:
    cube = opened(1 << 16)
    found, prompt = asked(cube)
    assert (
        len(found.recall.ids) == 10
        and all(hit.memory.text in prompt for hit in found.recall.hits)
        and "cut down" not in found.attached.reason
    )


@pytest.mark.parametrize("share", [0.99, 0.7, 0.4])
def test_of_what_was_recalled_as_much_is_read_as_fits(opened: Open, share: float) -> None:
    cube = opened(1 << 16)
    engine = cube._activations.engine
    engine.context = context = int(share * whole(cube))  # type: ignore[attr-defined]
    found, prompt = asked(cube)
    shown = found.recall.hits
    assert 0 < len(shown) < 10 and prompt.count("Ann keeps") == len(shown) and all(hit.memory.text in prompt for hit in shown)
    assert QUESTION in prompt and len(prompt.encode()) + 4 <= context < len(prompt.encode()) + 4 + 300, "and not much less than fits"
    told = found.attached.reason
    assert f"reads ({context} tokens" in told and f"{len(shown)} of 10 memories" in told and found.attached.handle is None
    assert found.memories == found.recall.ids, "what it is made of is what was read"


def test_numbers_are_those_of_what_was_read(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    cube = opened(1 << 16)
    cube._activations.engine.context = whole(cube) // 2  # type: ignore[attr-defined]
    right = HashEngine.generate

    def citing(self: Any, state: Any, ids: Any, **options: Any) -> Any:
        yield from right(self, state, ids, **options)
        yield "[2] [9]"

    monkeypatch.setattr(HashEngine, "generate", citing)
    found, prompt = asked(cube)
    cube._scheduler.note_uses()
    (cited,) = [memory for memory in cube.list(user="ann") if memory.cited]
    assert cited.id == found.recall.ids[1] and "[2]" in next(line for line in prompt.splitlines() if cited.text in line)


def test_an_activation_memory_that_leaves_no_room_gives_way_to_the_text(opened: Open) -> None:
    cube = opened(1 << 16)
    probe = cube.activate(ids(cube), user="ann")
    assert asked(cube)[0].attached.handle == probe.id
    cube.deactivate(probe.id)
    engine: Any = cube._activations.engine
    engine.context = probe.tokens + 35
    large, small = cube.activate(ids(cube), user="ann"), cube.activate(ids(cube)[1:3], user="ann")
    found, prompt = asked(cube)
    assert found.attached.handle == small.id and f"with {large.id} the prompt would be more" in found.attached.reason
    cube.deactivate(small.id)
    found, prompt = asked(cube)
    assert found.attached.handle is None and found.attached.reason.startswith(f"with {large.id}") and "tokens" in found.attached.reason
    assert len(found.recall.ids) == 10 and all(hit.memory.text in prompt for hit in found.recall.hits)
    named, _ = asked(cube, activations=[large.id])
    assert (named.attached.handle, named.attached.reason, named.text()) == (None, found.attached.reason, found.text())


@pytest.mark.parametrize("mode", ["prefix", "block", "blend"])
def test_several_that_leave_no_room_give_way_to_the_text(opened: Open, mode: str) -> None:
    cube = opened(1 << 16)
    cube._activations.engine.context = whole(cube) + 10  # type: ignore[attr-defined]
    parts = [cube.activate(some, user="ann").id for some in (ids(cube)[:6], ids(cube)[6:])]
    found, _ = asked(cube, activations=parts, compose=mode)
    assert found.attached.handles == () and all(id in found.attached.reason for id in parts) and not found.attached.is_approximate


def test_what_has_no_room_is_not_kept(opened: Open) -> None:
    cube = opened(1 << 16)
    cube._activations.engine.context = whole(cube) - 10  # type: ignore[attr-defined]
    found, _ = asked(cube, keep=True)
    assert "nothing was kept" in found.attached.reason and "cut down" in found.attached.reason


def test_adapters_answer_for_what_they_learned_and_the_rest_is_cut_down(opened: Open) -> None:
    cube = opened(1 << 16)
    cube._activations.engine.context = whole(cube) // 2  # type: ignore[attr-defined]
    made = cube.distil(ids(cube)[:2], user="ann")
    cube.mount(made.id)
    found = cube.generate(QUESTION, user="ann", max_tokens=4)
    assert found.text() and found.attached.adapters == (made.id,) and "cut down" in found.attached.reason


def test_a_question_too_long_by_itself_is_refused_at_once(opened: Open) -> None:
    cube = opened(200)
    for options in ({"max_tokens": 180}, {"question": "Where? " * 60}):
        with pytest.raises(Invalid, match=r"more than this model reads \(200\)"):
            cube.generate(**{"question": QUESTION, "user": "ann", "max_tokens": 4, **options})
    found, _ = asked(cube)
    assert "of 10 memories" in found.attached.reason
