"""Excerpts: verbatim, in order, within their size, and about what was asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loci.text.excerpt import GAP, excerpt
from loci.text.tokens import count_tokens

LONG = " ".join(f"Day {n} was quiet." for n in range(30))
TEXT = f"We left early. {LONG} Ann was painting a heron. It took hours. {LONG} We came home."


def test_what_fits_is_whole():
    assert excerpt(TEXT, ["heron"], count_tokens(TEXT)) == TEXT


def test_the_sentence_that_shares_most_terms_comes_with_the_one_before():
    found = excerpt(TEXT, ["ann", "paint", "heron"], 30)
    assert "Day 29 was quiet. Ann was painting a heron." in found and found.startswith(GAP) and found.endswith(GAP)


@pytest.mark.parametrize(
    ("text", "terms", "answer"),
    [
        (" ".join(f"Invoice INV{n} was paid by Ann." for n in range(1000, 1200)), ["paid", "inv1123"], "INV1123"),
        (
            " ".join(["Martin visited the clinic and felt fine."] * 60) + " Marta has a broken arm.",
            ["marta", "visit", "clinic"],
            "Marta has",
        ),
        (f"{LONG} A heron came. {LONG}", ["quiet", "day", "heron"], "A heron"),
    ],
)
def test_a_word_counts_the_more_the_fewer_sentences_hold_it_and_most_as_it_was_asked(text, terms, answer):
    assert answer in excerpt(text, terms, 40)


def test_without_a_shared_term_it_is_the_beginning():
    assert excerpt(TEXT, ["xylophone"], 20).startswith("We left early. Day 0 was quiet.")


def test_where_no_sentence_fits_the_best_is_cut_at_a_word():
    assert excerpt("one two three four five six seven eight nine ten", [], 8) == f"one two three four five six {GAP}"
    assert excerpt("x" * 100, [], 1) == ""


pieces = st.lists(st.sampled_from(["Ann", "saw", "it.", "Bo", "left!", "\n", "…", "ünï", "😀", "```", " ", "x" * 40]), max_size=60).map(
    " ".join
)


@given(st.text(max_size=300) | pieces, st.lists(st.sampled_from(["ann", "bo", "left"])), st.integers(0, 60))
def test_an_excerpt_quotes_in_order_and_keeps_its_size(text, terms, tokens):
    found = excerpt(text, terms, tokens)
    assert count_tokens(found) <= tokens or found == text == ""
    if "…" not in text:
        end = 0
        for part in found.split(GAP):
            for word in part.split():
                end = text.index(word, end) + len(word)


@pytest.mark.parametrize("size", [1_000_000])
def test_the_longest_text_there_may_be_is_cut_in_reasonable_time(size):
    assert count_tokens(excerpt("Nothing happened today. " * (size // 24), ["happened"], 100)) <= 100
