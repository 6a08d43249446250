"""Where sentences end."""

import pytest

from loci.text.sentences import sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["I went home.", "Then I slept."],
        ["i went home.", "then i slept."],
        ["Dr. Reyes met J. R. Jones at 5 p.m.", "He left."],
        ["We left at 5 p.m. sharp, e.g. by bus."],
        ["The U.S. Army is big."],
        ["We moved to the U.S.", "It was fun."],
        ["It cost 3.5 euros.", "Fine."],
        ["See http://a.b/c?d=e.", "Mail me@x.org."],
        ["well... i think so...", "Yes."],
        ["Wow!", "that is great!"],
        ["Great!!!", "So good?!", "Yes"],
        ["“Why?” she asked.", '"No."', "He left."],
        ["So do I.", "Then we go."],
        ["It is plan B.", "Then we go."],
        ["No. 5 is alive.", "No.", "I said."],
        ["He works at Acme Inc.", "She does not."],
        ["She lives on Main St.", "He does too."],
        ["She was born in St. Louis."],
        ["Great! 😀", "I went home 😂", "Then I slept."],
        ["I love 🍕 and tea"],
        ["no punctuation here at all"],
        ["(I like it.)", "You too?"],
        ["我喜欢茶。", "你呢？", "好！"],
        ["هل أنت بخير؟", "نعم"],
        ["यह अच्छा है।", "हाँ"],
        ["1. Buy milk.", "2. Sell it."],
    ],
)
def test_sentences(parts: list[str]) -> None:
    joint = "" if any("\u3000" <= part[-1] <= "\uffff" for part in parts) else " "
    assert split(joint.join(parts)) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one\ntwo\r\n\nthree", ["one", "two", "three"]),
        ("- milk\n* tea\n1. salt", ["- milk", "* tea", "1. salt"]),
        ("buy • milk • tea", ["buy", "• milk", "• tea"]),
        ("approx.\nfive", ["approx.", "five"]),
        ("  \n\t ", []),
        ("", []),
        (" a. ", ["a."]),
        ("See:\n```py\nx = 1. y\n\nz! a\n```\nDone. End", ["See:", "```py\nx = 1. y\n\nz! a\n```", "Done.", "End"]),
        ("~~~\na. B. C\n", ["~~~\na. B. C"]),
    ],
)
def test_borders(text: str, parts: list[str]) -> None:
    assert split(text) == parts
