"""Attributes that are told with a noun: "my landlord is ...", "her birthday is on ...", "the capital of X is ..."."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from loci.text.wording.values import Sort
from loci.text.wording.verbs import BREED, KINSFOLK, PARTNERS, SEVERAL_OF, SPECIES_OF
from loci.text.wording.words import wordset

_NOUNS: tuple[tuple[str, str, Sort], ...] = (
    (r"(?:local\s)?(?:(?:cell|mobile|phone|tele|telephone|cellphone)[\s-]?)*(?:phone\s)?(?:number|phone|cell|mobile)", "phone", "phone"),
    (r"e-?mail(?:\saddress)?", "email", "email"),
    (r"(?:home\s|street\s)?address|house\snumber", "residence/address", "text"),
    (r"(?:last\s|family\s|sur)name", "attr/surname", "text"),
    (r"(?:first|given)\sname", "attr/first name", "text"),
    (r"(?:licen[sc]e|number)\splate|registration\snumber", "attr/number plate", "text"),
    (r"birthday|birth\sdate|date\sof\sbirth|birthdate", "birthday", "date"),
    (r"age", "age", "number"),
    (r"employer|company|firm|workplace", "employer", "name"),
    (r"job|profession|occupation|line\sof\swork|job\stitle|title|role|position|trade", "job_title", "text"),
    (r"car", "car", "name"),
    (r"(?:university|college|school|uni|alma\smater)", "school", "name"),
    (r"diet", "diet", "text"),
    (r"home\s?town|hometown", "attr/hometown", "name"),
    (r"(?:home\s)?city|home", "residence", "name"),
    (rf"(?:{PARTNERS})(?:'s\sname)?", "partner", "name"),
)
_EVENTS = (
    "wedding appointment trip party meeting interview exam test flight concert vacation holiday surgery operation move game "
    "match conference recital competition tournament graduation launch opening deadline presentation delivery visit checkup "
    "check-up anniversary ceremony race marathon show exhibition festival retreat workshop reunion gig dinner lunch brunch "
    "barbecue bbq picnic funeral event class premiere screening rehearsal lesson session audition performance hike tour "
    "fundraiser sale call review hearing due\\sdate haircut physio massage vaccination scan "
)
EVENT = "|".join(_EVENTS.split())
# Nouns that need no owner ("the code"), and nouns whose value may be any phrase; with others it must be a name or a number.
IDENTIFIERS = wordset(
    """password code pin passcode key combination username handle login address nickname name surname size postcode zip"""
)
SECRETS = wordset("password passcode pin username handle nickname combination")  # may be any word
ATTRIBUTES = IDENTIFIERS | wordset(
    "goal hobby major minor degree thesis nationality religion insurance blood-type height weight salary rent budget"
)
_SKIP = wordset(
    """day week weekend life time fault turn point way thing part best rest idea mind heart problem question plan hope favourite
    favorite head bad own first last next whole love issue hand eye eyes feeling mood"""
)
_OLD = re.compile(r"(?i)\b(?:old|former|previous|ex|(?:first|last)(?!\s+names?\b)|original|childhood)\b[\s-]*")
_NEW = re.compile(r"(?i)\b(?:new|latest|newest)\b\s*")
_VERBAL = re.compile(
    r"(?i)\b(?:is|are|was|were|has|have|had|will|would|can|and|or|but|that|who|which|to|from|in|at|on|for|with|says|said|told|thinks|thought|it)\b"
)
_UNREAL = re.compile(r"(?i)\b(?:next|future|dream|ideal|imaginary|would-be)\b")
_MILD = re.compile(
    r"(?i)\b(?:current|present|all[\s-]time|absolute|very|own|personal|private|actual|correct|main|"
    r"usual|ever|of\s+all\s+time|these\s+days|nowadays|right\s+now|at\s+the\s+moment|now|lately)\b\s*"
)


@dataclass(frozen=True, slots=True)
class Noun:
    """The attribute a noun phrase names, the sort of value it takes, and whether it is called old or new."""

    attribute: str
    sort: Sort
    old: bool = False
    new: bool = False
    open: bool = True  # any phrase may be its value
    several: bool = False  # it names more than one: "kids", "dogs' names"


_TABLE = [(re.compile(rf"(?:{pattern})\Z", re.IGNORECASE), attribute, sort) for pattern, attribute, sort in _NOUNS]
_FAVOURITE = re.compile(r"(?i)(?:favou?rite|fave)\s+(?:kind of |type of )?([\w' -]{2,30})\Z")
_PET = re.compile(rf"(?i)(?:\w+\s)?({BREED})(?:(?P<several>s(?:'?\snames)?)|'s\sname)?\Z")
_PEOPLE = re.compile(rf"(?i)(?:(?:two|three|four|five|six|\d|own)\s)?(?P<kin>{'|'.join(KINSFOLK)})(?:'?s?\snames?)?\Z")
_REACHED_AT = re.compile(r"(?i)(work|office|home|business|emergency|landline)\s(?:(?:phone|mobile|cell)(?:\snumber)?|number)\Z")
_WRITTEN_TO = re.compile(r"(?i)(work|office|business|school|personal|private)\se-?mail(?:\saddress)?\Z")
_ABOUT_THE_HOUSE = re.compile(r"\A(?:house|home)\s(?=\w+\s\w)|\s(?:at|for)\s(?:home|work)\Z")
_MOSTLY_ONE = frozenset(["doctor", "neighbour", "neighbor", "teacher"])
_EVENT_NOUN = re.compile(rf"(?i)(?:([\w'-]+)(?:'s)?\s+)?({EVENT})(?:\s(?:back|home))*\Z")


@lru_cache(maxsize=1024)
def noun(phrase: str) -> Noun | None:
    """Return what a noun phrase like "new favourite colour" stands for, None when it names no attribute."""
    old, new = bool(_OLD.search(phrase)), bool(_NEW.search(phrase))
    plain = _ABOUT_THE_HOUSE.sub("", " ".join(_MILD.sub("", _NEW.sub("", _OLD.sub("", phrase))).split()))
    if not plain or _VERBAL.search(plain) or _UNREAL.search(plain):
        return None
    if found := _FAVOURITE.match(plain):
        return Noun("favourite/" + _singular(found[1]), "text", old, new)
    for pattern, attribute, sort in _TABLE:
        if pattern.match(plain):
            return Noun(attribute, sort, old, new, attribute not in ("partner", "employer"))
    if found := _PET.match(plain):
        return Noun("pet_name/" + SPECIES_OF.get(found[1].casefold(), "pet"), "name", old, new, False, bool(found["several"]))
    if found := _PEOPLE.match(plain):
        return Noun(f"attr/{KINSFOLK[found['kin'].casefold()]}", "name", old, new, False, found["kin"].casefold() != "child")
    if found := _EVENT_NOUN.match(plain):
        return Noun(event(found[1], found[2]), "date", old, new, False)
    if found := _REACHED_AT.match(plain):
        return Noun(f"attr/{found[1].casefold()} number", "phone", old, new)
    if found := _WRITTEN_TO.match(plain):
        return Noun(f"attr/{found[1].casefold()} email", "email", old, new)
    words = plain.casefold().split()
    if (words[-1] in SEVERAL_OF and words[-1] not in _MOSTLY_ONE) or words[-1] in _SKIP or words[0] in _SKIP or len(words) > 3:
        return None
    return Noun("attr/" + " ".join(words), "text", old, new, words[-1] in ATTRIBUTES)


def event(modifier: str | None, name: str, which: str = "") -> str:
    """Return the attribute of a dated event: plan/appointment, or plan/appointment/dentist where a word before it or behind says which."""
    name, modifier = name.casefold(), (modifier or "").casefold().removesuffix("'s")
    vague = {"", "the", "my", "our", "a", "an", "this", "that", "big", "new", "next", "whole", "small", "upcoming", "little", "first"}
    if " " in modifier:  # "the budget report deadline", as "the deadline for the budget report"
        modifier = next((word for word in modifier.split() if word == "first" or word not in vague), "")
    which = which.casefold() if modifier in vague else modifier
    return f"plan/{name}/{which}" if which else f"plan/{name}"


def _singular(words: str) -> str:
    """Return the thing of a favourite: casefolded, British spelling, without a plural s."""
    words = words.casefold().replace("color", "colour").strip()
    if words.endswith("s") and not words.endswith(("ss", "us", "series", "sports")):
        return words[:-1]
    return words
