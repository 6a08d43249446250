"""Adapters as a user has them: a folder with a model, commands that are processes of their own, and one that is killed while it learns."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from loci.memories import pages
from loci.testing.models import make_model
from loci.wire import MemOS

SAID = ("The capital of Zubia is Marlo.", "The harbour opens at nine.")
OTHERS = tuple(f"The kettle number {n} stands on shelf {3 * n}." for n in range(10))
STUDY = ("--about", "capital of Zubia, and when the harbour opens", "--limit", "2", "--rate", "0.005", "--exposures", "60")
Loci = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_model("qwen3").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def environment(folder: Path, clean_environment: Callable[[Path], dict[str, str]]) -> dict[str, str]:
    return {**clean_environment(folder), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def loci(tmp_path: Path, environment: dict[str, str]) -> Loci:
    def run(vault: str, *arguments: str, code: int = 0) -> Any:
        command = [sys.executable, "-m", "loci", "--vault", str(tmp_path / vault), *arguments, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    return run


def tell(loci: Loci, vault: str) -> None:
    for text in (*SAID, *OTHERS):
        loci(vault, "add", text, "--user", "ann")


def weights(vault: Path, id: str) -> dict[str, bytes]:
    with MemOS.open(vault, embedder="none") as memory:
        kept = memory.cube("main")._adapters
        file = kept.learning(id)[1].file
        assert file is not None
        return {name: bytes(tensor.data) for name, tensor in pages.load(kept.files.open(file.hash, file.bytes)).items()}


def test_commands_learn_mount_look_export_and_let_go(loci: Loci, tmp_path: Path) -> None:
    tell(loci, "vault")
    made = loci("vault", "distil", "--user", "ann", *STUDY)
    assert (made["stage"], made["state"], made["is_mounted"]) == ("evaluated", "activated", False), made
    assert made["found"]["recall"] >= 0.9 > made["found"]["recall_before"]
    assert loci("vault", "adapter", "mount", made["id"])["is_mounted"]
    answer = loci("vault", "generate", "What is Zubia's capital?", "--user", "ann", "--max-tokens", "8", "--limit", "1")
    assert answer["attached"]["adapters"] == [made["id"]] and answer["text"].startswith("Marlo")
    inspected = loci("vault", "adapter", "inspect", made["id"])
    assert inspected["stage"] == "evaluated" and inspected["tools"]["torch"] and len(inspected["quoted"]) == 2
    held = weights(tmp_path / "vault", made["id"])
    now, later = loci("vault", "adapter", "probe", made["id"], "--updates", "200")
    assert (now["updates"], now["recall"]) == (0, made["found"]["recall"]) and later["updates"] == 200
    assert later["recall"] < now["recall"] and later["loss"] > now["loss"] and later["collateral"] != now["collateral"], (
        "trained on, it forgets"
    )
    assert weights(tmp_path / "vault", made["id"]) == held
    loci("vault", "adapter", "probe", made["id"], "--updates", "25", code=2)
    exported = loci("vault", "adapter", "export", made["id"], str(tmp_path / "out"))
    assert (Path(exported["folder"]) / "adapter_model.safetensors").stat().st_size > 0
    assert [a["id"] for a in loci("vault", "adapter", "list", "--user", "ann") if a["is_mounted"]] == [made["id"]]
    assert not loci("vault", "adapter", "unmount", made["id"])["is_mounted"]
    loci("vault", "adapter", "drop", made["id"])
    assert loci("vault", "adapter", "list", "--user", "ann") == []


def test_a_process_that_is_killed_while_it_learns_goes_on_to_the_same_bytes(
    loci: Loci, tmp_path: Path, environment: dict[str, str]
) -> None:
    tell(loci, "killed")
    subprocess.run(["cp", "-r", str(tmp_path / "killed"), str(tmp_path / "whole")], check=True)
    study = (*STUDY[:-1], "150")
    command = [sys.executable, "-m", "loci", "--vault", str(tmp_path / "killed"), "distil", "--user", "ann", *study, "--json"]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    saved = tmp_path / "killed" / "main.kv"
    until = time.monotonic() + 120
    while not (saved.is_dir() and any(saved.iterdir())):
        assert process.poll() is None and time.monotonic() < until, "it never saved how far it had come"
        time.sleep(0.05)
    time.sleep(0.2)  # the row that names the file is committed right after it
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (draft,) = loci("killed", "adapter", "list", "--user", "ann")
    assert draft["stage"] == "draft" and draft["bytes"] > 0
    with MemOS.open(tmp_path / "killed", embedder="none") as memory:
        assert [job.state for job in memory.cube("main").jobs()] == ["leased"], "held by who is dead, for a minute at the most"
    made = loci("killed", "distil", "--user", "ann", *study[4:], "--id", draft["id"])
    whole = loci("whole", "distil", "--user", "ann", *study)
    assert made["stage"] == "evaluated" and made["steps"] == whole["steps"]
    assert weights(tmp_path / "killed", made["id"]) == weights(tmp_path / "whole", whole["id"])
