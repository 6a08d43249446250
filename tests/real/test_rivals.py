"""Other memory systems beside Loci: the protocol with a fake one in this very Python, and one real one from PyPI."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from loci.bench import retrieval, rivals, serve_beside
from loci.bench.rivals import Asked, Rival
from loci.drivers.embeddings import EndpointEmbedder
from loci.errors import Unavailable
from loci.testing import HashEmbedder

FAKE = """
from side_data import main

def rank(conversation):
    for question, vector in zip(conversation.asked, conversation.asked_vectors):
        assert conversation.embed([question]) == [vector]
        near = lambda place: -sum(a * b for a, b in zip(vector, conversation.vectors[place]))
        yield [conversation.ids[place] for place in sorted(range(len(conversation.ids)), key=near)][: conversation.depth]

print("a library talks")
main(rank)
"""
ASKED = (
    Asked({"a1": "Ann: a heron", "a2": "Ann: a clock"}, {"q1": "a clock", "q2": "a heron"}),
    Asked({"b1": "Bob: a clock", "b2": "Bob: a fig", "b3": "Bob: a clock"}, {"q3": "a fig"}),
    Asked({}, {"q4": "nothing was said"}),
)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rival whose script may be rewritten; what it imports lies beside it."""
    side = tmp_path / "side_fake.py"
    side.write_text(FAKE, "utf-8")
    (tmp_path / "side_data.py").write_text((rivals.BESIDE / "side_data.py").read_text("utf-8"), "utf-8")
    monkeypatch.setitem(rivals.RIVALS, "fake", Rival(("fake==1.0",), side))
    monkeypatch.setattr(rivals, "environment", lambda name: Path(sys.executable))
    return side


def test_a_rival_ranks_each_conversation_for_itself(fake: Path) -> None:
    steps: list[int] = []
    found = rivals.rank("fake", ASKED, HashEmbedder(dimensions=64), 2, steps.append)
    assert found["q1"][0] == "a2" and found["q2"][0] == "a1" and found["q3"][0] == "b2"
    assert {*found["q1"]} == {"a1", "a2"} and {*found["q3"]} < {"b1", "b2", "b3"}, "nothing of another conversation"
    assert len(found["q3"]) == 2 and found["q4"] == [] and steps == [4, 8, 9]


def test_a_rival_that_fails_says_why(fake: Path) -> None:
    fake.write_text(
        "import sys\nprint('first')\nsys.stderr.write('x' * 9000)\nraise SystemExit('the disk of the rival is full')\n", "utf-8"
    )
    with pytest.raises(Unavailable, match=r"leave out --beside fake[\s\S]*the disk of the rival is full") as told:
        rivals.rank("fake", ASKED, HashEmbedder(dimensions=64), 2, lambda done: None)
    assert len(str(told.value)) < 2500


def test_a_rival_has_no_home_but_its_folder(fake: Path) -> None:
    fake.write_text(
        "from pathlib import Path\nfrom side_data import HOME\nraise SystemExit(f'{Path.home() == HOME == Path.cwd()}')\n", "utf-8"
    )
    with pytest.raises(Unavailable, match=r"True$"):
        rivals.rank("fake", ASKED, HashEmbedder(dimensions=64), 2, lambda done: None)


def _data(folder: Path) -> Path:
    turns = [
        {"id": f"t{n}", "session": 1, "at": f"2026-01-0{n + 1}T10:00:00+00:00", "speaker": "Ann", "text": text, "caption": ""}
        for n, text in enumerate(("I painted a heron at the lake.", "My brother mends clocks in Ghent.", "We ate figs on the ferry."))
    ]
    told = [("q0", "Ann: I painted a heron at the lake.", "t0"), ("q1", "Ann: We ate figs on the ferry.", "t2")]
    asked = [{"id": q, "conversation": "c", "text": text, "category": "one", "evidence": [turn]} for q, text, turn in told]
    for name, rows in (("conversations", [{"id": "c", "speakers": ["Ann"], "turns": turns}]), ("questions", asked)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    return folder


def test_a_rival_stands_beside_loci_in_one_run(fake: Path) -> None:
    steps: list[tuple[int, int]] = []
    folder = _data(fake.parent)
    ran = retrieval.run(folder, ("loci", "fake"), lambda done, total: steps.append((done, total)), HashEmbedder(dimensions=64))
    assert [*ran.rankings] == ["loci", "fake"] and ran.rankings["fake"]["q0"][0] == "t0"
    assert retrieval.score(retrieval.measures(folder, ran.rankings["fake"]))["R@1"] == 1
    assert steps[-1] == (10, 10) and steps == sorted(steps)


def test_without_a_model_there_is_nothing_to_rank_by(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loci", "bench", "retrieval", str(_data(tmp_path)), "--beside", "langgraph"],
        capture_output=True, text=True, check=False, env={**os.environ, "LOCI_EMBEDDER": "none", "LOCI_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == Unavailable.exit_code and "langgraph rank by vectors" in done.stderr
    assert not (tmp_path / "cache").exists(), "and nothing was installed for it"


class Pip:
    """Makes and fills environments as told, without a network."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails = False

    def __call__(self, command: Sequence[str], failed: str) -> None:
        self.calls.append("pip" if "pip" in command else "venv")
        if self.calls[-1] == "venv":
            Path(command[-1]).mkdir(parents=True, exist_ok=True)
            (Path(command[-1]) / "whole.txt").unlink(missing_ok=True)
        elif self.fails:
            raise Unavailable(failed)


def test_a_half_made_environment_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = Pip()
    monkeypatch.setattr(rivals, "_run", pip)
    monkeypatch.setenv("LOCI_CACHE", str(tmp_path))
    monkeypatch.setitem(rivals.RIVALS, "fake", Rival(("fake==1.0", "other==2.0"), tmp_path / "side_fake.py"))
    pip.fails = True
    with pytest.raises(Unavailable, match="without --beside fake"):
        rivals.environment("fake")
    pip.fails = False
    python = rivals.environment("fake")
    assert python.is_relative_to(tmp_path / "bench/fake-1.0") and rivals.environment("fake") == python
    assert pip.calls == ["venv", "pip"] * 2, "a whole one is not made again"
    monkeypatch.setitem(rivals.RIVALS, "fake", Rival(("fake==1.0", "other==2.1"), tmp_path / "side_fake.py"))
    rivals.environment("fake")
    assert pip.calls == ["venv", "pip"] * 3, "nor is one with other requirements taken"


def test_pip_says_why_it_could_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCI_CACHE", str(tmp_path))
    monkeypatch.setitem(rivals.RIVALS, "fake", Rival((f"{tmp_path / 'nowhere'}==1.0",), tmp_path / "side_fake.py"))
    with pytest.raises(Unavailable, match=r"could not be installed from PyPI[\s\S]*nowhere"):
        rivals.environment("fake")


@pytest.mark.slow
def test_langgraph_is_installed_and_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCI_CACHE", str(tmp_path / "cache"))
    ran = retrieval.run(
        _data(tmp_path), ("loci", "dense", "bm25", "rank fusion", "langgraph"), lambda *_: None, HashEmbedder(dimensions=64)
    )
    assert ran.rankings["langgraph"] == ran.rankings["dense"]


def test_a_server_beside_gets_the_directions_of_the_same_model() -> None:
    model = HashEmbedder(dimensions=384)
    with serve_beside.embeddings(model) as url:
        asked = EndpointEmbedder(url, "any", "")
        for _ in range(2):
            assert asked.embed(["Where does Ann live?"])[0] == pytest.approx(model.embed(["Where does Ann live?"])[0], abs=1e-6)


def test_a_server_beside_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    side = tmp_path / "side.py"
    side.write_text("import sys; sys.exit('there is no database here')", "utf-8")
    monkeypatch.setattr(serve_beside, "environment", lambda _: Path(sys.executable))
    monkeypatch.setattr(serve_beside, "HINDSIGHT", Rival((), side))
    with (
        pytest.raises(Unavailable, match=r"did not start; leave out[\s\S]*no database here"),
        serve_beside.hindsight(HashEmbedder(dimensions=384), 1, 1),
    ):
        raise AssertionError("there is no server")


@pytest.mark.slow
def test_hindsight_is_installed_keeps_and_recalls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCI_CACHE", str(tmp_path / "cache"))
    with serve_beside.hindsight(HashEmbedder(dimensions=384), 20, 1) as url:
        for verb in ("add", "search"):
            assert serve_beside.load(url, verb, 1.0, 2).statuses.keys() == {200}
