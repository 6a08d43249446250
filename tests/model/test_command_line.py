"""Activation memory as a user has it: a folder with a model, and commands that are processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from loci import MemOS
from loci.drivers.torch_kv.loading import load_engine
from loci.errors import Invalid, Missing
from loci.testing import damage
from loci.testing.models import make_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_model("qwen3").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_commands_build_use_look_and_let_go(folder: Path, tmp_path: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("LOCI_")}
    environment = {**clean, "LOCI_VAULT": str(tmp_path / "vault"), "LOCI_EMBEDDER": "none", "LOCI_ENGINE": str(folder)}

    def loci(*arguments: str, code: int = 0) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "loci", *arguments, "--json"], capture_output=True, text=True, env=environment, cwd=tmp_path
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout if code == 0 else done.stderr) if (done.stdout or done.stderr) else None

    for text in ("I live in Oslo.", "My brother Ben likes green tea."):
        loci("add", text, "--user", "ann", "--speaker", "Ann")
    read = loci("generate", "Where does Ann live?", "--user", "ann", "--max-tokens", "6")
    assert read["attached"]["handle"] is None and read["attached"]["read_tokens"] > 0
    first = loci("generate", "Where does Ann live?", "--user", "ann", "--max-tokens", "6", "--keep")
    kept = loci("kv", "list", "--user", "ann")
    assert [h["is_kept"] for h in kept] == [True] * len(kept)  # on a fast disk it is worth it, and if not it says so
    assert (f"is kept as {kept[0]['id']}" if kept else "nothing was kept: ") in first["attached"]["reason"]
    for entry in kept:
        loci("kv", "drop", entry["id"])
    handle = loci("activate", "--about", "Where does Ann live?", "--user", "ann")
    held = loci("generate", "Where does Ann live?", "--user", "ann", "--max-tokens", "6")
    assert held["attached"]["handle"] in (handle["id"], None)  # a model this small may read sooner than it loads, and then says so
    assert held["attached"]["handle"] or "the text was read" in held["attached"]["reason"]
    assert [h["id"] for h in loci("kv", "list", "--user", "ann")] == [handle["id"]]
    assert loci("kv", "inspect", handle["id"])["fingerprint"]["dtype"] == "float32"
    assert loci("kv", "verify") == {"checked": 1, "faults": [], "let_go": []}
    page = next((tmp_path / "vault" / "main.kv").iterdir())
    damage(page)
    shown = subprocess.run([sys.executable, "-m", "loci", "kv", "verify"], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert shown.returncode == 7 and handle["id"] in shown.stdout
    page.unlink()

    def verified(*verb: str) -> Any:
        return subprocess.run([sys.executable, "-m", "loci", *verb], capture_output=True, text=True, env=environment, cwd=tmp_path)

    gone, after = verified("kv", "verify"), verified("kv", "verify")
    assert gone.returncode == 0 and "1 activation memories were let go" in gone.stderr and handle["id"] in gone.stderr
    assert after.returncode == 0 and "0 activation memories were checked" in after.stderr and "let go" not in after.stderr
    for verb in (["kv", "verify"], ["verify"], ["verify", "--cube", "main"]):
        handle = loci("activate", "--about", "Where does Ann live?", "--user", "ann")
        next((tmp_path / "vault" / "main.kv").iterdir()).unlink()
        assert [loci(*verb)["let_go"] for _ in range(2)] == [[handle["id"]], []]
    handle = loci("activate", "--about", "Where does Ann live?", "--user", "ann")
    next((tmp_path / "vault" / "main.kv").iterdir()).unlink()
    gone, after = verified("verify"), verified("verify")
    assert gone.returncode == 0 and handle["id"] in gone.stderr and "let go" not in after.stderr
    handle = loci("activate", "--about", "Where does Ann live?", "--user", "ann")
    loci("kv", "drop", handle["id"])
    assert loci("kv", "list", "--user", "ann") == [] and loci("kv", "inspect", handle["id"], code=4)["error"] == "missing"


def test_a_folder_without_a_model_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"no config\.json"):
        load_engine(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text("utf-8"), "utf-8")
    with pytest.raises(Invalid, match="cannot be loaded"):
        load_engine(tmp_path)
    with pytest.raises(Invalid, match="cannot be loaded on nowhere"):
        load_engine(folder, "nowhere")
    engine = load_engine(folder, "cpu")
    assert engine.fingerprint() == load_engine(folder).fingerprint()


def save_bert(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert", "vocab_size": 512, "hidden_size": 64, "num_attention_heads": 4}', "utf-8")


def lose_tensors(folder: Path) -> None:
    found = load_file(folder / "model.safetensors")
    save_file(dict(list(found.items())[4:]), folder / "model.safetensors", metadata={"format": "pt"})


def forget_tokens(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lose_tensors, r"have no .* as the model has.*\(4 such tensors\): it would answer by chance"),
        (save_bert, "it would answer by chance"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "cannot be loaded on cpu: .*header"),
        (forget_tokens, "holds no tokenizer that knows any text"),
    ],
)
def test_a_model_that_is_not_whole_is_refused(folder: Path, tmp_path: Path, damage: Callable[[Path], object], told: str) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    damage(copied)
    with pytest.raises(Invalid, match=told):
        load_engine(copied, "cpu")


def test_a_model_whose_output_is_its_input_lacks_nothing(folder: Path, tmp_path: Path) -> None:
    tied = Path(shutil.copytree(folder, tmp_path / "tied"))
    make_model("qwen3", tie_word_embeddings=True).save_pretrained(tied)
    assert "lm_head.weight" not in load_file(tied / "model.safetensors") and load_engine(tied, "cpu").tokenize("a")


def test_a_gpu_that_is_not_there_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(Invalid, match="device is 'cuda:1', and torch finds no GPU of that kind here"):
        load_engine(folder, "cuda:1")


def test_the_folder_of_a_model_may_be_a_path(folder: Path, tmp_path: Path) -> None:
    with MemOS.open(tmp_path / "vault", engine=folder, embedder="none") as memory:
        assert memory.cube("main").generate("Who is there?", max_tokens=2).attached.read_tokens


def test_a_model_in_a_pickle_is_not_loaded(folder: Path, tmp_path: Path) -> None:
    import torch

    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    torch.save(make_model("qwen3").state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(Invalid, match="cannot be loaded"):
        load_engine(tmp_path)


def test_commands_keep_a_budget_and_say_what_it_cost(folder: Path, tmp_path: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("LOCI_")}
    environment = {**clean, "LOCI_VAULT": str(tmp_path / "vault"), "LOCI_EMBEDDER": "none", "LOCI_ENGINE": str(folder), "COLUMNS": "200"}

    def loci(*arguments: str, code: int = 0) -> Any:
        done = subprocess.run([sys.executable, "-m", "loci", *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        return done

    for text in ("I live in Oslo.", "My brother Ben likes green tea.", "The harbour opens at nine in the morning, and closes at night."):
        loci("add", text, "--user", "ann", "--speaker", "Ann")
    asked = ("Where does Ann live?", "--user", "ann")
    refused = loci("activate", "--about", *asked, "--budget", "64", "--most-evicted", "0.01", "--json", code=8)
    assert json.loads(refused.stderr)["error"] == "too_lossy" and json.loads(refused.stderr)["evicted_mass"] > 0.01
    assert json.loads(loci("kv", "list", "--user", "ann", "--json").stdout) == []
    told = json.loads(loci("kv", "profile", "--about", *asked, "--budget", "64", "--json").stdout)
    assert sum(told["budgets"]) == 3 * 64 and len(told["divergence"]) == len(told["weights"]) == 3
    assert "entries" in loci("kv", "profile", "--about", *asked, "--budget", "64").stdout
    built = loci(
        "activate",
        "--about",
        *asked,
        "--budget",
        "64",
        "--method",
        "key_difference",
        "--layers",
        "profile",
        "--most-evicted",
        "1",
        "--json",
    )
    handle = json.loads(built.stdout)
    assert (handle["method"], handle["kept"]) == ("key_difference", 64) and 0 < handle["quality"]["evicted_mass"] <= 1
    assert "by key_difference" in loci("kv", "list", "--user", "ann").stdout
    shown = loci("kv", "inspect", handle["id"]).stdout
    assert "key_difference (key difference)" in shown and "shared profile" in shown and "attention evicted" in shown
    exact = loci("generate", *asked, "--max-tokens", "4")
    rough = loci("generate", *asked, "--max-tokens", "4", "--approximate")
    assert "approximate" not in exact.stderr and ("the answer is approximate" in rough.stderr or "the text was read" in rough.stderr)
    assert "more than the 0.00 allowed" in loci("generate", *asked, "--max-tokens", "4", "--approximate", "--most-evicted", "0").stderr
    assert "exactly" in loci("activate", "--about", *asked, "--budget", "4000").stdout
    assert loci("kv", "verify").returncode == 0
    wrong = loci("activate", "--about", *asked, "--budget", "20", code=2)
    assert "4 sinks and 32 recent" in wrong.stderr
