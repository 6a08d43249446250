"""Who a verb speaks of and how: the subject and the auxiliaries to the left of it, read from closed lists of words."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache

from loci.text.tokens import STOPWORDS
from loci.text.wording.telling import Sentence
from loci.text.wording.verbs import KIN, SEVERAL_OF, UPPER
from loci.text.wording.words import wordset

_TITLES = wordset("mom mum mama mommy mummy dad papa daddy grandma granny grandpa granddad")
ME = "me"  # the subject key of a speaker who has no name

KIN_WORD = f"(?:{'|'.join(sorted(map(re.escape, KIN), key=len, reverse=True))})"
ADJECTIVE = (
    r"(?:older|elder|younger|little|big|oldest|eldest|youngest|other|new|best|late|twin|half|middle|first|second|former|old|current|dear|"
    r"good|close)"
)
_NAME = rf"(?!I\b){UPPER}[\w-]*(?:'(?!(?:s|ll|d|m|re|ve|t)\b)[\w-]+)*"
NAMED = rf"(?:{_NAME}(?:\s{_NAME}){{0,3}})"
MINE = r"\b(?:[Mm]y|[Oo]ur)"
# A person by kinship or by name, and somebody of theirs: "my sister Lea", "my wife's boss", "Anna's mother". Verbose.
OWNER = rf"""(?:{MINE}\s(?P<kin>(?:{ADJECTIVE}\s)?{KIN_WORD})\b(?:,?\s(?P<kin_name>{NAMED}))?(?:'s?\s(?P<kin2>{KIN_WORD})\b)?
  | (?P<name>\b{NAMED})(?:'s?\s(?:{ADJECTIVE}\s)?(?P<name_kin>{KIN_WORD})\b)?)"""
_SUBJECT = rf"""(?:(?P<me>(?<![\w'])(?:[Ii]|[Ww]e|{MINE}\s\w+\sand\s[Ii])(?![\w-]))
  | (?P<bare>(?<![\w'])[Ii](?=(?:m|ve)\s))
  | (?P<pronoun>\b(?:[Hh]e|[Ss]he|[Tt]hey)\b)
  | {OWNER})"""
_AUXILIARIES = (
    # to be, to have, to do, the modals
    "am is are was were be been being isn't aren't wasn't weren't ain't have has had haven't hasn't hadn't having do does "
    "did don't doesn't didn't dont doesnt will won't would wouldn't could couldn't should shouldn't might may can can't "
    "cannot must not never no_longer used_to",
    # what is meant to come, wished for or feigned
    "gonna going_to going about_to due_to planning_to planning_on plan_to plan_on set_to starting_to decided_to want_to "
    "wants_to wanted_to wanna hope_to hopes_to hoping_to wish wishes wished thinking_about thinking_of considering dream_of "
    "dreaming_of dream_about dreaming_about try_to tries_to trying_to tried_to training_to studying_to learning_to "
    "hate_to_be feel_like pretend pretending_to love_to like_to need_to have_to got_to get_to",
    # verbs of beginning, ending and becoming
    "started began start begun starting stopped quit gave_up given_up kept keep became become becoming got gotten getting "
    "get gets went gone go goes turned turning come_to came_to grown_to learned_to",
    # adverbs and the like
    "to both all just now currently presently still finally recently lately already actually also really truly always only "
    "even simply mostly officially newly happily legally basically practically probably maybe perhaps almost nearly "
    "definitely absolutely totally kind_of sort_of yesterday today once back since then again eventually afterwards soon "
    "myself ourselves guys too well honestly strictly fully mainly strongly severely super very so quite proudly",
)
_AUX_WORDS = "|".join(word.replace("_", r"\s") for group in _AUXILIARIES for word in group.split())
_AUX = rf"(?:'(?:m|re|s|ve|ll|d)\b|(?:m|ve)\b(?=\s)|,?\s+(?:{_AUX_WORDS})\b(?!'))"
_LEFT = re.compile(rf"(?x) {_SUBJECT} (?P<aux>{_AUX}*) \s* $")
_ELLIPTIC = re.compile(rf"(?x) (?:^|[.;!?,:–—-]|\b(?:and|but|then|so|now)\b)\s* (?P<aux>(?:\s*{_AUX})*) [\s,]* $")
_ANTECEDENT = re.compile(rf"(?x) {_SUBJECT} (?= {_AUX} | \s+[a-z] )")
_RELATIVE = re.compile(r"\b(?:who|which|whose|whom)\b")
_KINSMAN = re.compile(rf"(?x) {MINE}\s(?P<kin>(?:{ADJECTIVE}\s)?{KIN_WORD})\b(?:,?\s(?P<kin_name>{NAMED}))?(?!'s)")
_HE = wordset(
    """father dad papa daddy brother son husband boyfriend fiance fiancé uncle nephew grandpa grandfather granddad grandson stepfather
    stepbrother landlord father-in-law brother-in-law son-in-law godfather godson"""
)
_SHE = wordset(
    """mother mom mum mama mommy mummy sister daughter wife girlfriend fiancee fiancée aunt auntie niece grandma grandmother granny
    granddaughter stepmother stepsister landlady mother-in-law sister-in-law daughter-in-law godmother goddaughter"""
)

_HEDGES = wordset(
    """'d would wouldn't could couldn't should shouldn't might may maybe perhaps almost nearly practically basically probably wish
    wishes wished want wants wanted wanna hope hopes hoping thinking considering dream dreams dreaming try tries trying tried feel
    pretend pretending must need can learning training studying like love"""
)
_FUTURE = wordset("will won't 'll gonna going about due planning plan set decided soon getting starting")
_PAST = wordset("was were wasn't weren't had hadn't did didn't once used")
_NEGATIVE = wordset("not never isn't aren't wasn't weren't ain't haven't hasn't don't doesn't didn't dont doesnt won't can't cannot")
_CHANGE = wordset(
    """come came grown now finally recently newly officially became become becoming got gotten getting went gone turned started began
    again eventually"""
)
_PERFECT = wordset("have has 've ve been having")
_GIVEN_UP = wordset("stopped quit gave given")
_BE = wordset("am is are 'm m 's 're was were be been being isn't aren't wasn't weren't became become")
_GET = wordset("got gotten get gets getting went gone turned turning")
_ANY_AUXILIARY = _BE | _PERFECT | _FUTURE | _NEGATIVE | wordset("""do does did has had started began stopped used may can""")
_AUX_WORD = re.compile(r"'?\w+(?:'\w+)?")
# the plain words that a subject or its auxiliaries may end in, or that open a clause without one
_BEFORE_VERB = wordset("i im ive m ve we he she they and but then so now").union(
    KIN, (word.rpartition("_")[2] for group in _AUXILIARIES for word in group.split())
)
_NOT_ONLY = re.compile(r"(?:n't|\bnot|\bdont|\bdoesnt)\s(?:just|only|simply)\b")  # "I don't just live in Porto" denies nothing
_LONGEST_WORD = 24  # characters of a word that are looked at
_NO_NAME = re.compile(r"(?:ing|ly|tion|ness|ment)\Z")
_NOT_NAMES = STOPWORDS | wordset(
    """hey hi hello dear yes yeah wow oh so well thanks home work today yesterday tomorrow tonight monday tuesday wednesday thursday
    friday saturday sunday january february march april may june july august september october november december god guess currently
    happy sorry please good great nice congrats congratulations fact correction update news btw fyi speaking being everybody default
    max min total size version number age sum answer average result note step nobody somebody life people someone goodbye bye anyway
    honestly luckily sadly unfortunately finally recently lately meanwhile besides apparently suddenly incidentally"""
)


@dataclass(frozen=True, slots=True)
class Left:
    """Where the subject starts, its key, whether there may be several such persons, and what the auxiliaries say."""

    start: int
    subject: str
    several: bool = False
    named: bool = False  # a third person, whose verb must agree
    elliptic: bool = False  # no subject of its own
    shared: bool = False  # ... but the one of the verb before
    negative: bool = False
    ended: bool = False
    used_to: bool = False
    past: bool = False
    perfect: bool = False
    future: bool = False
    hedged: bool = False
    change: bool = False
    still: bool = False
    be: bool = False
    get: bool = False
    has_auxiliary: bool = False


@lru_cache(maxsize=1024)
def key(name: str) -> str:
    """Return the key of a person or thing: casefolded, no leading "the", one space between words."""
    name = " ".join(name.replace("’", "'").casefold().split()).strip(" .,;:!?\"'“”")
    return name.removeprefix("the ").strip()


def person(name: str, people: Collection[str]) -> str | None:
    """Return the key of a name found in running text, None when it is no name; a first name finds its one full name."""
    words = name.split()
    while words and words[0].casefold() in _NOT_NAMES and words[0] not in people:
        words.pop(0)
    if not words or words[-1].casefold() in _NOT_NAMES or _NO_NAME.search(words[-1]):
        return None
    plain = key(" ".join(words))
    full = [known for known in people if key(known) == plain or key(known).split(" ")[0] == plain]
    return key(full[0]) if len(full) == 1 else plain


def is_known(value: str, people: Collection[str]) -> bool:
    """Tell whether a value is the full or first name of somebody known."""
    return any(value in (key(name), key(name).split(" ")[0]) for name in people)


def owner(found: re.Match[str], sentence: Sentence) -> tuple[str, bool] | None:
    """Return the key that the `OWNER` part of a match names, and whether there may be several such persons."""
    mine, people = sentence.me, sentence.people
    if found["kin"]:
        words = found["kin"].casefold().split()
        name = person(found["kin_name"], people) if found["kin_name"] else None
        name = None if name == mine else name  # the speaker's own name: "my boss Ana", said by Ana
        if found["kin2"]:
            return f"{name or mine + '/' + ' '.join(words)}/{found['kin2'].casefold()}", words[-1] in SEVERAL_OF and not name
        if name:
            return name, False
        return f"{mine}/{' '.join(words)}", words[-1] in SEVERAL_OF
    name = person(found["name"], people)
    if name is None:
        return None
    name = f"{mine}/{name}" if name in _TITLES else name  # "Mum's number", of one's own
    if found["name_kin"]:
        return f"{name}/{found['name_kin'].casefold()}", found["name_kin"].casefold() in SEVERAL_OF
    return name, False


def read_left(sentence: Sentence, end: int) -> Left | None:
    """Return who the verb at `end` speaks of; None if no subject stands there. Looks back at most 90 characters."""
    word = sentence.text[max(sentence.start, end - _LONGEST_WORD) : end].rstrip().rpartition(" ")[2]
    if word.isalpha() and word.islower() and word not in _BEFORE_VERB:
        return None  # seen by the word alone, as most are
    base = max(sentence.start, end - 90)
    window = sentence.text[base:end]
    found = _LEFT.search(window)
    if found is None:
        return _elliptic(sentence, base, window)
    if found["aux"].split(maxsplit=1)[:1] == ["to"]:
        return None  # "to train her to become a soldier"
    who = _who(sentence, found)
    if who is None:
        return None
    is_named = found["kin"] is None or bool(found["kin2"])
    return replace(_left(base + found.start(), *who, found["aux"]), named=is_named and who[0] != sentence.me)


def _elliptic(sentence: Sentence, base: int, window: str) -> Left | None:
    """Return whom a verb without a subject speaks of: the one before "and", the speaker where there is none."""
    found = _ELLIPTIC.search(" " + window)  # an auxiliary has a space before it
    if found is None:
        return None
    start = base + max(0, found.start("aux") - 1)
    head = sentence.text[sentence.start : start]
    subjects = [_who(sentence, before) or (before["pronoun"] and ("", False)) for before in _ANTECEDENT.finditer(head)]
    who = next((each for each in subjects if each), None)
    if who is None:
        return _left(start, sentence.me, False, found["aux"], elliptic=True)
    if not who[0] or _RELATIVE.search(head):
        return None  # "he packed up and moved": it is not said who he is
    return _left(start, *who, found["aux"], elliptic=True, shared=True)


def _who(sentence: Sentence, found: re.Match[str]) -> tuple[str, bool] | None:
    """Return the key of a subject, and whether there may be several such persons."""
    if found["me"] or found["bare"]:
        return sentence.me, False
    if found["pronoun"]:
        return _antecedent(sentence, found["pronoun"].casefold())
    return owner(found, sentence)


def _antecedent(sentence: Sentence, pronoun: str) -> tuple[str, bool] | None:
    """Return whom "he" or "she" means: the only relative of the speaker, of that sex, named just before."""
    kinds = {"he": _HE, "she": _SHE}.get(pronoun)
    if kinds is None:
        return None
    who: set[tuple[str, bool]] = set()
    for found in _KINSMAN.finditer(sentence.text):
        kin = found["kin"].casefold().split()[-1]
        if kin in kinds or kin not in _HE | _SHE:
            name = person(found["kin_name"], sentence.people) if found["kin_name"] else None
            name = None if name == sentence.me else name
            who.add((name or f"{sentence.me}/{found['kin'].casefold()}", kin in SEVERAL_OF and not name))
    return who.pop() if len(who) == 1 else None


def _left(start: int, subject: str, several: bool, aux: str, elliptic: bool = False, shared: bool = False) -> Left:
    """Return what the auxiliaries say."""
    aux = aux.casefold()
    words = set(_AUX_WORD.findall(aux))
    gone = "no longer" in aux or bool(words & _GIVEN_UP)
    return Left(
        start,
        subject,
        several,
        elliptic=elliptic,
        shared=shared,
        negative=bool(words & _NEGATIVE) or gone,
        ended=gone or "used to" in aux,
        used_to="used to" in aux,
        past=bool(words & _PAST),
        perfect=bool(words & _PERFECT),
        future=bool(words & _FUTURE),
        hedged=bool(words & _HEDGES) or bool(_NOT_ONLY.search(aux)),
        change=bool(words & _CHANGE),
        still=bool(words & {"still", "always"}),
        be=bool(words & _BE),
        get=bool(words & _GET),
        has_auxiliary=bool(words & _ANY_AUXILIARY),
    )
