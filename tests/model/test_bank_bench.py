"""The benchmark of the bank: its language says what it claims to say, every arm answers from what it is said to, and the command does it all."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner

from loci.bench.bank import ARMS, BANK, CLOSED, GOLD, PLAIN, SUM, TEXT, WHOLE, Cell, Run, Setting, asked_of, lessons_of, method_of, run
from loci.bench.bank_language import ASK, BOS, Language, alike, article, entities
from loci.bench.bank_model import Shape, lesson
from loci.bench.bank_report import targets, write
from loci.cli import run as loci
from loci.cli.bench import bench
from loci.drivers.torch_bank.compressor import Recipe
from loci.drivers.torch_bank.training import Course
from loci.errors import Invalid

torch.set_num_threads(1)
LANGUAGE = Language(syllables=8, attributes=6, values=5, fillers=4, facts=3, length=14)
SMALL = Setting(
    sizes=(3, 12), k=2, lessons=10, asked=30, first=(3,), language=LANGUAGE, shape=Shape(layers=2, width=32, heads=2, kv_heads=1, steps=2, batch=4),
    recipe=Recipe(tokens=2, rank=2), course=Course(steps=2, batch=4, anchors=2, rebuilt=2),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_a_document_tells_its_facts_about_its_entity_and_nothing_else(seed: int) -> None:
    one = article(LANGUAGE, 19, random.Random(seed))
    assert len(one.ids) == 14 and one.ids[0] == BOS and len(one.facts) == 3
    told = [place for place, token in enumerate(one.ids) if LANGUAGE.first_fact <= token < LANGUAGE.first_filler]
    assert [one.ids[p] for p in told] == [LANGUAGE.fact(a, v) for a, v in one.facts.items()]
    assert all(one.ids[p - 2 : p] == LANGUAGE.name(19) for p in told)
    assert sum(token < LANGUAGE.first_filler for token in one.ids) == 1 + 3 * 3
    for asked, (attribute, value) in zip(asked_of(LANGUAGE, one, 7), one.facts.items(), strict=True):
        assert asked.ids == (ASK, *LANGUAGE.name(19), LANGUAGE.first_attribute + attribute)
        assert asked.answer == (LANGUAGE.first_value + value,) and asked.gold == 7


def test_no_two_kinds_of_word_share_an_id_and_no_two_entities_a_name() -> None:
    language = LANGUAGE
    ranges = [
        {BOS, ASK}, {i for e in range(64) for i in language.name(e)}, {language.first_attribute + a for a in range(6)}, {language.first_value + v for v in range(5)},
        {language.fact(a, v) for a in range(6) for v in range(5)}, {language.first_filler + f for f in range(4)},
    ]  # fmt: skip
    assert len(set().union(*ranges)) == sum(map(len, ranges)) == language.vocabulary
    assert len({language.name(e) for e in range(64)}) == 64


def test_what_is_tested_was_never_trained_with() -> None:
    among, held = entities(LANGUAGE, 12, 0)
    assert len(held) == 12 and sorted(among + held) == list(range(64)) and entities(LANGUAGE, 12, 1)[1] != held
    names = {LANGUAGE.name(e) for e in held}
    shape, known, chance = Shape(steps=30, batch=4), frozenset(among), random.Random(0)
    for step in range(0, 30, 5):
        for row in lesson(LANGUAGE, shape, among, known, step, chance)[0].tolist():
            assert not any((a, b) in names for a, b in pairwise(row))
    for one in lessons_of(SMALL, among, 0):
        assert not any((a, b) in names for a, b in pairwise(one.document))
    others = [alike(LANGUAGE, among[0], among, known, chance) for _ in range(200)]
    assert among[0] not in others and set(others) <= known


@pytest.mark.parametrize("step", [0, 27, 28, 29])
def test_training_texts_ask_for_what_they_told(step: int) -> None:
    among, _ = entities(LANGUAGE, 12, 0)
    tokens, start = lesson(LANGUAGE, Shape(steps=30, batch=4), among, frozenset(among), step, random.Random(step))
    for row in tokens.tolist():
        told = {(*row[p - 2 : p], (row[p] - LANGUAGE.first_fact) // 5): (row[p] - LANGUAGE.first_fact) % 5
                for p in range(start) if LANGUAGE.first_fact <= row[p] < LANGUAGE.first_filler}  # fmt: skip
        asked = [row[p : p + 5] for p in range(start, len(row), 5)]
        assert asked and all(
            ask == ASK and told[first, second, a - LANGUAGE.first_attribute] == v - LANGUAGE.first_value
            for ask, first, second, a, v in asked
        )


def test_a_seed_gives_the_same_answers_and_every_arm_is_there() -> None:
    one, two = (run(SMALL, 3, lambda done, every: None) for _ in range(2))
    assert repr(one.cells) == repr(two.cells) and one.forgotten == two.forgotten
    assert [(c.documents, c.arm) for c in one.cells] == [(size, arm) for size in (3, 12) for arm in ARMS]
    by = {(c.documents, c.arm): c for c in one.cells}
    assert by[3, GOLD].found == 1 and by[12, WHOLE].found == 1 and by[3, BANK].found == by[3, TEXT].found == by[3, SUM].found
    assert one.about["bytes of an entry"] == one.about["formula"] == 2 * 2 * 1 * 2 * 16 * 4 + 32 * 4 and one.about["base unchanged"] == 1
    assert (method_of(SMALL, PLAIN).contrast, method_of(SMALL, WHOLE).k, method_of(SMALL, BANK).way) == (0, 12, "concatenation")


def made_up(seed: int, bank: float, plain: float, lost: float) -> Run:
    rights = {CLOSED: 0.05, GOLD: 1.0, TEXT: 0.95, BANK: bank, PLAIN: plain}
    cells = tuple(Cell(seed, n, arm, rights.get(arm, 0.1), float("nan") if arm == CLOSED else 0.5, 100) for n in (3, 12) for arm in ARMS)
    times = {arm: {3: 2.0, 12: 3.0} for arm in (BANK, SUM, TEXT)}
    about = {"bytes of an entry": 640.0, "formula": 640.0, "bytes of the text's keys and values": 3584.0, "base unchanged": 1.0}
    return Run(seed, cells, {arm: {3: lost} for arm in (TEXT, BANK, SUM)}, times, about)


def test_targets_are_judged_by_what_was_measured(tmp_path: Path) -> None:
    runs = [made_up(0, 0.6, 0.55, 0.9), made_up(1, 0.6, 0.58, 1.3)]
    told = targets(SMALL, runs)[2:]
    assert f"| {BANK}, over {CLOSED} | 3 | +55.0 (+55.0) | >= +4 points | met |" in told
    assert f"| {BANK}, over {PLAIN} | 3 | +3.5 (+2.0) | >= +4 points | missed |" in told
    assert f"| {BANK}, points lost on the first 3 | 12 | 1.1 (most 1.3) | <= 1 | missed |" in told
    assert any(line.startswith(f"| {BANK}, time of an answer") and "1.50x" in line and "missed" in line for line in told)
    one, other = (made_up(seed, 0.6, 0.55, lost) for seed, lost in ((0, 0.2), (1, 1.4)))
    told = targets(SMALL, [one, other])[2:]
    assert f"| {BANK}, points lost on the first 3 | 12 | 0.8 (most 1.4) | <= 1 | met on the mean, missed on the worst seed |" in told
    assert any(line.startswith(f"| {SUM}, over {WHOLE} | 3 |") and line.endswith("| reported | |") for line in told)
    write(tmp_path, SMALL, runs, "About.")
    report = (tmp_path / "report.md").read_text("utf-8")
    assert (
        "never to be quoted" in report and TEXT in report and len((tmp_path / "rows.jsonl").read_text().splitlines()) == 2 * 2 * len(ARMS)
    )
    ElementTree.parse(tmp_path / "bank.svg")


def test_the_command_does_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ["bank", "--documents", "4", "--documents", "2", "--seeds", "1", "--layers", "1", "--width", "48", "--model-steps", "1", "--steps", "1", "--lessons", "32",
             "--asked", "8", "--tokens", "2", "--k", "2", "--weights", str(tmp_path / "w"), "--report", str(tmp_path / "r"), "--json"]  # fmt: skip
    told, again = (json.loads(CliRunner().invoke(bench, small, catch_exceptions=False).stdout) for _ in range(2))
    assert again["runs"][0]["cells"] == told["runs"][0]["cells"]  # from the weights that were kept
    with pytest.raises(Invalid, match="name another folder"):
        CliRunner().invoke(bench, [*small, "--layers", "2"], catch_exceptions=False)
    cells: list[dict[str, Any]] = told["runs"][0]["cells"]
    assert [(c["documents"], c["arm"]) for c in cells] == [(n, arm) for n in (2, 4) for arm in ARMS] and "never to be quoted" in told[
        "caveat"
    ]
    assert (tmp_path / "r/report.md").exists() and (tmp_path / "r/bank.svg").exists()
    for wrong in (["--width", "100"], ["--documents", "1"]):
        assert loci(["bench", "bank", *wrong]) == Invalid.exit_code


def test_more_documents_than_names_are_refused() -> None:
    with pytest.raises(Invalid, match="names"):
        run(replace(SMALL, sizes=(3, 64)), 0, lambda done, every: None)
