"""A conversation as several activation memories, one an episode (EpiCache): told apart by meaning, grown one at a time, asked of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from loci import MemOS, Message
from loci.drivers.torch_kv.engine import TorchEngine
from loci.errors import Denied, Invalid, TooLarge, TooLossy, Unsupported
from loci.system import Cube
from loci.testing import ManualClock
from loci.testing.models import make_model, make_tokenizer
from loci.types import Handle, Role

EngineOf = Callable[..., TorchEngine]
Door = Callable[..., MemOS]
TOPICS = ("dog", "bakery", "Japan")
SAID = (
    "My dog Rex loves the beach.", "The bakery opens at six.", "We plan a trip to Japan in May.", "Rex the dog chased a cat.",
    "My boss at the bakery is strict.", "The flight to Japan leaves on Monday.",
)  # fmt: skip
BUDGET = 64


class Topics:
    """An embedder that knows three words, so that a test knows what belongs together."""

    name, dimensions = "topics", len(TOPICS) + 1

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = np.array([[*(float(topic in text) for topic in TOPICS), 0.1] for text in texts], np.float32).reshape(-1, self.dimensions)
        whole: NDArray[np.float32] = found / np.linalg.norm(found, axis=1, keepdims=True)
        return whole


@pytest.fixture
def door(open_vault: Callable[..., MemOS], engine_of: EngineOf) -> Door:
    return lambda **named: open_vault(engine=engine_of(), **{"embedder": Topics(), **named})


@pytest.fixture
def cube(door: Door, clock: ManualClock) -> Cube:
    cube = door().cube("main")
    tell(cube, clock, *SAID)
    return cube


def tell(cube: Cube, clock: ManualClock, *texts: str, user: str = "ann") -> list[str]:
    told = []
    for text in texts:
        clock.advance(1)
        told += cube.add(Message("user", text, clock.now(), speaker="Ann"), user=user, session="s").ids[:1]
    return told


def read(cube: Cube, **options: Any) -> list[Handle]:
    """A random model looks everywhere, so it loses much."""
    return cube.activate_episodes(user="ann", **{"budget": BUDGET, "episodes": 3, "most_evicted": 1.0, **options})


def words(cube: Cube, handle: Handle) -> list[str]:
    return [cube.get(id).text for id in handle.memories]


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "main.kv").glob("*")}


def about(topic: str) -> list[str]:
    return [text for text in SAID if topic in text]


def test_what_belongs_together_is_one_and_a_question_goes_to_it(cube: Cube) -> None:
    handles = read(cube)
    assert [words(cube, handle) for handle in handles] == [about(topic) for topic in TOPICS]
    assert all((handle.method, handle.kept) == ("sirllm", BUDGET) and handle.tokens > BUDGET for handle in handles)
    for topic, handle in zip(TOPICS, handles, strict=True):
        rough = cube.generate(f"What of the {topic}?", user="ann", limit=2, max_tokens=2, approximate=True).attached
        assert rough.handle == handle.id and rough.is_approximate
        assert cube.generate(f"What of the {topic}?", user="ann", limit=2, max_tokens=2).attached.handle is None, (
            "nobody is given it unasked"
        )
    assert [part.of for handle in handles if (part := cube.activation(handle.id).episode)] == [3] * 3
    assert [record.detail["episodes"] for record in cube.log(verb="activate")] == [3] * 3


def test_an_episode_is_to_the_byte_what_its_memories_alone_give(cube: Cube, door: Door) -> None:
    handles = read(cube)
    kept = [[page.hash for page in cube.activation(handle.id).pages] for handle in handles]
    for handle in handles:
        cube.deactivate(handle.id)
    alone = [cube.activate(handle.memories, user="ann", budget=BUDGET, most_evicted=1.0) for handle in handles]
    assert [[page.hash for page in cube.activation(handle.id).pages] for handle in alone] == kept
    assert [h.id for h in read(cube)] == [h.id for h in alone], "the same is not read twice"
    assert all(h.is_reused for h in read(door().cube("main")))


def test_what_is_said_later_joins_the_nearest_and_only_that_is_read(
    cube: Cube, folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read(cube)
    times = files(folder)
    condenser = type(cube._activations.engine.condenser())  # type: ignore[attr-defined]
    reads, right = list[int](), condenser.read
    monkeypatch.setattr(condenser, "read", lambda self, ids, *rest: (reads.append(len(ids)), right(self, ids, *rest))[1])
    tell(cube, clock, "In Japan the hotel has a garden.")
    progress: list[tuple[int, int]] = []
    after = read(cube, progress=lambda done, of: progress.append((done, of)))
    assert [(h.id, h.version, h.is_reused) for h in after] == [(before[0].id, 1, True), (before[1].id, 1, True), (before[2].id, 2, False)]
    assert words(cube, after[2])[-1] == "In Japan the hotel has a garden." and reads == [after[2].tokens]
    assert progress == [(1, 3), (2, 3), (3, 3)]
    kept = {f"{page.hash}.safetensors" for handle in before[:2] for page in cube.activation(handle.id).pages}
    assert kept <= files(folder).keys() and all(files(folder)[name] == times[name] for name in kept)


def test_a_codec_by_another_name_is_the_same_when_it_is_asked_for_again(cube: Cube, clock: ManualClock) -> None:
    first = read(cube, codec="exact")
    tell(cube, clock, "In Japan the hotel has a garden.")
    assert [(h.id, h.is_reused) for h in read(cube, codec="exact")] == [(first[0].id, True), (first[1].id, True), (first[2].id, False)]


def test_a_new_topic_opens_an_episode_while_there_is_room(cube: Cube, clock: ManualClock) -> None:
    """The budget has room for one memory, and not for two."""
    (only, *_) = read(cube, episodes=4, budget=100)
    tell(cube, clock, "The piano is out of tune.")
    after = read(cube, episodes=4, budget=100)
    assert len(after) == 4 and after[0].id == only.id and words(cube, after[3]) == ["The piano is out of tune."]
    assert after[3].method == "", "no longer than its budget, and kept exactly"
    tell(cube, clock, "A man came to tune the piano, and it took him a day, and then he wanted tea and had a lot to say about strings.")
    grown = read(cube, episodes=4, budget=100)
    assert grown[3].id == after[3].id and len(grown[3].memories) == 2 and grown[3].method == "sirllm"


def test_what_changed_is_read_again_in_its_place(cube: Cube) -> None:
    before = read(cube)
    dog, bakery = before[0].memories[0], before[1].memories
    cube.update(dog, "My dog Rex hates the beach.")
    cube.move(bakery[0], "archive")
    after = read(cube)
    assert [(a.id, a.version) for a in after] == [(before[0].id, 2), (before[1].id, 2), (before[2].id, 1)]
    assert words(cube, after[0])[0] == "My dog Rex hates the beach." and after[1].memories == bakery[1:]
    assert not any(handle.void for handle in cube.activations(user="ann"))
    cube.erase(dog)
    assert {h.id for h in cube.activations(user="ann")} == {after[1].id, after[2].id}, "it went with its words"
    left = [id for handle in read(cube) for id in handle.memories]
    assert len(left) == len(set(left)) == 4 and dog not in left


def test_where_one_loses_too_much_none_of_the_new_ones_stays(cube: Cube, folder: Path, clock: ManualClock) -> None:
    masses = sorted(handle.quality["evicted_mass"] for handle in read(cube))
    for handle in cube.activations(user="ann"):
        cube.deactivate(handle.id)
    with pytest.raises(TooLossy, match="Nothing was kept"):
        read(cube, most_evicted=masses[1])
    assert cube.activations(user="ann") == [] and files(folder) == {}
    kept = read(cube)
    tell(
        cube, clock, "In Japan the hotel has a garden, a pond, a bridge, a gate, nine old trees and a cat that sleeps on the wall all day."
    )
    with pytest.raises(TooLossy):
        read(cube, most_evicted=masses[0] / 2)
    assert [h.id for h in cube.activations(user="ann")] == [h.id for h in kept], "those that there were stay"


def test_they_do_not_push_one_another_off_the_disk(door: Door, cube: Cube) -> None:
    bytes_ = max(handle.bytes for handle in read(cube))
    small = door(kv_disk_bytes=int(bytes_ * 1.5)).cube("main")
    with pytest.raises(TooLarge, match="kv_disk_bytes"):
        read(small, method="streaming")
    assert len(read(door(kv_disk_bytes=bytes_ * 3).cube("main"), method="streaming")) == 3


def test_what_is_out_of_reach_is_not_read_over(cube: Cube, door: Door, clock: ManualClock) -> None:
    """Two sessions of a user: whoever may write to one of them neither sees nor shrinks what was read of both."""
    for text in ("The other dog is called Bo.", "In Japan it rains in June.", "The bakery has a cat."):
        clock.advance(1)
        cube.add(Message("user", text, clock.now(), speaker="Ann"), user="ann", session="t")
    whole = read(cube)
    memory = door()
    memory.grant("narrow", Role.WRITER, cube="main", user="ann", session="s")
    for who in (memory.acting("narrow").cube("main"), cube):
        theirs = read(who, session="s")
        assert {h.id for h in theirs}.isdisjoint(h.id for h in whole) and sorted(t for h in theirs for t in words(cube, h)) == sorted(SAID)
    assert [(h.id, h.version, h.is_reused) for h in read(cube)] == [(h.id, 1, True) for h in whole]


def test_what_has_no_direction_stays_with_what_was_said_before_it(cube: Cube, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Topics.embed

    def embed(self: Topics, texts: Sequence[str]) -> NDArray[np.float32]:
        found = right(self, texts)
        found[["nothing" in text for text in texts]] = 0.0
        return found

    monkeypatch.setattr(Topics, "embed", embed)
    tell(cube, clock, "It is nothing.")
    for method in ("sirllm", "epicache"):
        handles = read(cube, method=method)
        assert [words(cube, h) for h in handles] == [about("dog"), about("bakery"), [*about("Japan"), "It is nothing."]]
    for id in handles[2].memories[:2]:
        cube.move(id, "archive")
    for method in ("sirllm", "epicache"):
        assert sorted(text for h in read(cube, method=method) for text in words(cube, h)) == sorted(
            [*about("dog"), *about("bakery"), "It is nothing."]
        )
    tell(cube, clock, "All nothing.", "And nothing.", user="eve")
    assert len(cube.activate_episodes(user="eve", budget=BUDGET, most_evicted=1.0)) == 1
    with pytest.raises(Invalid, match="direction"):
        cube.activate_episodes(user="eve", budget=BUDGET, most_evicted=1.0, method="epicache")


def test_an_older_memory_that_joins_is_read_once(cube: Cube, clock: ManualClock) -> None:
    every = {memory.text: memory.id for memory in cube.list(user="ann")}
    late = [every[text] for text in SAID[1:]]
    for method in ("sirllm", "epicache"):
        first = read(cube, memories=late, method=method)
        joined = read(cube, method=method)
        assert {h.id for h in first} == {h.id for h in joined} and sum(h.version for h in joined) == 4
        assert all(h.is_reused for h in read(cube, method=method))


def test_layers_can_share_by_their_profile(cube: Cube) -> None:
    for method in ("sirllm", "epicache"):
        assert not any(h.is_reused for h in read(cube, layers="profile", method=method))
        assert all(h.is_reused for h in read(cube, layers="profile", method=method))


def test_episodes_of_other_budgets_are_others(cube: Cube, clock: ManualClock) -> None:
    tell(cube, clock, "The piano is out of tune.")
    narrow, wide = read(cube, episodes=4, budget=100), read(cube, episodes=4, budget=130)
    assert {h.id for h in narrow if h.method}.isdisjoint(h.id for h in wide)
    assert [h.is_reused for h in read(cube, episodes=4, budget=100)] == [True] * 4
    short = next(h for h in narrow if not h.method)
    cube.update(
        short.memories[0], "The piano is out of tune, and a man came to see to it, and it took him a day and the whole of the next one."
    )
    anew = cube.activate(id=short.id, most_evicted=1.0)
    assert anew.method == "sirllm" and anew.kept == 100, "by its id it is read under the same budget"
    again = read(cube, episodes=4, budget=100)
    assert [h.is_reused for h in again] == [True] * 4 and short.id in {h.id for h in again}
    other = cube.activate(id=short.id, budget=64, most_evicted=1.0)
    assert cube.activation(other.id).episode is None, "kept otherwise, it is none of them"


def test_the_papers_probe_is_part_of_what_an_episode_is_called_by(cube: Cube, door: Door) -> None:
    handles = read(cube, method="epicache")
    named = [eviction.scorer for handle in handles if (eviction := cube.activation(handle.id).eviction) is not None]
    assert (
        [handle.method for handle in handles] == ["epicache"] * 3 and len(set(named)) == 3 and all("a probe of" in name for name in named)
    )
    assert [(h.id, h.is_reused) for h in read(door().cube("main"), method="epicache")] == [(h.id, True) for h in handles]
    assert {h.id for h in read(cube)}.isdisjoint(h.id for h in handles), "another method, another state"
    for ask in (
        lambda: cube.activate(id=handles[0].id), lambda: cube.activate(handles[0].memories, user="ann", budget=BUDGET, method="epicache"),
    ):  # fmt: skip
        with pytest.raises(Invalid, match="activate_episodes"):
            ask()


def test_one_that_is_made_anew_by_its_id_is_still_an_episode(cube: Cube, clock: ManualClock) -> None:
    first = read(cube)[0]
    cube.update(first.memories[0], "My dog Rex hates the beach.")
    assert cube.activate(id=first.id, most_evicted=1.0).version == 2
    again = read(cube)[0]
    assert (again.id, again.version, again.is_reused) == (first.id, 2, True)


def test_it_says_what_it_takes(cube: Cube, door: Door, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (
        {"episodes": 0},
        {"episodes": 65},
        {"budget": 0},
        {"method": "nearest"},
        {"limit": 3},
        {"layers": "some"},
        {"most_evicted": 2.0},
    ):
        with pytest.raises(Invalid):
            read(cube, **wrong)
    with pytest.raises(Invalid, match=r"streaming, epicache.*epicache"):
        read(cube, method="epicach")
    with pytest.raises(Invalid, match="Nothing is remembered"):
        cube.activate_episodes(user="nobody", budget=BUDGET)
    with pytest.raises(Unsupported, match="embedder"):
        read(door(embedder=None).cube("main"))
    monkeypatch.setattr("loci.system.activating.MOST_MEMORIES", 5)
    with pytest.raises(TooLarge, match="6 messages"):
        read(cube)
    assert cube.activations(user="ann") == []


def test_it_is_of_one_user_and_of_whom_may_activate(cube: Cube, door: Door, clock: ManualClock) -> None:
    tell(cube, clock, "The dog of Bob is old.", "Bob hates the dog.", user="bob")
    mine = read(cube)
    assert all("Bob" not in text for handle in mine for text in words(cube, handle))
    theirs = cube.activate_episodes(user="bob", budget=BUDGET, episodes=3, most_evicted=1.0)
    assert all("Bob" in text for handle in theirs for text in words(cube, handle)) and [h.id for h in read(cube)] == [h.id for h in mine]
    memory = door()
    memory.grant("reader", Role.READER, cube="main", user="ann")
    with pytest.raises(Denied):
        memory.acting("reader").cube("main").activate_episodes(user="ann", budget=BUDGET)


def test_the_command_line_has_it(tmp_path: Path) -> None:
    model = tmp_path / "model"
    make_model("qwen3").save_pretrained(model)
    make_tokenizer().save_pretrained(model)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOCI_")}

    def loci(*arguments: str, code: int = 0) -> str:
        environment = {**clean, "LOCI_VAULT": str(tmp_path / "vault"), "LOCI_ENGINE": str(model)}
        done = subprocess.run([sys.executable, "-m", "loci", *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        return done.stdout or done.stderr

    for text in SAID:
        loci("add", text, "--user", "ann")
    assert "--budget" in loci("activate", "--episodes", "3", "--user", "ann", code=2)
    made = ("activate", "--episodes", "3", "--budget", "64", "--most-evicted", "1", "--user", "ann")
    handles = json.loads(loci(*made, "--json"))
    assert sorted(id for handle in handles for id in handle["memories"]) == sorted(
        m["id"] for m in json.loads(loci("list", "--user", "ann", "--json"))
    )
    assert loci(*made).count("as it was") == len(handles)
