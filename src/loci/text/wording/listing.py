"""All of a list: "my kids are Max and Ben" and "allergic to eggs, nuts and latex" tell each of its members, and none takes another's place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from loci.text.tokens import STOPWORDS
from loci.text.wording.subjects import is_known
from loci.text.wording.telling import Cue, Fact, Sentence
from loci.text.wording.values import MONTHS, WEEKDAYS, is_thing, plain
from loci.text.wording.verbs import BY_WORD, KINDS, KINSFOLK, LANGUAGE, PETS, SEVERAL_NAMES, UPPER
from loci.text.wording.words import wordset

_LONGEST = 12  # members
_NAMES = SEVERAL_NAMES | {f"attr/{kin}" for kin in KINSFOLK.values()}
_NEXT = re.compile(r"(?:,?\s(?P<last>and|&|plus|as\swell\sas|or|nor)|,)\s(?:also\s)?(?:to\s)?")
_NAME = re.compile(rf"(?P<v>(?!I\b){UPPER}[\w-]*(?:'\w{{2,}})?(?:\s(?!I\b){UPPER}[\w-]*)?)(?!')")
_SPOKEN = re.compile(LANGUAGE)
_WORD = r"[^\W\d_][\w-]*(?:'s?(?=\s))?"
_THINGS = tuple(re.compile(rf"(?:(?:an?|the)\s)?(?P<v>{_WORD}{more})(?!')\b") for more in (rf"\s{_WORD}", ""))
_ASIDE = re.compile(r"\s\([^()\n]{1,20}\)")  # "Max (8)"
_CLOSED = re.compile(
    r"\W*\Z|\s*[.;:!?)…]|,\s|\s[-–—]|\s(?:any\s?more|any\slonger|now|too|as\swell|though|but|so|because|since|at\sall|these\sdays|instead|again)\b"
    r"|,?\s(?:and|&)\s(?:an?|one|my|our|I|we|he|she|they|it|the|is|are|am|have|live|work)\b"
)
_APPOSED = re.compile(rf"(?:[Mm]y|[Oo]ur)\s(?:\w+\s)?(?:{KINDS}),?\s(?={UPPER})")
_VERB = re.compile(r"\s[a-z]")
_SEVERAL = re.compile(rf"\b(?:are|names|{KINDS})\b")
_ARE = re.compile(r"\bare\b")
_DAYS = frozenset((*WEEKDAYS, *MONTHS))
# what opens no thing: verbs ("and hate olives"), and words that only say that there is more
_NO_THING = STOPWORDS | BY_WORD.keys() - wordset(f"fish meat playing singing dance learning banking course class {PETS}") | wordset(
    """want wants need needs take takes use uses carry avoid play plays eat eats drink drinks cook watch watches read reads write speak speaks
    know knows see think feel make makes keep try tries ask help sneeze come comes look looks sleep run buy find give pay put say says tell hope wish
    plan prefer prefers learn wear visit travel train even stuff things others other another most many such especially"""
)  # fmt: skip


def members(sentence: Sentence, fact: Fact) -> list[Fact]:
    """Return a fact and those that the same list tells with it; it alone where it opens no list of what one can have several of."""
    further = _further(sentence, fact) if _may_list(sentence, fact) else []
    if not further:
        return [fact]
    value = fact.value.partition(" & ")[0]
    return [_member(fact, value, fact.end), *(_member(fact, *each) for each in further)]


def goes_on(text: str, start: int, end: int) -> bool:
    """Tell whether a list of names goes on behind what is told in [start, end), which ends with the first."""
    return bool(_listed(text, end, (_NAME,), False, _APPOSED.match(text, start) is not None))


def _may_list(sentence: Sentence, fact: Fact) -> bool:
    """Tell whether a fact is one of those of which several hold at once, and opens a list by its wording."""
    attribute = fact.attribute or ""
    if not fact.subject or not fact.value or fact.replaces or fact.serial is not None or fact.tense == "past":
        return False
    if attribute in ("allergy", "language"):
        return True
    if attribute.startswith("likes/"):  # "Simon and Garfunkel" may be one
        return sentence.text[fact.end - len(fact.value) :][:1].islower()
    head = sentence.text[fact.start : fact.end]
    if attribute.startswith("pet_name") or attribute in _NAMES:
        return _SEVERAL.search(head) is not None
    return attribute.startswith(("favourite/", "attr/", "residence/")) and _ARE.search(head) is not None


def _further(sentence: Sentence, fact: Fact) -> list[tuple[str, int]]:
    """Return the values that stand in a list behind that of the fact, and where each of them ends."""
    joined = [(value, fact.end) for value in fact.value.split(" & ")[1:]]
    is_named = fact.sort == "name"
    is_apposed = _APPOSED.match(sentence.text, fact.start) is not None
    patterns = (_SPOKEN,) if fact.attribute == "language" else (_NAME,) if is_named else _THINGS
    further = [(plain(words), end) for words, end in _listed(sentence.text, fact.end, patterns, not fact.polarity, is_apposed)]
    values = [value for value, _ in further]
    if not is_named and not all(is_thing(value) and not is_known(value, sentence.people) for value in values):
        return []
    if not fact.polarity and not is_named and " " in fact.value and any(" " not in value for value in values):
        return []  # "I dislike rented software and services": it is not said whether all services
    return [*joined, *further]


def _listed(text: str, at: int, patterns: tuple[re.Pattern[str], ...], is_denied: bool, is_apposed: bool) -> list[tuple[str, int]]:
    """Return the words behind the first member of a list, and where they end; none where no last one stands behind an "and", or it is
    not the last of its clause. What is apposed ("my dogs Rex and Luna love me") has its verb behind it."""
    found: list[tuple[str, int]] = []
    while len(found) < _LONGEST:
        joint = _NEXT.match(text, _past_aside(text, at))
        if joint is None or (joint["last"] in ("or", "nor") and not is_denied):
            return []
        after = (_CLOSED, _NEXT) if joint["last"] else (_NEXT,)
        members = ((word, _past_aside(text, word.end())) for word in _candidates(text, joint.end(), patterns))
        words = next(
            (word for word, end in members if any(each.match(text, end) for each in after) or (is_apposed and _VERB.match(text, end))), None
        )
        if words is None:
            return []
        at = words.end()
        found.append((words["v"], at))
        end = _past_aside(text, at)
        if joint["last"] and (_CLOSED.match(text, end) or not _NEXT.match(text, end)):
            return found
    return []


def _candidates(text: str, at: int, patterns: tuple[re.Pattern[str], ...]) -> Iterator[re.Match[str]]:
    """Yield what may be a member here, the longest first."""
    for pattern in patterns:
        found = pattern.match(text, at)
        told = found["v"].casefold().split() if found else []
        if found and _DAYS.isdisjoint(told) and (pattern not in _THINGS or (told[0] not in _NO_THING and told[-1] not in STOPWORDS)):
            yield found


def _past_aside(text: str, at: int) -> int:
    aside = _ASIDE.match(text, at)
    return aside.end() if aside else at


def _member(fact: Fact, value: str, end: int) -> Fact:
    """Return what is said of one member. Who names several does not say that there are no others: it changes and corrects nothing."""
    attribute = f"likes/{value}" if (fact.attribute or "").startswith("likes/") else fact.attribute
    cue: Cue = "statement" if fact.polarity and fact.cue in ("change", "correction") else fact.cue
    return replace(fact, attribute=attribute, value=value, end=end, cue=cue, arity="many")
