"""What people have is read to messages, and what cannot be read names the line and what would be right."""

from __future__ import annotations

import contextlib
import json
import pickle
import random
import re
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.errors import Invalid, LociError, Malformed, Missing, NewerSchema, TooLarge
from loci.infrastructure import loader
from loci.infrastructure.chats import ROLES
from loci.infrastructure.loader import Transcript, read
from loci.types import Message
from loci.wire import MemOS

DATA = Path(__file__).resolve().parents[2] / "data"
ALL = ("chatgpt.json", "whatsapp_brackets.txt", "whatsapp_dash.txt", "iso.txt", "dated.txt", "messages.jsonl", "messages.json",
       "conversations.jsonl")  # fmt: skip


def at(*moment: int, hours: float = 0) -> datetime:
    return datetime(*moment, tzinfo=timezone(timedelta(hours=hours)) if hours else UTC)  # type: ignore[misc,arg-type]


def one(name: str) -> Transcript:
    found = read(DATA / name)
    assert len(found) == 1
    return found[0]


def brief(messages: Sequence[Message]) -> list[tuple[str, str, datetime | None]]:
    return [(m.speaker or f"<{m.role}>", m.text, m.at) for m in messages]


# -- a fixture for each format -----------------------------------------------------------------------------------------------


def test_whatsapp_with_brackets() -> None:
    found = one("whatsapp_brackets.txt")
    assert found.name == "whatsapp_brackets"
    assert brief(found.messages) == [
        ("Orchard walk", "\u200eMessages and calls are end-to-end encrypted.", at(2024, 5, 12, 14, 31, 2)),
        ("Ana", "I found a flat in Braga: two rooms, one lemon tree", at(2024, 5, 12, 14, 33, 10)),
        ("Bo 🌱", "Buy the tree!\nAnd ask about:\nHeating: is it gas?", at(2024, 5, 12, 14, 33, 41)),
        ("Ana", "ok", at(2024, 5, 13, 21, 2)),
        ("Ana", "ok", at(2024, 5, 13, 21, 2)),
        ("<system>", "Ana added Cleo", at(2024, 5, 14, 8)),
    ]
    assert found.lines == (1, 2, 3, 6, 7, 8)
    assert [m.id for m in found.messages] == [None, None, None, None, "repeat 2", None]
    assert "lines of the app itself, without a name, were kept as 'system' (1: line 8)" in found.notes
    assert not any("day/month" in note for note in found.notes), "13/05 tells the order"


def test_whatsapp_with_dashes() -> None:
    found = one("whatsapp_dash.txt")
    assert brief(found.messages)[1:] == [
        ("Ana", "The ferry leaves at 6:40", at(2024, 5, 12, 14, 33)),
        ("+351 912 345 678", "Which pier?\n\nThe north one?", at(2024, 5, 12, 14, 35)),
        ("Ana", "Yes.", at(2024, 5, 12, 14, 37)),
    ]
    assert "no date tells whether the day or the month is first; they were read as day/month/year" in found.notes
    assert "empty messages were left out (1: line 6)" in found.notes


def test_iso_times_in_front() -> None:
    assert brief(one("iso.txt").messages) == [
        ("Ana", "hi", at(2024, 5, 12, 14, 33)),
        ("Bo", "hello: again\n  and a second line", at(2024, 5, 12, 14, 34, 30, hours=2)),
        ("<assistant>", "I am a model.", at(2024, 5, 12, 16)),
    ]


def test_names_under_date_lines() -> None:
    assert brief(one("dated.txt").messages) == [
        ("Ana", "Shall we paint the boat?", at(2024, 5, 12)),
        ("Bo", "Green?\nNo, wait.\n\nBlue.", at(2024, 5, 12)),
        ("Ana", "Blue it is", at(2024, 5, 13, 9, 15)),
        ("Bo", "On my way", at(2024, 5, 13, 10, 30)),
        ("Ana", "Done!", at(2024, 5, 14)),
    ]


def test_json_lines_of_messages() -> None:
    found = one("messages.jsonl")
    assert found.messages == (
        Message("user", "I sold the piano", at(2024, 5, 12, 14, 33, hours=1), id="17"),
        Message("assistant", "To whom?", at(2024, 5, 12, 14, 13, 10)),
        Message("user", "To my aunt", at(2024, 5, 12, 14, 13, 10) + timedelta(milliseconds=500), "Bo", session="evening"),
        Message("user", "", at(2024, 5, 13), "Ana", "the empty corner"),
        Message("user", "No date here", None, "Ana", id="line 5"),
        Message("user", "No date here", None, "Ana", id="line 6"),
    )
    assert found.notes == ("times without a zone were read as UTC", "keys that were not read: lang")


def test_an_array_of_messages() -> None:
    found = one("messages.json")
    assert [(m.text, m.id) for m in found.messages] == [("first", None), ("second", "message 2"), ("second", "message 3")]
    assert found.lines == (2, 7, 11)


def test_what_a_chat_has_without_words_is_refused_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    cat = [{"type": "text", "text": "My cat"}, {"type": "image_url", "image_url": {"url": "x"}}]
    calls = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    silent = [{"type": "reasoning", "summary": []}, {"role": "assistant", "content": []}]
    file.write_text(
        json.dumps(
            [{"role": "user", "content": cat}, calls, {"role": "user", "content": cat[1:]}, {"role": "user", "content": "Bye"}, *silent]
        )
    )
    found = one(str(file))
    assert [message.text for message in found.messages] == ["My cat", "Bye"]
    assert found.refused == (
        ("message 2", "it has no words, only tool_calls"), ("message 3", "it has no words, only image_url"),
        ("message 5", "it has no words, only reasoning"),
    )  # fmt: skip
    assert "empty messages were left out (1: line 1)" in found.notes


def test_conversations_of_turns() -> None:
    boat, bot = read(DATA / "conversations.jsonl")
    assert (boat.name, bot.name) == ("boat", "bot")
    assert boat.messages == (
        Message("user", "Look", at(2024, 5, 12, 14, 33), "Ana", "a green boat", "D1:1", "boat/1"),
        Message("user", "Nice", None, "Bo", None, "D1:2", "boat/2"),
    )
    assert [(m.role, m.speaker, m.session) for m in bot.messages] == [("user", None, "bot/1"), ("assistant", None, "bot/1")]


def test_chatgpt_reads_the_branch_that_was_last_seen() -> None:
    early, late = read(DATA / "chatgpt.json")
    assert (early.name, late.name) == ("c-early", "c-late"), "oldest first, under the id, empty ones left out"
    assert early.messages == (Message("user", "What is a tram?", None, id="b"),)
    assert brief(late.messages) == [
        ("<user>", "I move to Lisbon in May. Ideas?", datetime.fromtimestamp(1715600000.25, UTC)),
        ("<assistant>", "search('Lisbon')", datetime.fromtimestamp(1715600002, UTC)),
        ("browser", "42 results", datetime.fromtimestamp(1715600003, UTC)),
        ("<assistant>", "Alfama is steep.\nBring shoes.", datetime.fromtimestamp(1715600004, UTC)),
        ("<user>", "This one?", datetime.fromtimestamp(1715600005, UTC)),
    ]
    assert late.messages[-1].caption == "flat in Alfama.jpg" and late.messages[-1].id == "n6"
    assert early.notes == ("content of type 'thoughts' was not read (1: line 2)",)


def test_chatgpt_in_its_archive(tmp_path: Path) -> None:
    path = tmp_path / "export.bin"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(DATA / "chatgpt.json", "backup/conversations.json")
        archive.writestr("user.json", "{}")
    assert [t.messages for t in read(path)] == [t.messages for t in read(DATA / "chatgpt.json")]


@pytest.mark.parametrize("name", ALL)
def test_the_name_of_a_file_says_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / "whatever"
    path.write_bytes((DATA / name).read_bytes())
    assert [t.messages for t in read(path)] == [t.messages for t in read(DATA / name)]


@pytest.mark.parametrize("name", ALL)
def test_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    raw = (DATA / name).read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + raw.removeprefix(b"\xef\xbb\xbf").replace(b"\n", b"\r\n"))
    assert read(path) == read(DATA / name)


def test_one_conversation_printed_over_many_lines(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(json.loads((DATA / "chatgpt.json").read_text())[0], indent=2))
    assert [t.name for t in read(path)] == ["c-late"]


@pytest.mark.parametrize(("line", "is_month_first"), [("05/13/2024", True), ("13/05/2024", False)])
def test_one_date_settles_the_order_of_all(tmp_path: Path, line: str, is_month_first: bool) -> None:
    path = tmp_path / "chat.txt"
    path.write_text(f"[01/02/2024, 10:00] Ana: a\n[{line}, 10:00] Ana: b\n")
    first, second = read(path)[0].messages
    assert first.at == (at(2024, 1, 2, 10) if is_month_first else at(2024, 2, 1, 10)) and second.at == at(2024, 5, 13, 10)


@pytest.mark.parametrize(
    "line",
    [
        "12 May 2024",
        "Sunday, 12 May 2024",
        "May 12, 2024",
        "Sun 12th of May 2024",
        "=== 2024/05/12 ===",
        "# 12.05.2024",
        "**Sept 12, 2024**",
    ],
)
def test_date_lines(tmp_path: Path, line: str) -> None:
    path = tmp_path / "chat.txt"
    path.write_text(f"{line}\nAna: hi\n")
    assert read(path)[0].messages[0].at == at(2024, 9 if "Sept" in line else 5, 12)


# -- what is malformed -------------------------------------------------------------------------------------------------------

TURN = '"id":"1","speaker":"Ana","text":"hi"'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        # plain transcripts
        ("Some words.\nAna: hi", 1, "no message of a transcript"),
        ("\n\n  Ana: hi", 3, "no message of a transcript"),
        ("2024-05-12\nwords first\nAna: hi", 2, "no message of a transcript"),
        ("[31/02/2024, 10:00] Ana: hi", 1, "no day 31 of month 2"),
        ("[13/05/2024, 10:00] Ana: a\n[05/13/2024, 10:00] Ana: b", 2, "another order than in line 1"),
        ("[13/05/2024, 25:00] Ana: a", 1, "no time 25:00"),
        ("[13/05/2024, 10:00] Ana: a\n[13/05/2024, 13:00 PM] Ana: a", 2, "no hour 13"),
        ("2024-05-12 14:33 Ana: hi\n2024-05-12 14:34 nobody", 2, "nobody is named"),
        ("[13/05/2024, 10:00] nobody", 0, "no line says who spoke"),
        ("Ana: hi\n14:33 Bo: there", 2, "time without a date"),
        ("Ana: hi\nMonday, 12 May 2024\nBo: there", 2, "was a Sunday"),
        ("2024-13-12\nBo: there", 1, "no day 12 of month 13"),
        ("2024-05-12\n\n", 0, "no message"),
        # JSON
        ('{"role":"user","text":"a"}\n{"role":"user","text":"b"\n{"role":"user","text":"c"}', 2, "not JSON"),
        ('{"role":"user","text":"a"\n{"role":"user","text":"b"}', 2, "not JSON"),
        ('{"role":"user","text":"a"}\n\n["b"]', 3, "must be an object"),
        ('{"role":"user","text":"a"} trailing', 1, "not JSON"),
        ('[{"role":"user","text":"a"},\n{"role":"user","text":"b"}', 2, "',' or ']'"),
        ('[{"role":"user","text":"a"},\n\n{"role":"user" "text":"b"}]', 3, "not JSON"),
        ('[{"role":"user","text":"a"},\n]', 2, "not JSON"),
        ('[{"role":"user","text":"a"}]\nmore', 2, "more after the end"),
        ("[]", 0, "holds no message"),
        ('{"a":' + "[" * 100_000, 1, "nested too deeply"),
        ('{"role":"user","text":"a","text":"b"}', 1, "'text' is there twice"),
        ('{"role":"user","text":"a","at":NaN}', 1, "NaN"),
        # messages
        ('{"text":"a"}', 1, "nobody said it"),
        ('{"role":"narrator","text":"a"}', 1, "user, assistant, tool or system"),
        ('{"role":"user"}', 1, "'text' is missing"),
        ('{"role":"user","text":"a"}\n{"role":"user","content":["b"]}', 2, "'content' is an array"),
        ('{"role":"user","text":7}', 1, "'text' is 7"),
        ('{"role":"user","text":"a","at":"yesterday"}', 1, "such as 2024-05-12T14:33"),
        ('{"role":"user","text":"a","at":1e300}', 1, "such as 2024-05-12T14:33"),
        ('{"role":"user","text":"a","at":true}', 1, "'at' is true"),
        ('{"role":"user","text":"a","id":1.5}', 1, "'id' is 1.5"),
        ('{"role":"user","text":"a","caption":{}}', 1, "'caption' is an object"),
        ('{"role":"user","text":" "}', 0, "holds no message"),
        # conversations
        ('{"turns":[]}', 1, "'id' is missing"),
        ('{"id":"a","turns":[{' + TURN + ']}', 1, "not JSON"),
        ('{"id":"a","turns":[{' + TURN + '}]}\n{"id":"a","turns":[]}', 2, "earlier conversation"),
        ('{"id":"a","turns":{}}', 1, "'turns' is an object"),
        ('{"id":"a","turns":[{' + TURN + '},{' + TURN + '}]}', 1, "turn 2: the id '1' is that of an earlier turn"),
        ('{"id":"a","turns":[{"id":1,"text":"hi"}]}', 1, "'speaker' is missing"),
        ('{"id":"a","turns":[{"speaker":"Ana","text":"hi"}]}', 1, "turn 1: 'id' is missing"),
        ('{"id":"a","turns":[{"id":1,"speaker":"Ana","text":null}]}', 1, "'text' is missing"),
        # Loci's own
        ('{"loci":0}', 1, "'loci' is 0"),
        ('{"loci":1,"sources":1,"memories":0}', 1, "has 0 sources and its header says 1"),
        ('{"loci":1,"sources":0,"memories":0}\n{"stone":1}', 2, "neither"),
        ('{"loci":1,"sources":1,"memories":0}\n{"source":"s","message":{"role":"user","text":"a"}}', 2, "needs 'at'"),
    ],
)  # fmt: skip
def test_a_malformed_file_names_the_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "chat.x"
    path.write_text(text)
    with pytest.raises(Malformed) as caught:
        read(path)
    assert caught.value.line == line and words in str(caught.value)
    assert str(caught.value).startswith("chat.x" if line == 0 else f"chat.x, line {line}: ")


def node(text: str, parent: str | None = None, **more: object) -> dict[str, object]:
    said = {"author": {"role": "user"}, "content": {"content_type": "text", "parts": [text]}, **more}
    return {"parent": parent, "message": said, "children": []}


def chat(current: str, **nodes: object) -> dict[str, object]:
    return {"id": "c", "mapping": nodes, "current_node": current}


@pytest.mark.parametrize(
    ("odd", "texts", "item", "why"),
    [
        (5, [], "conversation 1", "it must be an object in braces, and is 5"),
        ({"mapping": {}}, [], "conversation 1", "'conversation_id' is missing"),
        ({"id": "whole", "mapping": {}}, [], "whole", "that of an earlier conversation too"),
        ({"id": "c", "mapping": []}, [], "c", "'mapping' must be an object in braces, and is an array"),
        ({"id": "c", "mapping": {"a": node("hi"), "b": node("ho")}}, [], "c", "more than one branch"),
        (chat("b", a=node("hi"), b=node("ho", "a", create_time="soon")), ["hi"], "b", "'create_time' is \"soon\"; it must be a time"),
        (chat("b", a=node("hi"), b=node("ho", "a", author={"role": "ghost"})), ["hi"], "b", "role is 'ghost'"),
        (chat("b", a=node("hi"), b={"parent": "a", "message": 7}), ["hi"], "b", "'message' must be an object in braces, and is 7"),
        (chat("b", a=node("hi"), b=node("ho", "a", content=None)), ["hi"], "b", "'content' must be an object in braces, and is null"),
        (chat("b", a=node("hi"), b=node("half \ud83d", "a")), ["hi", "half \ud83d"], "", ""),  # refused where it would be stored
        (chat("b", a=node("hi")), ["hi"], "c/b", "'current_node' names it, and there is no such node"),
        (chat("b", a=node("hi", "b"), b=node("ho", "a")), ["hi", "ho"], "c/b", "node 'a' names it as its parent, and comes after it"),
        (chat("b", a=node("hi"), b=node("ho", "gone")), ["ho"], "c/gone", "no such node: what was before is left out"),
        (chat("b", a={**node("hi"), "children": ["b"]}, b=node("ho", "gone")), ["hi", "ho"], "c/gone", "goes on at 'a', which has 'b' among its"),
        (chat("b", a={**node("hi"), "children": ["x"]}, x=7, b=node("ho", "x")), ["ho"], "c/x", "no such node: what was before is left out"),
    ],
)  # fmt: skip
def test_what_is_odd_in_a_chatgpt_export_is_refused_by_itself(tmp_path: Path, odd: object, texts: list[str], item: str, why: str) -> None:
    path = tmp_path / "conversations.json"
    whole = {"id": "whole", "mapping": {"w": node("a whole one")}}
    path.write_text(json.dumps([odd, whole] if item == "conversation 1" else [whole, odd]))
    found = read(path, "chatgpt")
    refused = [pair for transcript in found for pair in transcript.refused]
    assert sorted(m.text for t in found for m in t.messages) == sorted(["a whole one", *texts])
    assert [i for i, _ in refused] == ([item] if item else []) and all(why in told for _, told in refused)


@pytest.mark.parametrize(
    ("raw", "line", "words"),
    [
        (b"", 0, "is empty"),
        (b"\xef\xbb\xbf\n \n", 0, "is empty"),
        (b"Ana: caf\xe9\n", 1, "byte 8 (0xe9) is not UTF-8"),
        (b"Ana: hi\nBo: caf\xe9\n", 2, "byte 15"),
        ("Ana: hi".encode("utf-16"), 1, "UTF-16"),
        (b"PK\x03\x04 and nothing", 0, "damaged or locked archive"),
    ],
)
def test_a_file_that_is_no_text_names_the_byte(tmp_path: Path, raw: bytes, line: int, words: str) -> None:
    path = tmp_path / "chat.txt"
    path.write_bytes(raw)
    with pytest.raises(Malformed, match=r"^chat\.txt") as caught:
        read(path)
    assert caught.value.line == line and words in str(caught.value)


def test_a_file_that_is_not_there_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no file"):
        read(tmp_path / "none.txt")
    with pytest.raises(Invalid, match="is a folder"):
        read(tmp_path)
    with pytest.raises(Invalid, match="must be one of chatgpt, claude"):
        read(DATA / "iso.txt", "word")


def test_a_named_format_is_held_to(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="line 1: this is not JSON"):
        read(DATA / "iso.txt", "messages")
    assert read(DATA / "iso.txt", "transcript") == read(DATA / "iso.txt")


def test_a_newer_export_is_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "cube.jsonl"
    path.write_text('{"loci":2}\n')
    with pytest.raises(NewerSchema, match="Upgrade"):
        read(path)


def test_an_archive_that_would_unpack_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", " " * (loader.RATIO_FROM_BYTES + 1))
    with pytest.raises(TooLarge, match="unpacks to"):
        read(path)
    monkeypatch.setattr(loader, "MAX_FILE_BYTES", 100)
    with pytest.raises(TooLarge, match="larger than 100 bytes"):
        read(DATA / "chatgpt.json")


PICKLES = [pickle.dumps({"a": 1}, protocol) for protocol in (2, 3, 4, 5)]


@pytest.mark.parametrize(("name", "raw"), [("import", PICKLES[0]), ("a.json", PICKLES[1]), ("cache.bin", PICKLES[2]), ("cache.pickle", PICKLES[3]),
                         ("old.pickle", pickle.dumps("a", 0)), ("cache.PKL", b"")])  # fmt: skip
@pytest.mark.parametrize("format", [None, "memos", "transcript"])
def test_a_pickle_says_what_it_is_and_what_to_give_instead(tmp_path: Path, name: str, raw: bytes, format: str | None) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(Malformed, match=r"is a pickle: to open it would run.*textual_memory\.json.*as JSON") as caught:
        read(tmp_path / name, format)
    assert str(caught.value).startswith(name) and "UTF-8" not in str(caught.value)


@pytest.mark.parametrize("name", ["activation_memory.pickle", "parametric_memory.adapter", "cache.bin"])
def test_a_folder_of_nothing_but_pickles_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_bytes(PICKLES[0])
    with pytest.raises(Malformed, match=rf"holds no words, and {name}: a pickle: to open it would run"):
        read(tmp_path)


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("conversations.json.bak", "[]")
    with pytest.raises(Malformed, match=r"no conversations\.json"):
        read(path)


@pytest.mark.parametrize("name", ["memories", "export.zip"])
def test_conversations_are_those_of_chatgpt_wherever_they_lie(tmp_path: Path, name: str) -> None:
    """Twice under one name, as an archive may hold them, both are read."""
    ours = [json.dumps([{"id": id, "mapping": {id: node(id)}}]).encode() for id in "abc"]
    with pytest.warns(UserWarning, match="Duplicate name"):
        zipped(
            tmp_path / name, [("projects/conversations.json", ours[0]), ("conversations.json", ours[1]), ("conversations.json", ours[2])]
        )
    found = read(tmp_path / name)
    assert sorted(t.name for t in found) == ["a", "b", "c"] and not any(t.refused for t in found)


def zipped(path: Path, members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return bytearray(path.read_bytes())


def test_members_that_share_their_bytes_do_not_pass_for_a_larger_archive(tmp_path: Path) -> None:
    """Each unpacks to 200 times its size or less; together they unpack to more, from bytes that they have in common."""
    text = b"[" + b" " * 9_000_000 + b'"%s' % random.Random(1).randbytes(60_000).hex().encode()
    raw = zipped(tmp_path / "bomb.zip", [(f"conversations-{n}.json", text) for n in range(9)])
    with zipfile.ZipFile(tmp_path / "bomb.zip") as archive:
        kernel = raw[: archive.infolist()[1].header_offset]
    directory = raw[raw.index(b"PK\x01\x02") :]
    for found in list(re.finditer(rb"PK\x01\x02", directory)):  # all point to the first
        directory[found.start() + 42 : found.start() + 46] = bytes(4)
    directory[-6:-2] = len(kernel).to_bytes(4, "little")
    (tmp_path / "bomb.zip").write_bytes(kernel + directory)
    with pytest.raises(TooLarge, match=f"from {len(kernel + directory):,}"):
        read(tmp_path / "bomb.zip")


def test_a_member_that_lies_about_its_length_is_not_unpacked_beyond_it(tmp_path: Path) -> None:
    path = tmp_path / "liar.zip"
    raw = zipped(path, [("conversations.json", b" " * 100_000_000)])
    directory = raw.index(b"PK\x01\x02")
    raw[directory + 24 : directory + 28] = (50).to_bytes(4, "little")
    path.write_bytes(raw)
    tracemalloc.start()
    with pytest.raises(Malformed, match="damaged"):
        read(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5_000_000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_packed_by_another_method(tmp_path: Path, method: int) -> None:
    zipped(tmp_path / "a.zip", [("conversations.json", b"[]")], method)
    with pytest.raises(Malformed, match=f"method {method}; pack it with Deflate"):
        read(tmp_path / "a.zip")


def test_an_archive_with_any_byte_changed_or_cut_off_is_read_or_refused(tmp_path: Path) -> None:
    path, chance = tmp_path / "a.zip", random.Random(2)
    whole = zipped(path, [("a/conversations.json", (DATA / "chatgpt.json").read_bytes()), ("conversations-2.json", b"[]")])
    for _ in range(400):
        raw = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            raw[chance.randrange(len(raw) - 200 if chance.random() < 0.2 else len(raw))] = chance.randrange(256)
        tail = chance.randrange(len(raw) - 150, len(raw)) if chance.random() < 0.7 else chance.randrange(4, len(raw))
        raw[tail] = chance.choice((0, 1, 127, 128, 255))
        path.write_bytes(raw if chance.random() < 0.8 else raw[: chance.randrange(4, len(raw))] + raw[-22:])
        with contextlib.suppress(LociError):
            read(path)


@pytest.mark.parametrize(
    "name", ["../../conversations.json", "/etc/conversations.json", "C:\\conversations.json", "a/../conversations.json"]
)
def test_a_forged_path_in_an_archive_leads_nowhere(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "inner" / "most"
    folder.mkdir(parents=True)
    zipped(folder / "a.zip", [(name, (DATA / "chatgpt.json").read_bytes())])
    with contextlib.suppress(Malformed):
        assert read(folder / "a.zip")
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == ["inner", "inner/most", "inner/most/a.zip"]


@pytest.mark.parametrize("blank", ["\u200e", " \u200e", "\ufeff \u202c"])
def test_a_line_of_nothing_but_invisible_marks_is_an_empty_line(tmp_path: Path, blank: str) -> None:
    path = tmp_path / "chat.txt"
    for text in (f"{blank}\n2024-05-12 14:33 Ana: hi", f"{blank}\n2024-05-12\n{blank}\nAna: hi"):
        path.write_text(text, "utf-8")
        assert [m.text for m in read(path)[0].messages] == ["hi"]


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"role":"user","text":', "[[", '{"mapping":{"a":'])
@pytest.mark.parametrize("format", [None, *loader.FORMATS])
def test_json_that_is_nested_beyond_all_measure(tmp_path: Path, opening: str, format: str | None) -> None:
    path = tmp_path / "deep.json"
    path.write_text(opening * 200_000)
    with pytest.raises(Malformed):
        read(path, format)


# -- laws --------------------------------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ .'’-]{0,20}[A-Za-zÀ-ÿ]", fullmatch=True).filter(lambda n: n.lower() not in ROLES)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(lambda t: t.strip() and t.isprintable())
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)).map(lambda t: t.replace(microsecond=0))


@given(st.lists(st.tuples(TIMES, NAMES, TEXTS), min_size=1, max_size=20), st.sampled_from(["[{0:%d/%m/%Y, %H:%M:%S}] {1}: {2}",
       "{0:%d/%m/%y, %I:%M:%S %p} - {1}: {2}", "{0:%Y-%m-%d %H:%M:%S} {1}: {2}"]))  # fmt: skip
def test_a_written_transcript_is_read_back(tmp_path: Path, said: list[tuple[datetime, str, str]], shape: str) -> None:
    said = [(datetime(2024, 5, 13), "Ana", "a date that settles the order"), *said]
    path = tmp_path / "chat.txt"
    path.write_text("\n".join(shape.format(*turn) for turn in said), "utf-8", newline="")
    found = read(path)[0].messages
    assert brief(found) == [(name, text.rstrip(), t.replace(tzinfo=UTC)) for t, name, text in said]


MESSAGES = st.builds(
    Message, st.sampled_from(["user", "assistant", "tool", "system"]), WORDS.filter(str.strip),
    st.none() | st.datetimes(timezones=st.just(UTC)), st.none() | TEXTS, st.none() | TEXTS, TEXTS, st.none() | TEXTS,
)  # fmt: skip


@given(st.lists(MESSAGES, min_size=1, max_size=20))
def test_messages_written_as_json_lines_are_read_back(tmp_path: Path, messages: list[Message]) -> None:
    path = tmp_path / "chat.jsonl"
    lines = [{"role": m.role, "text": m.text, "at": m.at and m.at.isoformat(), "speaker": m.speaker, "caption": m.caption, "id": m.id,
              "session": m.session} for m in messages]  # fmt: skip
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8", newline="")
    assert list(read(path)[0].messages) == [m for m in messages if m.text.strip("\u200b\u200e\u200f\ufeff")]


@given(st.binary(max_size=200) | st.text(st.characters(exclude_categories=["Cs"]), max_size=200).map(str.encode))
def test_any_file_is_read_or_refused_in_words(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "chat"
    path.write_bytes(raw)
    try:
        assert all(t.messages for t in read(path))
    except LociError as error:
        assert str(error)


@given(st.sampled_from(ALL), st.data())
def test_a_damaged_file_is_read_or_refused_in_words(tmp_path: Path, name: str, data: st.DataObject) -> None:
    raw = bytearray((DATA / name).read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place : place + data.draw(st.integers(0, 20))] = data.draw(
        st.binary(max_size=5) | st.sampled_from([b"null", b'"', b"{", b"]", b":", b"7"])
    )
    path = tmp_path / "chat"
    path.write_bytes(raw)
    try:
        assert all(t.messages for t in read(path))
    except LociError as error:
        assert str(error)


def test_a_file_of_several_users_keeps_them_apart(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    lines = (
        '{"role":"user","text":"tea","at":"2025-01-01T00:00:00Z","metadata":{"a":1},"user":"bob"}', '{"role":"user","text":"jam","at":"2025-01-01T00:00:00Z"}',
        '{"role":"user","text":"rye","at":"2025-01-01T00:00:00Z","user":"bob"}',
    )  # fmt: skip
    file.write_text("\n".join(lines))
    bobs, nobodys = read(file)
    assert (bobs.user, [m.text for m in bobs.messages], bobs.messages[0].metadata) == ("bob", ["tea", "rye"], {"a": 1})
    assert (nobodys.user, [m.text for m in nobodys.messages], bobs.notes) == (None, ["jam"], ())
    file.write_text('{"role":"user","text":"tea","metadata":[1]}')
    with pytest.raises(Malformed, match="line 1: a message: 'metadata' is an array; it must be an object"):
        read(file)


def test_a_cube_or_a_vault_of_our_own_is_no_import(open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault()
    memory.cube("main").add("The kettle is blue.")
    root = memory._parts.vault.root
    with pytest.raises(Invalid, match="is a vault of Loci's: `loci --vault"):
        read(root)
    memory.close()
    with pytest.raises(Invalid, match=r"main\.loci is a cube of Loci's: put it into the folder of a vault"):
        read(root / "main.loci")
