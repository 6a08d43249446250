"""T17, the half that is text: whatever `pack` writes is found again in a message, in whatever dress it comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loci.policy.packing import Item, pack, parse
from loci.text import recalled as reading
from loci.text.fence import Line
from loci.text.recalled import Quote, may_quote, recalled

DAY = datetime(2024, 5, 1, tzinfo=UTC)
PACKED = pack(
    [
        Item("We moved to Porto & stayed <there>.", "Ann", DAY, "held until 2024-06-01"),
        Item('He said "no".\nThen: C:\\new', "Bob", DAY, "", "web https://x.example/a", False),
        Item("I like tea (hot)", "Ann", None),
    ],
    None,
).text
ROWS = TEA, MOVED, NO = PACKED.split("\n")[1:-1]
LINES = parse(PACKED)
Dress = Callable[[str], str]


def bare(packed: str) -> list[str]:
    return packed.split("\n")[1:-1]


def each(before: str, after: str = "") -> Dress:
    return lambda packed: "\n".join(f"{before}{row}{after}" for row in bare(packed))


DRESSES: dict[str, Dress] = {
    "verbatim": lambda packed: packed,
    "in talk": lambda packed: f"Here is what I know:\n\n{packed}\n\nWhat do you make of it?",
    "the lines alone": each(""),
    "requoted": each("> "),
    "requoted twice": each(">> "),
    "the fence requoted": lambda packed: "\n".join(f"> {row}" for row in packed.split("\n")),
    "bullets": each("- "),
    "stars, indented": each("  * "),
    "numbered": lambda packed: "\n".join(f"{n}. {row}" for n, row in enumerate(bare(packed), 1)),
    "a list to tick off": each("- [ ] "),
    "reordered": lambda packed: "\n".join(reversed(bare(packed))),
    "with lines of Windows": lambda packed: packed.replace("\n", "\r\n"),
    "in a code fence": lambda packed: f"```\n{packed}\n```",
    "in a fence of others": lambda packed: "<context>\n" + "\n".join(bare(packed)) + "\n</context>",
    "the fence never closed": lambda packed: packed.rpartition("\n")[0],
    "as JSON": json.dumps,
    "as JSON with letters": lambda packed: json.dumps({"recall": packed, "n": 1}, ensure_ascii=False),
    "as a list in JSON": lambda packed: json.dumps(bare(packed)),
    "as a list in lines": lambda packed: json.dumps({"hits": [{"text": row} for row in bare(packed)]}, indent=2),
    "as JSON in JSON": lambda packed: json.dumps({"role": "tool", "content": json.dumps({"recall": packed})}),
    "as JSON in JSON in talk": lambda packed: 'The tool said "fine" and ' + json.dumps(json.dumps([{"recall": packed}], indent=1)) + ".",
}  # fmt: skip


def has(found: Sequence[Quote], line: Line) -> bool:
    return any((q.text, q.speaker, q.day) == (line.text, line.speaker, line.day) for q in found)


@pytest.mark.parametrize("dress", DRESSES)
def test_a_recall_is_found_in_every_dress(dress: str) -> None:
    message = DRESSES[dress](PACKED)
    found = recalled(message)
    assert len(found) == 3 and all(has(found, line) for line in LINES)
    assert all(0 <= a.start < a.end <= b.start for a, b in pairwise(found)) and found[-1].end <= len(message)
    left = "".join(message[a:b] for a, b in zip([0, *(q.end for q in found)], [*(q.start for q in found), len(message)], strict=True))
    assert not any(word in left for word in ("Porto", 'said \\"no', "tea", "2024", "Ann", "Bob"))


@pytest.mark.parametrize("quote", ["''", "``", "“”", "«»"])
@pytest.mark.parametrize("after", ["", ","])
def test_a_line_between_quotation_marks(quote: str, after: str) -> None:
    found = recalled(f"- {quote[0]}{MOVED}{quote[1]}{after}")
    assert [q.text for q in found] == ["We moved to Porto & stayed <there>."]


def test_a_line_without_its_citation_is_known_by_its_day() -> None:
    for row, line in zip(ROWS, LINES, strict=True):
        message = "Well.\n* " + row.partition("] ")[2]
        found = recalled(message)
        assert ([(q.text, q.speaker, q.day) for q in found] == [(line.text, line.speaker, line.day)]) == (line.day is not None)


def test_a_span_holds_the_line_and_a_closed_fence_as_a_whole() -> None:
    message = f"Before.\n{PACKED}\nBetween.\n- {MOVED}\nAfter."
    *fenced, single = recalled(message)
    assert message[fenced[0].start : fenced[-1].end] == PACKED and all(q.is_fenced for q in fenced)
    assert message[single.start : single.end] == f"- {MOVED}" and not single.is_fenced


def test_what_stands_in_a_closed_fence_counts_even_without_a_citation() -> None:
    found = recalled("<memory note='x'>\nAnn likes tea\n</memory>")
    assert [(q.text, q.speaker, q.is_fenced) for q in found] == [("Ann likes tea", None, True)]


@pytest.mark.parametrize(
    "text",
    ["", "I moved to Porto.", "I like [this] and [2]", "On 2024-05-01 I moved.", "- buy milk\n- call Ann: soon", "1. one\n2. two", '{"a": "b"}',
     "x[1] = 2", "2024-05-01", "2024-13-45 Ann: hi", "<memory>", "memory [1]: x", "10:30 Ann: hi", "Ann: hi"],
)  # fmt: skip
def test_ordinary_talk_is_no_recall(text: str) -> None:
    assert recalled(text) == ()


def test_a_line_that_quotes_a_line_gives_both() -> None:
    packed = pack([Item(f'I noted "{TEA}" yesterday', "Ann", DAY)], None).text
    found = recalled(packed.split("\n")[1])
    assert [q.text for q in found] == [f'I noted "{TEA}" yesterday', "I like tea (hot)"]
    assert found[0].start < found[1].start < found[1].end < found[0].end
    assert found[1] == Quote(found[1].start, found[1].end, "I like tea (hot)", "Ann", None)
    assert recalled("[3] 2024-05-01 Bob: x")[0].day == date(2024, 5, 1)


WORDS = st.text(max_size=30) | st.sampled_from(['"[1] x"', "\\n", '\\"', "</memory>", "- ", "> ", "a\nb", "\\u0041", "'", "x)", ": ", "😀"])
ITEMS = st.builds(
    Item, WORDS, st.none() | WORDS, st.none() | st.datetimes(), st.sampled_from(["", "odd"]), st.sampled_from(["", "tool x"]), st.booleans()
)


@given(
    st.lists(ITEMS, min_size=1, max_size=3).filter(lambda items: len({item.at is None for item in items}) == 1),
    st.sampled_from(sorted(DRESSES)),
)
def test_whatever_is_packed_is_found_again(items: list[Item], dress: str) -> None:
    packed = pack(items, None).text
    message = DRESSES[dress](packed)
    found = recalled(message)
    assert all(has(found, line) for line in parse(packed)), message
    assert all(0 <= q.start < q.end <= len(message) for q in found)


@given(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.lists(st.sampled_from(['"', "\\", "[1] ", "<memory>", "</memory>", "\n", "2024-05-01 ", "\\u"]), max_size=12),
)
def test_any_text_has_an_answer(text: str, signs: list[str]) -> None:
    message = "".join(signs) + text + "".join(reversed(signs))
    for quote in recalled(message):
        assert 0 <= quote.start < quote.end <= len(message)


SIGNS = [
    "[",
    "3",
    "]",
    "2024",
    "-",
    "05",
    "01",
    " ",
    "<",
    "MEMORY",
    ">",
    "memory",
    '"',
    "Ann: tea",
    "\n",
    "</memory>",
    "\\u003Cmemory\\u003e",
    "\\u003c/memory\\u003E",
]


@given(st.lists(st.sampled_from(SIGNS), max_size=14).map("".join))
@example('"\\u003cmemory\\u003eAnn: tea\\u003c/memory\\u003e"')
@example("[3] tea")
@example("<memory>tea</memory>")
@example("2024-05-01 Ann: tea")
def test_a_glance_lets_nothing_by_that_a_look_would_find(message: str) -> None:
    assert may_quote(message) or not list(reading._found(message, reading.DEEPEST))


HARD = [
    '"',
    '\\"',
    "\\",
    '"[1] ',
    "[1] ",
    "[1",
    "<memory",
    "<memory>",
    "<memory>\n",
    "</memory",
    "> ",
    "- ",
    "1. ",
    " ",
    "\n",
    "2024-05-01 ",
    " (",
    ": ",
    "\\u0022",
    '["[1] x", ',
]


@pytest.mark.parametrize("piece", HARD)
def test_long_text_costs_in_proportion(piece: str) -> None:
    """Not timed: a quadratic reader would not come back from these within any patience."""
    recalled("[1] x\n" + piece * (1_000_000 // len(piece)))
