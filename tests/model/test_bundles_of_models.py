"""Bundles of what a real transformer has read: bit by bit, the same answers, and numbers that are not the model's refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from loci import MemOS, Message
from loci.drivers.torch_kv.engine import TorchEngine
from loci.errors import IncompatiblePayload, Malformed
from loci.memories import pages
from loci.ports.engine import Tensor
from loci.system import Cube
from loci.testing import ManualClock
from loci.testing.models import SHAPES, make_model, make_tokenizer

EngineOf = Callable[..., TorchEngine]
SAID = ("I live in Oslo.", "I work as a baker.", "My brother Ben likes green tea.", "The harbour opens at nine.")
QUESTION = "Where does Ann live?"


def told(memory: MemOS, clock: ManualClock) -> Cube:
    cube = memory.cube("main")
    for text in SAID:
        cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann", session="s")
    return cube


def tensors(cube: Cube, id: str) -> list[dict[str, bytes]]:
    files = cube._parts.vault.pages("main")
    found = [pages.load(files.open(page.hash, page.bytes)) for page in cube.activation(id).pages]
    return [{name: bytes(tensor.data) for name, tensor in page.items() if name != "chain"} for page in found]


@pytest.mark.parametrize("codec", ["raw", "hidden", "int8", "int4"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_one_vault_wrote_another_goes_on_from(
    open_vault: Callable[..., MemOS], engine_of: EngineOf, clock: ManualClock, tmp_path: Path, codec: str, dtype: torch.dtype
) -> None:
    engine = engine_of("qwen3", dtype)
    here, there = told(open_vault(engine=engine), clock), told(open_vault(tmp_path / "there", engine=engine), clock)
    mine = here.activate([memory.id for memory in here.list(user="ann")], user="ann", codec=codec, most_divergence=1.0)
    here.export_activation(mine.id, tmp_path / "bundle")
    taken = there.import_activation(tmp_path / "bundle", user="ann", most_divergence=1.0)
    assert tensors(there, taken.id) == tensors(here, mine.id) and taken.codec == mine.codec == codec
    assert set(taken.quality) == set(mine.quality) and there.verify().is_clean
    found = [c.generate(QUESTION, user="ann", max_tokens=12, activations=[h.id]) for c, h in ((here, mine), (there, taken))]
    assert [answer.attached.handle for answer in found] == [mine.id, taken.id]
    assert found[0].text() == found[1].text() != ""
    there.erase(user="ann")
    assert not list((tmp_path / "there" / "main.kv").iterdir())


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        (s, d)
        for s in SHAPES
        for d in (torch.float32, torch.bfloat16)
        if (s, d) not in (("deepseek", torch.bfloat16), ("lfm2", torch.bfloat16))
    ],
)  # of 16 bits, a mixture of experts sends tokens elsewhere now and then, and a convolution rounds nothing
def test_what_was_rounded_otherwise_comes_in(
    open_vault: Callable[..., MemOS],
    engine_of: EngineOf,
    clock: ManualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shape: str,
    dtype: torch.dtype,
) -> None:
    """A machine that reads in other parts has other last digits."""
    engine = engine_of(shape, dtype)
    here, there = told(open_vault(engine=engine), clock), told(open_vault(tmp_path / "there", engine=engine), clock)
    mine = here.activate([memory.id for memory in here.list(user="ann")], user="ann")
    here.export_activation(mine.id, tmp_path / "bundle")
    whole = engine.read(here.activation(mine.id).ids)
    right = TorchEngine.read

    def in_parts(self: TorchEngine, ids: Any, after: Any = ()) -> Any:
        state = after
        for start in range(0, len(ids), 7):
            state = right(self, ids[start : start + 7], state)
        return state

    monkeypatch.setattr(TorchEngine, "read", in_parts)
    assert engine.compare(engine.read(here.activation(mine.id).ids), whole)["key_error"] > 0, "nothing is rounded otherwise"
    assert there.import_activation(tmp_path / "bundle", user="ann").tokens == mine.tokens


def forged(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """Other numbers in the only part, and a manifest that vouches for them."""
    part = folder / "part-00000.safetensors"
    data = pages.dump(change(dict(pages.load(memoryview(part.read_bytes())))))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["parts"][0] |= {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    part.write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def nudged(name: str, by: float) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """One number of a tensor is another."""

    def change(found: dict[str, Tensor]) -> dict[str, Tensor]:
        numbers = torch.frombuffer(bytearray(found[name].data), dtype=torch.float32).clone()
        numbers[7] += by
        return {**found, name: Tensor("F32", found[name].shape, numbers.numpy().tobytes())}

    return change


def swapped(found: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**found, "P00000.L1.k": found["P00000.L1.v"], "P00000.L1.v": found["P00000.L1.k"]}


FORGED: dict[str, tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = {
    "a key": (nudged("P00001.L0.k", 0.5), "keys of the bundle"), "a value": (nudged("P00000.L2.v", 0.5), "values of the bundle"),
    "a key that is no number": (nudged("P00000.L0.k", float("nan")), "bundle"), "a value beyond measure": (nudged("P00000.L0.v", float("inf")), "bundle"),
    "keys for values": (swapped, "bundle"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_numbers_that_this_model_does_not_make_of_the_words_are_refused(
    open_vault: Callable[..., MemOS], engine_of: EngineOf, clock: ManualClock, tmp_path: Path, name: str
) -> None:
    """Every shape and hash is right, and the words and the model are: only the model itself can tell."""
    here, there = told(open_vault(engine=engine_of()), clock), told(open_vault(tmp_path / "there", engine=engine_of()), clock)
    here.export_activation(here.activate([memory.id for memory in here.list(user="ann")], user="ann").id, tmp_path / "bundle")
    change, why = FORGED[name]
    forged(tmp_path / "bundle", change)
    with pytest.raises(Malformed, match=why):
        there.import_activation(tmp_path / "bundle", user="ann")
    assert there.activations(user="ann") == [] and not list((tmp_path / "there" / "main.kv").iterdir())


@pytest.mark.parametrize("name", ["P00000.L0.k.s", "P00001.L2.v.s"])
def test_steps_of_a_codec_promise_only_what_they_would_here(
    open_vault: Callable[..., MemOS], engine_of: EngineOf, clock: ManualClock, tmp_path: Path, name: str
) -> None:
    """Whoever makes the steps of a codec larger has an error that lies within its bound, and numbers of his own."""
    here, there = told(open_vault(engine=engine_of()), clock), told(open_vault(tmp_path / "there", engine=engine_of()), clock)
    handle = here.activate([memory.id for memory in here.list(user="ann")], user="ann", codec="int8", most_divergence=1.0)
    here.export_activation(handle.id, tmp_path / "bundle")

    def widened(found: dict[str, Tensor]) -> dict[str, Tensor]:
        codes = name[:-1] + "q"
        steps, q = (torch.frombuffer(bytearray(found[n].data), dtype=t).clone() for n, t in ((name, torch.float16), (codes, torch.uint8)))
        members = q.numel() // steps.numel()
        steps[3] *= 2 * 255  # half of which is more than all of the group's numbers are apart
        q[3 * members : 4 * members] = 0
        changed = {name: ("F16", steps), codes: ("U8", q)}
        return {**found, **{n: Tensor(dtype, found[n].shape, t.numpy().tobytes()) for n, (dtype, t) in changed.items()}}

    forged(tmp_path / "bundle", widened)
    with pytest.raises(Malformed, match="s of the bundle are not what this model makes"):
        there.import_activation(tmp_path / "bundle", user="ann", most_divergence=100.0)


OTHERS: dict[str, Callable[[], TorchEngine]] = {
    "model": lambda: TorchEngine(make_model("qwen3", seed=1), make_tokenizer()),
    "tokenizer": lambda: TorchEngine(make_model("qwen3"), make_tokenizer(vocabulary=380)),
    "dtype": lambda: TorchEngine(make_model("qwen3", dtype=torch.bfloat16), make_tokenizer()),
    "layers": lambda: TorchEngine(make_model("qwen3", num_hidden_layers=2), make_tokenizer()),
}


@pytest.mark.parametrize("field", OTHERS)
def test_another_model_or_tokenizer_is_named(
    open_vault: Callable[..., MemOS], engine_of: EngineOf, clock: ManualClock, tmp_path: Path, field: str
) -> None:
    here = told(open_vault(engine=engine_of()), clock)
    here.export_activation(here.activate([memory.id for memory in here.list(user="ann")], user="ann").id, tmp_path / "bundle")
    there = told(open_vault(tmp_path / "there", engine=OTHERS[field]()), clock)
    with pytest.raises(IncompatiblePayload, match=f"read with {field} ") as error:
        there.import_activation(tmp_path / "bundle", user="ann")
    assert error.value.field == field and not (tmp_path / "there" / "main.kv").exists()


def test_commands_carry_it_and_put_several_together(
    tmp_path: Path, tokenizer: Any, clean_environment: Callable[[Path], dict[str, str]]
) -> None:
    model = tmp_path / "model"
    make_model("qwen3").save_pretrained(model)
    tokenizer.save_pretrained(model)

    def loci(vault: str, *arguments: str, code: int = 0) -> Any:
        environment = {**clean_environment(model), "LOCI_VAULT": str(tmp_path / vault)}
        done = subprocess.run(
            [sys.executable, "-m", "loci", *arguments, "--json"], capture_output=True, text=True, env=environment, cwd=tmp_path
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout if code == 0 else done.stderr.splitlines()[-1])

    for vault in ("one", "two"):
        for text in SAID[:3]:
            loci(vault, "add", text, "--user", "ann", "--speaker", "Ann")
    many = [memory["id"] for memory in loci("one", "list", "--user", "ann")]
    built = [loci("one", "activate", *some, "--user", "ann")["id"] for some in (many[:2], many[2:])]
    named = [word for id in built for word in ("--activation", id)]
    found = loci("one", "generate", QUESTION, "--user", "ann", "--max-tokens", "2", "--compose", "block", *named)["attached"]
    assert found["mode"] == "block" or "the text was read" in found["reason"]  # a model this small may read sooner than it loads
    assert loci("one", "kv", "export", built[0], "bundle")["id"] == built[0] and (tmp_path / "bundle" / "manifest.json").is_file()
    taken = loci("two", "kv", "import", "bundle", "--user", "ann")
    assert [h["id"] for h in loci("two", "kv", "list", "--user", "ann")] == [taken["id"]] and loci("two", "kv", "verify")["faults"] == []
    assert loci("two", "kv", "import", "bundle", "--user", "bob", code=4)["error"] == "missing"
