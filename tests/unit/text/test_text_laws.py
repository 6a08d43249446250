"""Laws that hold for every text: exact quotes, order, no overlap, nothing lost, no crash."""

import random
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from loci.text.dates import asks_when, has_time, mentions, window
from loci.text.entities import about, entities
from loci.text.sentences import sentences
from loci.text.speech import is_question, keywords, semantic_type
from loci.text.tokens import STOPWORDS, content_words, count_tokens, normalize, words

TYPES = {"person", "place", "organisation", "number", "quoted", "name"}
KINDS = {"fact", "preference", "event", "plan", "question", "instruction", "smalltalk"}
GRAINS = {"minute", "hour", "part", "day", "weekend", "week", "month", "season", "year", "span"}

# Whatever may come: NUL, lone surrogates, right-to-left, marks, emoji; and the words and signs that wake the rules.
ANY = st.text(alphabet=st.characters(exclude_categories=()), max_size=60)
PIECES = """May|may|7|7th|the|of|,|2023|in|on|last|next|this|since|for|two|few|a couple of|weeks|ago|days|from now|Friday|Sun|weekend
|the day before|yesterday|tomorrow|at|3 pm|10:30|noon|2023-05-07|5/7/2023|14th|summer|Christmas|Eve|New Year's|end|early|mid-|90s|year
|Hey|Dr.|Mel|Melanie|'s|’s|my sister|Anna|New|York|of|U.S.|e.g.|Inc.|NASA|"|“|”|$3,500|kg|%|I|went|loves|what|when|did|?|!|...|…|。|\n|\n\n
|```\n|- |•|😀|👩‍👩‍👧|\u200d|İ|ß|ﬁ|é|e\u0301|我喜欢|مرحبا|שלום|ह|\x00|\ud800|\u2028| |  |\t|-|–|(|)|http://a.b/c?d=e.|me@x.org|_|between|and|to|really|love|good|please|will"""
WOVEN = st.lists(st.sampled_from(PIECES.split("|")), max_size=25).flatmap(
    lambda parts: st.sampled_from(["", " "]).map(lambda joint: joint.join(parts))
)
TEXT = st.one_of(ANY, WOVEN, st.builds(str.__add__, ANY, WOVEN))
ANCHORS = st.one_of(st.none(), st.datetimes(), st.just(datetime(2023, 5, 25, 13, 14)), st.datetimes(timezones=st.timezones()))


@given(TEXT)
def test_words_are_folded_runs_of_letters_and_digits(text: str) -> None:
    for word in words(text):
        assert word
        assert not any(char.isspace() or char in "'’.,!?" for char in word)
        assert word == word.casefold()
    assert words(text.upper() if text.isascii() else text) == words(text)


@given(TEXT)
def test_content_words_are_distinct_words_that_are_no_stopwords(text: str) -> None:
    found = content_words(text)
    assert len(found) == len(set(found))
    assert STOPWORDS.isdisjoint(found)
    assert set(found) == set(words(text)) - STOPWORDS


@given(TEXT, TEXT)
def test_tokens_count_bytes(text: str, more: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    assert count_tokens(text) == (size + 3) // 4
    assert count_tokens(text + more) <= count_tokens(text) + count_tokens(more)


@given(TEXT)
def test_the_normal_form_is_stable_and_levels_case_and_space(text: str) -> None:
    form = normalize(text)
    assert normalize(form) == form
    assert normalize(f"  {text}\n") == form
    assert "  " not in form
    assert form == form.strip()
    if text.isascii():
        assert normalize(text.upper()) == form


def check_cover(text: str, spans: list[tuple[int, int]]) -> None:
    """Spans are in order, apart, trimmed, and hold every visible character."""
    last = 0
    for start, end in spans:
        assert last <= start < end <= len(text)
        assert not text[last:start].strip()
        assert text[start:end] == text[start:end].strip()
        last = end
    assert not text[last:].strip()


@given(TEXT)
def test_sentences_cover_the_text(text: str) -> None:
    check_cover(text, sentences(text))


@given(st.lists(st.sampled_from(["a. B", "x = 1! Y", "", "é? Z"]), min_size=1, max_size=5))
def test_a_fence_is_never_split(lines: list[str]) -> None:
    fence = "```\n" + "\n".join(lines) + "\n```"
    text = f"Before. {lines[0]}\n{fence}\nAfter. End"
    start = text.index("```")
    assert (start, start + len(fence)) in sentences(text)


@given(TEXT, ANCHORS)
def test_mentions_quote_the_text_and_span_time(text: str, anchor: datetime | None) -> None:
    last = 0
    for mention in mentions(text, anchor):
        assert last <= mention.start < mention.end <= len(text)
        assert text[mention.start : mention.end] == mention.words
        assert mention.grain in GRAINS
        assert mention.earliest.replace(tzinfo=None) < mention.latest.replace(tzinfo=None)
        assert mention.earliest.tzinfo is mention.latest.tzinfo is (anchor.tzinfo if anchor else None)
        last = mention.end


@given(TEXT)
def test_has_time_agrees_with_mentions(text: str) -> None:
    assert has_time(text) == bool(mentions(text, datetime(2000, 6, 15, 12)))


@given(TEXT, ANCHORS)
def test_a_window_is_an_interval(text: str, anchor: datetime | None) -> None:
    found = window(text, anchor)
    if found is not None:
        assert found[0].replace(tzinfo=None) < found[1].replace(tzinfo=None)
        assert not asks_when(text)


@given(TEXT, st.lists(st.sampled_from(["Melanie", "Anna", "Anna Smith", "", "é", "New York"]), max_size=3))
def test_entities_quote_the_text_and_do_not_overlap(text: str, people: list[str]) -> None:
    last = 0
    for entity in entities(text, people):
        assert last <= entity.start < entity.end <= len(text)
        assert text[entity.start : entity.end] == entity.text
        assert entity.type in TYPES
        last = entity.end
    assert about(text, "Speaker", people) in {None, "Speaker", *people} or about(text, "Speaker", people) in text  # type: ignore[operator]


@given(TEXT, st.integers(min_value=-1, max_value=9))
def test_speech_answers_for_every_text(text: str, limit: int) -> None:
    assert semantic_type(text) in KINDS
    assert isinstance(is_question(text), bool)
    found = keywords(text, limit)
    assert len(found) <= max(0, limit)
    assert set(found) <= set(content_words(text))


@given(TEXT)
def test_the_same_text_gives_the_same_answer(text: str) -> None:
    anchor = datetime(2023, 5, 25)
    assert mentions(text, anchor) == mentions(text, anchor)
    assert entities(text) == entities(text)


def test_long_text_costs_in_proportion() -> None:
    """Not timed: a quadratic reader would not come back from these within any patience."""
    chance = random.Random(7)
    pieces = PIECES.split("|")
    text = " ".join(chance.choice(pieces) for _ in range(20_000))
    for hard in (text, "." * 200_000 + "x", "A " * 50_000, "😀" * 50_000 + "x", "when " * 20_000, '"' * 50_000, "two weeks ago " * 5_000):
        assert sentences(hard)
        mentions(hard, datetime(2023, 5, 25))
        entities(hard, ["Melanie"])
        semantic_type(hard)
        is_question(hard)
        about(hard, "Speaker", ["Melanie"])
        asks_when(hard)
