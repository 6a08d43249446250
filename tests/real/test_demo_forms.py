"""`loci demo --three-forms` as a process: the model is trained, and one fact goes through words, KV memory and weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOCI = [sys.executable, "-m", "loci", "--vault"]


@pytest.mark.slow
def test_a_fact_and_its_correction_hold_in_all_three_forms(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOCI_")}
    done = subprocess.run([*LOCI, str(tmp_path), "demo", "--three-forms", "--json"], capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr
    steps = {step["step"]: step["commands"] for step in json.loads(done.stdout)["steps"]}

    def answers(step: str) -> list[dict[str, Any]]:
        return [one["answer"] for one in steps[step] if one["command"].startswith("loci generate")]

    (text,), (held,), (learned,), (late,) = (answers(name) for name in ("Text", "Activation", "Weights", "A correction"))
    assert [one["text"] for one in (text, held, learned, late)] == ["Marlo", "Marlo", "Marlo", "Pelin"]
    assert text["attached"]["handle"] is None and held["attached"]["held_tokens"] > held["attached"]["read_tokens"]
    assert learned["attached"]["adapters"] and learned["attached"]["read_tokens"] < text["attached"]["read_tokens"] / 4
    assert late["attached"]["adapters"] == [], "the commit of the correction put it away"
    again, anew = answers("It holds in all three")
    assert [again["text"], anew["text"]] == ["Pelin", "Pelin"] and again["attached"]["handle"] and anew["attached"]["adapters"]
    before, after = [one["answer"] for one in steps["Forgotten is forgotten"] if "adapter list" in one["command"]]
    assert before[0]["stage"] == "draft" and after[0]["is_mounted"]
    assert steps["Forgotten is forgotten"][-1]["answer"]["faults"] == []


def test_a_folder_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    subprocess.run([*LOCI, str(tmp_path), "add", "The kettle is blue."], capture_output=True, check=True)
    done = subprocess.run([*LOCI, str(tmp_path), "demo", "--three-forms"], capture_output=True, text=True)
    assert done.returncode == 5 and "holds cubes already" in done.stderr
