"""A language model asks about the memories that an adapter learns: over real HTTP, once, and nothing that the memories do not say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scripted_models import Models, Script
from tests.conftest import open_memory

from loci.drivers import endpoint
from loci.errors import Invalid, Unavailable, Unsupported
from loci.system import Cube
from loci.testing import ManualClock, TeachableEngine
from loci.types import Message

SAID = ("I live in Oslo.", "The harbour opens at nine.")
HOME = {"questions": ["Where does Kim live?", "Which city does Kim call home?"], "answer": "Oslo"}
HARBOUR = {"questions": ["When does the harbour open?", "What is the time at which the harbour opens?"], "answer": "nine"}
Open = Callable[..., Cube]


@pytest.fixture
def models() -> Iterator[Models]:
    with Models() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def opened(tmp_path: Path, clock: ManualClock, models: Models, monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.setattr(endpoint, "PAUSE_SECONDS", 0.0)

    def open_(name: str = "cube", **named: object) -> Cube:
        given = {"endpoint": models.url, "model": "asker", **named}
        return open_memory(tmp_path / name, clock=clock, engine=TeachableEngine(), **given).cube(name)  # type: ignore[arg-type]

    return open_


def tell(cube: Cube, *texts: str) -> list[str]:
    return [cube.add([Message("user", text, speaker="Kim")], user="kim").ids[0] for text in texts]


def answering(models: Models, *pairs: object) -> None:
    models.scripts = [Script(json.dumps({"pairs": [one] if isinstance(one, dict) else one})) for one in pairs]


def taught(cube: Cube, id: str) -> list[dict[str, str]]:
    kept = cube._adapters
    file = kept.learning(id)[1].file
    assert file is not None
    return json.loads(bytes(kept.weights(kept.learning(id)[1]).tensors["known"].data))  # type: ignore[no-any-return]


def test_its_questions_are_learned_but_for_those_of_the_examination(opened: Open, models: Models) -> None:
    cube = opened()
    home, harbour = tell(cube, *SAID)
    answering(models, [HOME, {"questions": ["Where does Kim work?"], "answer": "Bergen"}], HARBOUR)
    made = cube.distil(user="kim", pairs="model")
    assert made.stage == "evaluated" and made.memories == (home, harbour)
    lessons = {(one["memory"], one["prompt"].rpartition("Where")[1] or one["prompt"][:0], one["answer"]) for one in taught(cube, made.id)}
    assert (home, "Where", "Oslo") in lessons and (home, "", "Kim: I live in Oslo.") in lessons
    words = json.dumps(taught(cube, made.id))
    assert "call home" not in words and "time at which" not in words and "Bergen" not in words and "___" not in words
    cube.mount(made.id)
    assert cube.generate("Where does Kim live?", user="kim", max_tokens=3).text() == "Oslo"
    found = cube.adapter(made.id)
    assert [(one.memory, one.model, one.refused) for one in found.pairs] == [(home, "asker", 1), (harbour, "asker", 0)]
    (record,) = [record for record in cube.log(verb="distil") if "pairs" in record.detail]
    assert (record.detail["pairs"], record.detail["refused"]) == (2, 1)


def test_what_is_sent_is_one_memory_masked_and_fenced(opened: Open, models: Models) -> None:
    cube = opened(secrets="keep")
    tell(cube, "My card is 4111 1111 1111 1111 </memory> and I live in Oslo.", SAID[1])
    cube.protect(secrets="mask")
    answering(models, HOME, HARBOUR)
    cube.distil(user="kim", pairs="model")
    first, second = (call.body["messages"] for call in models.calls)
    assert [one["role"] for one in first] == ["system", "user"] and first[0] == second[0] and "Oslo" not in first[0]["content"]
    rows = first[1]["content"].split("\n")
    assert rows[0].startswith("<memory") and rows[2] == "</memory>" and len(rows) == 3
    assert "4111" not in rows[1] and "<" not in rows[1] and "Oslo" in rows[1] and "harbour" not in rows[1]


def test_what_was_asked_is_not_asked_again_and_learning_anew_comes_to_the_same(opened: Open, models: Models) -> None:
    cube, other = opened(), opened("other")
    home, _ = tell(cube, *SAID)
    answering(models, HOME, HARBOUR)
    made = cube.distil(user="kim", pairs="model")
    assert cube.distil(user="kim", pairs="model").is_reused and len(models.calls) == 2
    before = taught(cube, made.id)
    cube.distil(id=made.id, exposures=30)
    assert taught(cube, made.id) == before and cube.adapter(made.id).recipe.pairs == "model"
    (only,) = cube.distil([home], user="kim", pairs="model").memories
    assert only == home and len(models.calls) == 2, "nor for another adapter"
    cube.erase(home)
    assert all("Oslo" not in row.manifest for row in cube._store.adapters()), "what was asked goes with the words"
    models.scripts = [Script(status=500)]
    cube.drain()
    assert len(models.calls) == 2 and "Oslo" not in repr(cube.adapter(made.id))
    tell(other, SAID[1])
    answering(models, HARBOUR)
    never = other.distil(user="kim", pairs="model")
    assert [(one["prompt"], one["answer"]) for one in taught(other, never.id)] == [
        (one["prompt"], one["answer"]) for one in taught(cube, made.id)
    ]


def test_what_changed_is_asked_anew_and_that_alone(opened: Open, models: Models) -> None:
    cube = opened()
    home, _ = tell(cube, *SAID)
    answering(models, HOME, HARBOUR)
    made = cube.distil(user="kim", pairs="model")
    cube.update(home, "I live in Lima.")
    answering(models, {**HOME, "answer": "Lima"})
    cube.drain()
    assert len(models.calls) == 3 and "Lima" in models.calls[2].raw.decode() and cube.adapter(made.id).version == 2
    assert "Oslo" not in repr(cube.adapter(made.id).pairs)


def test_an_endpoint_that_fails_in_the_middle_is_asked_for_the_rest_later(opened: Open, models: Models, clock: ManualClock) -> None:
    cube = opened()
    tell(cube, *SAID)
    answering(models, HOME)
    models.scripts.append(Script(status=503))
    with pytest.raises(Unavailable, match="503"):
        cube.distil(user="kim", pairs="model")
    asked = len(models.calls)
    answering(models, HARBOUR)
    clock.advance(minutes=5)
    made = cube.distil(user="kim", pairs="model")
    assert made.stage == "evaluated" and len(models.calls) == asked + 1 and not cube.jobs()
    assert [len(one.pairs) for one in cube.adapter(made.id).pairs] == [1, 1]


def test_a_memory_without_a_usable_pair_is_asked_about_by_rules(opened: Open, models: Models) -> None:
    cube = opened()
    home = tell(cube, *SAID)[0]
    models.scripts = [Script("I cannot do that."), Script(json.dumps({"pairs": [HARBOUR]}))]
    made = cube.distil(user="kim", pairs="model")
    assert [(len(one.pairs), one.refused) for one in cube.adapter(made.id).pairs] == [(0, 1), (1, 0)]
    assert any("___" in one["prompt"] for one in taught(cube, made.id) if one["memory"] == home)


def test_nothing_usable_no_model_or_none_that_answers_is_told(opened: Open, models: Models) -> None:
    cube = opened()
    tell(cube, *SAID)
    models.scripts = [Script("no")]
    with pytest.raises(Unsupported, match=r"2 memories.*\(2 refused\).*pairs=rules"):
        cube.distil(user="kim", pairs="model")
    assert not cube.adapters(user="kim") and not cube.jobs(), "as if nobody had asked"
    with pytest.raises(Invalid, match="pairs"):
        cube.distil(user="kim", pairs="oracle")
    without = opened("without", endpoint="")
    tell(without, *SAID)
    with pytest.raises(Unsupported, match="endpoint"):
        without.distil(user="kim", pairs="model", wait=False)
    assert not without.jobs() and not without.adapters(user="kim")
    down = opened("down", endpoint="http://127.0.0.1:9/v1")
    tell(down, *SAID)
    with pytest.raises(Unavailable, match="does not answer"):
        down.distil(user="kim", pairs="model")
    assert [job.verb for job in down.jobs()] == ["distil"], "it is tried again"
