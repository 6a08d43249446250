"""Which numbers of a prompt an answer cites."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loci.text.cited import citations


def test_numbers_in_brackets() -> None:
    assert citations("She moved [2], and sold it [1, 3][2]. [5-7] agree; see [9; 11].") == [2, 1, 3, 5, 6, 7, 9, 11]
    assert citations("In 2024 [note] she had 3 (4) cats [a1] [] [1") == []
    assert citations("[1-100000] [7-3]") == []


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert all(number >= 0 for number in citations(text))


@given(st.lists(st.integers(1, 99999), unique=True))
def test_what_is_cited_is_found(numbers: list[int]) -> None:
    assert citations(" ".join(f"so it was [{number}]." for number in numbers)) == numbers
