"""Facts told in set phrases whose subject is the speaker whatever the grammar says: "home is ...", "they hired me at ..."."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from loci.text.wording.by_verb import NOW, blocked
from loci.text.wording.telling import Cue, Fact, Sentence, dated
from loci.text.wording.values import Sort, plain
from loci.text.wording.verbs import BREED, EMAIL, INSTITUTION, NAME, PARTNERS, PHONE, SCHOOL, SPECIES_OF


@dataclass(frozen=True, slots=True)
class Saying:
    """One phrase: what wakes it, its pattern (`v` the value, `old` the one it replaces), attribute, cue and an example.

    Without an attribute the fact has no key: what it changes or ends is found by the old value that it names.
    """

    words: str
    pattern: str
    attribute: str | None
    cue: Cue
    example: str
    value: str = ""
    polarity: bool = True
    sort: Sort = "name"


_FIRM = rf"(?!{SCHOOL})(?P<v>(?!\d+\b){NAME}|{INSTITUTION})"
_V, _OLD = rf"(?P<v>{NAME})", rf"(?P<old>{NAME})"
_I = r"\b(?:I|[Ww]e)(?:'ve|\shave)?\s(?:just\s|finally\s|recently\s|also\s)?"
_A = r"(?:an?\s|the\s|my\s)?(?:new\s|used\s|old\s)?"
_AGO = r"(?:\w+\s)?(?:of\s)?(?:days?|weeks?|months?|years?|while|time)\b"
_FULL = rf"(?=\W*$|[.,;!]|\s(?:in|on|last|this|yesterday|today|two|three|a\s{_AGO}|and|but|because|after|for|over|again|when|amicably|recently)\b)"
_NO_OBJECT = rf"(?!\s(?:the|an?\s(?!{_AGO})|my|our|his|her|their|some|that|everything|into|with)\b)"
_PARTED = rf"(?:(?:broken?\sup|split\sup|divorced){_NO_OBJECT}|(?:split|separated){_FULL})"
_HAVE = r"(?:(?:'ve|'re|\shave|\sgot|\sare(?:\snow)?|\sjust|\sfinally|\srecently))*\s"
_APART = r"(?:\sare\sno\slonger|'re\sno\slonger|\saren't|\sare\snot|'re\snot)\s(?:together|married|a\scouple)\b"
_NO_STORY = r"(?<!hen\s)(?<!fter\s)(?<!efore\s)(?<!ntil\s)(?<!ince\s)"
_SHE_IS = r"(?:,?\s+(?:so\s|and\s)?(?:now\s)?(?:(?:s?he|it)(?:'s|\sis)\s(?:now\s)?called|(?:her|his|its)\s(?:new\s)?name\sis(?:\snow)?))"

# fmt: off
SAYINGS: tuple[Saying, ...] = (
    Saying("me", rf"(?i:\b(?:reach|call|text|ring|phone|contact)\sme\s(?:at|on|under|via)\s)(?P<v>{PHONE})", "phone", "statement", "Call me on 555 0134.", sort="phone"),
    Saying("me", rf"(?i:\b(?:reach|email|e-mail|mail|contact|write(?:\sto)?)\sme\s(?:at|on|under|via)\s)(?P<v>{EMAIL})", "email", "statement", "Write to me at a@b.example.", sort="email"),
    Saying("number", rf"(?:\A|(?<=[.!?:;,\n]\s)|(?<=\n)|{_I}(?:got\s)?an?\s)(?i:new\s(?:phone\s|cell\s|mobile\s)?number:?\s)(?P<v>{PHONE})", "phone", "change", "New number: 555 0134.", sort="phone"),
    Saying("email mail e-mail", rf"(?i:\bmy\se-?mail,\s)(?P<v>{EMAIL})", "email", "statement", "It's my email, a@b.example.", sort="email"),
    Saying("home", rf"\b[Hh]ome\sis\s(?:now\s|still\s)?{_V}", "residence", "statement", "Home is Porto."),
    Saying("where", rf"{_V}\sis\swhere\s(?:I|we)\slive\b", "residence", "statement", "Porto is where I live."),
    Saying("home", rf"{_V}\sis\s(?:now\s)?(?:my\snew\shome|our\snew\shome|my\shome|our\shome|home\snow)\b", "residence", "statement", "Porto is my home."),
    Saying("where", rf"{_V}\sis\swhere\sI\swork\b", "employer", "statement", "Acme is where I work."),
    Saying("hired", rf"(?P<v>{NAME}|{INSTITUTION})\s(?:just\s|has\s)?hired\sme\b", "employer", "change", "Acme hired me!"),
    Saying("hired", rf"\b[Tt]hey\s(?:just\s)?hired\sme\sat\s{_V}", "employer", "change", "They hired me at Acme!"),
    Saying("job role position gig", rf"\b[Mm]y\snew\s(?:job|role|position|gig)\s(?:as\s(?:an?\s)?[\w\s-]{{3,30}}?\s)?(?:at|with)\s{_FIRM}\s(?:has\s|have\s|just\s|finally\s|officially\s)*(?:started|begun|began|starts\stoday|begins\stoday)\b", "employer", "change", "My new job at Acme started today."),
    Saying("first", rf"\b(?:[Tt]oday|[Yy]esterday|[Tt]his\sweek|(?:[Ll]ast\s|[Oo]n\s)?\w+day)(?:\swas|'s|\sis)\smy\s(?:very\s)?first\sday\s(?:of\s(?:work|my\snew\sjob)\s|on\sthe\sjob\s|as\san?\s[\w\s-]{{3,30}}?\s)?(?:at|with)\s{_FIRM}", "employer", "change", "Today was my first day at Acme!"),
    Saying("first", rf"(?:\A|(?<=[.!?:;,\n]\s)|(?<=\n)|\b[Hh]ad\s|\b[Jj]ust\s(?:had|finished)\s)(?:[Mm]y\s)?(?:very\s)?[Ff]irst\sday\s(?:of\swork\s)?at\s{_FIRM}\s(?:today|yesterday)\b", "employer", "change", "Had my first day at Acme today."),
    Saying("me", rf"\b(?:let\sme\sgo|laid\sme\soff|fired\sme)\b(?:\s(?:at|from)\s{_V})?", "employer", "end", "They let me go at Acme.", polarity=False),
    Saying("broke split separated divorced", rf"{_V}\sand\sI{_HAVE}{_PARTED}\b", "partner", "end", "Freya and I broke up.", polarity=False),
    Saying("together married couple", rf"{_V}\sand\sI{_APART}", "partner", "end", "Freya and I are no longer together.", polarity=False),
    Saying("broke broken split separated divorced", rf"{_NO_STORY}\b(?:[Ww]e|[Mm]y\s(?:{PARTNERS})\sand\sI){_HAVE}{_PARTED}{_FULL}", "partner", "end", "My wife and I got divorced.", polarity=False),
    Saying("together married couple", rf"{_NO_STORY}\b(?:[Ww]e|[Mm]y\s(?:{PARTNERS})\sand\sI){_APART}", "partner", "end", "We are no longer together.", polarity=False),
    Saying("me", rf"{_NO_STORY}\b(?:{_V}|[Mm]y\s(?:{PARTNERS}))\s(?:has\s|just\s|recently\s)*(?:(?:divorced|broke(?:n)?\sup\swith)\sme\b|dumped\sme{_FULL}|left\sme(?=\W*$|[.,;!]|\sfor\s{NAME}))", "partner", "end", "My wife left me.", polarity=False),
    Saying("broke split separated", rf"\b[Ww]e\s(?:just\s|have\s|'ve\s)?(?:broken?\sup|split\sup|separated),\s(?:(?:I|me)\sand\s)?{_V}", "partner", "end", "We broke up, Freya and I.", polarity=False),
    Saying("together dating couple", rf"{_V}\sand\sI\sare\s(?:now\s)?(?:together|dating|a\scouple)\b", "partner", "change", "Freya and I are together."),
    Saying("divorce", r"\b(?:[Mm]y|[Oo]ur|[Tt]he)\sdivorce\s(?:is\s(?:final|through|official)|(?:went|came)\sthrough|was\sfinali[sz]ed)", "marital_status", "change", "My divorce is final.", "divorced"),
    Saying("switched changed", rf"\b(?:switched|changed)\s(?:my\s)?(?P<x>dentist|doctor|therapist|bank|gym|coach|trainer|insurer)s?,?\s(?:and\s)?(?:now\s)?I(?:'m|\snow)?\s(?:see|seeing|go\sto|am\swith|with|have|use)\s{_V}", "attr/{x}", "change", "I switched dentists, I see Dr Chen now."),
    Saying("died passed dead put", rf"\b(?:[Mm]y|[Oo]ur)\s(?:\w+\s)?(?P<x>{BREED})(?:,?\s{_V}),?\s(?:has\s|just\s|sadly\s|recently\s)*(?:died|passed\saway|is\sdead|was\sput\s(?:down|to\ssleep))\b", "pet_name/{x}", "end", "My dog Rex died.", polarity=False),
    # what replaces what, where the attribute is that of the old value
    Saying("renamed", rf"\brenamed\s(?:(?:the|our|my)\s\w+,?\s)?{_OLD}(?:\s(?:to|as|into)\s|{_SHE_IS}\s){_V}", None, "change", "We renamed Luna, her name is Ziggy now."),
    Saying("traded swapped exchanged", rf"\b(?:traded|swapped|exchanged)\s(?:in\s)?{_A}{_OLD}\s(?:in\s)?for\s{_A}{_V}", None, "change", "I traded in my Gibson for a Fender."),
    Saying("replaced", rf"\breplaced\s{_A}{_OLD}\swith\s{_A}{_V}", None, "change", "I replaced the Gibson with a Fender."),
    Saying("sold", rf"\bsold\s{_A}{_OLD}\sand\s(?:bought|got)\s{_A}{_V}", None, "change", "I sold the Gibson and got a Fender."),
    Saying("from", rf"\b(?:switched|went|changed|transferred|moved)\sfrom\s{_A}{_OLD}\sto\s{_A}{_V}", None, "change", "I switched from Acme to Nimbus."),
    Saying("left", rf"\b[Ll]eft\s{_OLD}\sfor\s{_V}", None, "change", "I left Acme for Nimbus."),
    Saying("left leaving", rf"{_I}left\s(?P<old>{NAME}|{INSTITUTION})(?=\s*(?:[.,;!]|$|\band\b|\blast\b|\byesterday\b|\btoday\b|\bin\b|\bon\b))", None, "end", "I've left Acme.", polarity=False),
)
# fmt: on


def _compiled() -> dict[str, list[tuple[Saying, re.Pattern[str]]]]:
    """Return the sayings by the words that wake them."""
    index: dict[str, list[tuple[Saying, re.Pattern[str]]]] = {}
    for saying in SAYINGS:
        pattern = re.compile(saying.pattern)
        for word in saying.words.split():
            index.setdefault(word, []).append((saying, pattern))
    return index


_BY_WORD = _compiled()
WAKING = frozenset(_BY_WORD)


def by_saying(sentence: Sentence) -> Iterator[Fact]:
    """Yield the facts told in the phrases of the table."""
    for word in sentence.words & _BY_WORD.keys():
        for saying, pattern in _BY_WORD[word]:
            for found in pattern.finditer(sentence.text, sentence.start):
                if not blocked(sentence.text, sentence.start, found.start()):
                    yield dated(sentence, _read(sentence, saying, found))


def _read(sentence: Sentence, saying: Saying, found: re.Match[str]) -> Fact:
    groups = found.groupdict()
    old = plain(groups["old"]) if groups.get("old") else None
    value = saying.value or (plain(groups["v"]) if groups.get("v") else "")
    cue = saying.cue
    if cue == "statement" and NOW.search(sentence.text[found.start() : found.end() + 20]):
        cue = "change"
    if saying.attribute is None:
        return Fact(found.start(), found.end(), None, None, value or old or "", saying.polarity, cue=cue, replaces=old, sort=saying.sort)
    thing = groups.get("x") or ""
    attribute = saying.attribute.replace("{x}", SPECIES_OF.get(thing, thing))
    return Fact(found.start(), found.end(), sentence.me, attribute, value, saying.polarity, cue=cue, sort=saying.sort)
