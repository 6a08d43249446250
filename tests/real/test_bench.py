"""`loci bench retrieval` as a user runs it: a folder of data in, a table, rankings and a report out."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

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
    assert len(ranked) == 41 and ranked[0]["ranked"][0] == "0-0"
    report = (out / "report.md").read_text("utf-8")
    assert "| small | loci | 100.0 to 100.0 |" in report and "| small | one | 40 | 100.0 |" in report and "Least gain" in report
    picture = ElementTree.fromstring((out / "small.svg").read_text("utf-8"))
    assert len(picture.findall("{http://www.w3.org/2000/svg}polyline")) == 4
    told = [json.loads(line) for line in (out / "questions.jsonl").read_text("utf-8").splitlines()]
    assert len(told) == 40 and told[0]["loci"]["R@1"] == 1
