"""T2: what is handed in is never syntax. Every string means itself: results equal those of plain Python over the same data, what cannot
be meant is refused by name, no table is touched that should not be, and no file appears that was not asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from tests.conftest import open_memory

from loci import Message
from loci.drivers.sqlite.words import stems
from loci.errors import Invalid, LociError, Missing
from loci.ports import Probe, RowFilter
from loci.system import Cube
from loci.testing import CountingIds, HashEmbedder, ManualClock
from loci.text.tokens import content_words, words
from loci.types import Channel, Memory, Record
from loci.wire import MemOS

HOSTILE = [
    # SQL
    "' OR '1'='1", "' OR 1=1 --", "'; DROP TABLE sources; --", "'); DELETE FROM memories; --", '" OR ""="', "\\' OR 1=1 --", "admin'--", "1; PRAGMA writable_schema=1",
    "' UNION SELECT name FROM names --", "x' AND randomblob(1000000000)--", "NULL", "null", "?1", ":user", "@user", "$user", "? OR 1", "0", "1", "-1", "u1", "X'41'", "`", "[main]",
    "') or true or ('", "/* x */", "-- x", ";", "'", "''", '"', '""', "' || (SELECT secret FROM header) || '", "ATTACH DATABASE 'x.db' AS x",
    # FTS5
    '" OR *', "kettle*", "kettle NEAR zorbak", "NEAR(kettle zorbak, 2)", "kettle NOT zorbak", "kettle AND", "OR", "NOT", "^kettle", "scope : u1", "scope:u2 OR words:kettle",
    "{scope words} : kettle", "- scope : u1", "-kettle", "+kettle", 'words : "kettle', "kettle\"", "(kettle", "kettle)", "kettle + zorbak", "kettle::zorbak", "rank MATCH 'bm25'", "*", "**", "^",
    "text_index", "rowid:1",
    # LIKE, GLOB, JSON paths, regular expressions
    "%", "_", "%kettle%", "a_b", "a%b", "[a-z]*", "?", "$", "$.user", "$[0]", "$.*", "$**.x", "{}", "[]", '{"$ne": null}', '{"$gt": ""}', "a.b", ".*", "(a+)+$", "^.*$",
    # paths, formats, shells, templates
    "../../etc/passwd", "..", ".", "/", "//x", "C:\\x", "..\\x", "file:x?mode=memory", "~", "~root", "%2e%2e%2f", "a/b", "nul", "-", "--help", "%s", "%n%n", "%(x)s", "{0}", "{x.__class__}",
    "${HOME}", "$(touch x)", "`touch x`", "| touch x", "; touch x", "&& touch x", "> x", "{{7*7}}", "{% x %}", "<%= x %>", "#{x}", "<script>", "<!--", "]]>",
    # what is easily taken for something else
    "", " ", "  x  ", "a\0b", "\0", "\n", "a\nb", "a\r\nb", "\t", "\x1b[31m", "Alice", "alice", "ALICE", "aliCe ", "Ａlice", "alice\u200b", "\u202ealice", "é", "e\u0301", "ß", "ss", "İ", "i", "ﬁ", "fi",
    "user", "assistant", "system", "owner", "main", "None", "nobody", "true", "x" * 1000, "😀",
]  # fmt: skip
DECOYS = ["alice' ", "Alice\0", "kettle", "%%", "__", "x" * 999, "u2", "a", "' OR '1'='1' --", "é\u200b"]


class World:
    """A cube in which every hostile string is a user, an agent, a session, a speaker, a message id, a caption and in a text; and
    what plain Python knows of it."""

    def __init__(self, folder: Path, ids: CountingIds) -> None:
        self.memory = open_memory(folder, clock=ManualClock(), ids=ids, embedder=HashEmbedder())
        self.cube = self.memory.cube("main")
        self.known: list[tuple[str, str, str, str]] = []  # memory, user, agent, session
        self.said: dict[str, Message] = {}
        for place, text in enumerate(HOSTILE):
            user, agent, session = text, HOSTILE[place - 1], HOSTILE[place - 2]
            message = Message("user", f"zorbak {text}", None, text, text or None, text, session)
            for id in self.cube.add(message, user=user, agent=agent).ids:
                self.known.append((id, user, agent, session))
                self.said[id] = message
        self.cube.drain()

    def ids(self, **scope: str) -> set[str]:
        """The reference: exact equality, nothing else."""
        places = {"user": 1, "agent": 2, "session": 3}
        return {row[0] for row in self.known if all(row[places[name]] == value for name, value in scope.items())}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("injection") / "vault", CountingIds())
    yield world
    assert world.memory.verify().is_clean
    world.memory.close()


def tables(cube: Cube) -> list[tuple[object, ...]]:
    db = apsw.Connection(str(cube._store.path), flags=apsw.SQLITE_OPEN_READONLY)
    found = list(db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name"))
    db.close()
    return found


# -- reading ---------------------------------------------------------------------------------------------------------------


def ids_of(memories: Sequence[Memory]) -> set[str]:
    return {memory.id for memory in memories}


@pytest.mark.parametrize("name", ["user", "agent", "session"])
def test_a_filter_lets_through_what_is_equal_and_nothing_else(world: World, name: str) -> None:
    for value in (*HOSTILE, *DECOYS):
        expected = world.ids(**{name: value})
        assert bool(expected) == (value in HOSTILE)
        assert ids_of(world.cube.list(**{name: value}, limit=10_000)) == expected, value  # type: ignore[arg-type]
        recall = world.cube.search("zorbak", **{name: value}, limit=1000)  # type: ignore[arg-type]
        assert recall.trace.considered == len(expected), value
        assert {hit.memory.id for hit in recall.hits} | {d for hit in recall.hits for d in hit.duplicates} == expected, value


def test_filters_together_are_an_and(world: World) -> None:
    for place, user in enumerate(HOSTILE):
        for agent in (HOSTILE[place - 1], HOSTILE[place - 3], "' OR '1'='1"):
            assert ids_of(world.cube.list(user=user, agent=agent, limit=10_000)) == world.ids(user=user, agent=agent)


def test_what_was_said_is_kept_to_the_letter(world: World) -> None:
    for id, message in world.said.items():
        why = world.cube.why(id)
        kept = why.sources[0].message
        assert kept == replace(message, at=kept.at)
        assert why.memory.text == message.words[why.memory.spans[0].start : why.memory.spans[0].end]
        assert (why.memory.scope.user, why.memory.speaker) == (
            message.speaker,
            message.speaker or "user",
        )  # a name that says nothing is none


TEXTS = [
    "kettle", "zorbak", "kettle zorbak", "the kettle near a zorbak", "scope u1", "scope words u2", "rowid 1", "text index", "or and not near", "drop tables; sources", "u1 kettle", "a b", "select secret from header",
]  # fmt: skip


def test_a_question_is_words_and_no_query(open_vault: Callable[..., MemOS]) -> None:
    """How many memories hold any of its words is what plain Python counts, whatever signs stand between them."""
    cube = open_vault().cube("main")
    cube.add([Message("user", text) for text in TEXTS], user="ann")
    cube.add([Message("user", text) for text in TEXTS[:4]], user="bob")
    for question in (*HOSTILE, *DECOYS, *TEXTS):
        if not question.strip():
            continue
        terms = set(content_words(question))
        for user, texts in ((None, TEXTS + TEXTS[:4]), ("ann", TEXTS), ("bob", TEXTS[:4]), ("nobody", [])):
            recall = cube.search(question, user=user, limit=100)
            assert recall.trace.signals["words"] == sum(bool(terms & set(words(text))) for text in texts), (question, user)
            assert recall.trace.considered == len(texts)
            assert all(user is None or hit.memory.scope.user == user for hit in recall.hits)


def test_a_term_is_a_phrase_and_no_query_even_below_the_reader(open_vault: Callable[..., MemOS]) -> None:
    """The reader hands on nothing but words; a driver trusts no reader."""
    cube = open_vault().cube("main")
    cube.add([Message("user", text) for text in TEXTS], user="ann")
    cube.add([Message("user", text) for text in TEXTS[:4]], user="bob")
    stemmed = [stems(cube._store._db(), text) for text in TEXTS]
    for term in (*HOSTILE, *DECOYS, *TEXTS, "kettle OR zorbak", '" OR words : "kettle'):
        phrase = stems(cube._store._db(), term)
        for user, texts in ((None, stemmed + stemmed[:4]), ("ann", stemmed), ("bob", stemmed[:4])):
            found = cube._store.survey(Probe((term,), None, ()), RowFilter(now=ManualClock().now(), user=user))
            assert found.counts["words"] == sum(
                phrase != [] and any(text[n : n + len(phrase)] == phrase for n in range(len(text))) for text in texts
            ), term


def leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def test_the_log_is_filtered_by_what_is_equal(world: World) -> None:
    log = world.cube.log(limit=10_000)
    source = log[3].object
    inside = next(record.detail["sources"][0] for record in log)
    for object in (
        *HOSTILE,
        *DECOYS,
        source,
        source[:-1],
        inside,
        inside[1:],
        "sources",
        "added",
        '"',
        '","',
        "[",
        ":",
        f'"{inside}"',
        f"{inside}\0",
    ):

        def is_meant(record: Record, object: str = object) -> bool:
            return record.object == object or object in set(leaves(dict(record.detail)))

        assert world.cube.log(object=object, limit=10_000) == [record for record in log if is_meant(record)], object
        assert not world.cube.log(verb=object, limit=10_000), object
    assert world.cube.log(verb="add", limit=10_000) == [record for record in log if record.verb == "add"]


@pytest.mark.parametrize("wrong", [{"object": "half \ud83d"}, {"verb": "\ud800"}, {"object": 5}], ids=repr)
def test_a_log_filter_that_is_no_text_is_refused(world: World, wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        world.cube.log(**wrong)  # type: ignore[arg-type]


# -- ids, reasons, choices -------------------------------------------------------------------------------------------------


def test_an_id_that_is_none_finds_nothing_and_changes_nothing(world: World) -> None:
    cube, clock = world.cube, ManualClock()
    with pytest.raises(Missing):
        cube.erase("notes what was used, so that nothing is left to be noted")
    before, log = tables(cube), cube.log(limit=10_000)
    for id in (*HOSTILE, *DECOYS, world.known[0][0] + "\0", world.known[0][0].lower() + "'"):
        for verb in (
            lambda id=id: cube.get(id), lambda id=id: cube.get(id, as_of=clock.now()), lambda id=id: cube.history(id), lambda id=id: cube.update(id, "x y"),
            lambda id=id: cube.forget(id), lambda id=id: cube.restore(id), lambda id=id: cube.move(id, "archive"), lambda id=id: cube.why(id),
            lambda id=id: cube.why_not("kettle", id), lambda id=id: cube.erase(id), lambda id=id: cube.erase(source=id),
        ):  # fmt: skip
            with pytest.raises(Missing):
                verb()
    assert tables(cube) == before and cube.log(limit=10_000) == log and ids_of(cube.list(limit=10_000)) == world.ids()


def test_a_reason_is_kept_to_the_letter(open_vault: Callable[..., MemOS]) -> None:
    cube = open_vault().cube("main")
    for place, reason in enumerate(HOSTILE):
        id = cube.add(f"The kettle number {place} is blue.", user="ann").ids[0]
        cube.update(id, f"The kettle number {place} is red. {reason}", reason=reason)
        assert cube.get(id).reason == (reason or "overwrite") and cube.get(id).text.endswith(f"red. {reason}")
        cube.move(id, "freeze", reason=reason)
        cube.move(id, "thaw", reason=reason)
        assert {step.reason for step in cube.why(id).transitions} <= {reason or "freeze on request", reason or "thaw on request"}
        cube.forget(id, reason=reason)
        assert cube.get(id).ending == (reason or "forgotten on request")
        cube.restore(id, reason=reason)
        assert cube.get(id).reason == (reason or "restored on request")
    assert len(cube.list(limit=10_000)) == len(HOSTILE) and cube.verify().is_clean


def test_a_choice_that_is_none_is_refused(open_vault: Callable[..., MemOS], tmp_path: Path) -> None:
    cube = open_vault().cube("main")
    id = cube.add("The kettle is blue.").ids[0]
    log = cube.log()
    (tmp_path / "chat.txt").write_text("2024-05-12 14:33 Ana: hi")
    for value in HOSTILE:
        if value in ("user", "assistant"):  # ways in that there are
            continue
        for verb in (
            lambda v=value: cube.add("The kettle is red.", channel=v), lambda v=value: cube.list(types=[v]), lambda v=value: cube.search("kettle", types=[v]),
            lambda v=value: cube.update(id, "x y", mode=v), lambda v=value: cube.move(id, v), lambda v=value: cube.restore(id, to=v),
            lambda v=value: cube.import_file(tmp_path / "chat.txt", format=v), lambda v=value: cube.list(limit=v), lambda v=value: cube.add("x", priority=v),
        ):  # fmt: skip
            with pytest.raises(Invalid):
                verb()
    assert cube.log() == log and [m.id for m in cube.list()] == [id]


def test_a_channel_may_be_named(cube: Cube) -> None:
    assert cube.get(cube.add("The kettle is blue.", channel="tool").ids[0]).origin.channel is Channel.TOOL  # type: ignore[arg-type]


# -- erasing ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["user", "session"])
def test_erasing_takes_what_is_equal_and_nothing_else(tmp_path: Path, name: str) -> None:
    world = World(tmp_path / "vault", CountingIds())
    left = set(world.ids())
    for value in ("%", "' OR '1'='1", "alice", "", "a\0b", "NULL", "_", '" OR *', "u1", "e\u0301", "x" * 1000):
        world.cube.erase(**{name: value})
        left -= world.ids(**{name: value})
        assert ids_of(world.cube.list(limit=10_000)) == left
        with pytest.raises(Missing):
            world.cube.erase(**{name: value})
    for value in DECOYS:
        with pytest.raises(Missing):
            world.cube.erase(**{name: value})
    assert ids_of(world.cube.list(limit=10_000)) == left and world.memory.verify().is_clean
    world.memory.close()


# -- files -----------------------------------------------------------------------------------------------------------------


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_name_of_a_cube_is_refused_or_is_a_file_in_the_vault(tmp_path: Path) -> None:
    with open_memory(tmp_path / "in" / "vault") as memory:
        origin = memory.cube("main")
        origin.add("The kettle is blue.")
        taken = set()
        for name in (*HOSTILE, *DECOYS, "main.loci", "x\n", "a..b", "é" * 40):
            for make in (memory.cube, origin.branch):
                try:
                    made = make(name)
                except LociError:
                    continue
                taken.add(made.name)
                assert made.name == name
            with pytest.raises(LociError):
                memory.cube(f"{name}/../{name}")
    names = {"main", *taken}
    assert names <= {"main", *HOSTILE, *DECOYS}
    expected = {"in", "in/vault", "in/vault/registry.db", *(f"in/vault/{name}.loci" for name in names)}
    assert {file for file in files(tmp_path) if not file.endswith(("-wal", "-shm"))} == expected


def test_a_path_leads_where_it_says_or_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "a" / "b" / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    with open_memory(tmp_path / "vault") as memory:
        cube = memory.cube("main")
        cube.add("The kettle is blue.")
        known = files(tmp_path)
        relative = [path for path in (*HOSTILE, *DECOYS, "x" * 5000, "\ud800", "a" * 60 + "é" * 90) if not path.startswith("/")]
        for path in relative:
            target = here / path
            is_free = os.path.isdir(target.parent) and not os.path.lexists(target)
            try:
                cube.export(path)
            except LociError:
                assert files(tmp_path) == known, path
            else:
                assert is_free and files(tmp_path) == known | {target.resolve().relative_to(tmp_path.resolve()).as_posix()}, path
                assert cube.import_file(path).added == 0
                target.unlink()
    assert files(tmp_path) - known == set()


@pytest.mark.parametrize("setting", ["vault", "ranker", "cache", "key_file", "key_folder"])
@pytest.mark.parametrize("value", ["a\0b", "\ud800", "~nobody-of-that-name/x"])
def test_a_setting_that_is_no_path_is_refused(tmp_path: Path, setting: str, value: str) -> None:
    with pytest.raises(Invalid, match="no path"):
        MemOS.open(**{"vault": str(tmp_path / "v"), "embedder": "minilm" if setting == "cache" else "none", setting: value}).cube("main")  # type: ignore[arg-type]


def test_a_vault_called_like_an_address_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("file:x?mode=memory", "a?b#c%41", "%s{0}"):
        with MemOS.open(name, embedder="none", background=False) as memory:
            memory.cube("main").add("The kettle is blue.")
            memory.cube("main").branch("twig")
        assert {"main.loci", "twig.loci"} <= files(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"file:x?mode=memory", "a?b#c%41", "%s{0}"}


def test_what_was_exported_means_the_same_elsewhere(world: World, tmp_path: Path) -> None:
    world.cube.export(tmp_path / "all.jsonl")
    with open_memory(tmp_path / "vault") as memory:
        cube = memory.cube("copy")
        cube.import_file(tmp_path / "all.jsonl")
        for user in (*HOSTILE, *DECOYS):
            if user:  # a name that says nothing is no name in a file
                assert sorted(m.text for m in cube.list(user=user, limit=10_000)) == sorted(
                    m.text for m in world.cube.list(user=user, limit=10_000)
                ), user
        assert cube.verify().is_clean
