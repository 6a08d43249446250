"""T18: everything has a limit; up to it things work, beyond it a typed refusal says so and nothing is stored. Nothing here is timed: what
costs more than in proportion would not come back within any patience."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loci import Message
from loci.errors import Invalid, LociError, Malformed, TooLarge
from loci.interface.inputs import MAX_QUESTION
from loci.interface.reader import MemReader
from loci.operation.intake import MAX_MESSAGES, MAX_NAME, MAX_TEXT_BYTES
from loci.policy.packing import parse
from loci.system import Cube
from loci.text.excerpt import excerpt
from loci.text.recalled import recalled

NOW = datetime(2026, 5, 2, tzinfo=UTC)


def test_a_megabyte_is_remembered_found_and_shown_in_part(cube: Cube) -> None:
    text = ("The harbour was quiet and nothing happened. " * 22_000 + "Then Rex chewed the green umbrella. ").rjust(MAX_TEXT_BYTES, "x")
    assert len(text) == MAX_TEXT_BYTES
    id = cube.add(text).ids[0]
    assert cube.get(id).text == text
    recall = cube.search("What did Rex do to the umbrella?", budget_tokens=120)
    assert "Then Rex chewed the green umbrella." in recall.text and recall.tokens <= 120 and len(parse(recall.text)) == 1
    assert cube.verify().is_clean


@pytest.mark.parametrize(
    ("beyond", "what"),
    [
        ({"messages": "x" * (MAX_TEXT_BYTES + 1)}, "1,000,001 bytes"),
        ({"messages": "é" * (MAX_TEXT_BYTES // 2 + 1)}, "1,000,002 bytes"),
        ({"messages": Message("user", "x", caption="y" * MAX_TEXT_BYTES)}, "1,000,001 bytes"),
        ({"messages": [Message("user", "x")] * (MAX_MESSAGES + 1)}, "10001 messages"),
        ({"messages": Message("user", "x", speaker="y" * (MAX_NAME + 1))}, "1,001 characters"),
        ({"messages": Message("user", "x", id="y" * 100_000)}, "100,000 characters"),
        ({"messages": "x", "user": "y" * (MAX_NAME + 1)}, "1,001 characters"),
        ({"messages": "x", "session": "y" * 1_000_000}, "1,000,000 characters"),
    ],
)  # fmt: skip
def test_what_is_beyond_its_limit_is_refused_and_nothing_stored(cube: Cube, beyond: dict[str, object], what: str) -> None:
    with pytest.raises(TooLarge, match=what):
        cube.add(**beyond)  # type: ignore[arg-type]
    assert cube._store.is_empty() and not cube.log()


def test_a_question_has_a_limit(cube: Cube) -> None:
    cube.add("The kettle is blue.")
    words = " ".join(f"w{n}" for n in range(20_000))
    assert cube.search(f"kettle {words}"[:MAX_QUESTION]).hits
    for ask in (cube.search, lambda text: cube.why_not(text, cube.list()[0].id), cube.rank):
        with pytest.raises(TooLarge, match="100,001 characters"):
            ask("x" * (MAX_QUESTION + 1))


def test_numbers_have_limits(cube: Cube) -> None:
    for verb in (
        lambda: cube.search("x", limit=1001), lambda: cube.search("x", limit=10**30), lambda: cube.search("x", budget_tokens=1), lambda: cube.list(limit=1 << 63),
        lambda: cube.list(offset=-1), lambda: cube.log(limit=1 << 63), lambda: cube.add("x", priority=10**7),
    ):  # fmt: skip
        with pytest.raises(Invalid):
            verb()


def test_a_hundred_thousand_tags_are_words_like_others(cube: Cube) -> None:
    text = " ".join(f"#tag{n}" for n in range(100_000))[:MAX_TEXT_BYTES]
    cube.add({"role": "user", "text": text, **{f"tag{n}": n for n in range(100_000)}}, user="ann")
    memory = cube.list()[0]
    assert memory.text == text and len(memory.keywords) <= 20 and cube.search("tag77777").hits
    assert cube.list(types=["fact", "plan"] * 50_000) == [memory]
    deep: object = "x"
    for _ in range(100_000):
        deep = {"tags": deep}
    with pytest.raises(TooLarge, match="nested"):
        cube.add({"role": "user", "text": "The kettle is blue.", "metadata": deep})
    assert cube.list() == [memory] and cube.verify().is_clean


@pytest.mark.parametrize(
    "line", ['{"role":"user","text":"x","n":%s}', '[{"role":"user","text":"x","at":%s}]', '{"role":"user","text":"x","id":%s}']
)
@pytest.mark.parametrize(
    "value",
    ["[" * 100_000 + "]" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000, "9" * 100_000, "1e999999", "-" * 1000, '"\\ud800"', "1" * 4300],
)
def test_a_file_of_odd_values_is_read_or_refused(cube: Cube, tmp_path: Path, line: str, value: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(line % value + "\n")
    try:
        assert cube.import_file(path).added == 1
    except LociError as error:
        assert isinstance(error, Malformed | TooLarge) and cube._store.is_empty()


def test_reading_a_small_file_takes_little_room(cube: Cube, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps([{"role": "user", "text": f"Number {n} is blue."} for n in range(100)]))
    tracemalloc.start()
    cube.import_file(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20_000_000


HARD = [
    ".", "!", "?", "…", ". ", "...\n", "'", '"', "“", "``` \n", "```", "~~~\n", "(", "((", "[", "[1] ", "-", "–", "- ", "• ", "*", "_", "1", "1 ", "1,", "1.", "12:30 ", "2024-", "2024-05-01 ", "A", "A ",
    "A.", "Ab ", "Ab's ", "U.S. ", "Mr. ", "é", "é ", "😀", "\u0301", "\u200d", "ह", "我", "。", "a'", "'s ", "not ", "I ", "my ", "my brother's ", "of the ", "and ", "when did ", "last ", "the day before ", "two ",
    "a couple of ", "in May ", "may ", "$1 ", "I live in ", "no longer ", "actually, ", "who is ", "New York ", "http://", "a@", "a@b.", "www.", "@", "#", "/", "\\", "&", "<", "\x00", "\u2028", "İ", "ß", "x-",
    "from ", "between ", "1st of ", "January ", "morning ", "half past ", "mid-", "'90s ", "My name is ", "called ", "moved to ", "works at ", "\\u{", '"[1] ', " (", ": ", "<memory ", "</memory>", "\n", " ", "\t",
]  # fmt: skip


def hard(piece: str, size: int) -> None:
    text = "I " + piece * (size // len(piece)) + "x"
    reader = MemReader()
    reader.read(Message("user", text, NOW, "Ann", "a photo"), ["Ann", "Bo Smith"])
    reader.call(text[:MAX_QUESTION], NOW, ["Ann", "Bo Smith"], "Ann")
    excerpt(text, ["kettle"], 100)
    recalled(text)


@pytest.mark.parametrize("piece", HARD, ids=ascii)
def test_no_text_is_read_again_and_again(piece: str) -> None:
    hard(piece, 30_000)


@pytest.mark.slow
@pytest.mark.parametrize("piece", HARD, ids=ascii)
def test_no_megabyte_is_read_again_and_again(piece: str) -> None:
    hard(piece, 1_000_000)
