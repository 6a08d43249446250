"""Tuning: what was right moves the weights, as far as it holds for questions that were left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from loci import Message
from loci.bench.learn import FEWEST, Feedback, read, tune
from loci.cli import run
from loci.errors import Invalid, Malformed
from loci.infrastructure import rankers
from loci.system import Cube
from loci.testing import HashEmbedder, ManualClock
from loci.wire import MemOS

TOPICS = ("kettle", "boat", "violin", "garden", "bicycle", "ladder", "lamp", "oven", "piano", "mirror", "carpet", "anchor")
ANSWERS = ("It leaks again", "Sold on Monday", "Nobody plays", "Roses and beans", "Two flat tyres", "Too short", "Broken", "Cold all day",
           "Out of tune", "Cracked in March", "Moths", "Rusty")  # fmt: skip


@pytest.fixture
def told(cube: Cube, clock: ManualClock) -> list[Feedback]:
    """Somebody asks of each topic, somebody else answers without its name: the message after the one that is found is right."""
    feedback = []
    for topic, answer in zip(TOPICS, ANSWERS, strict=True):
        clock.advance(hours=1)
        receipt = cube.add(
            [
                Message("user", f"Say, the {topic}, how is the {topic}?", clock.now(), "Ann"),
                Message("user", f"{answer}.", clock.now(), "Bo"),
            ],
            session=topic,
        )
        feedback.append(Feedback(f"How is the {topic}?", frozenset([receipt.sources[1]])))
    return feedback


def test_what_was_right_is_found_after_it(cube: Cube, told: list[Feedback], open_vault: Callable[..., MemOS], tmp_path: Path) -> None:
    found = tune(cube, told)
    assert found.before["R@1"] < 0.2 and found.after["R@1"] > 0.8 and found.is_better and found.unreached == 0
    assert cube.search("How is the boat?").hits[0].memory.text != "Sold on Monday.", "nothing changes until the file is used"
    rankers.save(tmp_path / "mine.json", found.ranker, {})
    again = MemOS.open(str(cube._store.path.parent), embedder="none", ranker=str(tmp_path / "mine.json"))
    with again:
        recall = again.cube("main").search("How is the boat?")
        assert recall.hits[0].memory.text == "Sold on Monday." and recall.trace.ranker == found.ranker.name


def test_vectors_that_are_due_are_made_before_anything_is_learned(open_vault: Callable[..., MemOS], clock: ManualClock) -> None:
    cube = open_vault(embedder=HashEmbedder()).cube("main")
    cube.add([Message("user", f"Note {n} of the week.", clock.now()) for n in range(500)])
    feedback = [Feedback(f"Where is the {topic}?", frozenset(cube.add(f"The {topic} is here.").ids)) for topic in TOPICS]
    assert cube.search("boat").trace.missing
    tune(cube, feedback)
    assert not cube.search("boat").trace.missing


def test_a_signal_that_tells_nothing_here_stays(cube: Cube, clock: ManualClock) -> None:
    feedback = []
    for topic, answer in zip(TOPICS, ANSWERS, strict=True):
        clock.advance(hours=1)
        said = [
            Message("user", f"I like my {topic}.", clock.now(), "Ann"),
            Message("user", f"My {topic}? I think: {answer}.", clock.now(), "Ann"),
        ]
        feedback.append(Feedback(f"What does Ann think of the {topic}?", frozenset([cube.add(said, session=topic).sources[1]])))
    before, after = cube.ranker.weights, tune(cube, feedback).ranker.weights
    moves = {name: abs(after[name]["base"] - before[name]["base"]) for name in before}
    assert moves["own"] == moves["speaker"] == 0 and max(moves.values()) < 20


def test_too_little_and_wrong_ids_are_refused(cube: Cube, told: list[Feedback]) -> None:
    with pytest.raises(Invalid, match=f"{FEWEST} are needed"):
        tune(cube, told[: FEWEST - 1])
    with pytest.raises(Invalid, match="0 of 12"):
        tune(cube, [Feedback(feedback.question, frozenset(["nothing"])) for feedback in told])


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        '{"question": "x"}',
        '{"question": "x", "right": "id"}',
        '{"question": "x", "right": []}',
        '{"question": "x", "right": [1]}',
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "feedback.jsonl"
    path.write_text('{"question": "fine", "right": ["a"]}\n\n' + line + "\n", "utf-8")
    with pytest.raises(Malformed, match="line 3"):
        read(path)


def test_the_command_writes_only_what_is_better(
    cube: Cube, told: list[Feedback], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCI_VAULT", str(cube._store.path.parent))
    monkeypatch.setenv("LOCI_EMBEDDER", "none")
    good, out = tmp_path / "good.jsonl", tmp_path / "ranker.json"
    good.write_text("\n".join(json.dumps({"question": f.question, "right": sorted(f.right)}) for f in told), "utf-8")
    assert run(["tune", "--feedback", str(good), "--write", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == str(out) and rankers.load(out).name.endswith("12 questions")
    right = [cube.search(f.question).hits[0].memory.id for f in told]
    good.write_text("\n".join(json.dumps({"question": f.question, "right": [id]}) for f, id in zip(told, right, strict=True)), "utf-8")
    assert run(["tune", "--feedback", str(good), "--write", str(tmp_path / "none.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] is None and not (tmp_path / "none.json").exists(), "all was right before"
