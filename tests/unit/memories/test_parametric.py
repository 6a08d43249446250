"""Manifests of adapters: what was dumped is loaded, and one that cannot be is told as such."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from loci.errors import Corrupt
from loci.memories.parametric import dump, load, taught
from loci.ports.adapters import Asked, Kept, Learning, Pair
from loci.ports.adapting import Examined, Lesson, Recipe, Retained
from loci.ports.engine import Fingerprint, LayerShape, Quoted

MODEL = Fingerprint("m", "t", "lines", (), "float32", "sdpa", ("none", 0.0, "{}"), (LayerShape("full", 1, 16),), 100)
DRAFT = Learning(
    "a", 1, datetime(2026, 1, 2, tzinfo=UTC), None, "tenant", "kim", None, None, ("m",), Recipe(), (Quoted("m", 1, "sum", ("s",)),)
)
DONE = replace(
    DRAFT, stage="evaluated", fingerprint=MODEL, file=Kept("0" * 64, 9), report=Examined(0.1, 1.0, 0.1, 1.0, 1.0, 0.0, 2, 8), words="w", loss=0.5,
    tools={"torch": "2"}, pairs=(Asked("m", "w", "asker", (Pair(("Where?", "In which place?"), "Oslo"),), 1), Asked("n", "w", "asker")),
)  # fmt: skip
LEFT = Retained(10, 0.9, 0.5, 0.25, 1.5, 0.01)


@pytest.mark.parametrize(
    "learning",
    [
        DRAFT,
        DONE,
        replace(DONE, stage="failed", faults=("It recalls nothing.",)),
        replace(DONE, seconds=3),
        replace(DONE, retained=(LEFT,)),
    ],
)
def test_what_is_dumped_is_loaded(learning: Learning) -> None:
    assert load(dump(learning)) == learning


def test_one_of_before_a_language_model_could_ask_is_loaded() -> None:
    told = json.loads(dump(replace(DONE, pairs=())))
    del told["pairs"], told["recipe"]["pairs"]
    assert load(json.dumps(told)) == replace(DONE, pairs=())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("recipe rank", "8"), ("recipe rate", None), ("recipe targets", "abc"), ("file bytes", "x"), ("file hash", 5), ("quoted", [5]), ("quoted", []), ("version", "1"),
        ("version", True), ("id", 5), ("user", 5), ("chosen", "abc"), ("chosen", [5]), ("words", 5), ("report recall", "x"), ("report", None), ("stage", "done"), ("schema", 2),
        ("created", "now"), ("faults", ["why"]), ("fingerprint", {}), ("more", 1),
        ("retained", 5), ("retained", [{}]), ("retained", [{**asdict(LEFT), "recall": "all"}]),
        ("pairs", [5]), ("pairs", [{}]), ("pairs", [{"memory": "m", "words": "w", "model": 5, "pairs": [], "refused": 0}]),
        ("pairs", [{"memory": "m", "words": "w", "model": "a", "pairs": [{"questions": "Where?", "answer": "x"}], "refused": 0}]),
        ("pairs", [{"memory": "m", "words": "w", "model": "a", "pairs": [{"questions": ["Where?"], "answer": 5}], "refused": 0}]),
    ],
)  # fmt: skip
def test_what_a_manifest_cannot_say_is_told(path: str, value: object) -> None:
    told = json.loads(dump(DONE))
    *inner, last = path.split()
    within = told[inner[0]] if inner else told
    within[last] = value
    with pytest.raises(Corrupt, match="adapter drop"):
        load(json.dumps(told))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000])
def test_what_is_no_manifest_is_told(text: str) -> None:
    with pytest.raises(Corrupt):
        load(text)


def test_what_was_taught_has_one_name_for_the_same_lessons_alone() -> None:
    lessons = [Lesson("m", "Where?", "Oslo"), Lesson("m", "", "I live in Oslo.")]
    names = {taught(lessons), taught(lessons[::-1]), taught(lessons[:1]), taught([replace(lessons[0], answer="Rome"), lessons[1]])}
    assert len(names) == 4 and taught(list(lessons)) in names


def test_a_manifest_of_before_retention_was_kept_is_read() -> None:
    told = json.loads(dump(DONE))
    del told["retained"]
    assert load(json.dumps(told)) == DONE


def test_a_later_probe_stands_in_the_place_of_one_of_as_many_updates() -> None:
    as_it_is, more = replace(LEFT, updates=0), replace(LEFT, updates=100)
    kept = DONE.retaining([as_it_is, more]).retaining([LEFT, replace(more, recall=0.1)])
    assert kept.retained == (as_it_is, LEFT, replace(more, recall=0.1)) and kept.draft(2).retained == ()
