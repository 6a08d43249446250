"""Files in and out: all of a file or nothing of it, once however often, and what went out comes back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci import Message, Receipt
from loci.errors import Conflict, Invalid, Malformed, Missing, ReadOnly, TooLarge
from loci.infrastructure import dumper
from loci.infrastructure.loader import Transcript
from loci.operation import importing
from loci.operation.intake import MAX_MESSAGES, MAX_TEXT_BYTES, Told
from loci.system import Cube
from loci.testing import ManualClock
from loci.text.plain import plain
from loci.types import Change, Memory, Part, Scope, Trust
from loci.wire import MemOS

DATA = Path(__file__).resolve().parents[1] / "data"
SAMPLE = Path(str(files("loci.samples"))) / "conversation.jsonl"
ALL = sorted(set(DATA.glob("*.*")) - {DATA / "fence.jsonl"})
MOMENT = datetime(2024, 5, 12, 14, 33, tzinfo=UTC)


def sources(cube: Cube) -> list[tuple[Message, str | None, str | None]]:
    return [(s.message, s.scope.user, s.scope.agent) for s in cube._store.sources()]


def present(cube: Cube) -> list[tuple[object, ...]]:
    """What a cube holds, without what is given anew each time: ids and times of record."""
    memories = cube.list(limit=1 << 40, archived=True)
    return [
        (m.text, m.type, m.part, m.scope.user, m.scope.session, m.speaker, m.at, m.valid, m.state, tuple(c.value for c in m.claims))
        for m in memories
    ]


def everything(cube: Cube) -> list[tuple[object, ...]]:
    """The same with everything that no longer holds, and how it came to that."""
    every = [cube.history(id) for id in dumper._memories(cube._store)]
    return [
        (m.text, m.version, m.valid, m.state, m.reason, [(c.value, c.closed_at) for c in m.claims]) for versions in every for m in versions
    ]


# -- in ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_second_import_adds_nothing(cube: Cube, path: Path) -> None:
    first = cube.import_file(path)
    before = everything(cube), cube.log()
    second = cube.import_file(path)
    assert first.added == first.messages > 0 and first.known == 0
    assert (second.messages, second.added, second.known, second.memories) == (first.messages, 0, first.messages, 0)
    assert (everything(cube), cube.log()) == before
    assert cube.verify().is_clean


def test_the_sample_is_a_conversation_of_369_turns(cube: Cube) -> None:
    told: list[tuple[int, int]] = []
    done = cube.import_file(SAMPLE, progress=lambda done, total: told.append((done, total)))
    assert (done.messages, done.added, len(cube._store.sources())) == (369, 369, 369)
    assert told == [(0, 369), (369, 369)]
    assert cube.import_file(SAMPLE).added == 0 and cube.verify().is_clean


def test_a_grown_file_adds_what_is_new(cube: Cube, tmp_path: Path) -> None:
    path = tmp_path / "chat.txt"
    lines = (DATA / "whatsapp_brackets.txt").read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[2:]), "utf-8")
    cube.import_file(path)
    path.write_text("".join([*lines, "[15/05/2024, 08:00:00] Bo: and on\n"]), "utf-8")
    assert cube.import_file(path).added == 3, "two lines before, one after"


def test_whose_and_of_which_session(open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault()
    own, given_one = memory.cube("own"), memory.cube("given")
    own.import_file(DATA / "messages.jsonl")
    given_one.import_file(DATA / "messages.jsonl", user="ana", agent="helper", session="s1")
    assert [m.session for m, _, _ in sources(own)] == ["messages", "messages", "evening", "messages", "messages", "messages"]
    assert [m.session for m, _, _ in sources(given_one)] == ["s1", "s1", "evening", "s1", "s1", "s1"]
    assert {(user, agent) for _, user, agent in sources(given_one)} == {("ana", "helper")}
    assert {str(s.channel) for s in own._store.sources()} == {"import"}
    assert sources(own)[-1][0].at is None, "no date is no date"


def refused(cube: Cube, path: Path, kind: type[Invalid]) -> Invalid:
    with pytest.raises(kind) as caught:
        cube.import_file(path)
    assert cube._store.is_empty() and not cube.log()
    return caught.value


def test_a_malformed_file_imports_nothing(cube: Cube, tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    lines = [json.dumps({"role": "user", "text": f"word {n}"}) for n in range(1200)]
    path.write_text("\n".join([*lines, '{"role":"user"}']))
    assert refused(cube, path, Malformed).details() == {"line": 1201}


@pytest.mark.parametrize("field", ["text", "speaker", "caption", "id", "session"])
def test_what_cannot_be_stored_imports_nothing(cube: Cube, tmp_path: Path, field: str) -> None:
    path = tmp_path / "chat.jsonl"
    good = {"role": "user", "text": "hi"}
    path.write_text("\n".join(json.dumps(line) for line in (*[good] * 700, {**good, field: "half \ud83d"})))
    error = refused(cube, path, Malformed)
    assert error.details() == {"line": 701} and "chat.jsonl, line 701: character 5 is an unpaired surrogate (U+D83D)" in str(error)


def test_a_text_beyond_the_limit_imports_nothing(cube: Cube, tmp_path: Path) -> None:
    path = tmp_path / "chat.txt"
    path.write_text("2024-05-12\nAna: hi\nAna: " + "é" * (MAX_TEXT_BYTES // 2 + 1))
    assert "chat.txt, line 3: the message has 1,000,002 bytes" in str(refused(cube, path, TooLarge))


class Killed(BaseException):
    """The end of the process, as far as its code can tell."""


def test_a_kill_in_the_middle_and_a_second_import_are_one_import(
    open_vault: Callable[..., MemOS], clock: ManualClock, tmp_path: Path
) -> None:
    path = tmp_path / "chat.jsonl"
    jobs = ["Acme", "Globex", "Initech", "Umbrella"]
    lines = []
    for n in range(1300):
        text = f"Day {n} was fine." if n % 130 else f"I work at {jobs[n // 130 % 4]}."
        lines.append(json.dumps({"speaker": "Ana", "text": text, "at": f"2024-05-{1 + n // 130:02}T10:00"}))
    path.write_text("\n".join(lines))
    memory = open_vault()
    whole, torn = memory.cube("whole"), memory.cube("torn")
    whole.import_file(path)

    def stop(done: int, total: int) -> None:
        if done == 1000:
            raise Killed

    with pytest.raises(Killed):
        torn.import_file(path, progress=stop)
    assert len(torn._store.sources()) == 1000
    second = torn.import_file(path)
    assert (second.known, second.added) == (1000, 300)
    assert sources(torn) == sources(whole) and everything(torn) == everything(whole)
    assert any(m.valid.end for versions in dumper._memories(whole._store).values() for m in versions), "something was superseded"


# -- batches -----------------------------------------------------------------------------------------------------------------


class Noting:
    """Takes batches, and knows nothing of what was imported before."""

    def __init__(self, cube: Cube | None = None) -> None:
        self.cube, self.seen = cube, list[list[Message]]()

    def add(self, messages: Sequence[Message], scope: Scope, origin: str | None, trust: Trust, told: Told) -> Receipt:
        self.seen.append(list(messages))
        return self.cube.add(messages) if self.cube else Receipt(())

    def expect(self, messages: Sequence[Message], scope: Scope) -> None: ...

    def known(self, ids: Sequence[str], user: str | None) -> dict[str, Memory]:
        return {}

    def says(self, memory: Memory, text: str) -> bool:
        return False

    def follow(self, memories: Sequence[importing.Followed]) -> list[list[Change]]:
        return [[] for _ in memories]


def batches(transcripts: Sequence[Transcript], into: Scope | None = None) -> list[list[Message]]:
    noting = Noting()
    importing.import_transcripts(transcripts, noting, into or Scope("main"))
    return noting.seen


def chat(name: str, people: Sequence[str], count: int) -> Transcript:
    return Transcript(name, tuple(Message("user", f"{name} {n}", speaker=people[n % len(people)], id=str(n)) for n in range(count)))


def test_batches_are_of_500_and_of_the_same_people() -> None:
    found = batches([chat("a", "xy", 1100), chat("b", "xy", 100), chat("c", "xz", 10), chat("d", "xz", 10)])
    assert [len(batch) for batch in found] == [500, 500, 200, 20]
    assert {m.session for m in found[-1]} == {"c", "d"}


def test_long_texts_go_in_smaller_batches() -> None:
    long = Transcript("t", tuple(Message("user", "x" * 90_000, id=str(n)) for n in range(7)))
    assert [len(batch) for batch in batches([long])] == [3, 3, 1]


def test_equal_messages_share_a_batch(cube: Cube) -> None:
    same = Message("user", "ok", MOMENT, "Ana")
    others = [replace(same, text=f"word {n}") for n in range(600)]
    transcript = Transcript("", (same, *others, same))
    assert [len(batch) for batch in batches([transcript])] == [501, 101]
    assert importing.import_transcripts([transcript], Noting(cube), Scope("main")).added == 602


def test_more_equal_messages_than_a_transaction_takes_import_nothing() -> None:
    same = Transcript("", (Message("user", "ok", MOMENT),) * (MAX_MESSAGES + 1))
    with pytest.raises(TooLarge, match="10001 messages"):
        batches([chat("a", "x", 10), same])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.booleans()), max_size=40))
def test_batches_hold_every_message_once(plan: list[tuple[str, int, bool]]) -> None:
    transcript = Transcript("t", tuple(Message("user", text, MOMENT if has_time else None, id=str(n)) for text, n, has_time in plan))
    found = [message for batch in batches([transcript]) for message in batch]
    assert found == [replace(m, session="t") for m in transcript.messages]


# -- out ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*ALL, SAMPLE], ids=lambda path: path.name)
def test_what_goes_out_comes_back(open_vault: Callable[..., MemOS], tmp_path: Path, path: Path) -> None:
    memory = open_vault()
    cube, copy = memory.cube("main"), memory.cube("copy")
    cube.import_file(path)
    target = tmp_path / "main.jsonl"
    counts = cube.export(target)
    done = copy.import_file(target)
    assert counts["sources"] == done.added and done.notes == ()
    assert sources(copy) == sources(cube) and present(copy) == present(cube)
    assert cube.import_file(target).added == 0, "into the cube it came from it adds nothing"


def test_everybody_keeps_what_is_theirs(open_vault: Callable[..., MemOS], tmp_path: Path) -> None:
    memory = open_vault()
    cube, copy = memory.cube("main"), memory.cube("copy")
    ok = Message("user", "ok\u2028\x00", MOMENT)
    cube.add([ok, ok, replace(ok, caption="a photo"), replace(ok, id="x")], user="ana", session="s1")
    cube.add([replace(ok, at=datetime(1, 1, 1, tzinfo=UTC)), replace(ok, at=None)], user="bo", agent="helper")
    cube.add([replace(ok, at=datetime.fromisoformat("2024-05-12T14:33:00.000001-03:30"), role="system")])
    cube.export(tmp_path / "x")
    copy.import_file(tmp_path / "x")
    assert sorted(map(repr, sources(copy))) == sorted(map(repr, sources(cube)))
    assert sorted(map(repr, present(copy))) == sorted(map(repr, present(cube)))


def test_an_export_tells_every_version_and_why(cube: Cube, clock: ManualClock, tmp_path: Path) -> None:
    cube.add([Message("user", "I work at Acme.", MOMENT, "Ana")], user="ana")
    (home,) = cube.add([Message("user", "The kettle is blue.", MOMENT, "Ana")], user="ana").ids
    clock.advance(days=1)
    cube.add([Message("user", "I work at Globex.", clock.now(), "Ana")], user="ana")
    cube.update(home, "The kettle is green.", reason="repainted")
    cube.forget(home, reason="sold")
    counts = cube.export(tmp_path / "x")
    header, *lines = [json.loads(line) for line in (tmp_path / "x").read_text("utf-8").splitlines()]
    assert header == {"loci": 1, "cube": "main", "exported": clock.now().isoformat(), "sources": 4, "memories": 3}
    assert counts == {"sources": 4, "memories": 3}
    memories = {line["memory"]: line for line in lines if "memory" in line}
    kettle = [(v["text"], v["version"], v["reason"], v["ending"]) for v in memories[home]["versions"]]
    assert kettle == [("The kettle is blue.", 1, "remembered", "repainted"), ("The kettle is green.", 2, "repainted", "sold")]
    assert memories[home]["versions"][-1]["state"] == "expired"
    acme = next(m["versions"][-1] for m in memories.values() if m["versions"][0]["text"] == "I work at Acme.")
    assert acme["claims"][0]["closed_by"] and acme["valid"]["end"] and acme["recorded"]["start"]
    assert any(link["type"] == "supersedes" for m in memories.values() for link in m["links"])


def test_what_was_forgotten_overwritten_or_over_does_not_come_back_by_an_export(open_vault: Callable[..., MemOS], tmp_path: Path) -> None:
    memory = open_vault()
    cube, now = memory.cube("main"), memory._parts.clock.now()
    cube.forget(cube.add("My hint is the heron.").ids[0])
    cube.update(cube.add("The gym closes at nine.").ids[0], "The gym closes at ten.")
    cube.add("The milk is fresh.", expires=now + timedelta(hours=1))
    back = cube.add("The lamp is green.").ids[0]
    cube.forget(back)
    cube.restore(back)
    house, _, tea = cube.add("I live in Porto. I like tea a lot.").ids
    cube.forget(tea)
    cube.move(cube.add("The attic is full.").ids[0], "archive")
    memory._parts.clock.advance(hours=2)
    cube.export(tmp_path / "x")
    done = memory.cube("copy").import_file(tmp_path / "x")
    said = {m.text for m in memory.cube("copy").list() if m.part is Part.TURN}
    assert said == {"The gym closes at ten.", "The lamp is green.", cube.get(house).text, "The attic is full."}
    assert done.notes == (
        "x: 3 of 7 messages were left out: what they said had been forgotten or overwritten, or its time was over",
        "x: 3 memories had been changed or marked by hand; their words are read anew, without that",
    )


def test_an_export_of_nothing_that_stands_says_so(open_vault: Callable[..., MemOS], tmp_path: Path) -> None:
    memory = open_vault()
    cube = memory.cube("main")
    cube.forget(cube.add("The kettle is blue.").ids[0])
    cube.export(tmp_path / "x")
    with pytest.raises(Malformed, match="nothing that still stood: of its 1 messages"):
        memory.cube("copy").import_file(tmp_path / "x")


def test_an_export_replaces_nothing_unless_told(cube: Cube, tmp_path: Path) -> None:
    path = tmp_path / "x"
    cube.add("The kettle is blue.")
    path.write_text("mine")
    with pytest.raises(Conflict, match="there already"):
        cube.export(path)
    assert path.read_text() == "mine"
    cube.export(path, overwrite=True)
    assert path.read_text().startswith('{"loci":1') and os.listdir(tmp_path) in (["x"], ["x", "vault"], ["vault", "x"])
    assert path.stat().st_mode & 0o077 == 0, "for its owner alone"


def test_a_name_that_was_taken_meanwhile_is_left_alone(cube: Cube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    cube.add("The kettle is blue.")
    links = cube._store.links

    def taking() -> object:
        path.write_text("mine")
        return links()

    monkeypatch.setattr(cube._store, "links", taking)
    with pytest.raises(Conflict):
        cube.export(path)
    assert path.read_text() == "mine" and not list(tmp_path.glob(".x*"))


def test_an_export_that_breaks_off_leaves_what_was_there(cube: Cube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    cube.add("The kettle is blue.")
    cube.export(path)
    before = path.read_bytes()

    def broken(line: dict[str, object]) -> object:
        if "memory" in line:
            raise Killed
        return plain(line)

    monkeypatch.setattr("loci.infrastructure.dumper.plain", broken)
    with pytest.raises(Killed):
        cube.export(path, overwrite=True)
    assert path.read_bytes() == before and not list(tmp_path.glob(".x*"))


def test_an_export_that_has_nowhere_to_go(cube: Cube, tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no folder"):
        cube.export(tmp_path / "none" / "x")
    with pytest.raises(Invalid, match="is a folder"):
        cube.export(tmp_path, overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_export_into_a_folder_that_cannot_be_written(cube: Cube, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(ReadOnly):
        cube.export(tmp_path / "closed" / "x")
