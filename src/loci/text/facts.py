"""Keyed facts told in a turn: whose what is which, since when, and whether it states, changes, corrects or ends.

A fact has a key (`subject`, `attribute`) and a value in a form made for comparison. Nothing is guessed: a wording that
is not in the tables of `loci.text.wording`, a question, a joke, a hypothesis, somebody else's words and text to be worked on
make no fact.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime

from loci.text.places import told_apart, town_of
from loci.text.wording import by_correction, by_event, by_naming, by_noun, by_number, by_saying, by_schedule, by_verb, by_wish
from loci.text.wording.by_correction import is_marked
from loci.text.wording.by_number import SERIAL
from loci.text.wording.by_verb import NOW
from loci.text.wording.casing import cased
from loci.text.wording.listing import members
from loci.text.wording.material import is_tale, material
from loci.text.wording.relations import related
from loci.text.wording.subjects import ME, key
from loci.text.wording.telling import Arity, Cue, Fact, Sentence, Tense
from loci.text.wording.values import Sort, plain
from loci.text.wording.verbs import NAME
from loci.text.wording.words import listed

__all__ = ["ME", "Arity", "Cue", "Fact", "Sort", "Tense", "facts", "key"]

_MOST = 20_000  # characters of a turn that are read
_REGION = re.compile(rf",\s(?:the\s)?(?P<name>{NAME})")  # of a town
_LONGEST = 600  # characters of a sentence that is read: a longer one is a listing or a log
_CONTEXT = 200  # characters of the turn before a sentence, where what "it" or "she" stands for is looked for
_LONGEST_CORRECTED = 400  # characters of a turn in which "actually" or "*" still takes something back

_WORD = re.compile(r"[^\W_]+(?:-[a-z]+)?")
# looked back at from behind the stop: in front of it, every letter of the text would be asked
_ABBREVIATED = "".join(rf"(?<!\b{short}[.!?…])" for short in listed("Mr Ms Dr St Mrs No Inc Ltd Co Corp Jr Sr [A-Z]"))
# from the first stop of a run alone: a long run is not to be tried at every stop
_BREAK = re.compile(rf"(?<![.!?…])[.!?…](?:[.!?…]++|{_ABBREVIATED})[\"')\]]*+(?=\s)|\n+")
_NUMBERED_BREAK = re.compile(r"(?<!\d)\.\s+(?=The\s|\d+[.:)]\s)|\n+")
_KIDDING = re.compile(r"(?i)\b(?:kidding|just joking|jk|only joking|in my dreams)\b")
# a question whose mark was left out: "do i live in rome", not "did my degree in Rome", "have I told you that I live in Rome"
_ASKING = re.compile(
    r"""(?x) \W*(?i:(?:so|and|but|hey|hi|ok|okay|well|then|now|please|wait)\W+)*
    (?: (?i:does)\s | (?i:do|is|are)\s(?i:i|we|he|she|they|my|our|his|her|their|the|your|this|that)\b
      | (?i:did|was|were|has|have|had)\s(?i:i|we|he|she|they)\b | (?i:do|did|is|are|was|were|has|have|had)\s(?!I\b|It\b|You\b)[A-Z]\w )
    (?!(?:.{0,12}\b)?(?i:told|tell|mention(?:ed)?|say|said)\b)"""
)
# a question by its form alone: "Can you note that I moved to Rome?"
_TO_NOTE = re.compile(
    r"""(?x) \W*(?i:(?:hi|hello|hey|so|and|also|ok|okay|thanks|good\s(?:morning|afternoon|evening)|(?:hi|hello|hey)\s(?:there|again))\W+)*
    (?i:(?:can|could|would|will)\syou\s(?:please\s|kindly\s|just\s|also\s)*)
    (?: (?i:(?:note|remember|save|record|remind\sme|write\sdown|note\sdown|make\sa\snote|take\snote|keep\sin\smind|add|log|store|register)\b(?:\s(?:down|somewhere|for\sme|(?:to|in)\smy\s\w+|of\sthe\sfact)){0,2},?\sthat\s)
      | (?=(?i:update|change|note|save|add|remember|put|set)\s(?i:my|our)\b))"""
)
_NOT_THAT = re.compile(
    r",?\s(?:and\s)?not\s(?:(?:an?|the|in|on|at|to|from)\s)?(?!(?:just|only|really|very|so|too|as|because|for|that|if|when|yet|even|sure|far|with|anymore|any|this|my|his|her|bad|much|many)\b)"
    r"(?P<v>[^\W\d_][\w' -]{1,30}?)(?=\s*(?:[.,;!?)]|$))"
)
_DIGIT = re.compile(r"\d")
_DIGITS, _NO_DIGITS = frozenset("#"), frozenset[str]()
_KIDDING_CUES = ("kidding", "joking", "jk", "dreams")
_CODE = re.compile(r"[{}<>\\|=`]|\*\*|//")


def facts(text: str, speaker: str | None, anchor: datetime | None, people: Collection[str] = ()) -> list[Fact]:
    """Return the facts told in `text` in order; spans count in `text`.

    `text` is a sentence or, better, the whole turn: "just kidding" and "it's ..." look at the sentences before them.
    Only the first 20,000 characters are read, and no sentence longer than 600.
    `speaker` stands behind "I" and "my", `people` are names known to be persons, `anchor` is when it was said.
    """
    text = cased(text[:_MOST].replace("’", "'"), people)
    folded = text.casefold()
    if any(cue in folded for cue in _KIDDING_CUES) and _KIDDING.search(text):
        return []
    me = key(speaker) if speaker else ME
    found: list[Fact] = []
    carried = False
    sentences = list(_sentences(text))
    for start, end in sentences:
        if request := _TO_NOTE.match(text, start, end):
            start = request.end()
        said = text[start:end]
        told: list[Fact] = []
        lowered = folded[start:end] if len(folded) == len(text) else said.casefold()
        words = frozenset(_WORD.findall(lowered)) | (_DIGITS if _DIGIT.search(said) else _NO_DIGITS)
        corrects = carried or "*" in said or "mis" in lowered or not words.isdisjoint(by_correction.WAKING)
        is_awake = corrects or _is_awake(words, text, start) or by_wish.opens(said, words)
        if is_awake and end - start <= _LONGEST and not _CODE.search(said):
            base = max(0, start - _CONTEXT)
            sentence = Sentence(text[base:end], start - base, me, anchor, people, words)
            asks = request is None and _asks(said)
            told = list(by_wish.by_wish(sentence)) if asks else _told(sentence)  # "can you always answer in German?"
            if corrects and not told and not asks and len(text) <= _LONGEST_CORRECTED:
                fact = by_correction.by_correction(sentence, carried)
                told = [fact] if fact else []
            found += [replace(fact, start=fact.start + base, end=fact.end + base) for fact in told]
        carried = corrects and not told and len(said.split()) < 5 and is_marked(said)
    apart = material(text, sentences, me, people) if found else []
    tales = {fact.start for fact in found if is_tale(text, fact.end)}
    found = [_instead_of(text, fact) for fact in found]
    kept = [fact for fact in found if fact.start not in tales and not any(start <= fact.start < end for start, end in apart)]
    return related(text, kept, me, people)


def _asks(said: str) -> bool:
    """Tell whether a sentence is a question."""
    return said.rstrip(" \"')").endswith("?") or _ASKING.match(said) is not None


_WAKING = by_verb.WAKING | by_saying.WAKING | by_noun.WAKING | by_naming.WAKING | by_event.WAKING | by_schedule.WAKING | by_number.WAKING


def _is_awake(words: frozenset[str], text: str, start: int) -> bool:
    """Tell whether there is a word from which one of the readers could start. Most sentences have none."""
    if not words.isdisjoint(_WAKING):
        return True
    if not (words.isdisjoint(by_verb.PREDICATES) or words.isdisjoint(by_verb.COPULAS)):
        return True
    return "#" in words and SERIAL.match(text, start) is not None


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    numbered = SERIAL.match(text)
    breaks = _NUMBERED_BREAK if numbered else _BREAK
    for found in breaks.finditer(text, numbered.end() if numbered else 0):
        if text[start : found.end()].strip():
            yield start, found.end()
        start = found.end()
    if text[start:].strip():
        yield start, len(text)


_READERS = (
    by_verb.by_verb, by_saying.by_saying, by_noun.by_noun, by_naming.by_naming, by_event.by_event, by_schedule.by_schedule, by_wish.by_wish,
)  # fmt: skip


def _told(sentence: Sentence) -> list[Fact]:
    """Return the facts whose subject is named in the sentence, one a key and value, in order."""
    found = list(by_number.by_number(sentence))
    if found:
        return found
    found = [each for read in _READERS for fact in read(sentence) for each in members(sentence, _placed(sentence, fact))]
    found += [replace(fact, attribute="residence", value=town, sort="name") for fact in found if (town := _new_town(fact))]
    found = _distinct(found or list(by_number.by_relation(sentence)))
    if found and is_marked(sentence.said) and not NOW.search(sentence.said):
        found = [_correcting(fact) for fact in found]
    return sorted(found, key=lambda fact: (fact.start, fact.end))


def _placed(sentence: Sentence, fact: Fact) -> Fact:
    """Return a fact whose value is a town of a name that several have with the state or country that is told behind it: "Portland, Oregon"."""
    region = _REGION.match(sentence.text, fact.end) if fact.attribute in ("residence", "attr/hometown") and fact.value else None
    apart = told_apart(fact.value, region["name"]) if region else None
    return replace(fact, value=apart, end=region.end()) if region and apart else fact


def _new_town(fact: Fact) -> str | None:
    """Return the town of a new address, where somebody lives from now on."""
    is_new = fact.attribute == "residence/address" and fact.cue == "change" and fact.tense == "now" and fact.polarity
    return town_of(fact.value) if is_new else None


def _instead_of(text: str, fact: Fact) -> Fact:
    """Return a fact, one of several that may hold, with the value that is said not to be: "I'm allergic to pistachios, not cashews"."""
    is_open = fact.arity == "many" and fact.polarity and fact.tense == "now" and fact.replaces is None and fact.sort != "date"
    other = _NOT_THAT.match(text, fact.end) if is_open and fact.attribute is not None else None
    if other is None:
        return fact
    return replace(fact, replaces=plain(other["v"]), cue="correction" if fact.cue == "statement" else fact.cue)


def _correcting(fact: Fact) -> Fact:
    """Return what a sentence tells that begins with "sorry" or "actually"."""
    is_told = fact.tense == "now" and fact.cue in ("statement", "change")
    return replace(fact, cue="correction") if is_told else fact


def _distinct(found: list[Fact]) -> list[Fact]:
    """Return each key and value once, an end ("my dog Rex died") rather than what it also says to have been, and keyless changes only where no key
    tells the same value."""
    ended = {(fact.subject, fact.attribute, fact.value) for fact in found if fact.cue == "end" and not fact.polarity and fact.value}
    found = [fact for fact in found if not fact.polarity or (fact.subject, fact.attribute, fact.value) not in ended]
    if any(fact.attribute == "diet" and fact.value == "vegan" and fact.polarity for fact in found):  # who then eats no meat either
        found = [fact for fact in found if (fact.attribute, fact.value, fact.polarity) != ("diet", "vegetarian", True)]
    named = {fact.value for fact in found if fact.subject is not None}
    kept = [fact for fact in found if fact.subject is not None or (fact.value not in named and fact.replaces not in named)]
    keys = {(fact.subject, fact.attribute) for fact in kept if fact.value}
    kept = [fact for fact in kept if fact.value or (fact.subject, fact.attribute) not in keys]
    return list({(fact.subject, fact.attribute, fact.value, fact.polarity): fact for fact in reversed(kept)}.values())
