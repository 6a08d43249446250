"""Whose words a question is in: memories are told in the first person, questions about them in the third.

Vectors of "What did Ann paint?" and "I painted a sunrise" lie apart for the name alone. Put as Ann would put it, "What did
I paint?", the same model finds half as many more of the turns that answer in one kind of conversation, and twice as many in
another (bench/RESULTS.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from loci.text.tokens import STOPWORDS

_PRONOUNS = {
    "his": "my", "her": "my", "their": "my", "he": "I", "she": "I", "they": "I", "him": "me", "them": "me",
    "himself": "myself", "herself": "myself", "themselves": "myself",
}  # fmt: skip
_PRONOUN = re.compile(rf"\b(?:{'|'.join(_PRONOUNS)})\b", re.IGNORECASE)
_AGREEMENT = {"does": "do", "is": "am", "has": "have", "Does": "Do", "Is": "Am", "Has": "Have"}
_VERB_FIRST = re.compile(r"\b([Dd]oes|[Ii]s|[Hh]as) I\b")
_VERB_LAST = re.compile(r"\bI (does|is|has)\b")


def in_own_words(question: str, people: Sequence[str]) -> str:
    """Return the question as those it names would put it; unchanged where it names none of `people`.

    Where it names one, "he", "her" and "their" are taken for that person.
    """
    named, is_lower = 0, question.islower()
    for name in sorted({part for person in people for part in (person, person.split(" ")[0]) if len(part) > 1}, key=len, reverse=True):
        if is_lower and name.lower() not in STOPWORDS:
            name = name.lower()
        if name not in question:
            continue
        owner, other = re.compile(rf"\b{re.escape(name)}['’]s\b"), re.compile(rf"\b{re.escape(name)}\b")
        question, possessives = owner.subn("my", question)
        question, mentions = other.subn("I", question)
        named += bool(possessives or mentions)
    if named == 1:
        question = _PRONOUN.sub(lambda found: _PRONOUNS[found[0].lower()], question)
    if named:
        question = _VERB_FIRST.sub(lambda found: f"{_AGREEMENT[found[1]]} I", question)
        question = _VERB_LAST.sub(lambda found: f"I {_AGREEMENT[found[1]]}", question)
    return question
