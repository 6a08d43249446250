"""Corrections that name no key: "sorry, I meant Tuesday", "not Monday but Tuesday", "*Lisbon"."""

from __future__ import annotations

import re

from loci.text.wording.subjects import is_known, person
from loci.text.wording.telling import Cue, Fact, Sentence
from loci.text.wording.values import Sort, number, phrase, plain, when
from loci.text.wording.verbs import EMAIL, NAME, PHONE
from loci.text.wording.words import wordset

_WRONG = re.compile(
    r"""(?ix) ^\W* (?: (?:ah|oh|oops|ups|whoops|hmm|um|uh|well|hey|hi|hello|ugh|no|nope|so|but|and|hold\ on|hang\ on|wait
      |sorry|actually|turns\ out) \W+)*
    (?P<strong>scratch\ that|(?:a\ )?(?:small\ |quick\ |little\ )?correction|my\ mistake|my\ bad|typo|i\ was\ (?:mistaken|wrong)(?:\ (?:about|on|with)\ [\w\ ']+)?|i\ misspoke|i\ mis\w+|i\ meant|i\ mean|what\ i\ meant
      |make\ that|strike\ that|to\ correct\ myself|let\ me\ correct|i\ got\ that\ wrong|i\ mixed|(?:i\ |i've\ )?changed\ my\ mind
      |on\ second\ thought|i\ take\ that\ back|i\ (?:gave|told|sent)\ you\ (?:the\ |a\ )?wrong\ [\w\ ]+|i\ made\ a\ mistake(?:\ (?:about|with|on)\ [\w\ ]+)?
      |i\ (?:had|got)\ (?:the|that|my|it)\b[\w\ ]*\ wrong|i\ (?:typed|wrote|remembered)\ (?:it|that)\ wrong)?
    (?:[^\w+(]+|$)?"""
)
_MARK = re.compile(r"(?i)\b(?:actually|sorry|oops|whoops|wait|turns out)\b|\bno\s*,")
_STARRED = re.compile(r"\s*\*(?P<v>\w[\w' -]{1,30})\*?\s*\Z")
_IT_IS = re.compile(
    r"""(?ix) ^(?:(?:i\ meant|i\ mean|what\ i\ meant|i\ should\ have\ said|it's|it\ is|it'll\ be|that's|that\ is|that\ should\ be|should\ be
      |(?:his|her|its|their|the)\ name\ is
      |(?:we|i)\ (?:called|named|renamed)\ (?:her|him|it)|make\ it|make\ that|turns\ out|is|was|to\ say|actually
      |rather|the\ right\ one\ is)\s+)*
    (?:(?:on|in|at|for|to|an?|the)\s+)?"""
)
_BEFORE = r"(?:on\ |in\ |an?\ |the\ )?"
_NOT_BUT = re.compile(
    rf"(?ix) \bnot\ {_BEFORE}(?P<old>[^,;.]{{1,40}}?) (?:,?\ (?P<but>but)|,(?:\ it's)?)\ (?:rather\ )?{_BEFORE}(?P<new>[^,;]{{1,50}})"
)
_SAID_BUT = re.compile(
    rf"""(?ix) ^\W*i\ said\ {_BEFORE}(?P<old>[^,;.]{{1,40}}?),?\ (?:but|when)\ (?:what\ )?i\ (?:really\ )?meant?(?:\ (?:is|was))?
    \ {_BEFORE}(?P<new>[^,;]{{1,50}})"""
)
_COMMA_NOT = re.compile(rf"(?ix) (?:,\ not|\ [-–—]\ not|\ not|\binstead\ of|\brather\ than)\ {_BEFORE}(?P<old>[^,;]{{1,40}}?)\W*$")
_RECONSIDERED = re.compile(r"(?i)\bchanged my mind|on second thought")
_EXACT: tuple[tuple[re.Pattern[str], Sort], ...] = ((re.compile(EMAIL), "email"), (re.compile(PHONE), "phone"))
_NAMED = re.compile(NAME + r"(?=\W*$|[,;.!]|\s(?:and|of|now|in|instead))")
_REMARKS = wordset(
    """fine great good ok okay true false nice late cold hot easy hard funny weird raining over done lovely amazing awesome bad worse
    better terrible right wrong sure possible impossible cool sad fun pretty important serious ready sorry complicated different
    difficult interesting perfect beautiful tasty delicious not very really quite pretty so too been going getting more less kind
    sort"""
)

WAKING = wordset(
    """actually sorry oops whoops wait turns no not scratch correction mistake bad typo wrong misspoke meant mean make strike correct
    correcting mixed changed thought take said instead rather but mistaken"""
)  # what a correction cannot do without, but for "*Lisbon" and "I mis..."


def is_marked(said: str) -> bool:
    """Tell whether a sentence opens as a correction of what was said before."""
    marker = _WRONG.match(said)
    return bool(marker and (marker["strong"] or _MARK.search(marker[0])))


def by_correction(sentence: Sentence, carried: bool) -> Fact | None:
    """Return the correction that a sentence makes; `carried` if the one before it was nothing but "scratch that"."""
    said = sentence.said
    if starred := _STARRED.match(said):
        name = _NAMED.match(starred["v"])
        at = sentence.start + starred.start("v")
        return Fact(at, at + len(name[0]), None, None, plain(name[0]), cue="correction", sort="name") if name else None
    marker = _WRONG.match(said)
    strong = carried or bool(marker and marker["strong"])
    is_sorry = strong or bool(marker and _MARK.search(marker[0]))
    swapped = _SAID_BUT.search(said) or _NOT_BUT.search(said)
    if swapped and not is_sorry and not _is_swap(sentence, swapped):
        swapped = None
    if marker is None or not (is_sorry or swapped):
        return None
    new, old, begin = _swap(said, marker.end(), swapped)
    value = _value(sentence, new, strong or old is not None)
    if value is None:
        return None
    text, sort, length = value
    begin += sentence.start
    date = when(old, sentence.anchor) if old and sort == "date" else None
    replaces = date[2] if date else plain(old) if old else None
    cue: Cue = "change" if _RECONSIDERED.search(said) else "correction"
    return Fact(begin, begin + length, None, None, text, cue=cue, replaces=replaces, sort=sort)


def _is_swap(sentence: Sentence, swapped: re.Match[str]) -> bool:
    """Tell whether "not X but Y" alone corrects: the two look alike, as two names or two dates do."""
    if "but" in swapped.groupdict() and not swapped["but"]:
        return False
    old, new = _value(sentence, swapped["old"], True), _value(sentence, swapped["new"], True)
    return old is not None and new is not None and old[1] == new[1] and (old[1] != "text" or "but" not in swapped.groupdict())


def _swap(said: str, begin: int, swapped: re.Match[str] | None) -> tuple[str, str | None, int]:
    """Return the words of the new value, of the old one if it is named, and where the new ones begin."""
    if swapped:
        return swapped["new"], swapped["old"], swapped.start("new")
    opening = _IT_IS.match(said[begin:])
    begin += opening.end() if opening else 0
    rest = said[begin:]
    taken_back = _COMMA_NOT.search(rest)
    if taken_back:
        return rest[: taken_back.start()], taken_back["old"], begin
    return rest, None, begin


def _value(sentence: Sentence, words: str, strong: bool) -> tuple[str, Sort, int] | None:
    """Return a value that stands alone, its sort and its length; a plain word only where the correction is beyond doubt."""
    for pattern, sort in _EXACT:
        if found := pattern.search(words):
            return plain(found[0]), sort, found.end()
    if (date := when(words, sentence.anchor)) and date[0] < 4:
        return date[2], "date", date[1]
    head = re.split(r"[,;.!?]", words)[0].strip()
    if (amount := number(head)) is not None:
        return str(amount), "number", len(head)
    name = _NAMED.match(words)
    if name and person(name[0], sentence.people) and not is_known(plain(name[0]), sentence.people):
        return plain(name[0]), "name", name.end()
    cut = phrase(head)
    if not strong or not cut or cut != head or cut.casefold().split()[0] in _REMARKS or len(cut.split()) > 3:
        return None
    return plain(cut), "text", len(cut)
