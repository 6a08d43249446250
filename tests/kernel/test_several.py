"""Asking for several activation memories: who may, what is checked of each, and that the text of all is read where anything differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loci import MemOS, Message
from loci.errors import Invalid, Missing, Unsupported
from loci.system import Cube
from loci.testing import HashEngine, ManualClock, damage
from loci.types import Attached, Role

SAID = ("I live in Oslo.", "I work as a baker.", "My brother Ben likes green tea.", "The harbour opens at nine.")
QUESTION = "Where does Ann live?"


class Slow(HashEngine):
    """Reading costs enough that loading pays, as the fast double has it; and every prompt is kept."""

    def __init__(self, model: str = "hash") -> None:
        super().__init__(model)
        self.prompts: list[str] = []

    def generate(self, state: Any, ids: Any, **options: Any) -> Any:
        self.prompts.append(bytes([i for page in state for i in page.ids] + list(ids)).decode())
        return super().generate(state, ids, **options)


class Windowed(Slow):
    """Its states cannot be moved."""

    def compose(self, states: Any, mode: str, share: float = 0.15, head: int = 0) -> Any:
        raise Unsupported("Its layers see a window.")


@pytest.fixture
def engine() -> Slow:
    return Slow()


@pytest.fixture
def cube(open_vault: Callable[..., MemOS], engine: Slow, clock: ManualClock) -> Cube:
    cube = open_vault(engine=engine, audit_reads=True).cube("main")
    for text in SAID:
        clock.advance(1)
        cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann")
    return cube


def ids(cube: Cube, user: str = "ann") -> list[str]:
    return [memory.id for memory in cube.list(user=user)]


def built(cube: Cube) -> list[str]:
    many = ids(cube)
    return [cube.activate(some, user="ann").id for some in (many[:2], many[2:])]


def asked(cube: Cube, chosen: list[str], mode: str = "block", **options: Any) -> tuple[str, Attached]:
    found = cube.generate(QUESTION, user="ann", max_tokens=4, activations=chosen, compose=mode, **options)
    return found.text(), found.attached


@pytest.mark.parametrize("mode", ["block", "blend"])
def test_all_of_them_are_used_in_the_order_they_were_named(cube: Cube, engine: Slow, mode: str) -> None:
    chosen = built(cube)
    read = engine.read_tokens
    answer, attached = asked(cube, chosen, mode)
    assert attached.handles == tuple(chosen) and attached.is_approximate and attached.mode == mode
    other = asked(cube, chosen[::-1], mode)
    assert other[1].handles == tuple(chosen[::-1]) and other[0] != answer
    first, second = engine.prompts[-2:]
    assert first.index(SAID[0]) < first.index(SAID[2]) and second.index(SAID[2]) < second.index(SAID[0])
    assert first.count("user: ") == 1 == second.count("user: ") and first.count("<memory") == 2
    assert (attached.reread_tokens > 0) == (mode == "blend") and engine.read_tokens > read


def test_blend_of_everything_is_the_joined_text(cube: Cube, engine: Slow) -> None:
    answer, attached = asked(cube, built(cube), "blend", share=1.0)
    whole = "".join(HashEngine.generate(engine, (), tuple(engine.prompts[-1].encode()), max_tokens=4))
    assert answer == whole and attached.is_approximate
    assert asked(cube, [h.id for h in cube.activations(user="ann")], "block")[0] != whole


def test_prefix_is_the_text_and_goes_on_from_the_one_that_holds_most(cube: Cube, engine: Slow) -> None:
    one, two = built(cube)
    answer, attached = asked(cube, [two, one], "prefix")
    assert attached.handle == one and attached.handles == (one,) and not attached.is_approximate and attached.held_tokens > 100
    prompt = engine.prompts[-1]
    assert prompt.count("<memory") == 1 and all(prompt.count(text) == 1 for text in SAID)
    assert answer == "".join(HashEngine.generate(engine, (), tuple(prompt.encode()), max_tokens=4))


def test_one_alone_is_exact_whatever_was_asked_for(cube: Cube) -> None:
    one, _ = built(cube)
    for mode in ("prefix", "block", "blend"):
        _, attached = asked(cube, [one], mode)
        assert attached.mode == "prefix" and not attached.is_approximate and attached.handles == (one,)


def test_what_is_named_is_used_and_not_what_is_nearest(cube: Cube) -> None:
    one, two = built(cube)
    assert cube.generate(QUESTION, user="ann", max_tokens=1).attached.handle == one
    assert asked(cube, [two], "prefix")[1].handle == two


def test_nothing_is_put_together_without_being_asked(cube: Cube) -> None:
    built(cube)
    attached = cube.generate(QUESTION, user="ann", max_tokens=1).attached
    assert not attached.is_approximate and attached.mode == "prefix" and attached.handles == (attached.handle,)


# -- the text of all, and why ----------------------------------------------------------------------------------------------


def is_text_of_all(cube: Cube, engine: Slow, chosen: list[str], why: str, mode: str = "block") -> None:
    answer, attached = asked(cube, chosen, mode)
    assert attached.handle is None and attached.handles == () and not attached.is_approximate and attached.mode == "prefix"
    assert why in attached.reason and attached.held_tokens == 0
    prompt = engine.prompts[-1]
    assert prompt.count("<memory") == 1 and answer == "".join(HashEngine.generate(engine, (), tuple(prompt.encode()), max_tokens=4))
    now = [memory.text for memory in cube.list(user="ann")]
    assert all(prompt.count(text) == 1 for text in now)


@pytest.mark.parametrize("mode", ["block", "blend"])
def test_one_whose_words_changed(cube: Cube, engine: Slow, mode: str) -> None:
    chosen = built(cube)
    cube.update(ids(cube)[3], "The harbour opens at ten.")
    is_text_of_all(cube, engine, chosen, "read otherwise", mode)
    assert asked(cube, chosen, "prefix")[1].handle == chosen[0]


def test_one_whose_words_were_forgotten(cube: Cube, engine: Slow) -> None:
    chosen = built(cube)
    cube.forget(ids(cube)[3])
    is_text_of_all(cube, engine, chosen, "was forgotten")
    assert SAID[3] not in engine.prompts[-1]


def test_one_of_another_model(cube: Cube, open_vault: Callable[..., MemOS], engine: Slow) -> None:
    chosen = built(cube)
    other = Slow("another")
    is_text_of_all(open_vault(engine=other).cube("main"), other, chosen, "It was read with model")


def test_one_whose_page_is_damaged(cube: Cube, open_vault: Callable[..., MemOS], folder: Path) -> None:
    chosen = built(cube)
    last = cube.activation(chosen[1]).pages[-1].hash
    page = folder / "main.kv" / f"{last}.safetensors"
    damage(page)
    engine = Slow()
    fresh = open_vault(engine=engine).cube("main")
    is_text_of_all(fresh, engine, chosen, "not as it was written")
    assert fresh._parts.residence._nodes and not any(node.uses for node in fresh._parts.residence._nodes.values()), "no lease is left"


def test_a_model_that_cannot(open_vault: Callable[..., MemOS], cube: Cube) -> None:
    chosen, engine = built(cube), Windowed()
    is_text_of_all(open_vault(engine=engine).cube("main"), engine, chosen, "see a window")


def test_what_takes_longer_to_load_than_to_read(cube: Cube, open_vault: Callable[..., MemOS], monkeypatch: pytest.MonkeyPatch) -> None:
    from loci.ports.engine import Rates, Tier

    monkeypatch.setattr(HashEngine, "rates", lambda engine: Rates(0.0, 1e-6, 0.0, 0.0, Tier(0.0, 1e12), Tier(1.0, 1e3)))
    chosen, engine = built(cube), Slow()
    assert asked(cube, chosen)[1].is_approximate, "what is at hand need not be loaded"
    is_text_of_all(open_vault(engine=engine).cube("main"), engine, chosen, "the text was read")


# -- who may ---------------------------------------------------------------------------------------------------------------


def test_what_is_somebody_elses_is_not_there(cube: Cube, open_vault: Callable[..., MemOS], engine: Slow) -> None:
    memory = open_vault(engine=engine)
    theirs = memory.cube("main").add("I like figs.", user="bob").ids
    bobs = memory.cube("main").activate(theirs, user="bob").id
    memory.grant("reader", Role.READER, cube="main", user="bob")
    mine, reader = built(cube), memory.acting("reader").cube("main")
    for door, user, chosen in ((cube, "ann", [*mine, bobs]), (reader, "bob", [bobs, mine[0]]), (cube, "ann", [*mine, "01NONE"])):
        with pytest.raises(Missing, match="There is no activation memory"):
            door.generate(QUESTION, user=user, activations=chosen, compose="block")
    assert reader.generate(QUESTION, user="bob", activations=[bobs], max_tokens=1).attached.handle == bobs


def test_a_counted_grant_pays_once_for_all(cube: Cube, open_vault: Callable[..., MemOS], engine: Slow) -> None:
    memory, chosen = open_vault(engine=engine), built(cube)
    memory.grant("reader", Role.READER, cube="main", user="ann", uses=1)
    reader = memory.acting("reader").cube("main")
    assert reader.generate(QUESTION, user="ann", activations=chosen, compose="block", max_tokens=1).attached.is_approximate


def test_it_is_in_the_log_and_counted(cube: Cube) -> None:
    chosen = built(cube)
    asked(cube, chosen)
    read = [record for record in cube.log(verb="read") if record.detail["verb"] == "generate"]
    assert sorted(read[-1].detail["memories"]) == sorted(ids(cube))
    cube._scheduler.note_uses()
    assert [handle.uses for handle in cube.activations(user="ann")] == [1, 1]


def test_what_makes_no_sense_is_refused(cube: Cube) -> None:
    one, two = built(cube)
    for options in (
        {"activations": [one, one]}, {"activations": one}, {"activations": [[one]]}, {"activations": None}, {"activations": [one, None]}, {"activations": [one, two], "compose": "mean"}, {"compose": "block"},
        {"activations": [one, two], "compose": "blend", "share": 1.5}, {"activations": [one, two], "share": float("nan")},
        {"activations": [str(n) for n in range(65)]},
    ):  # fmt: skip
        with pytest.raises(Invalid):
            cube.generate(QUESTION, user="ann", **options)  # type: ignore[arg-type]
