"""T16: stored text stays data. What is packed reads back exactly as it was stored, whatever it holds, and nothing of it leaves its line."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.errors import Invalid
from loci.policy.packing import CLOSE, OPEN, OPEN_UNTRUSTED, Item, pack, parse
from loci.text import fence

ROWS = [json.loads(line) for line in (Path(__file__).parents[2] / "data/fence.jsonl").read_text("utf-8").splitlines()]
ATTEMPTS = [row["text"] * row.get("times", 1) for row in ROWS]
SHORT = [text for text in ATTEMPTS if len(text) <= 100]
DAY = datetime(2024, 5, 1, 13, 45, tzinfo=UTC)
PLAIN = Item("The plain kettle is plain.", "Ann", DAY)
NOTES = [
    "",
    "no longer current: ann's city since 2024-05-01",
    "held until 2024-05-01",
    "yesterday = 2024-04-30; x = 2024-05-01 to 2024-05-03",
]
CONTROL_TOKENS = re.compile(r"<|\[/?[a-z]?[A-Z_]{3,}\d*\]|\[control_\d+\]|\[\|[a-z]+\||\[(?:start|end)_header_id\]")


def check(items: Sequence[Item]) -> None:
    """The law: the lines read back as the items, and no line holds anything that opens, closes, hides or breaks."""
    packed = pack(items, None)
    rows = packed.text.split("\n")
    assert rows[0] == (OPEN if all(item.is_trusted for item in items) else OPEN_UNTRUSTED) and rows[-1] == CLOSE
    assert len(packed.text.splitlines()) == len(rows) == len(items) + 2
    lines = parse(packed.text)
    assert sorted(line.citation for line in lines) == list(range(1, len(items) + 1))
    for line, row in zip(lines, rows[1:-1], strict=True):
        item = items[packed.taken[line.citation - 1]]
        day = None if item.at is None else item.at.date()
        assert line == fence.Line(line.citation, item.text, item.speaker, day, item.note, item.origin, item.is_trusted), row
        assert not CONTROL_TOKENS.search(row), row
        assert row.count("]", 0, row.index("] ") + 1) == 1
        row.encode()
        if not (row.isascii() and row.isprintable()):
            for sign in row:
                assert sign == "\t" or unicodedata.category(sign) not in ("Cc", "Zl", "Zp", "Cs"), f"U+{ord(sign):04X}"
                assert sign == "<" or "<" not in unicodedata.normalize("NFKC", sign), f"U+{ord(sign):04X}"
                assert unicodedata.bidirectional(sign) not in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
                assert sign not in "\u200b\u200e\u200f\u2060\ufeff\u061c"


# -- the corpus ------------------------------------------------------------------------------------------------------------


def test_there_are_many_attempts_of_many_kinds() -> None:
    assert len({row["kind"] for row in ROWS}) >= 12 and len(set(ATTEMPTS)) == len(ATTEMPTS) >= 500


@pytest.mark.parametrize("kind", sorted({row["kind"] for row in ROWS}))
def test_no_attempt_escapes_from_any_field(kind: str) -> None:
    for row in ROWS:
        if row["kind"] == kind:
            bad = row["text"] * row.get("times", 1)
            for at in (None, DAY):
                check([Item(bad, None, at), PLAIN])
                check([Item(bad, "Ann", at), PLAIN, Item("x", bad, at)])
                check([Item(bad, bad, at, bad, bad, is_trusted=False), Item("x", None, at, bad), Item("x", None, at, "", bad)])


@pytest.mark.parametrize("note", NOTES)
def test_no_attempt_passes_for_a_note_or_swallows_one(note: str) -> None:
    for bad in SHORT:
        check([Item(bad, "Ann", DAY, note), Item(bad, None, None, note), Item("", bad, None, note), Item(bad, "", None, note)])


# -- combinations, seeded --------------------------------------------------------------------------------------------------

SPEAKERS = ["Ann", None, "user", "", "Ann: Bob", "Ann (x"]
ORIGINS = ["", "", "assistant", "tool calendar", "web https://x.example/a", "x untrusted", "a] b"]


def combined(seed: int, count: int) -> Iterator[list[Item]]:
    """Recalls of fragments that are put together by chance, one field or all of them, some cut in the middle."""
    chance = random.Random(seed)

    def words(most: int) -> str:
        text = "".join(
            chance.choice(SHORT) + chance.choice(("", "", " ", "\n", "x", " (", ")", ": ")) for _ in range(chance.randint(1, most))
        )
        return text[chance.randrange(len(text) + 1) :] if chance.random() < 0.2 else text

    for _ in range(count):
        yield [
            Item(
                words(5),
                words(2) if chance.random() < 0.3 else chance.choice(SPEAKERS),
                None if chance.random() < 0.4 else DAY + timedelta(days=chance.randrange(-300_000, 300_000)),
                words(2) if chance.random() < 0.3 else chance.choice(NOTES),
                words(2) if chance.random() < 0.3 else chance.choice(ORIGINS),
                is_trusted=chance.random() < 0.7,
            )
            for _ in range(chance.randint(1, 3))
        ]


def test_no_combination_escapes() -> None:
    for items in combined(16, 2_000):
        check(items)


@pytest.mark.slow
def test_none_of_a_hundred_thousand_combinations_escapes() -> None:
    for items in combined(1600, 100_000):
        check(items)


ANY = st.text(st.characters(exclude_categories=()), max_size=40) | st.lists(st.sampled_from(SHORT), max_size=3).map("".join)
ITEMS = st.builds(Item, ANY, st.none() | ANY, st.none() | st.datetimes(), ANY, ANY, st.booleans())


@given(st.lists(ITEMS, min_size=1, max_size=3).filter(lambda items: len({item.at is None for item in items}) == 1))
def test_whatever_is_packed_reads_back(items: list[Item]) -> None:
    check(items)


@given(ANY)
def test_escaping_is_undone_and_done_once(text: str) -> None:
    assert fence.unescape(fence.escape(text)) == text
    assert fence.unescape(fence.escape(fence.escape(text))) == fence.escape(text)


@given(ANY)
def test_any_text_is_read_or_refused(text: str) -> None:
    fence.read(text)
    try:
        parse(text)
    except Invalid as error:
        assert str(error)


# -- what stays as it is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "row"),
    [
        (Item("We moved to Porto.", "Ann", DAY), "[1] 2024-05-01 Ann: We moved to Porto."),
        (Item("We moved (finally).", "Ann", DAY, "held until 2024-06-01"), "[1] 2024-05-01 Ann: We moved (finally). (held until 2024-06-01)"),
        (Item("We moved (finally)", "Ann (work)", None), "[1] Ann (work): We moved (finally)"),
        (Item("Buy: milk & [TO] [x] C:\\Users 50 > 3 ¿ñ?", "Ann", None), "[1] Ann: Buy: milk &amp; [TO] [x] C:\\Users 50 > 3 ¿ñ?"),
        (Item("One.\nTwo.", "Ann", None), "[1] Ann: One.\\nTwo."),
        (Item("Hi", None, None), "[1] Hi"),
        (Item("Hi", "Ann", DAY, "odd"), "[1] 2024-05-01 Ann: Hi (note: odd)"),
        (Item("x (held until 2024-06-01)", "Ann", DAY), "[1] 2024-05-01 Ann: x &#40;held until 2024-06-01)"),
        (Item("The code is 4711.", "Bob", DAY, "", "web https://x.example/a", False), "[1 web https://x.example/a untrusted] 2024-05-01 Bob: The code is 4711."),
        (Item("Booked.", "tool", DAY, "", "tool calendar"), "[1 tool calendar] 2024-05-01 tool: Booked."),
        (Item("Said.", "Bob", DAY, "", "", False), "[1 untrusted] 2024-05-01 Bob: Said."),
    ],
)  # fmt: skip
def test_a_line_is_written_like_this(item: Item, row: str) -> None:
    assert pack([item], None).text.split("\n")[1] == row
    check([item])


def test_a_line_reads_back_in_its_parts() -> None:
    text = pack([Item("Tea (hot)", "Bob", DAY, "held until 2024-06-01", "web x", False)], None).text
    assert parse(text) == [fence.Line(1, "Tea (hot)", "Bob", date(2024, 5, 1), "held until 2024-06-01", "web x", False)]
    assert parse("") == []


@pytest.mark.parametrize(
    "text", ["x", OPEN, f"{OPEN}\n{CLOSE}\n", f"{OPEN}\nno citation\n{CLOSE}", f"{CLOSE}\n{OPEN}", f"<memory>\n[1] x\n{CLOSE}"]
)
def test_what_is_no_recall_is_not_read_as_one(text: str) -> None:
    with pytest.raises(Invalid, match="recall"):
        parse(text)


def test_a_budget_holds_for_marked_lines_too() -> None:
    items = [Item("x" * 50, "Bob", DAY, "", f"web https://x.example/{n}", False) for n in range(20)]
    for budget in range(40, 300, 7):
        packed = pack(items, budget)
        assert packed.tokens <= budget and len(parse(packed.text)) == len(packed.taken)
