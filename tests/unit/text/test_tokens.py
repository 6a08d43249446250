"""Words, content words, the token count and the normal form."""

import pytest

from loci.text.tokens import STOPWORDS, content_words, count_tokens, normalize, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Alice's dog", ["alice", "dog"]),
        ("Alice’s dog", ["alice", "dog"]),
        ("I'm sure they're here, we've won", ["i", "sure", "they", "here", "we", "won"]),
        ("don't", ["dont"]),
        ("the dogs' bowls", ["the", "dogs", "bowls"]),
        ("O'Brien", ["obrien"]),
        ("'quoted'", ["quoted"]),
        ("well-known snake_case", ["well", "known", "snake", "case"]),
        ("3pm in 2023", ["3pm", "in", "2023"]),
        ("ＦＵＬＬ ｗｉｄｔｈ", ["full", "width"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("Ünïcödé", ["ünïcödé"]),
        ("U\u0308ber", ["über"]),
        ("उन्होंने कहा", ["उन्होंने", "कहा"]),
        ("мама мыла раму", ["мама", "мыла", "раму"]),
        ("我喜欢茶", ["我喜", "喜欢", "欢茶"]),
        ("abc我def", ["abc", "我", "def"]),
        ("'' \x00 --- 😀", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_ascii_and_unicode_paths_agree_on_apostrophes() -> None:
    plain = "I'm Alice's friend; don't say we'll go, it's o'clock 'tis dogs'"
    assert words(plain + " é")[:-1] == words(plain)


def test_content_words_keep_order_and_drop_doubles() -> None:
    assert content_words("The cat and the dog saw the other cat") == ["cat", "dog", "saw"]


@pytest.mark.parametrize("word", ["the", "what", "when", "hey", "dont", "im", "lol"])
def test_stopwords_hold_function_and_chat_words(word: str) -> None:
    assert word in STOPWORDS


@pytest.mark.parametrize("word", ["may", "id", "ill", "right", "kind"])
def test_stopwords_leave_words_that_carry_meaning(word: str) -> None:
    assert word not in STOPWORDS


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("é" * 4, 2), ("😀", 1), ("\ud800", 1)])
def test_count_tokens(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I moved to Paris.", "i moved  to PARIS"),
        ("It’s “fine” — really…", "It's 'fine' - really..."),
        ("a well-known (old) trick!", "A well known old trick"),
        ("1,000 people", "1000 people"),
        ("Really?!", "really ?"),
        ("snake_case", "snake case"),
        ("ﬁne", "fine"),
        ("Are you？", "are you?"),
    ],
)
def test_normalize_levels_trivial_differences(one: str, other: str) -> None:
    assert normalize(one) == normalize(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3.5 kg", "35 kg"),
        ("-5 degrees", "5 degrees"),
        ("I code in C++", "I code in C"),
        ("You like tea.", "You like tea?"),
        ("I do not smoke", "I do smoke"),
        ("10:30", "1030"),
        ("great 😀", "great 😢"),
    ],
)
def test_normalize_keeps_what_changes_the_meaning(one: str, other: str) -> None:
    assert normalize(one) != normalize(other)
