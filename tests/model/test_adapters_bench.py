"""The benchmark of adapters: its language says what it claims to say, every part runs, and its report does not bend what it is told."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner

from loci.bench import adapters as measures
from loci.bench.adapters_language import ATTRIBUTES, HELD, TAUGHT, World, tokenizer_of
from loci.bench.adapters_model import Shape, texts_of, trained
from loci.bench.adapters_report import ratios, targets, write
from loci.cli.bench import bench
from loci.drivers.torch_lora.words import row_of
from loci.errors import Invalid
from loci.ports.adapting import Recipe

torch.set_num_threads(1)
WORLD = World(entities=48, words=4)
TINY = Shape(layers=2, width=32, heads=2, kv_heads=1, head=16, steps=3, batch=8, entities=48, words=4)
FEW = measures.Setting(
    facts=12, recipe=Recipe(rank=2, exposures=2, batch=8, rate=1e-3), cartridge=Recipe(form="cartridge", exposures=2, batch=8, rate=1e-2, replay=0.5),
    texts=1, told=3, events=8, edits=3, updates=(10,), shorter=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def made():
    world, engine, _ = trained(TINY, None, lambda *_: None)
    return world, engine


def test_words_are_tokens_and_every_sentence_can_be_said():
    tokenizer = tokenizer_of(WORLD)
    assert len(set(WORLD.words())) == len(WORLD.words())
    for fact in WORLD.facts[:8]:
        for way in range(6):
            ids = tokenizer(fact.said(way))["input_ids"]
            assert tokenizer.decode(ids[1:]) == fact.said(way) and tokenizer.pad_token_id not in ids
            row = row_of(tokenizer, fact.cue(way), f" {fact.value}")
            assert tokenizer.decode(row.answer) == fact.value


def test_known_facts_are_always_the_same_and_new_ones_are_nowhere_in_training():
    new, draw = WORLD.new_facts(40), random.Random(1)
    assert len({(f.entity, f.attribute) for f in new}) == 40 and not {f.entity for f in new} & set(WORLD.known)
    assert WORLD.new_facts(40)[10:] == WORLD.new_facts(30, spare=10)
    for step in range(3):
        for before, after in texts_of(WORLD, TINY, step, draw):
            for sentence in (before + after).split(" . "):
                told = [f for f in WORLD.facts if f.entity in sentence.split()]
                assert not told or any(f.value in sentence for f in told)


def test_what_a_text_says_again_is_what_it_said():
    draw = random.Random(2)
    for _ in range(20):
        told, again = WORLD.told_text(draw, 3, 5)
        values = {sentence.split()[-3]: sentence.split()[-2:] for sentence in told.removesuffix(" .").split(" . ")}
        assert len(values) == 3
        for sentence in again.strip().removesuffix(" .").split(" . "):
            assert values[sentence.split()[-3]] == sentence.split()[-2:]


def test_questions_are_in_other_words_than_lessons_and_foils_are_wrong():
    assert not set(TAUGHT) & set(HELD) and set(TAUGHT) | set(HELD) == set(range(6)) and all(len(ways) == 6 for ways in ATTRIBUTES.values())
    new = WORLD.new_facts(24)
    for kind in ("others", "one word"):
        for question in measures.questions_of(WORLD, new, HELD, kind):
            assert question.foils and question.answer not in question.foils
            lengths = {len(foil.split()) for foil in (question.answer, *question.foils)}
            assert lengths == {2}


def test_untouched_texts_name_nobody_who_was_learned():
    new = WORLD.new_facts(12)
    for text in WORLD.untouched(30, 0, new):
        assert not {f.entity for f in new} & set(text.split())


def test_every_part_runs_and_the_report_holds_it_all(made, tmp_path):
    world, engine = made
    steps = []
    found = {"model": "a model", "base": measures.base(world, engine)}
    learned, found["facts"] = measures.facts(world, engine, FEW, lambda *_: None)
    found["retention"] = measures.retention(world, engine, FEW, learned, lambda *_: None)
    for part in ("lifecycle", "cartridges", "unlearning"):
        found[part] = getattr(measures, part)(world, engine, FEW, lambda done, of: steps.append((done, of)))
    assert steps[-1] == (3, 3) and found["lifecycle"]["not bitwise"] == 0 and found["unlearning"]["not bitwise"] == 0
    assert found["unlearning"]["as if nothing had been edited"] == 0
    assert [r["how"] for r in found["retention"]] == [
        "at once",
        "no replay",
        "a quarter replayed",
        "half replayed",
        "in an adapter of their own",
    ]
    row = found["cartridges"][0]
    assert row["text"]["kl"] == 0.0 and row["cut"]["kl"] > 0 and row["kept"] == row["tokens"] // 4
    write(tmp_path, found, "about")
    told = (tmp_path / "report.md").read_text("utf-8")
    assert f"| 0 | {row['tokens']} | {row['kept']} |" in told
    assert "| recall, other words |" in told and "missed" in told  # three steps of training recall nothing
    ElementTree.parse(tmp_path / "retention.svg")
    write(tmp_path, {"model": "a model", "unlearning": found["unlearning"]}, "about")
    assert "recall, other words" in (tmp_path / "report.md").read_text("utf-8")
    write(tmp_path, {"model": "another", "unlearning": found["unlearning"]}, "about")
    assert "recall, other words" not in (tmp_path / "report.md").read_text("utf-8")


GOOD = {
    "lifecycle": {"events": 3, "not bitwise": 0, "weights the same": True},
    "facts": {words: {"before": {"recognition": 0.5, "recall": 0.1}, "after": {"recognition": 0.95, "recall": 0.95}, "collateral": 0.01} for words in ("lessons' words", "other words")},
    "retention": [{"how": "half replayed", "updates": 100, "recall": 0.9}],
    "cartridges": [{"text": {"kl": 0.0, "recall": 1.0}, "cut": {"kl": 0.8, "recall": 0.2}, "trained": {"kl": 0.1, "recall": 0.95}}],
    "unlearning": {"edits": 3, "not bitwise": 0},
}  # fmt: skip


def test_targets_are_met_at_their_very_number_and_missed_beyond():
    assert all("| met |" in line for line in targets(GOOD)[2:]) and len(targets(GOOD)) == 2 + 10
    worse = [("lifecycle", "not bitwise", 1), ("lifecycle", "weights the same", False), ("unlearning", "not bitwise", 1)]
    for part, name, value in worse:
        bad = copy.deepcopy(GOOD)
        bad[part][name] = value
        assert sum("missed" in line for line in targets(bad)) == 1
    for path, value in ((("after", "recall"), 0.949), (("after", "recognition"), 0.949), (("collateral",), 0.0101)):
        bad = copy.deepcopy(GOOD)
        place = bad["facts"]["other words"]
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        assert sum("missed" in line for line in targets(bad)) == 1
    bad = copy.deepcopy(GOOD)
    bad["cartridges"][0]["trained"] = {"kl": 0.101, "recall": 0.94}
    bad["retention"][0]["recall"] = 0.89
    assert sum("missed" in line for line in targets(bad)) == 3 and ratios(bad["cartridges"])[0] == pytest.approx(0.101 / 0.8)


def test_weights_are_kept_and_those_of_another_training_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    _, first, about = trained(TINY, path, lambda *_: None)
    _, again, told = trained(TINY, path, lambda *_: pytest.fail("trained again"))
    assert first.known == again.known and about == told
    with pytest.raises(Invalid, match="another file"):
        trained(replace(TINY, seed=1), path, lambda *_: None)


def test_the_command_says_what_it_cannot_do():
    runner = CliRunner()
    assert "nothing about the quality" in " ".join(runner.invoke(bench, ["adapters", "--help"]).output.split())
    assert runner.invoke(bench, ["adapters", "--part", "nonsense"]).exit_code == 2
