"""What somebody is called besides their name, "my brother Tom", and which of two such relations can be one person's."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from loci.text.wording.subjects import ADJECTIVE, KIN_WORD, ME, MINE, NAMED, key, person
from loci.text.wording.telling import Fact
from loci.text.wording.verbs import KIN, PARTNERS
from loci.text.wording.words import wordset

RELATIVES = tuple(
    map(
        wordset,
        (
            "mother mom mum mama mommy mummy stepmother", "father dad papa daddy stepfather", "brother stepbrother twin",
            "sister stepsister twin", "son kid baby", "daughter kid baby", "aunt auntie", "grandma grandmother granny",
            "grandpa grandfather granddad", "uncle", "cousin", "niece", "nephew", "grandson", "granddaughter", "mother-in-law",
            "father-in-law", "brother-in-law", "sister-in-law", "son-in-law", "daughter-in-law",
        ),
    )
)  # fmt: skip
"""Words for one and the same relation. A relative who is called by two of these relations is two people, and so is one who is called by
another word."""
OTHERS = tuple(
    map(
        wordset,
        (
            "wife husband girlfriend boyfriend partner spouse fiance fiancé fiancee fiancée", "boss manager supervisor",
            "colleague coworker co-worker teammate", "friend bestie buddy mate", "roommate flatmate housemate", "neighbour neighbor",
            "landlord landlady", "teacher professor", "coach trainer",
        ),
    )
)  # fmt: skip
"""The same of people one is not born to: a colleague may be a friend as well, a husband becomes an ex."""
SOMEBODY = "?"  # whose brother "her brother Tom" is, is not said
NAMING = ("partner", *(f"attr/{kin}" for kin in KIN if not re.fullmatch(PARTNERS, kin)))
"""The attributes whose values are the names of people."""

_LONGEST_QUESTION = 500  # characters of a question that are read
_BORN = frozenset().union(*RELATIVES)
_WHOSE = rf"(?:\b(?P<their>[Hh]is|[Hh]er|[Tt]heir)|{MINE}\s(?P<of_mine>{KIN_WORD})'s?|(?P<of>\b{NAMED})'s?|{MINE})"
_KIN = rf"(?:(?P<other>other\s)|{ADJECTIVE}[\s-])*(?P<kin>{KIN_WORD})\b"
_SAID = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_WHOSE}\s{_KIN}(?:,?\s|\s(?:called|named)\s)(?=(?P<name>{NAMED}))",
        rf"(?P<name>\b{NAMED})(?:\s(?:is|was)\s|,\s|\s\(){_WHOSE}\s{_KIN}(?!'|\s{NAMED})",
        rf"\b(?:I|[Ww]e)(?:'ve|\shave|\sgot|\shad)+\s(?:an?|two|another)\s{_KIN}\s(?:called|named)\s(?P<name>{NAMED})",
        rf"\b(?:[Aa]n?|[Aa]nother)\s{_KIN}\sof\s(?:mine|ours),?\s(?:called\s|named\s)?(?P<name>{NAMED})",
    )
)


def related(text: str, found: Sequence[Fact], me: str, people: Collection[str]) -> list[Fact]:
    """Return the facts told in `text`, those about a name with the relation that goes with it there: the last one told before."""
    if not any(_is_name(fact, me) for fact in found):
        return list(found)
    told = sorted([*_said(text, me, people), *_named(found)])
    return [replace(fact, relation=_last(told, fact)) if _is_name(fact, me) else fact for fact in found]


def asked(question: str, speaker: str | None, people: Collection[str]) -> str | None:
    """Return the relation of whom a question names with it: "ana/brother" of "Where does my brother Tom live?", asked by Ana."""
    told = next(_said(question[:_LONGEST_QUESTION], key(speaker) if speaker else ME, people), None)
    return told[2] if told else None


def naming(subject: str, attribute: str) -> str | None:
    """Return the relation of whom a value of this key is the name: "ana/brother" of ("ana", "attr/brother"); None where it is no name."""
    return f"{subject}/{attribute.removeprefix('attr/')}" if attribute in NAMING else None


def is_one_person(a: str, b: str) -> bool | None:
    """Tell whether two relations that go with one name ("ana/brother") are one person's; None where that cannot be told."""
    if a == b:
        return True
    (whose, kin), (other, kin2) = a.rsplit("/", 1), b.rsplit("/", 1)
    if whose != other or whose == SOMEBODY:
        return None
    if any(kin in words and kin2 in words for words in (*RELATIVES, *OTHERS)):
        return True
    return None if _BORN.isdisjoint((kin, kin2)) else False


def _said(text: str, me: str, people: Collection[str]) -> Iterator[tuple[int, str, str]]:
    """Yield where a text says what somebody is to whom, the key of the name, and the relation."""
    for pattern in _SAID:
        for found in pattern.finditer(text):
            groups = found.groupdict()
            name, whose = person(found["name"], people), _whose(groups, me, people)
            if name and whose:
                yield found.start(), name, f"{whose}/{groups['other'] or ''}{found['kin'].casefold()}"


def _whose(groups: dict[str, str | None], me: str, people: Collection[str]) -> str | None:
    if groups.get("their"):
        return SOMEBODY
    if kin := groups.get("of_mine"):
        return f"{me}/{kin.casefold()}"
    return person(name, people) if (name := groups.get("of")) else me


def _named(found: Sequence[Fact]) -> Iterator[tuple[int, str, str]]:
    """Yield the same of the facts that tell a name: "my brother is called Tom"."""
    for fact in found:
        relation = naming(fact.subject, fact.attribute) if fact.subject and fact.attribute and fact.polarity else None
        if relation is not None:
            yield fact.start, key(fact.value), relation


def _last(told: Sequence[tuple[int, str, str]], fact: Fact) -> str | None:
    """Return the relation of the subject that is told last before the fact ends."""
    before = [relation for start, name, relation in told if name == fact.subject and start < fact.end]
    return before[-1] if before else None


def _is_name(fact: Fact, me: str) -> bool:
    return fact.subject not in (me, None) and "/" not in str(fact.subject) and fact.serial is None
