"""Facts told in set phrases whose subject is the speaker whatever the grammar says: "home is ...", "they hired me at ..."."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from loci.text.wording.by_verb import NOW, blocked
from loci.text.wording.telling import Cue, Fact, Sentence, dated
from loci.text.wording.values import Sort, address, is_job, plain
from loci.text.wording.verbs import (
    ADDRESS,
    BELONGINGS,
    BREED,
    CLUBS,
    DIET,
    DOSE,
    DRUG,
    EMAIL,
    INSTITUTION,
    NAME,
    PARTNERS,
    PHONE,
    SCHOOL,
    SPECIES_OF,
    TELEPHONE,
)


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
_DAYS = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_ENDS = r"(?=\W*$|\s*[.,;!)]|\s(?:and|but|because|so|since|last|yesterday|today|this|in|on|when|after|for|over)\b)"
_NO_STORY = r"(?<!hen\s)(?<!fter\s)(?<!efore\s)(?<!ntil\s)(?<!ince\s)"
_CALLED_SO = r"(?:(?:his|her|their)\sname(?:'s|\sis)|s?he(?:'s|\sis)\scalled)"
_SHE_IS = r"(?:,?\s+(?:so\s|and\s)?(?:now\s)?(?:(?:s?he|it)(?:'s|\sis)\s(?:now\s)?called|(?:her|his|its)\s(?:new\s)?name\sis(?:\snow)?))"

# fmt: off
SAYINGS: tuple[Saying, ...] = (
    Saying("me", rf"(?i:\b(?:reach|call|text|ring|phone|contact)\sme\s(?:at|on|under|via)\s)(?P<v>{PHONE})", "phone", "statement", "Call me on 555 0134.", sort="phone"),
    Saying("me", rf"(?i:\b(?:reach|email|e-mail|mail|contact|write(?:\sto)?)\sme\s(?:at|on|under|via)\s)(?P<v>{EMAIL})", "email", "statement", "Write to me at a@b.example.", sort="email"),
    Saying("number mobile phone cell", rf"(?i:\bmy\s(?:mobile|phone|cell)(?:\snumber)?,?\s)(?P<v>{PHONE})", "phone", "statement", "This is my mobile number, 555 0134.", sort="phone"),
    Saying("reachable", rf"(?i:\bI(?:'m|\sam)\s(?:now\s)?reachable\s(?:at|on|under|via)\s)(?P<v>{PHONE})", "phone", "statement", "I am reachable on 555 0134.", sort="phone"),
    Saying("use", rf"(?i:\buse\s)(?P<v>{EMAIL})(?i:\s(?:as\smy\b|as\sthe\b|instead|from\snow\son|for\s(?:everything|all|e-?mails?|me)\b))", "email", "change", "Please use a@b.example as my email.", sort="email"),
    Saying("use", rf"(?i:\buse\s)(?P<v>{PHONE})(?i:\s(?:as\smy\b|instead|from\snow\son|for\s(?:everything|all|me)\b))", "phone", "change", "Please use 555 0134 as my number.", sort="phone"),
    Saying("number", rf"(?:\A|(?<=[.!?:;,\n]\s)|(?<=\n)|{_I}(?:got\s)?an?\s)(?i:new\s(?:phone\s|cell\s|mobile\s)?number:?\s)(?P<v>{PHONE})", "phone", "change", "New number: 555 0134.", sort="phone"),
    Saying("email mail e-mail", rf"(?i:\bmy\se-?mail,\s)(?P<v>{EMAIL})", "email", "statement", "It's my email, a@b.example.", sort="email"),
    Saying("home", rf"(?<!at\s)\b[Hh]ome\sis\s(?:now\s|still\s)?(?!\d){_V}", "residence", "statement", "Home is Porto."),
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
    Saying("switched changed", rf"\b(?:switched|changed)\s(?:my\s)?(?P<x>dentist|doctor|therapist|bank|gym|coach|trainer|insurer|vet|optician|physio|lawyer|accountant|hairdresser|barber|provider)s?,?\s(?:and\s)?(?:now\s)?(?:(?:I|[Ww]e)(?:'m|'re|\snow)?\s(?:see|seeing|go\sto|am\swith|are\swith|with|have|use)|it's(?:\snow)?|(?:the|my|our)\snew\sone\sis)\s{_V}", "attr/{x}", "change", "I switched dentists, I see Dr Chen now."),
    Saying("died passed dead put", rf"\b(?:[Mm]y|[Oo]ur)\s(?:\w+\s)?(?P<x>{BREED})(?:,?\s{_V}),?\s(?:has\s|just\s|sadly\s|recently\s)*(?:died|passed\saway|is\sdead|was\sput\s(?:down|to\ssleep))\b", "pet_name/{x}", "end", "My dog Rex died.", polarity=False),
    Saying("car", rf"\b[Mm]y\scar\sis\s(?:now\s)?an?\s(?:[a-z]+\s){{1,2}}{_V}", "car", "statement", "My car is a blue Volvo."),
    Saying("plate plates", r"\bnew\s(?:licen[sc]e\s|number\s)?plates?\b[^.!?]{0,20}?,\s(?:and\s)?(?:(?:the|its|my)\s(?:new\s)?number\sis|it's|they're)\s(?P<v>[A-Z\d][A-Z\d -]{2,9}[A-Z\d])\b", "attr/number plate", "change", "I got new plates, the number is AB 123.", sort="text"),
    Saying("pin code password", r"\b[Tt]he\s(?P<x>[a-z]+(?:\s[a-z]+)?\s)has\sa\snew\s(?:PIN|pin),?\s(?:it's\s|it\sis\s)?(?P<v>\d{3,8}|\[\w{3,32}\s[0-9a-f]{8}\])", "attr/{x}pin", "change", "The office door has a new PIN, 9036.", sort="text"),
    Saying("eats gets", rf"\b(?:[Oo]ur|[Mm]y|[Tt]he)\s(?P<x>{BREED})\s(?:now\s)?(?:eats|gets)\s(?!{_DAYS}){_V}", "pet_food/{x}", "statement", "Our cat eats Whiskas."),
    Saying("switched changed moved", rf"\b(?:switched|changed|moved)\s(?:our|my|the)\s(?P<x>{BREED})\s(?:over\s)?to\s(?!{_DAYS}){_V}", "pet_food/{x}", "change", "We switched the cat to Felix."),
    Saying("lessons classes training practice", rf"{_I}(?:stopped|quit|cancell?ed|dropped|given\sup|gave\sup)\s(?:taking\s|going\sto\s)?(?:my\s|the\s)?(?P<x>[^\W\d]\w+)\s(?:lessons|classes|training|practice)\b", "attr/{x}", "end", "I stopped my German lessons.", polarity=False),
    Saying("house flat apartment place", rf"\b[Mm]y\s(?:new\s)?(?:house|flat|apartment|place)\sis\s(?:now\s)?(?:at|on)\s(?P<v>{ADDRESS})", "residence/address", "statement", "My house is at 5 Elm Road.", sort="text"),
    Saying("made appointed promoted", r"\b(?:made|appointed|promoted)\sme\s(?:to\s|as\s)?(?:an?\s|the\s)?(?:new\s)?(?P<v>[a-z][\w-]+(?:\s[a-z][\w-]+){0,2})", "job_title", "change", "They made me store manager.", sort="text"),
    Saying("called", rf"\bI(?:(?:'d|\swould)\s(?:rather|prefer\sto|like\sto)|\sprefer\sto|\swant\sto)\sbe\scalled\s{_V}", "wish/name", "change", "I'd rather be called Al.", sort="text"),
    Saying("my", rf"\b(?:[Aa]ll\s)?(?:of\s)?[Mm]y\s{BELONGINGS}\sare\s(?:now\s)?(?:all\s)?(?:kept\s|stored\s)?in\s{_V}", "uses for/{x}", "statement", "My notes are in Notion."),
    Saying("dose", rf"\b[Mm]y\s(?:new\s)?(?P<x>{DRUG})\sdose\sis\s(?:now\s)?(?P<v>{DOSE})", "attr/{x} dose", "statement", "My ramipril dose is 10 mg.", sort="text"),
    Saying("off", rf"\b(?:taken|took)\sme\soff\s(?:the\s|my\s)?(?P<v>{DRUG})\b", "medicine/{v}", "end", "They took me off metformin.", polarity=False, sort="text"),
    Saying("phone", rf"\b[Mm]y\s(?:new\s|current\s)?phone(?:'s|\sis)\s(?:now\s)?(?:an?\s|the\s)?{TELEPHONE}", "device/phone", "statement", "My phone is a Pixel 8."),
    Saying("phone", rf"\b(?:have|got|'ve|bought)\s(?:got\s)?(?:myself\s)?an?\snew\sphone(?:,|:)\s(?:and\s)?(?:it's\s|it\sis\s)?(?:an?\s|the\s)?{TELEPHONE}", "device/phone", "change", "I've got a new phone, it's a Pixel 8."),
    Saying("put", rf"\bput\sme\sdown\sas\s(?:an?\s)?{DIET}\b", "diet", "change", "Please put me down as vegan.", sort="text"),
    Saying("boyfriend girlfriend husband wife partner fiance fiancee", rf"\b(?:have|got|'ve)\s(?:got\s)?an?\s(?:new\s)?(?:{PARTNERS})(?:\snow)?,\s(?:and\s)?{_CALLED_SO}\s{_V}", "partner", "change", "I've got a new boyfriend, his name is Max."),
    Saying("boss manager supervisor landlord landlady teacher coach doctor dentist therapist trainer", rf"\b(?:have|got|'ve)\s(?:got\s)?an?\s(?:new\s)?(?P<x>boss|manager|supervisor|landlord|landlady|teacher|coach|doctor|dentist|therapist|trainer)(?:\snow)?,\s(?:and\s)?{_CALLED_SO}\s{_V}", "attr/{x}", "change", "I have a new dentist, her name is Ana."),
    Saying("put", rf"\bput\sme\son\s(?:{DOSE}\s(?:of\s)?)?(?P<v>[a-z]{{4,}})\sfor\smy\s(?P<x>[a-z][a-z-]+(?:\s(?:fever|pressure|pain|disease|problems?|attacks?|levels?|failure))?)", "medicine/for {x}", "change", "They put me on loratadine for my hay fever.", sort="text"),
    Saying("put", rf"\bput\sme\son\s(?:{DOSE}\s(?:of\s)?)?(?P<v>{DRUG})\b(?!\sfor\s)", "medicine/{v}", "change", "They put me on sertraline.", sort="text"),
    Saying("take taking takes", rf"\b(?:I|[Ww]e)(?:'m|\sam|\snow|\scurrently)*\stak(?:e|ing)\s(?P<v>{DOSE})\s(?:of\s)?(?P<x>{DRUG})\b", "attr/{x} dose", "statement", "I take 10 mg of ramipril.", sort="text"),
    Saying("dose", rf"\b[Mm]y\s(?:new\s)?dose\sof\s(?P<x>{DRUG})\sis\s(?:now\s)?(?P<v>{DOSE})", "attr/{x} dose", "statement", "My dose of ramipril is 10 mg.", sort="text"),
    Saying("put raised increased upped lowered reduced cut", rf"\b(?:put|raised|increased|upped|lowered|reduced|cut)\s(?:my|the)\s(?P<x>{DRUG})(?:\sdose)?\s(?:up\s|down\s)?to\s(?P<v>{DOSE})", "attr/{x} dose", "change", "He put my ramipril up to 10 mg.", sort="text"),
    # what replaces what, where the attribute is that of the old value
    Saying("renamed", rf"\brenamed\s(?:(?:the|our|my)\s\w+,?\s)?{_OLD}(?:\s(?:to|as|into)\s|{_SHE_IS}\s){_V}", None, "change", "We renamed Luna, her name is Ziggy now."),
    Saying("traded swapped exchanged", rf"\b(?:traded|swapped|exchanged)\s(?:in\s)?{_A}{_OLD}\s(?:in\s)?for\s{_A}{_V}", None, "change", "I traded in my Gibson for a Fender."),
    Saying("replaced", rf"\breplaced\s{_A}{_OLD}\swith\s{_A}{_V}", None, "change", "I replaced the Gibson with a Fender."),
    Saying("sold", rf"\bsold\s{_A}{_OLD}\sand\s(?:bought|got)\s{_A}{_V}", None, "change", "I sold the Gibson and got a Fender."),
    Saying("from", rf"\b(?:switched|went|changed|transferred|moved)\sfrom\s{_A}{_OLD}\sto\s{_A}{_V}", None, "change", "I switched from Acme to Nimbus."),
    Saying("left", rf"\b[Ll]eft\s{_OLD}\sfor\s{_V}", None, "change", "I left Acme for Nimbus."),
    Saying("left quit", rf"{_I}(?:left|quit)\s(?:the|my|our)\s(?P<old>(?:[\w'-]+\s){{0,3}}?{CLUBS}){_ENDS}", None, "end", "I've left the choir.", polarity=False, sort="text"),
    Saying("dropped stopped quit", rf"{_I}(?:dropped|stopped|quit)\s(?:learning\s|taking\s|studying\s|using\s)?{_OLD}{_ENDS}", None, "end", "I dropped Korean.", polarity=False, sort="text"),
    Saying("cancelled canceled unsubscribed closed", rf"{_I}(?:cancell?ed|unsubscribed\sfrom|closed)\s(?:my\s|our\s|the\s)?{_OLD}(?:\s(?:subscription|membership|account))?{_ENDS}", None, "end", "I cancelled Netflix.", polarity=False, sort="text"),
    Saying("cancelled canceled", rf"\b[Mm]y\s{_OLD}\s(?:subscription\s|membership\s)?(?:has\sbeen|is|was)\scancell?ed\b", None, "end", "My Netflix was cancelled.", polarity=False, sort="text"),
    Saying("sold gave given donated rid deleted", rf"{_I}(?:sold|gave\saway|given\saway|donated|got(?:ten)?\srid\sof|deleted)\s(?:my|our|the)\s(?:old\s)?{_OLD}(?:\saccount)?{_ENDS}", None, "end", "I sold the Clio.", polarity=False, sort="text"),
    Saying("gave given", rf"{_I}(?:gave|given)\s(?:my|our|the)\s{_OLD}\s(?:away|to\s(?:my|our|a|the)\b)", None, "end", "I gave my Fitbit away.", polarity=False, sort="text"),
    Saying("died passed put", rf"(?<!my\s)(?<!My\s){_OLD}\s(?:has\s|just\s|sadly\s|recently\s)*(?:died(?!\s(?:laughing|inside|a\slittle|of\slaughter))|passed\saway|was\sput\s(?:down|to\ssleep))\b", None, "end", "Rex died.", polarity=False),
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
                fact = None if blocked(sentence.text, sentence.start, found.start()) else _read(sentence, saying, found)
                if fact is not None:
                    yield dated(sentence, fact)


def _read(sentence: Sentence, saying: Saying, found: re.Match[str]) -> Fact | None:
    groups = found.groupdict()
    old = plain(groups["old"]) if groups.get("old") else None
    told = address if saying.attribute == "residence/address" else plain
    value = saying.value or (told(groups["v"]) if groups.get("v") else "")
    cue = saying.cue
    if saying.attribute == "job_title" and not is_job(value):
        return None
    if cue == "statement" and NOW.search(sentence.text[found.start() : found.end() + 20]):
        cue = "change"
    if saying.attribute is None:
        return Fact(found.start(), found.end(), None, None, value or old or "", saying.polarity, cue=cue, replaces=old, sort=saying.sort)
    thing = groups.get("x") or ""
    attribute = saying.attribute.replace("{x}", SPECIES_OF.get(thing, thing).casefold()).replace("{v}", value)
    return Fact(found.start(), found.end(), sentence.me, attribute, value, saying.polarity, cue=cue, sort=saying.sort)
