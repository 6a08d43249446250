"""Models whose layers are not all attention: what they hold at the end of a text is kept with it, and is of nothing shorter."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from loci import MemOS, Message
from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_kv.state import cache_of, state_of
from loci.errors import Corrupt, IncompatiblePayload, Malformed, Unsupported
from loci.memories import activation, pages
from loci.ports.adapting import Lesson, Recipe
from loci.ports.engine import BLOCK, Codec, Tensor
from loci.system import Cube
from loci.testing import ManualClock, damage
from loci.testing.models import make_model, make_tokenizer
from loci.types import Scope

EngineOf = Callable[..., TorchEngine]
Made = Callable[..., Cube]
ENDED = ("qwen3.5", "lfm2")  # linear attention, and convolutions, between layers of attention
ODD = (*ENDED, "gemma4", "deepseek")  # and layers that look at others' keys, or keep them compressed
SAID = ("I live in Oslo.", "I work as a baker", "My brother Ben likes green tea!", 'Ann said: "the harbour opens at nine"')
QUESTIONS = ("Where does Ann live?", "\n\nand Ben?", "(is Ann", ". Then Oslo", "1 harbour", "😀 Ben")


@pytest.fixture
def made(open_vault: Callable[..., MemOS], engine_of: EngineOf, clock: ManualClock) -> Made:
    """A cube with what Ann said, for a model of a shape; opened again, nothing of it is at hand."""

    def make(shape: str, *where: Path, **settings: Any) -> Cube:
        cube = open_vault(*where, engine=engine_of(shape), **settings).cube("main")
        for text in SAID if not cube.list(user="ann") else ():
            cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann", session="s")
        return cube

    return make


def ids(cube: Cube) -> list[str]:
    return [memory.id for memory in cube.list(user="ann")]


def answer(cube: Cube, question: str = QUESTIONS[0], **options: Any) -> tuple[str, str | None, str]:
    """(the answer, the activation memory that was used, why)"""
    found = cube.generate(question, user="ann", max_tokens=12, **options)
    return found.text(), found.attached.handle, found.attached.reason


def files(folder: Path) -> list[Path]:
    return sorted((folder / "main.kv").glob("*"))


# -- the same answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ODD)
def test_the_answer_is_that_of_the_text_from_wherever_it_comes(made: Made, folder: Path, shape: str) -> None:
    cube = made(shape)
    handle = cube.activate(ids(cube), user="ann")
    here = [answer(cube, question)[:2] for question in QUESTIONS]
    fresh = made(shape)
    there = [answer(fresh, question) for question in QUESTIONS]
    assert "from the disk" in there[0][2] and fresh.verify().is_clean
    before = {file.name: file.read_bytes() for file in files(folder)}
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(lambda _: answer(cube)[:2], range(40))) == {here[0]}
    assert {file.name: file.read_bytes() for file in files(folder)} == before
    late = made(shape)
    for file in files(folder):
        file.unlink()
    read = [answer(late, question)[:2] for question in QUESTIONS]
    assert here == [found[:2] for found in there] and [text for text, _ in here] == [text for text, _ in read]
    assert sum(used == handle.id for _, used in here) == len(QUESTIONS) and {used for _, used in read} == {None} and len(set(read)) > 1


@pytest.mark.parametrize("codec", ["int8", "int4"])
@pytest.mark.parametrize("shape", ENDED)
def test_codes_are_of_keys_and_values_and_what_is_held_at_the_end_stays_as_it_is(made: Made, shape: str, codec: str) -> None:
    cube = made(shape)
    whole, coded = cube.activate(ids(cube), user="ann"), cube.activate(ids(cube), user="ann", codec=codec, most_divergence=1.0)
    assert coded.bytes < whole.bytes and 0 < coded.quality["kl"] < 0.01 and coded.quality["end_share"] == 0
    shelf = cube._parts.vault.pages("main")
    ends = [pages.load(shelf.open(page.hash, page.bytes)) for page in (cube.activation(h.id).pages[-1] for h in (whole, coded))]
    one, two = ({name: bytes(tensor.data) for name, tensor in end.items() if name != "chain"} for end in ends)
    assert one == two != {}


@pytest.mark.parametrize("shape", ENDED)
def test_each_goes_on_from_its_own_end(made: Made, shape: str) -> None:
    cube = made(shape)
    two = [cube.activate(part, user="ann").id for part in (ids(cube)[:2], ids(cube)[2:])]
    here = [answer(cube, activations=[id]) for id in two]
    assert [used for _, used, _ in here] == two and all(why.endswith("from the device") for _, _, why in here)
    assert [answer(made(shape), activations=[id])[:2] for id in two] == [found[:2] for found in here]


@pytest.mark.parametrize("shape", ENDED)
def test_it_ends_where_every_prompt_goes_on(open_vault: Callable[..., MemOS], engine_of: EngineOf, clock: ManualClock, shape: str) -> None:
    """The last token of the memories is another when a question follows, as with most tokenizers: it is read as that."""
    engine_of(shape)
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([">\n\n"])
    cube = open_vault(engine=TorchEngine(make_model(shape), tokenizer)).cube("main")
    for text in SAID:
        cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann", session="s")
    handle = cube.activate(ids(cube), user="ann")
    manifest, engine = cube.activation(handle.id), cube._activations.engine
    assert manifest.fingerprint.has_end and manifest.pages[-1].tokens == 0
    assert [page.tokens for page in manifest.pages[:-1]] == [len(part) for part in activation.parts(manifest)[:-1]]
    text = cube._activations.words_of(manifest, cube._allow("generate", Scope("main", "ann")).rows)
    for question in QUESTIONS:
        assert engine.tokenize(engine.prompt(text, [Message("user", question)])[0])[: handle.tokens] == manifest.ids
        assert answer(cube, question)[1] == handle.id
    assert manifest.ids != engine.tokenize(engine.prompt(text, [Message("user", "?")])[1])[: handle.tokens], (
        "nothing merges: the test shows nothing"
    )


@pytest.mark.parametrize("shape", ENDED)
def test_it_is_brought_ahead_and_erased_as_a_whole(made: Made, folder: Path, shape: str) -> None:
    made(shape).activate(ids(made(shape)), user="ann")
    cube = made(shape)
    told = cube.prepare(QUESTIONS[0], user="ann").wait(60)
    assert f"{len(cube.activation(cube.activations(user='ann')[0].id).pages)} from the disk" in told
    assert answer(cube)[2].endswith("from the device")
    cube.erase(ids(cube)[1])
    assert files(folder) == [] and answer(cube)[1] is None


# -- what is not what it was ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["flipped", "cut", "gone", "another's"])
def test_an_end_that_is_not_what_it_was_is_not_gone_on_from(made: Made, folder: Path, how: str) -> None:
    cube = made("qwen3.5")
    handle = cube.activate(ids(cube), user="ann")
    text, end = answer(cube)[0], cube.activation(handle.id).pages[-1]
    (file,) = [path for path in files(folder) if end.hash in path.name]
    if how == "flipped":
        damage(file)
    elif how == "cut":
        file.write_bytes(file.read_bytes()[:-8])
    elif how == "gone":
        file.unlink()
    else:
        other = cube.activation(cube.activate(ids(cube)[:2], user="ann").id).pages[-1]
        file.write_bytes(next(path for path in files(folder) if other.hash in path.name).read_bytes())
        cube.deactivate(cube.activations(user="ann")[-1].id)
    fresh = made("qwen3.5")
    found = answer(fresh)
    assert found[:2] == (text, None) and found[2]
    gone = [f"activation {handle.id}"] if how != "gone" else []  # let go of at the opening
    assert [fault.where for fault in fresh.verify().faults] == gone


def test_an_end_has_what_the_model_holds_there_and_nothing_else(engine_of: EngineOf) -> None:
    engine, raw = engine_of("qwen3.5"), Codec()
    *_, end = engine.read(range(5, 105))
    told = dict(engine.encode(end, raw))
    name = next(iter(told))
    lies = {
        "lacks": {n: t for n, t in told.items() if n != name},
        "does not hold there": {**told, "L3.S": told[name]},
        "it should be": {**told, name: replace(told[name], shape=(*told[name].shape, 1))},
    }
    for why, lie in lies.items():
        with pytest.raises(Corrupt, match=why):
            engine.decode((), 100, raw, lie)
    assert engine.decode((), 100, raw, told).bytes == end.bytes > 0


# -- to another vault ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ODD)
@pytest.mark.parametrize("codec", ["raw", "int8"])
def test_a_bundle_holds_the_end(made: Made, tmp_path: Path, shape: str, codec: str) -> None:
    here, there = made(shape), made(shape, tmp_path / "there")
    mine = here.activate(ids(here), user="ann", codec=codec, most_divergence=1.0)
    here.export_activation(mine.id, tmp_path / "bundle")
    taken = there.import_activation(tmp_path / "bundle", user="ann", most_divergence=1.0)
    assert answer(there)[:2] == (answer(here)[0], taken.id) and there.verify().is_clean


@pytest.mark.parametrize(
    ("how", "is_trusted"),
    [("another state", False), ("no number", False), *((how, by) for how in ("one more", "one less", "no end") for by in (True, False))],
)  # numbers are looked at where nobody vouches for them
def test_a_bundle_whose_end_is_forged_is_refused(made: Made, tmp_path: Path, how: str, is_trusted: bool) -> None:
    here, there = made("qwen3.5"), made("qwen3.5", tmp_path / "there")
    mine = here.activate(ids(here), user="ann")
    here.export_activation(mine.id, tmp_path / "bundle")
    file, told = tmp_path / "bundle" / "part-00000.safetensors", json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    found = dict(pages.load(memoryview(file.read_bytes())))
    last = f"P{len(here.activation(mine.id).pages) - 1:05d}."
    name = f"{last}L0.S"
    if how in ("another state", "no number"):
        numbers = torch.frombuffer(bytearray(found[name].data), dtype=torch.float32).clone()
        numbers[7] += 0.01 * float(numbers.abs().max()) if how == "another state" else float("nan")
        found[name] = Tensor("F32", found[name].shape, numbers.numpy().tobytes())
    elif how == "one more":
        found[f"{last}L3.S"] = found[name]
    elif how == "one less":
        del found[name]
    else:
        found = {n: t for n, t in found.items() if not n.startswith(last)}
        told["parts"][0]["pages"] -= 1
    data = pages.dump(found)
    file.write_bytes(data)
    told["parts"][0] |= {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    (tmp_path / "bundle" / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(
        Malformed, match="states of the bundle" if "state" in how or "number" in how else "tensors|lacks|pages|does not hold"
    ):
        there.import_activation(tmp_path / "bundle", user="ann", trusted=is_trusted)
    assert there.activations(user="ann") == [] and files(tmp_path / "there") == []


# -- what such a model does not do ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["prefix", "block", "blend"])
@pytest.mark.parametrize("shape", ENDED)
def test_several_are_read_as_one_text(made: Made, shape: str, mode: str) -> None:
    cube = made(shape)
    text = answer(cube, limit=4)[0]
    two = [cube.activate(part, user="ann").id for part in (ids(cube)[:2], ids(cube)[2:])]
    found = cube.generate(QUESTIONS[0], user="ann", max_tokens=12, activations=two, compose=mode)
    assert (found.text(), found.attached.handle) == (text, None)
    assert ("no beginnings" if mode == "prefix" else "not put behind one another") in found.attached.reason


@pytest.mark.parametrize("shape", ENDED)
def test_what_takes_keys_of_every_token_is_refused(made: Made, engine_of: EngineOf, shape: str) -> None:
    cube, engine = made(shape), engine_of(shape)
    with pytest.raises(Unsupported, match="budgets need full attention"):
        cube.activate(ids(cube), user="ann", budget=64)
    with pytest.raises(Unsupported, match="Use the codec raw"):
        cube.activate(ids(cube), user="ann", codec="hidden")
    with pytest.raises(Unsupported, match="Learn a LoRA"):
        engine.student().check_lessons([Lesson("a", "Where? ", "Oslo")], Recipe(form="cartridge"))
    assert cube.activations(user="ann") == [] and cube.activate(ids(cube), user="ann", codec="exact").codec == "raw"


def test_compressed_keys_have_no_budget(made: Made) -> None:
    cube = made("deepseek")
    with pytest.raises(Unsupported, match="compressed"):
        cube.activate(ids(cube), user="ann", budget=64)


@pytest.mark.parametrize("shape", ["qwen3.5", "gemma4"])
def test_such_a_model_learns_by_its_linear_layers(engine_of: EngineOf, shape: str) -> None:
    student, lessons = engine_of(shape).student(), [Lesson("a", "Where does Ann live?", " Oslo")]
    learned = student.learn(lessons, [], Recipe(rank=2, exposures=3, batch=1))
    mounted = student.mounted([learned])
    state = mounted.read(range(5, 105))
    again = mounted.logits(state, [7, 8, 9]) - mounted.logits((), [*range(5, 105), 7, 8, 9])[100:]
    assert float(again.abs().max()) < 1e-4
    assert float((mounted.logits(state, [7]) - engine_of(shape).logits(state, [7])).abs().max()) > 1e-4


# -- as it was before ----------------------------------------------------------------------------------------------------


def test_another_shape_of_values_is_another_model(engine_of: EngineOf) -> None:
    known = engine_of("deepseek").fingerprint()
    with pytest.raises(IncompatiblePayload, match="layers"):
        activation.check_fit(known, replace(known, layers=tuple(replace(layer, values=0) for layer in known.layers)))


def test_what_was_named_before_layers_told_of_their_values_keeps_its_name(engine_of: EngineOf) -> None:
    """The names of pages that an earlier version wrote for this model of random weights."""
    known = replace(engine_of("qwen3").fingerprint(), model="m", tokenizer="t", template="")
    names = activation.chain(known, "tenant", Codec("raw"), range(100))
    assert [name[:8] for name in names] == ["53a1df18", "568af4f5"]


def test_a_state_shares_nothing_with_the_cache_that_goes_on_from_it(engine_of: EngineOf) -> None:
    """The library writes to what such layers hold."""
    engine = engine_of("lfm2")
    state = engine.read(range(5, 5 + BLOCK + 3))
    held = {name: tensor.clone() for name, tensor in state[-1].ends.items()}
    cache = cache_of(state, engine.model.config)
    engine.forward(engine.model, [9, 10, 11], cache, 1)
    assert all(torch.equal(held[name], tensor) for name, tensor in state[-1].ends.items())
    grown = state_of([*range(5, 5 + BLOCK + 3), 9, 10, 11], cache)
    assert any(not torch.equal(held[name], tensor) for name, tensor in grown[-1].ends.items())
    before = {name: tensor.clone() for name, tensor in grown[-1].ends.items()}
    engine.forward(engine.model, [12, 13], cache, 1)
    assert all(torch.equal(before[name], tensor) for name, tensor in grown[-1].ends.items())
