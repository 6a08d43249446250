"""Parametric memory: what a model has learned of memories. What an adapter's manifest says, and whether it may answer; pure.

An adapter is a view of words, and the words are the truth: it names every version of a memory that went into it, and is mounted only for the very model
that learned it, while each of these versions holds, and if it passed its examination.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from hashlib import sha256
from typing import Any

from loci.errors import Corrupt
from loci.memories.activation import canonical
from loci.ports.adapters import Asked, Kept, Learning, Pair
from loci.ports.adapting import Examined, Lesson, Recipe, Retained
from loci.ports.engine import Fingerprint, LayerShape, Quoted

SCHEMA = 1
STAGES = ("draft", "evaluated", "failed")
AGAIN = "Its memories' text is used instead. `loci verify` names it, `loci adapter drop ID` lets go of it."


def taught(lessons: Sequence[Lesson]) -> str:
    """A hash of everything that is learned from."""
    return sha256(canonical({"lessons": [asdict(lesson) for lesson in lessons]})).hexdigest()


def dump(learning: Learning) -> str:
    return canonical({**asdict(learning), "created": learning.created.isoformat()}).decode()


def load(text: str) -> Learning:
    """A manifest that `dump` wrote. Raises `Corrupt` for one that contradicts itself."""
    try:
        told = json.loads(text)
        recipe = Recipe(**{**told["recipe"], "targets": _listed(told["recipe"]["targets"])})
        learning = Learning(
            **{
                **told, "created": datetime.fromisoformat(told["created"]), "fingerprint": _fingerprint(told["fingerprint"]), "recipe": recipe,
                "chosen": _listed(told["chosen"]), "quoted": tuple(Quoted(**{**q, "sources": _listed(q["sources"])}) for q in told["quoted"]),
                "file": Kept(**told["file"]) if told["file"] else None, "report": Examined(**told["report"]) if told["report"] else None,
                "faults": _listed(told["faults"]), "retained": tuple(Retained(**one) for one in told.get("retained", ())),
                "pairs": tuple(_asked(one) for one in told.get("pairs", ())),
            }
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(f"The manifest of an adapter cannot be read ({error}). {AGAIN}") from error
    if fault := fault_of(learning):
        raise Corrupt(f"The manifest of adapter {learning.id!r} {fault}. {AGAIN}")
    return learning


def fault_of(learning: Learning) -> str:
    """What a manifest says that cannot be; empty when nothing."""
    pairs = [pair for asked in learning.pairs for pair in asked.pairs]
    for part in (
        learning, learning.recipe, learning.report, learning.file, *learning.quoted, *learning.retained, *learning.pairs, *pairs,
    ):  # fmt: skip
        if part is not None and (wrong := _mistyped(part)):
            return f"says of {wrong} what it cannot be"
    if learning.schema != SCHEMA:
        return f"has schema {learning.schema}; this Loci reads {SCHEMA}"
    if learning.stage not in STAGES:
        return f"is at a stage that there is not, {learning.stage!r}"
    if learning.stage == "draft":
        return ""
    if not learning.quoted or learning.file is None or learning.report is None or learning.fingerprint is None:
        return "was learned, and does not say of what, by which model or how well"
    if (learning.stage == "failed") != bool(learning.faults):
        return "does not say why it failed" if learning.stage == "failed" else "passed, and says why it failed"
    return ""


KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "str | None": (str, type(None)),
    "tuple[str, ...]": (tuple,),
}
"""What a field may hold, by how it is annotated."""


def _mistyped(part: Learning | Recipe | Examined | Kept | Quoted | Retained | Asked | Pair) -> str:
    """The first field that holds what its annotation does not say; empty when none."""
    found = ((field.name, getattr(part, field.name), KINDS.get(str(field.type))) for field in fields(part))
    return next((name for name, value, kinds in found if kinds is not None and type(value) not in kinds), "")


def _asked(told: Mapping[str, Any]) -> Asked:
    return Asked(**{**told, "pairs": tuple(Pair(_listed(pair["questions"]), pair["answer"]) for pair in told["pairs"])})


def _listed(told: object) -> tuple[str, ...]:
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        raise TypeError(f"{told!r:.40} is no list of words")
    return tuple(told)


def _fingerprint(told: Mapping[str, Any] | None) -> Fingerprint | None:
    if told is None:
        return None
    layers = tuple(LayerShape(**layer) for layer in told["layers"])
    return Fingerprint(**{**told, "layers": layers, "rope": tuple(told["rope"]), "adapters": tuple(told["adapters"])})
