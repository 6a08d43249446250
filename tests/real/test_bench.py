"""`loci bench` as a user runs it: data or a seed in, a table, rankings and a report out."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from loci.bench import conflict, latency
from loci.operation.operator import Operator
from loci.ports import RowFilter
from loci.testing import HashEmbedder
from loci.types import Query, Recall

ROOT = Path(__file__).resolve().parents[2]
TURNS = ("I painted a heron at the lake.", "My brother mends clocks in Ghent.", "We ate figs on the ferry.", "The piano arrived on Monday.")
ASKED = (
    ("What did Ann paint at the lake?", 0),
    ("Who mends clocks?", 1),
    ("What did they eat on the ferry?", 2),
    ("What arrived on Monday?", 3),
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    conversations, questions = [], []
    for number in range(10):
        turns = [
            {"id": f"{number}-{n}", "session": 1, "at": f"2026-01-0{n + 1}T10:00:00+00:00", "speaker": "Ann", "text": text, "caption": ""}
            for n, text in enumerate(TURNS)
        ]
        conversations.append({"id": f"c{number}", "speakers": ["Ann"], "turns": turns})
        questions += [
            {
                "id": f"q{number}-{n}",
                "conversation": f"c{number}",
                "text": text,
                "category": "one",
                "evidence": [f"{number}-{n}"],
                "answer": "",
            }
            for text, n in ASKED
        ]
    questions.append({"id": "none", "conversation": "c0", "text": "?", "category": "one", "evidence": [], "answer": ""})
    for name, rows in (("conversations", conversations), ("questions", questions)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    return folder


def test_a_folder_of_data_gives_a_table_rankings_and_a_report(data: Path, tmp_path: Path) -> None:
    out, predictions = tmp_path / "report", tmp_path / "predictions.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "loci", "bench", "retrieval", str(data), "--report", str(out), "--predictions", str(predictions), "--json"],
        capture_output=True, text=True, check=True, env={**os.environ, "LOCI_EMBEDDER": "none"}, cwd=tmp_path,
    )  # fmt: skip
    figures = json.loads(done.stdout)["small"]
    assert figures["loci"]["n"] == 40 and figures["loci"]["R@1"] == 1 and figures["dense"]["R@10"] == 0, "no model, no dense"
    ranked = [json.loads(line) for line in predictions.read_text("utf-8").splitlines()]
    assert figures["loci"]["text@500t"] == 1 and "text@500t" not in figures["bm25"]
    assert len(ranked) == 41 and ranked[0]["ranked"][0] == "0-0"
    report = (out / "report.md").read_text("utf-8")
    assert "| small | loci | 100.0 to 100.0 |" in report and "| small | one | 40 | 100.0 |" in report and "Least gain" in report
    picture = ElementTree.fromstring((out / "small.svg").read_text("utf-8"))
    assert len(picture.findall("{http://www.w3.org/2000/svg}polyline")) == 4
    told = [json.loads(line) for line in (out / "questions.jsonl").read_text("utf-8").splitlines()]
    assert len(told) == 40 and told[0]["loci"]["R@1"] == 1


def test_streams_of_changing_facts_are_said_and_asked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loci", "bench", "conflict", "--streams", "1", "--facts", "90", "--json"],
        capture_output=True, text=True, check=True, env={**os.environ, "LOCI_EMBEDDER": "none"}, cwd=tmp_path,
    )  # fmt: skip
    told = json.loads(done.stdout)
    kinds = told["kinds"]
    assert kinds["templated, one-hop"] == {"asked": 60, "right": 1.0, "stale": 0} and kinds["90 facts, one-hop"]["right"] == 1.0
    assert kinds["templated, two-hop"]["right"] >= 0.95 and kinds["timed, as-of"]["right"] == 1.0
    assert told["wrong changes"] == {} and told["seed"] == 1


def test_a_stream_is_right_only_if_what_holds_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def last_first(self: Operator, query: Query, at: RowFilter) -> Recall:
        recall = search(self, query, at)
        return replace(recall, hits=recall.hits[::-1])

    search = Operator.search
    monkeypatch.setattr(Operator, "search", last_first)
    kinds = conflict.run(1, 1, "HELD", 0, "none", lambda done, total: None)["kinds"]
    assert kinds["templated, one-hop"]["right"] < 0.5


def test_timings_are_taken_of_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LONG", 40), ("SHORT", 20), ("BATCH", 50), ("TIMES", 1)):
        monkeypatch.setattr(latency, name, value)
    steps: list[int] = []
    found = latency.run(tmp_path, HashEmbedder(dimensions=384), [100], lambda done, total: steps.append(done))
    assert steps == [0, 1, 2, 3] and not list(tmp_path.iterdir())
    assert found["add"]["ratio"] > 0 and found["import"]["turns_per_second"] > 0 and 0 < found["import"]["share_in_model"] < 1
    (row,) = found["search"]
    assert row["memories"] == 100 and row["search_ms"] >= row["beyond_embedding_ms"] > 0
    assert all(row[f"{name}_ms"] > 0 for name in ("exact_dense", "after_an_add", "first", "of_a_tenth", "unscoped"))


def test_activation_memory_is_timed_and_compared(tmp_path: Path) -> None:
    arguments = [
        "--shape",
        "1m",
        "--context",
        "70",
        "--context",
        "130",
        "--query",
        "10",
        "--tries",
        "1",
        "--report",
        str(tmp_path / "kv"),
        "--json",
    ]
    done = subprocess.run([sys.executable, "-m", "loci", "bench", "kv", *arguments], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert [(c["context"], c["query"]) for c in found["first token"]] == [(70, 10), (130, 10)]
    assert all(c["difference"] <= 1e-5 and c["same token"] and c["ms"]["device"] > 0 for c in found["first token"])
    assert found["uses"]["same answers"] == found["uses"]["uses"] == 1000 and found["uses"]["same bytes"]
    assert found["restart"]["difference"] <= 1e-5 and 0 <= found["tiers"]["right"] <= 1
    report = (tmp_path / "kv" / "report.md").read_text("utf-8")
    assert "| 70 | 10 |" in report and "random weights" in report
    ElementTree.parse(tmp_path / "kv" / "saved.svg")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, and all of it would be run")
@pytest.mark.parametrize("bench", ["kv", "kv-memory", "kv-cube", "kv-recall", "adapters", "bank"])
def test_a_gpu_that_is_not_there_is_told_at_once(bench: str) -> None:
    refused = subprocess.run([sys.executable, "-m", "loci", "bench", bench, "--device", "cuda"], capture_output=True, text=True)
    assert refused.returncode == 8 and "no GPU here" in refused.stderr


def test_the_first_token_is_timed_through_a_cube() -> None:
    arguments = ["--shape", "1m", "--context", "300", "--tries", "1", "--json"]
    done = subprocess.run([sys.executable, "-m", "loci", "bench", "kv-cube", *arguments], capture_output=True, text=True, check=True)
    (row,) = json.loads(done.stdout)["first token"]
    assert row["context"] >= 300 and all(taken > 0 for taken in row["ms"].values())
    assert row["disk over prepared"] == pytest.approx(row["ms"]["disk"] / row["ms"]["prepared"])
    for way in ("device", "prepared", "block", "blend"):  # a model this small may read sooner than it loads, and then says so
        assert "from the device" in row["told"][way] or "the text was read" in row["told"][way], way
    assert "is not there" in row["told"]["text"] and row["kept over read"] == pytest.approx(row["ms"]["kept"] / row["ms"]["read"])
    assert "is kept as" in row["told"]["kept"] and "from the device" in row["told"]["gone on"]


def test_a_budget_bounds_the_memory_of_a_long_context() -> None:
    arguments = ["--shape", "1m", "--context", "512", "--budget", "64", "--block", "32", "--json"]
    done = subprocess.run([sys.executable, "-m", "loci", "bench", "kv-memory", *arguments], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["budgeted"]["entries"] == 64 and found["budgeted"]["peak_entries"] == 96 and found["full"]["peak_entries"] == 512
    assert found["entries of full over budgeted"] == pytest.approx(512 / 96) and found["budgeted"]["decode_ms"] > 0
    assert found["full"]["stored_bytes"] == 8 * found["budgeted"]["stored_bytes"]


@pytest.mark.parametrize("is_cold", [True, False])
def test_what_comes_from_the_disk_is_told_apart_warm_and_cold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cold: bool) -> None:
    """Where the system lets go of files, before every try; where it does not, nothing is called cold."""
    from loci.bench import kv, kv_report
    from loci.infrastructure.pages import PageFiles

    chilled: list[Path] = []
    monkeypatch.setattr(kv, "can_chill", lambda folder: is_cold)
    monkeypatch.setattr(kv, "chill", chilled.append)
    bench = kv.make("1m", "cpu", "float32", 2)
    cells = kv.grid(bench, bench.engine.rates(), PageFiles(tmp_path / "pages"), 130, [10, 20])
    assert chilled == [tmp_path / "pages"] * is_cold * 2 * 2 * 3  # cells; the first token and the transfer; tries and the one before
    for cell in cells:
        assert ("disk cold" in cell["ms"]) == ("disk cold" in cell["saved"]) == ("disk cold" in cell["transfer_ms"]) == is_cold
        for arm, times in cell["over transfer and query"].items():
            assert times == pytest.approx(cell["ms"][arm] / (cell["transfer_ms"][arm] + cell["ms"]["query alone"]))
    restart = {"held_ms": 5.0, "text_ms": 60.0, "times_faster": 12.0, "difference": 0.0}
    restart |= {"cold_ms": 10.0, "times_faster_cold": 6.0} if is_cold else {}
    found = {
        "shape": "1m", "attention": "sdpa", "parameters": 1, "device": "cpu", "dtype": "float32", "threads": 1, "first token": cells, "tiers": kv.decisions(cells), "restart": restart,
        "rates": dict.fromkeys(("start_ms", "token_us", "pair_ns", "held_us", "host_GB_per_s", "disk_GB_per_s"), 1.0),
        "uses": {"uses": 1, "threads": 1, "same answers": 1, "same bytes": True}, "codec speed": kv.codec_speed(bench, 130),
    }  # fmt: skip
    assert all(speed > 0 for row in found["codec speed"].values() for speed in row.values())
    kv_report.write(tmp_path / "report", found, "a machine")
    told = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "disk, warm ms" in told and ("disk, cold ms" in told) == is_cold and "disk, warm, times" in told
    assert "5 ms with its files in the system's page cache (12.0x)" in told and ("10 ms cold (6.0x)" in told) == is_cold


def test_a_shape_with_states_at_its_end_is_timed_as_any(tmp_path: Path) -> None:
    from loci.bench import kv
    from loci.infrastructure.pages import PageFiles

    bench = kv.make("hybrid-30m", "cpu", "float32", 1)
    (cell,) = kv.grid(bench, bench.engine.rates(), PageFiles(tmp_path / "pages"), 70, [5])
    assert bench.engine.fingerprint().has_end and cell["difference"] < 1e-4 and cell["same token"] and cell["ms"]["disk"] > 0
    assert kv.uses(bench, 8) == {"uses": 8, "threads": 4, "same answers": 8, "same bytes": True}


def test_an_attention_that_is_not_installed_is_told() -> None:
    from loci.bench import kv
    from loci.errors import Unsupported

    with pytest.raises(Unsupported, match="flash_attention_2 cannot be had"):
        kv.make("1m", "cpu", "float32", 1, attention="flash_attention_2")


def test_a_page_from_the_disk_is_hashed_each_time_it_is_timed(tmp_path: Path) -> None:
    from loci.bench import kv
    from loci.errors import Corrupt
    from loci.infrastructure.pages import PageFiles

    engine, kept = kv.make("1m", "cpu", "float32", 1).engine, PageFiles(tmp_path / "pages")
    ids = list(range(5, 75))
    stored = kv.store(engine, kept, engine.read(ids), "raw")
    assert len(kv.loaded(engine, kept, ids, stored, "raw")) == 2
    path = next((tmp_path / "pages").iterdir())
    at, data = path.stat().st_mtime_ns, bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(at, at))  # the file looks as it did
    with pytest.raises(Corrupt, match="not as it was written"):
        kv.loaded(engine, kept, ids, stored, "raw")


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no folder here that is in memory")
def test_a_folder_in_memory_is_never_cold(tmp_path: Path) -> None:
    from loci.bench.kv import can_chill

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        assert not can_chill(Path(folder))
    assert isinstance(can_chill(tmp_path), bool) and not list(tmp_path.iterdir())


def test_a_context_is_read_that_is_longer_than_real_models_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only made, not read: the shapes' own positions end at 40,960."""
    from loci.bench import kv, kv_cube, kv_memory

    right, made = kv.make, list[kv.Bench]()

    class Made(Exception):
        """It would be read now."""

    def make(*told: Any) -> kv.Bench:
        made.append(right(*told))
        raise Made

    usual = right("1m", "cpu", "float32", 1)
    for module in (kv, kv_cube, kv_memory):
        monkeypatch.setattr(module, "make", make)
    for call in (
        lambda: kv_memory.run("1m", "cpu", "float32", 100_000 + 953, 16_384, 2048, lambda *_: None),
        lambda: kv_cube.run("1m", "cpu", "float32", 1, [100_000], lambda *_: None),
        lambda: kv.run("1m", "cpu", "float32", 1, [100_000], [953], lambda *_: None),
    ):
        with pytest.raises(Made):
            call()
    for bench in made:
        bench.engine.check_room(100_953)
    assert len(made) == 3 and usual.engine.context == 40_960


def test_a_run_on_a_gpu_that_fails_leaves_no_table(tmp_path: Path) -> None:
    """`make bench-gpu` with a command in the place of `loci` that prints and fails, or ends well."""
    tools = tmp_path / "venv"
    (tools / "bin").mkdir(parents=True)
    for stamp in (tools / ".installed", tools / ".tools"):
        stamp.touch()
    results, loci = tmp_path / "results", tools / "bin" / "loci"
    for code, kept in ((1, False), (0, True)):
        loci.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho "{{}}"\ncase "$2" in kv-memory) exit {code};; esac\n', "utf-8")
        loci.chmod(0o755)
        done = subprocess.run(["make", "bench-gpu", f"VENV={tools}", f"RESULTS={results}"], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode == 0) == kept, done.stderr
        assert [path.name for path in results.iterdir()] == ["kv-memory-gpu.json"] * kept
    for line in (tmp_path / "asked").read_text("utf-8").splitlines():
        assert "--device cuda" in line


def test_scenes_are_replayed(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    done = subprocess.run(
        [sys.executable, "-m", "loci", "bench", "scene", str(data), "--skip", "7", "--report", str(out), "--json"],
        capture_output=True, text=True, check=True, env={**os.environ, "LOCI_EMBEDDER": "none"}, cwd=tmp_path,
    )  # fmt: skip
    told = json.loads(done.stdout)["orders"]
    assert set(told) == {"questions", "questions, shuffled", "turns"} and told["questions"]["conversations"] == 3
    ready = told["questions"]["ready"]
    assert ready["nothing"] == 0.0 and ready["oracle"] == 1.0 and ready["foresight"] > ready["nothing"]
    assert all(row["tokens"]["foresight"] <= 2 for row in told.values())
    assert "## Questions, shuffled" in (out / "report.md").read_text("utf-8")
    assert ElementTree.parse(out / "picture.svg").getroot().tag.endswith("svg")
