"""What can be taught of a text, and asked about it, by rules alone: its words, questions whose answer it quotes, gaps to be filled.

A *gap* is a part of a text that says what it says: the value of a keyed fact, else a time, a number, a name, else the last word that means something.
Every answer is quoted from the text, so that a lesson can teach nothing that was not said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from loci.text.tokens import STOPWORDS

_WORD = re.compile(r"[^\W_](?:[\w'’.-]*\w)?")
_NUMBER = re.compile(r"\d[\d.,:/-]*\d|\d")
BLANK = "___"

ASKED: dict[str, tuple[str, ...]] = {
    "residence": ("Where {do} {who} live?", "In which place {do} {who} live?", "What is the place where {who} {live}?"),
    "job_title": ("What {do} {who} do for work?", "What is {whose} job?", "What {do} {who} work as?"),
    "employer": ("Who {do} {who} work for?", "What is {whose} employer?", "Which employer {do} {who} have?"),
    "birthday": ("When is {whose} birthday?", "On what day is {whose} birthday?", "What is the date of {whose} birthday?"),
    "age": ("How old {be} {who}?", "What is {whose} age?", "What age {be} {who}?"),
}
"""Questions about an attribute, of which the last is never taught: it is what an examination asks."""
NAMED = ("What is {whose} {noun}?", "{whose_cap} {noun}: what is it?", "Can you say what {whose} {noun} is?")


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of a text, by its place, and the keyed fact that it is the value of: whose, and which (None: no keyed fact)."""

    start: int
    end: int
    subject: str | None = None
    attribute: str | None = None


def gap_of(text: str, claims: Sequence[tuple[str, str, str]], times: Sequence[str], entities: Sequence[str]) -> Gap | None:
    """What a text is worth asking for. ``claims`` are (subject, attribute, value); ``times`` and ``entities`` as the text spells them. None
    where nothing stands before it that could be a cue."""
    found = [_claimed(text, *claim, times) for claim in claims]
    found += [spelt(text, words) for words in times]
    found += [Gap(*m.span()) for m in _NUMBER.finditer(text)][-1:]
    found += [spelt(text, name) for name in reversed(entities)]
    words = [m.span() for m in _WORD.finditer(text) if m.group().casefold() not in STOPWORDS]
    found += [Gap(*words[-1])] if words else []
    return next((gap for gap in found if gap is not None and _WORD.search(text[: gap.start])), None)


def _claimed(text: str, subject: str, attribute: str, value: str, times: Sequence[str]) -> Gap | None:
    """The value as the text spells it; of a date what it says of the only time."""
    found = spelt(text, value) or (spelt(text, times[0]) if attribute == "birthday" and len(times) == 1 else None)
    return found and Gap(found.start, found.end, subject, attribute)


def spelt(text: str, words: str) -> Gap | None:
    """Where a text holds these words as words, in whatever case; None where it does not."""
    found = re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE) if words else None
    return Gap(*found.span()) if found else None


def questions(subject: str, attribute: str, is_own: bool) -> tuple[str, ...]:
    """Ways to ask for a keyed fact; the last is for examinations. ``is_own``: whoever asks asks about themselves. Empty for a fact that has no noun, such
    as what somebody likes."""
    noun = _noun(attribute)
    if noun is None and attribute not in ASKED:
        return ()
    name = subject if any(letter.isupper() for letter in subject) else subject.title()
    who, whose = ("I", "my") if is_own else (name, f"{name}'s")
    said = {"who": who, "whose": whose, "whose_cap": whose[:1].upper() + whose[1:], "noun": noun}
    verbs = {"do": "do" if is_own else "does", "be": "am" if is_own else "is", "live": "live" if is_own else "lives"}
    return tuple(form.format(**said, **verbs) for form in ASKED.get(attribute, NAMED))


def _noun(attribute: str) -> str | None:
    """What a keyed fact is called in a question."""
    kind, _, thing = attribute.partition("/")
    if kind == "pet_name" and thing:
        return f"{thing}'s name"
    if kind in ("attr", "favourite") and thing:
        return thing.replace("_", " ") if kind == "attr" else f"favourite {thing}".replace("_", " ")
    return {"phone": "phone number", "email": "email address", "name": "name", "residence/address": "address"}.get(attribute)


def blanked(text: str, gap: Gap) -> str:
    """The text with the gap left open."""
    return f"{text[: gap.start]}{BLANK}{text[gap.end :]}"
