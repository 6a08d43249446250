"""What bad input gets: a typed error that says what to do, and a cube that is as it was."""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loci import Memory, Message, Outcome
from loci.drivers.sqlite.codec import time_of
from loci.errors import Conflict, Invalid, Missing, TooLarge, Unavailable, VersionConflict
from loci.interface.reader import MemReader
from loci.operation.intake import MAX_NAME, MAX_TEXT_BYTES
from loci.settings import load
from loci.system import Cube
from loci.testing import HashEmbedder, ManualClock
from loci.types import Trust
from loci.wire import MemOS

# -- texts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "   ", "\n\t\r", "\u2003"])
def test_an_empty_text_is_refused(cube: Cube, text: str) -> None:
    with pytest.raises(Invalid, match=r"Message 2 is empty.*Nothing was stored"):
        cube.add([Message("user", "The kettle is blue."), Message("user", text)])
    assert cube._store.is_empty() and not cube.log()


CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
PICTURE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/cat.png"}}]}


def test_of_an_agents_transcript_what_has_no_words_is_left_out_and_named(cube: Cube) -> None:
    text = {"role": "user", "content": [{"type": "text", "text": "This is my cat."}, *PICTURE["content"]]}
    receipt = cube.add([{"role": "user", "content": "How is the weather?"}, CALLS, PICTURE, text])
    assert [memory.text for memory in cube.list()] == ["How is the weather?", "This is my cat."]
    left_out = [(change.outcome.value, change.reason) for change in receipt.changes if change.memory is None]
    assert left_out == [("refused", "Message 2 has no words, only tool_calls."), ("refused", "Message 3 has no words, only image_url.")]
    again = cube.once("k").add([{"role": "user", "content": "It is warm."}, CALLS])
    assert cube.once("k").add([{"role": "user", "content": "It is warm."}, CALLS]) == again and again.changes[-1].outcome == "refused"


@pytest.mark.parametrize(
    ("silent", "only"),
    [
        ({"role": "assistant", "content": None, "refusal": "no"}, ", only refusal"),
        ({"role": "assistant", "content": []}, ""), ({"role": "assistant", "content": ""}, ""), ({"role": "assistant", "content": None}, ""),
        ({"role": "assistant", "content": [{"type": "text", "text": " "}]}, ""), ({"role": "tool", "tool_call_id": "1", "content": ""}, ""),
        ({"role": "assistant", "content": None, "audio": {"id": "1"}}, ", only audio"),
        ({"type": "reasoning", "summary": []}, ", only reasoning"),
        ({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "I live in Oslo."}]}, ", only reasoning"),
        ({"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}, ", only function_call"),
        ({"type": "function_call_output", "call_id": "1", "output": "rain"}, ", only function_call_output"),
    ],
)  # fmt: skip
def test_items_of_a_transcript_that_say_nothing_are_left_out(cube: Cube, silent: dict[str, Any], only: str) -> None:
    receipt = cube.add([{"role": "user", "content": "I live in Porto."}, silent])
    assert [memory.text for memory in cube.list()] == ["I live in Porto."]
    assert [(c.outcome.value, c.reason) for c in receipt.changes if c.memory is None] == [("refused", f"Message 2 has no words{only}.")]
    with pytest.raises(Invalid, match=f"No message has words{only}. Nothing was stored"):
        cube.add([silent])
    with pytest.raises(Invalid, match="Message 2 is empty"):
        cube.add([silent, {"role": "user", "content": ""}])


def test_the_transcript_of_a_sound_is_its_words(cube: Cube) -> None:
    cube.add([{"role": "assistant", "content": None, "audio": {"transcript": "The kettle is blue."}}])
    assert [memory.text for memory in cube.list()] == ["The kettle is blue."] and "ignored" not in cube.log(verb="add")[-1].detail
    cube.add([{"role": "assistant", "content": "", "caption": "a red kite"}])
    assert cube.count().total == 2, "a caption is words as well"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([{"role": "assistant"}], "Message 1 needs "), ([{"role": "assistant", "content": 5}], "Message 1 needs "),
        ([CALLS, PICTURE], "No message has words, only tool_calls"), ([CALLS, {"role": "user", "content": ""}], "Message 2 is empty"),
        ([{"role": "user", "content": None}], "Message 1 needs .* 'content' is NoneType"), ([{"role": "user"}], "Message 1 needs .* it has \\['role'"),
        ([{"role": "user", "content": [{"type": "IMAGE <b>"}]}], "Message 1 needs .* 'content' is list"),
    ],
)  # fmt: skip
def test_nothing_is_made_of_no_words_at_all(cube: Cube, words: Any, told: str) -> None:
    with pytest.raises(Invalid, match=f"{told}.*Nothing was stored"):
        cube.add(words)
    assert cube._store.is_empty()


def test_a_note_of_a_kind_that_sounds_like_an_agents_step_is_a_note(cube: Cube) -> None:
    cube.add({"type": "phone_call", "text": "Bob rang about the boat."})
    assert [memory.text for memory in cube.list()] == ["Bob rang about the boat."]


def test_only_what_was_to_be_stored_is_said_not_to_be(cube: Cube) -> None:
    for reading in (lambda: cube.why_not("q", 5), lambda: cube.get("\ud800"), lambda: cube.list(user="x" * 9999)):  # type: ignore[arg-type]
        with pytest.raises(Invalid) as told:
            reading()
        assert "stored" not in str(told.value), "it was only asked"
    with pytest.raises(Invalid, match="Nothing was stored"):
        cube.add(Message("user", "\ud800"))


def test_a_photo_without_text_is_not_empty(cube: Cube) -> None:
    id = cube.add(Message("user", "", caption="a red kite")).ids[0]
    assert cube.search("kite").ids == (id,)


def test_one_megabyte_is_the_limit(cube: Cube) -> None:
    for text in ("é" * (MAX_TEXT_BYTES // 2 + 1), "x" * (MAX_TEXT_BYTES + 1)):
        with pytest.raises(TooLarge, match="1,000,000"):
            cube.add(text)
    assert cube._store.is_empty()
    kept = ("word " * (MAX_TEXT_BYTES // 5))[: MAX_TEXT_BYTES - 9] + " kettles!"
    receipt = cube.add(kept)
    assert cube.get(receipt.ids[0]).text == kept and cube.search("kettles").hits
    with pytest.raises(TooLarge):
        cube.update(receipt.ids[0], "x" * (MAX_TEXT_BYTES + 1))


@pytest.mark.parametrize("field", ["caption", "speaker", "session", "id"])
def test_the_limit_covers_every_field(cube: Cube, field: str) -> None:
    with pytest.raises(TooLarge):
        cube.add(Message("user", "The kettle is blue.", **{field: "x" * (MAX_TEXT_BYTES + 1)}))  # type: ignore[arg-type]


def test_a_name_has_a_limit_of_its_own(cube: Cube) -> None:
    long = "é" * MAX_NAME
    kept = cube.add(Message("user", "The kettle is blue.", speaker=long, session=long, id=long), user=long, agent=long)
    assert cube.get(kept.ids[0]).speaker == long
    with pytest.raises(TooLarge, match=r"Message 1 has a speaker that has 1,001 characters; the limit is 1,000"):
        cube.add(Message("user", "The kettle is red.", speaker=long + "é"))
    with pytest.raises(TooLarge, match="user has 1,001 characters"):
        cube.add("The kettle is red.", user=long + "é")
    half = "x" * (MAX_TEXT_BYTES // 2 + 1)
    with pytest.raises(TooLarge, match="1,000,002 bytes"):
        cube.add(Message("user", half, caption=half))
    assert len(cube.list()) == 1


@pytest.mark.parametrize(
    "text", ["nul \0 inside", "\0", "שלום עולם، مرحبا", "👩‍👩‍👧‍👦🏳️‍🌈", "e\u0301 \ufeff\u200f", "a\r\nb\rc\nd", "𝔘𝔫𝔦\U0010ffff"]
)
def test_any_text_round_trips(cube: Cube, text: str) -> None:
    receipt = cube.add(Message("user", text, speaker=text, caption=text, session=text, id=text), user=text, agent=text)
    memory = cube.get(receipt.ids[0])
    assert memory.text.startswith(text) and memory.speaker == memory.scope.user == memory.scope.session == memory.scope.agent == text
    source = cube._store.source(receipt.sources[0])
    assert source.message.text == source.message.caption == source.message.id == text
    assert [m.id for m in cube.list(user=text)] == list(receipt.ids) and cube.verify().is_clean


@pytest.mark.parametrize("field", ["text", "caption", "speaker", "session", "id", "role"])
def test_a_lone_surrogate_is_refused_by_name(cube: Cube, field: str) -> None:
    fields = {"role": "user", "text": "The kettle is blue.", field: "half \ud83d a face"}
    with pytest.raises(Invalid, match=r"surrogate \(U\+D83D\) at character 5"):
        cube.add(Message(**fields))  # type: ignore[arg-type]
    assert cube._store.is_empty()


@pytest.mark.parametrize("field", ["user", "agent", "session"])
def test_a_lone_surrogate_in_a_scope_is_refused(cube: Cube, field: str) -> None:
    with pytest.raises(Invalid, match="surrogate"):
        cube.add("The kettle is blue.", **{field: "half \ud83d a face"})  # type: ignore[arg-type]


def test_a_lone_surrogate_in_an_update_is_refused(cube: Cube) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    with pytest.raises(Invalid, match="surrogate"):
        cube.update(id, "half \ud83d a face")


def test_a_lone_surrogate_in_a_reason_is_refused(cube: Cube) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    with pytest.raises(Invalid, match="reason holds"):
        cube.forget(id, reason="half \ud83d a face")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
@settings(max_examples=300)
def test_no_text_stops_the_reader(text: str) -> None:
    heard = MemReader().read(Message("user", text, at=datetime(2025, 5, 1, tzinfo=UTC)), {"Ana"})
    words = Message("user", text).words
    assert heard.candidates[0].start == 0 and heard.candidates[0].end == len(words)
    assert all(0 <= c.start < c.end <= len(words) for c in heard.candidates[1:])


# -- questions ----------------------------------------------------------------------------------------------------------

SYNTAX = ['" OR * NEAR(', "NEAR(kettle blue, 1)", "kettle*", "words:kettle", "-kettle", "kettle AND NOT", "((((", "{kettle}: ^blue", "kettle\0blue", "'; DROP TABLE sources; --", "u1", "scope : u1"]  # fmt: skip


@pytest.mark.parametrize("text", SYNTAX)
def test_the_syntax_of_the_text_index_is_only_words(open_vault: Callable[..., MemOS], text: str) -> None:
    cube = open_vault(embedder=HashEmbedder()).cube("main")
    blue = cube.add("The kettle is blue.").ids[0]
    stored = cube.add(f"{text} stored", user="bea").ids[0]
    recall = cube.search(text)
    assert {m.id for m in cube.list()} == {blue, stored} and recall.trace.considered == 2
    assert cube.search("stored", user="bea").ids == (stored,)
    if "kettle" in text:
        assert blue in recall.ids
    assert not [i for i in cube.search(text, user="bea").ids if i == blue]


@pytest.mark.parametrize("question", ["", "   ", "\n"])
def test_an_empty_question_is_refused(cube: Cube, question: str) -> None:
    with pytest.raises(Invalid, match="question is empty"):
        cube.search(question)


def test_a_question_of_no_words_finds_nothing(cube: Cube) -> None:
    cube.add("The kettle is blue.")
    for question in ("?", "!!!", "the of and", "half \ud83d a face", "\0"):
        cube.search(question)


@pytest.mark.parametrize(
    "limits", [{"budget_tokens": 0}, {"budget_tokens": -5}, {"budget_tokens": 3}, {"limit": 0}, {"limit": -1}, {"limit": 1001}]
)
def test_a_budget_that_holds_nothing_is_refused(cube: Cube, limits: dict[str, int]) -> None:
    cube.add("The kettle is blue.")
    with pytest.raises(Invalid, match=r"must be 1 to 1000|Give at least"):
        cube.search("kettle", **limits)  # type: ignore[arg-type]


def test_a_type_that_is_none_is_refused(cube: Cube) -> None:
    with pytest.raises(Invalid, match="preference"):
        cube.search("kettle", types=["wish"])
    with pytest.raises(Invalid, match="preference"):
        cube.list(types=["wish"])


@pytest.mark.parametrize("page", [{"limit": -1}, {"offset": -1}])
def test_a_negative_page_is_refused(cube: Cube, page: dict[str, int]) -> None:
    cube.add("The kettle is blue.")
    with pytest.raises(Invalid, match="whole number from 0"):
        cube.list(**page)  # type: ignore[arg-type]
    if "limit" in page:
        with pytest.raises(Invalid, match="limit is -1"):
            cube.log(**page)


# -- times --------------------------------------------------------------------------------------------------------------

FIRST, LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)
EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))


@pytest.mark.parametrize("at", [FIRST, LAST, FIRST.replace(tzinfo=WEST), LAST.replace(tzinfo=EAST)])
def test_the_first_and_last_year_round_trip(cube: Cube, at: datetime) -> None:
    texts = [
        "The kettle is blue.",
        "Last week the kettle was green.",
        "Next month, on Friday, it will be red.",
        "In May 2020 it was two years old.",
    ]
    receipt = cube.add([Message("user", text, at=at) for text in texts], user="ana")
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    for id in receipt.ids:
        memory = cube.get(id)
        assert memory.at == aware and memory.valid.start == aware
    recall = cube.search("kettle", as_of=LAST)
    assert recall.hits and f"{aware.year:04}-" in recall.text
    assert len(cube.list(known_at=LAST)) == len(cube.list()) and not cube.list(known_at=FIRST)
    assert len(cube.diff(FIRST, LAST).added) + len(cube.list(as_of=FIRST)) == len(cube.list(as_of=LAST))
    assert cube.log(since=FIRST, until=LAST) and cube.verify().is_clean


@pytest.mark.parametrize("at", [FIRST.replace(tzinfo=EAST), LAST.replace(tzinfo=WEST)], ids=["before year 1", "after year 9999"])
def test_an_instant_that_utc_cannot_name_does_not_spoil_the_cube(cube: Cube, at: datetime) -> None:
    """`0001-01-01T00:00:00+01:00` is what some systems write for "no date"."""
    good = cube.add("The kettle is blue.").ids[0]
    with contextlib.suppress(Invalid):  # to refuse it is as good as to keep it
        cube.add(Message("user", "The kettle is green.", at=at))
    assert good in {m.id for m in cube.list()}
    assert good in cube.search("kettle").ids
    with pytest.raises(Invalid, match="years 1 to 9999"):
        cube.list(as_of=at)


@pytest.mark.parametrize("times", [(FIRST,), (LAST,), (FIRST, LAST), (LAST, FIRST)])
def test_facts_of_the_first_and_last_year_are_judged(cube: Cube, times: tuple[datetime, ...]) -> None:
    for at, text in (
        (at, text)
        for at in times
        for text in ("I live in Faro since 2010.", "I moved to Lisbon last week.", "I lived in Porto two years ago.", "I live in Oslo.")
    ):
        cube.add(Message("user", text, at=at), user="ana")
    cube.add("I live in Madrid.", user="ana")
    assert cube.verify().is_clean


@pytest.mark.parametrize("beyond", [-(1 << 62), 1 << 62])
@pytest.mark.parametrize("zone", [None, 840, -720])
def test_a_stored_time_beyond_the_calendar_is_read_as_its_end(beyond: int, zone: int | None) -> None:
    end = FIRST if beyond < 0 else LAST
    assert time_of(beyond, zone) == end.replace(tzinfo=UTC)


def test_a_time_without_a_zone_is_utc(cube: Cube) -> None:
    id = cube.add(Message("user", "The kettle is blue.", at=datetime(2025, 3, 1, 12))).ids[0]
    assert cube.get(id).at == datetime(2025, 3, 1, 12, tzinfo=UTC)
    assert [m.id for m in cube.list(as_of=datetime(2025, 3, 1, 12))] == [id] and not cube.list(as_of=datetime(2025, 3, 1, 11, 59))


def test_a_zone_is_kept(cube: Cube) -> None:
    at = datetime(2025, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    found = cube.get(cube.add(Message("user", "The kettle is blue.", at=at)).ids[0])
    assert found.at == at and found.at is not None and found.at.utcoffset() == timedelta(hours=5, minutes=45)


@pytest.mark.parametrize("at", ["yesterday", "2026-13-01", 5, ["x"]])
def test_a_time_that_is_none_is_refused(cube: Cube, at: object) -> None:
    with pytest.raises(Invalid, match="'at' is"):
        cube.add({"role": "user", "text": "The kettle is blue.", "at": at})


# -- names and ids ------------------------------------------------------------------------------------------------------

NAMES = ["../x", "a/b", "", "con:", ".hidden", "x.loci", "a..b", "-a", "x" * 101, "a b", "a\\b", "a\0b", "a\n", "é", "~root", "C:x", "/etc/passwd", "a."]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_could_leave_the_folder_is_refused(memory: MemOS, cube: Cube, name: str) -> None:
    before = sorted(memory._parts.vault.root.parent.rglob("*"))
    for door in (lambda: memory.cube(name), lambda: memory.cube(name, create=False), lambda: cube.branch(name)):
        with pytest.raises(Invalid, match="is no name for a cube"):
            door()
    assert sorted(memory._parts.vault.root.parent.rglob("*")) == before


def test_a_cube_that_is_not_there_is_missing(memory: MemOS, cube: Cube) -> None:
    with pytest.raises(Missing, match=r"There are: main"):
        memory.cube("other", create=False)
    cube.branch("taken")
    with pytest.raises(Conflict, match="taken"):
        cube.branch("taken")


UNKNOWN = ["", "x", "01JGFJJZ00NOTANYWHERE00000", "' OR '1'='1", "%", "\0", "x" * 10_000]


@pytest.mark.parametrize("id", UNKNOWN)
def test_an_unknown_id_is_missing_at_every_verb(cube: Cube, clock: ManualClock, id: str) -> None:
    cube.add("The kettle is blue.")
    log = cube.log()
    for verb in (
        lambda: cube.get(id), lambda: cube.get(id, as_of=clock.now()), lambda: cube.history(id), lambda: cube.update(id, "x y"), lambda: cube.forget(id),
        lambda: cube.restore(id), lambda: cube.restore(id, to=1), lambda: cube.restore(id, to=clock.now()), lambda: cube.move(id, "archive"),
        lambda: cube.why(id), lambda: cube.why_not("kettle", id), lambda: cube.erase(id), lambda: cube.erase(source=id),
    ):  # fmt: skip
        with pytest.raises(Missing) as error:
            verb()
        assert str(error.value)
    assert cube.log() == log and len(cube.list()) == 1


def test_an_id_of_another_cube_is_unknown_here(memory: MemOS, cube: Cube, clock: ManualClock) -> None:
    other = memory.cube("other").add("The kettle is blue.").ids[0]
    memory_of_other = memory.cube("other").get(other)
    for verb in (
        lambda: cube.get(other),
        lambda: cube.forget(other),
        lambda: cube.update(memory_of_other, "x y"),
        lambda: cube.erase(other),
    ):
        with pytest.raises(Missing, match="cube"):
            verb()
    assert memory.cube("other").get(other).version == 1


def test_a_version_that_never_was_is_missing(cube: Cube) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    for number in (0, 2, -1, 10**6):
        with pytest.raises(Missing, match="it has 1"):
            cube.restore(id, to=number)
    with pytest.raises(Missing):
        cube.restore(id, to=datetime(1990, 1, 1))


def test_update_and_restore_say_what_they_take(cube: Cube) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    with pytest.raises(Invalid, match="overwrite, append, merge"):
        cube.update(id, "The kettle is red.", mode="replace")
    with pytest.raises(Invalid, match="empty"):
        cube.update(id, "  ")
    with pytest.raises(Invalid, match="id, or a time"):
        cube.restore()
    assert cube.get(id).version == 1


def test_a_message_without_text_is_refused(cube: Cube) -> None:
    for words in ({"role": "user"}, {"content": 5}, [{"role": "user", "text": None}]):
        with pytest.raises(Invalid, match="needs 'text'"):
            cube.add(words)  # type: ignore[arg-type]


WRONG = [5, None, [5], Message("user", 5), Message("user", "a b", at="2024"), Message("user", "a b", speaker=5)]  # type: ignore[arg-type]


@pytest.mark.parametrize("words", WRONG, ids=repr)
def test_what_is_no_message_is_refused(cube: Cube, words: object) -> None:
    with pytest.raises(Invalid, match=r"(is|that is) .*; it must be "):
        cube.add(words)  # type: ignore[arg-type]
    assert cube._store.is_empty() and not cube.log()


@pytest.mark.parametrize("header", [{"priority": "high"}, {"priority": 2**70}, {"user": 5}, {"expires": "tomorrow"}], ids=repr)
def test_a_header_field_of_the_wrong_type_is_refused(cube: Cube, header: dict[str, object]) -> None:
    ((name, value),) = header.items()
    with pytest.raises(Invalid, match=rf"^{name} is {value!r}; it must be "):
        cube.add("The kettle is blue.", **header)  # type: ignore[arg-type]
    assert cube._store.is_empty() and not cube.log()


@pytest.mark.parametrize("wrong", [5, "half \ud83d a face"], ids=repr)
def test_an_id_or_a_reason_that_is_no_text_is_refused_at_every_verb(cube: Cube, clock: ManualClock, wrong: str) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    log = cube.log()
    for verb in (
        lambda: cube.get(wrong), lambda: cube.get(wrong, as_of=clock.now()), lambda: cube.history(wrong), lambda: cube.update(wrong, "x y"),
        lambda: cube.forget(wrong), lambda: cube.restore(wrong), lambda: cube.move(wrong, "archive"), lambda: cube.why(wrong),
        lambda: cube.why_not("kettle", wrong), lambda: cube.erase(wrong), lambda: cube.erase(user=wrong), lambda: cube.search("kettle", user=wrong),
        lambda: cube.list(session=wrong), lambda: cube.forget(id, reason=wrong), lambda: cube.update(id, "x y", reason=wrong),
        lambda: cube.restore(id, reason=wrong), lambda: cube.move(id, "archive", reason=wrong),
    ):  # fmt: skip
        with pytest.raises(Invalid, match=r"surrogate|must be a string"):
            verb()
    assert cube.log() == log and cube.get(id).version == 1


# -- two at once --------------------------------------------------------------------------------------------------------


def test_two_changes_of_one_version_are_a_conflict(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    seen = cube.get(id)
    clock.advance(days=1)
    cube.update(seen, "The kettle is green.")
    with pytest.raises(VersionConflict) as error:
        cube.update(pickle.loads(pickle.dumps(seen)), "The kettle is red.")
    assert (error.value.expected, error.value.found) == (1, 2)
    assert error.value.details() == {"expected": 1, "found": 2} and "history" in str(error.value)
    assert cube.get(id).text == "The kettle is green."
    cube.update(cube.get(id), "The kettle is red.")


def test_of_many_threads_one_wins(cube: Cube, clock: ManualClock) -> None:
    id = cube.add("The kettle is blue.").ids[0]
    seen = cube.get(id)
    clock.advance(days=1)
    barrier = threading.Barrier(6)
    won: list[str] = []
    lost: list[VersionConflict] = []
    other: list[BaseException] = []

    def change(text: str) -> None:
        barrier.wait()
        try:
            cube.update(seen, text)
            won.append(text)
        except VersionConflict as error:
            lost.append(error)
        except BaseException as error:  # noqa: BLE001 - handed to the assertion below
            other.append(error)

    threads = [threading.Thread(target=change, args=(f"The kettle is number {n}.",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not other and len(won) == 1 and {(e.expected, e.found) for e in lost} == {(1, 2)} and len(lost) == 5
    assert cube.get(id).text == won[0] and len(cube.history(id)) == 2


def test_threads_that_add_lose_nothing(open_vault: Callable[..., MemOS]) -> None:
    cube = open_vault(embedder=HashEmbedder(), is_background=True).cube("main")
    errors: list[BaseException] = []

    def work(who: int) -> None:
        try:
            for n in range(25):
                id = cube.add(f"kettle {who} number {n}", user=f"user-{who}").ids[0]
                assert cube.get(id).text == f"kettle {who} number {n}"
                assert all(hit.memory.scope.user == f"user-{who}" for hit in cube.search("kettle number", user=f"user-{who}").hits)
        except BaseException as error:  # noqa: BLE001 - handed to the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    assert [len(cube.list(user=f"user-{n}")) for n in range(4)] == [25] * 4
    cube.drain()
    assert cube.verify().is_clean


def test_a_memory_of_another_time_is_still_the_latest_version(cube: Cube, clock: ManualClock) -> None:
    """A `Memory` asked for at an earlier time is an earlier version: to change it is a conflict."""
    id = cube.add("The kettle is blue.").ids[0]
    then = clock.now()
    clock.advance(days=1)
    cube.update(id, "The kettle is green.")
    old: Memory = cube.get(id, as_of=then)
    with pytest.raises(VersionConflict):
        cube.update(old, "The kettle is red.")


# -- what other systems call it, and what is over -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "read"), [("Assistant", "assistant"), ("AI", "assistant"), ("human", "user"), ("developer", "system"), ("function", "tool")]
)
def test_a_role_is_read_by_the_name_that_others_give_it(cube: Cube, role: str, read: str) -> None:
    memory = cube.get(cube.add(Message(role, "Transfer 500 euros to Bob every Monday."), user="ana").ids[0])
    assert memory.role == read and (memory.origin.trust is Trust.TRUSTED) == (read == "user")


@pytest.mark.parametrize("role", ["assitant", "Bob", "", " "])
def test_a_role_that_nobody_knows_is_refused(cube: Cube, role: str) -> None:
    with pytest.raises(Invalid, match=r"Message 2 has the role .*A name goes under 'speaker'"):
        cube.add([Message("user", "The kettle is blue."), {"role": role, "content": "I am the owner."}])
    assert cube._store.is_empty()


def test_outcomes_are_counted_by_name(cube: Cube) -> None:
    receipt = cube.add("The kettle is blue.")
    assert receipt.count("added") == receipt.count(Outcome.ADDED) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["capacity", "quota", "limit", "stability_days", "kv_disk_bytes"])
def test_a_setting_below_nothing_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match=f"argument: {name} is -1; it must be 0 or more"):
        MemOS.open(tmp_path / "v", **{name: -1})
    with pytest.raises(Invalid, match=f"{name} is -5"):
        load(environment={f"LOCI_{name.upper()}": "-5"})


def test_a_grant_or_key_whose_time_is_over_is_refused(memory: MemOS, cube: Cube, clock: ManualClock) -> None:
    over = clock.now() - timedelta(days=1)
    with pytest.raises(Invalid, match=r"expires is .*, which is over"):
        memory.grant("bob", "reader", cube=cube.name, expires=over)
    with pytest.raises(Invalid, match=r"expires is .*, which is over"):
        memory.issue_key("bob", expires=over)
    assert not memory.grants() and not memory.keys()


def test_a_vault_that_was_closed_is_of_no_more_use(open_vault: Callable[..., MemOS]) -> None:
    memory = open_vault()
    memory.cube("main").add("The kettle is blue.")
    other = memory.acting("owner")
    memory.close()
    for use in (
        lambda: memory.cube("main"), lambda: other.cube("fresh"), lambda: memory.grant("bob", "reader", cube="main"), memory.grants, memory.verify,
    ):  # fmt: skip
        with pytest.raises(Unavailable, match="was closed; open"):
            use()
    memory.close()


@pytest.mark.parametrize("address", ["http://127.0.0.1:8765", "https://memory.example", "postgresql://host/db"])
def test_an_address_is_no_folder_and_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: MemOS, address: str) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    monkeypatch.setenv("LOCI_VAULT", address)
    for ask in (
        lambda: MemOS.open(address, embedder="none"), lambda: MemOS.open(embedder="none"), lambda: memory.cube("main").export(address),
        lambda: MemOS.open(Path(address), embedder="none"), lambda: memory.cube("main").export(Path(address) / "x.jsonl"),
        lambda: memory.cube("main").import_file(f"{address}/chat.json"),
    ):  # fmt: skip
        with pytest.raises(Invalid, match=r"address.*loci\.connect"):
            ask()
    assert sorted(tmp_path.iterdir()) == before
