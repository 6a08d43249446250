"""Files of a bank: what comes back is what was written, for the same model alone, and a file that lies is refused before anything is made of it."""

from __future__ import annotations

import json
import pickle
import struct
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from loci.drivers.torch_bank import kept
from loci.drivers.torch_bank.compressor import Recipe, TorchCompressor
from loci.drivers.torch_bank.kept import load_compressor, load_entry, save_compressor, save_entry
from loci.errors import Corrupt, IncompatiblePayload, Missing
from loci.methods.cmt import Bank
from loci.ports.banking import Entry
from loci.testing.models import make_model, make_tokenizer

AT = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)


def made_of(model: Any, seed: int = 1) -> TorchCompressor:
    made = TorchCompressor(model, make_tokenizer(), Recipe(tokens=3, rank=2), seed=seed)
    with torch.no_grad():
        for number, tensor in enumerate(made.learned().values()):
            tensor.add_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(number)) * 0.1)
    return made


@pytest.fixture(scope="module")
def compressor() -> TorchCompressor:
    return made_of(make_model("qwen3"))


@pytest.fixture(scope="module")
def entry(compressor: TorchCompressor) -> Entry:
    states, mean = compressor.compress([5, 6, 7, 8, 9])
    return Entry("d1", AT, states, mean / mean.norm())


def header_of(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def rewritten(path: Path, change: Any) -> None:
    """The same file with another header, as a liar would write it."""
    header, body = header_of(path)
    change(header)
    told = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(told)) + told + body)


def test_a_compressor_comes_back_and_compresses_to_the_same_bits(compressor: TorchCompressor, tmp_path: Path) -> None:
    save_compressor(compressor, tmp_path / "c.safetensors")
    again = load_compressor(tmp_path / "c.safetensors", make_model("qwen3"), make_tokenizer())
    assert again.recipe == compressor.recipe
    for one, two in zip(again.compress([5, 6, 7]), compressor.compress([5, 6, 7]), strict=True):
        assert torch.equal(one, two)
    fresh = TorchCompressor(make_model("qwen3"), make_tokenizer(), compressor.recipe, seed=1)
    assert not torch.equal(fresh.compress([5, 6, 7])[0], again.compress([5, 6, 7])[0])
    assert not list(tmp_path.glob(".*"))  # nothing half written lies about


def test_an_entry_comes_back_bit_for_bit_and_goes_into_a_bank(compressor: TorchCompressor, entry: Entry, tmp_path: Path) -> None:
    for one in (entry, Entry("ohne Zeit \u2603", None, entry.states, entry.key)):
        save_entry(one, compressor, tmp_path / "e.safetensors")
        again = load_entry(tmp_path / "e.safetensors", compressor)
        assert (again.id, again.at) == (one.id, one.at) and torch.equal(again.states, one.states) and torch.equal(again.key, one.key)
        Bank(compressor).put(again)


def test_another_model_is_refused_and_told_in_what_it_differs(compressor: TorchCompressor, entry: Entry, tmp_path: Path) -> None:
    save_compressor(compressor, tmp_path / "c.safetensors")
    save_entry(entry, compressor, tmp_path / "e.safetensors")
    others = {
        "model": (make_model("qwen3", seed=1), make_tokenizer()), "layers": (make_model("qwen3", num_hidden_layers=2), make_tokenizer()),
        "dtype": (make_model("qwen3", dtype=torch.bfloat16), make_tokenizer()), "tokenizer": (make_model("qwen3"), make_tokenizer(vocabulary=300)),
        "template": (make_model("qwen3"), make_tokenizer(template=None)),
    }  # fmt: skip
    for field, (model, tokenizer) in others.items():
        with pytest.raises(IncompatiblePayload) as caught:
            load_compressor(tmp_path / "c.safetensors", model, tokenizer)
        assert caught.value.field == field and "Train a compressor" in str(caught.value)
        with pytest.raises(IncompatiblePayload) as caught:
            load_entry(tmp_path / "e.safetensors", TorchCompressor(model, tokenizer, compressor.recipe))
        assert caught.value.field == field


def test_an_entry_of_another_compressor_is_refused(compressor: TorchCompressor, entry: Entry, tmp_path: Path) -> None:
    save_entry(entry, compressor, tmp_path / "e.safetensors")
    with pytest.raises(IncompatiblePayload, match="made by compressor"):
        load_entry(tmp_path / "e.safetensors", TorchCompressor(compressor.model, compressor.tokenizer, compressor.recipe, seed=2))


@pytest.mark.parametrize("kind", ["compressor", "entry"])
def test_every_truncation_is_corrupt(kind: str, compressor: TorchCompressor, entry: Entry, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_compressor(compressor, path) if kind == "compressor" else save_entry(entry, compressor, path)
    data = path.read_bytes()
    for length in (0, 7, 8, 60, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(Corrupt):
            read(kind, path, compressor)
    path.write_bytes(data + b"more")
    with pytest.raises(Corrupt):
        read(kind, path, compressor)


def read(kind: str, path: Path, compressor: TorchCompressor) -> object:
    return load_compressor(path, compressor.model, compressor.tokenizer) if kind == "compressor" else load_entry(path, compressor)


@pytest.mark.parametrize("kind", ["compressor", "entry"])
def test_a_flipped_bit_anywhere_is_never_taken_for_what_was_written(
    kind: str, compressor: TorchCompressor, entry: Entry, tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    save_compressor(compressor, path) if kind == "compressor" else save_entry(entry, compressor, path)
    data = path.read_bytes()
    for place in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises((Corrupt, IncompatiblePayload)):
            read(kind, path, compressor)


def test_files_that_lie_are_corrupt(compressor: TorchCompressor, entry: Entry, tmp_path: Path) -> None:
    path = tmp_path / "e.safetensors"

    def huge(header: dict[str, Any]) -> None:
        header["states"]["shape"] = [1 << 40, 2]

    def other_shape(header: dict[str, Any]) -> None:
        header["states"]["shape"] = header["states"]["shape"][::-1]

    def other_type(header: dict[str, Any]) -> None:
        header["states"]["dtype"] = "I32"

    def silent(header: dict[str, Any]) -> None:
        del header["__metadata__"]

    def newer(header: dict[str, Any]) -> None:
        header["__metadata__"]["schema"] = "9"

    def renamed(header: dict[str, Any]) -> None:
        header["__metadata__"]["id"] = "d2"

    def torn(header: dict[str, Any]) -> None:
        header["__metadata__"]["base"] = "["

    for lie in (huge, other_shape, other_type, silent, newer, renamed, torn):
        save_entry(entry, compressor, path)
        rewritten(path, lie)
        with pytest.raises(Corrupt):
            load_entry(path, compressor)
    save_entry(entry, compressor, path)
    header, _ = header_of(path)
    tensors = load_file(path)
    for wrong in (
        {"key": tensors["key"]},
        {**tensors, "more": torch.zeros(1)},
        {**tensors, "states": torch.full_like(tensors["states"], torch.nan)},
    ):
        save_file(wrong, path, header["__metadata__"])
        with pytest.raises(Corrupt):
            load_entry(path, compressor)
    save_compressor(compressor, path)
    with pytest.raises(Corrupt, match="loci bank entry"):
        load_entry(path, compressor)
    rewritten(path, lambda header: header["__metadata__"].update(recipe='{"tokens": 0, "rank": 1, "targets": ["q_proj"]}'))
    with pytest.raises(Corrupt, match="how it was made"):
        load_compressor(path, compressor.model, compressor.tokenizer)


@pytest.mark.parametrize("changed", [{"tokens": 10**13}, {"rank": 10**13}, {"matched": 99}, {"targets": ["zz"]}, {"rank": 2.5}])
def test_nothing_is_made_of_a_recipe_that_is_not_that_of_the_tensors(tmp_path, compressor, monkeypatch, changed):
    path = tmp_path / "compressor.safetensors"
    save_compressor(compressor, path)
    told = json.dumps({**asdict(compressor.recipe), **changed})
    rewritten(path, lambda header: header["__metadata__"].update(recipe=told))
    monkeypatch.setattr(kept, "TorchCompressor", lambda *_, **__: pytest.fail("it was made all the same"))
    with pytest.raises(Corrupt):
        load_compressor(path, compressor.model, compressor.tokenizer)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


def test_a_pickle_is_refused_and_not_run(compressor: TorchCompressor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for data in (pickle.dumps(Bomb()), b"", b"\x00" * 64):
        (tmp_path / "x.safetensors").write_bytes(data)
        for kind in ("compressor", "entry"):
            with pytest.raises(Corrupt):
                read(kind, tmp_path / "x.safetensors", compressor)
    assert not (tmp_path / "exploded").exists()
    with pytest.raises(Missing):
        load_entry(tmp_path / "nowhere", compressor)
