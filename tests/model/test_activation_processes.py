"""Several real processes with a model each, on the activation memory of one cube."""

from __future__ import annotations

import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch

from loci import MemOS, Message
from loci.drivers.torch_kv.engine import TorchEngine
from loci.errors import Conflict, Missing
from loci.ports.engine import Rates, Tier
from loci.testing.models import make_model, make_tokenizer

QUESTION = "Who keeps the kettle?"
THINGS = ("kettle", "ladder", "harbour", "piano", "garden", "bridge")


def opened(folder: Path) -> MemOS:
    torch.set_num_threads(1)
    engine = TorchEngine(make_model("qwen3"), make_tokenizer())
    engine._rates = Rates(0.1, 1e-3, 0.0, 0.0, Tier(0.0, 1e12), Tier(0.0, 1e12))  # as if loading took no time
    return MemOS.open(folder, engine=engine, embedder="none", background=False)


def work(folder: Path, number: int, rounds: int) -> tuple[int, list[str], list[str]]:
    """Says, activates, asks, and erases what anybody said. (answers from an activation memory, ids erased, what went wrong)"""
    chance, used, erased, wrong = random.Random(number), 0, list[str](), list[str]()
    with opened(folder) as memory:
        cube = memory.cube("main")
        for turn in range(rounds):
            cube.add(
                Message("user", f"I keep the {THINGS[turn % 6]} number {10 * number + turn} in the house by the sea.", speaker="Ann"),
                user="ann",
            )
            known = [one.id for one in cube.list(user="ann")]
            try:
                handle = cube.activate(chance.sample(known, min(3, len(known))), user="ann", codec=chance.choice(["raw", "int8"]))
                answer = cube.generate(QUESTION, user="ann", max_tokens=3, activations=[handle.id])
                answer.text()
                used += answer.attached.handle == handle.id
            except (Missing, Conflict):
                pass  # somebody erased one of them meanwhile
            if turn % 2:
                one = chance.choice(known)
                try:
                    cube.erase(one)
                    erased.append(one)
                except Missing:
                    pass  # somebody was sooner
            for place in cube.activations(user="ann"):
                if any(name in erased for name in place.memories):
                    wrong.append(f"{place.id} holds what this process erased before")
    return used, erased, wrong


@pytest.mark.slow
def test_several_processes_say_activate_ask_and_erase_on_one_store(tmp_path: Path) -> None:
    folder = tmp_path / "vault"
    with opened(folder) as memory:
        cube = memory.cube("main")
        for thing in THINGS:
            cube.add(Message("user", f"I keep the {thing} in the shed.", speaker="Ann"), user="ann")
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = [each.result(240) for each in [pool.submit(work, folder, number, 8) for number in range(1, 4)]]
    assert sum(used for used, _, _ in done) >= 3 and [wrong for _, _, wrongs in done for wrong in wrongs] == []
    gone = {one for _, erased, _ in done for one in erased}
    assert len(gone) >= 6
    with opened(folder) as memory:
        cube = memory.cube("main")
        assert cube.verify().is_clean
        kept = cube.activations(user="ann")
        assert kept and not any(handle.void for handle in kept) and not gone & {one for handle in kept for one in handle.memories}
        assert gone.isdisjoint(one.id for one in cube.list(user="ann"))
        named = {page.hash for handle in kept for page in cube.activation(handle.id).pages}
        assert {file.stem for file in (folder / "main.kv").iterdir()} == named, "a file that nobody names, or one too few"
        for handle in kept[:3]:  # each answers as one that is read anew does
            asked = cube.generate(QUESTION, user="ann", max_tokens=6, activations=[handle.id])
            told = asked.text()
            assert asked.attached.handle == handle.id
            cube.deactivate(handle.id)
            again = cube.activate(handle.memories, user="ann", codec=handle.codec)
            assert not again.is_reused and cube.generate(QUESTION, user="ann", max_tokens=6, activations=[again.id]).text() == told
        cube.erase(user="ann")
        assert list((folder / "main.kv").iterdir()) == [] and cube.activations(user="ann") == [] and cube.verify().is_clean
