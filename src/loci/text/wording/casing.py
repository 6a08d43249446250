"""Capitals for those who write none, or nothing else: "i moved to lisbon" and "I MOVED TO LISBON" are read as "I moved to Lisbon".

The wordings know a name by its capital. Where a turn has none inside its sentences, capitals are put on listed places, makes
and firms, on people who are known, and on one to three words behind those that a name follows ("lives in", "works at",
"called"): English leaves the article out before names, and before little else. What else it is ("in pain", "at night") is
listed or told by its ending; and a name has to end where a sentence does, or before a word that goes on with it. Behind words
that as much follows ("moved to", "joined") only a listed name is one. When unsure no name is read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from loci.text.wording.spelling import CLOSERS, MAKES, NO_NAMES, PHRASES, SPELLED
from loci.text.wording.verbs import BREED, KIN, PARTNERS
from loci.text.wording.words import wordset

_LETTER = r"[^\W\d_]"
_SHOUTING = re.compile(r"[^\W\d_a-zß-öø-ÿ]{2}\W+[^\W\d_a-zß-öø-ÿ]{2}")  # two words in capitals
# a capital inside a sentence, and not that of "I": who wrote it writes them
_WRITTEN = re.compile(r"(?<=[\w,;'\"(&-]\s)(?!I\b)[^\W\d_a-zß-öø-ÿ]")
_WORD = re.compile(rf"{_LETTER}[\w&-]*(?:'(?!(?:s|ll|d|m|re|ve|t)\b)\w+)?")
_I = re.compile(r"(?<![\w'.-])i(?=$|[\s,.!?;:)'])")
_PHRASE = re.compile(rf"(?:{'|'.join(sorted(PHRASES, key=len, reverse=True))})\b")
_OPENS_PHRASE = frozenset(phrase.partition(" ")[0] for phrase in PHRASES)
_LONGEST = 3  # words of a name
# how words end that are no names: as the first of a name, as the model behind a make of car, as another behind the first
_ENDING = re.compile(r"(?:ing|ly|[ts]ion|ness|ment|isms?|ship|hood|ful|less|able|ible|ous|ive|ized|ised|[a-z]{2}[^siu]s)\Z")
_ENDED = re.compile(rf"{_ENDING.pattern}|(?:ed|broke|ran|smells?|looks?|needs?)\Z")
_VERBAL = re.compile(r"(?:ing|ly)\Z")
_OF_FIRMS = wordset("hospital university college school bank museum clinic church airport international group media")
_JOINT = re.compile(r"\s(?:&\s|of\s(?:the\s)?|de\s(?:la\s)?)?(?=[^\W\d_])")
_MORE = re.compile(rf"(?:,\s{_LETTER}[\w-]*)*,?\sand\s{_LETTER}[\w-]*(?=\W*(?:\Z|\n)|\s*[.;:!?)])")
_CLOSE = re.compile(r"\W*(?:\Z|\n)|\s*[.,;:!?)\"]|\s(?:\d|[-–—(])|'s\b")

_HERE = r"(?:(?:back|here|over|out|down|up|right|together|alone|now|still|permanently)\s)*"
_A = r"(?:an?\s|my\s|the\s|our\s)?(?:new\s|old\s)?"
_PARTED = "left switched changed went transferred moved traded swapped replaced sold renamed"
_LEFT = (
    rf"(?:left|switched\sfrom|changed\sfrom|went\sfrom|transferred\sfrom|moved\sfrom|traded(?:\sin)?|swapped|replaced|sold|renamed)\s{_A}"
)
_TITLES, _INSTITUTIONS = "dr mr mrs ms prof", "university college bank museum ministry"
_NOUNS = "job jobs position role gig internship living degree school uni university college student freshman sophomore senior"
# (words of which one is in it, what a name stands behind, how the name does not end)
_WORDINGS = (
    ("live lives living lived reside resides residing resided based settled grew raised born",
     rf"(?:live|lives|living|lived|reside|resides|residing|resided|based|settled|grew\sup|raised|born)\s{_HERE}(?:in|near)", _ENDING),
    ("relocate relocated relocating emigrated flat apartment house home place",
     r"(?:relocate|relocated|relocating|emigrated)\sto|(?:flat|apartment|house|home|place)\sin|home\s?town\sis", _ENDING),
    ("in at", r"(?:i'm|im|i\sam|we're|we\sare|i've\sbeen|ive\sbeen)\s(?:(?:now|back|still)\s)*(?:in|at)", _ENDING),
    ("work works working worked interning interned",
     r"(?:work|works|working|worked|interning|interned)\s(?:(?:here|now|remotely|part-time|full-time)\s)*"
     r"(?:as\san?\s(?:[\w-]+\s){1,3})?(?:at|for)", _ENDING),
    (_NOUNS, rf"(?:{_NOUNS.replace(' ', '|')})\s(?:at|with)", _ENDING),
    ("employed hired laid fired let start started starting",
     r"(?:employed|hired|hired\sme|laid\sme\soff|fired\sme|let\sme\sgo|start|started|starting)\s(?:work\s|working\s)?(?:at|by)", _ENDING),
    ("studies studying studied study attend attends attending graduated degree",
     r"(?:studies|studying|studied|study)\s(?:\w+\s){0,2}at|attends?|attending|graduated\sfrom|degree\sfrom", _ENDING),
    ("at for", r"an?\s(?:[\w-]+\s){1,2}(?:at|for)", _ENDING),
    (f"{_INSTITUTIONS} city", rf"(?:the\s)?(?:{_INSTITUTIONS.replace(' ', '|')}|city)\sof(?:\sthe)?", _ENDING),
    (f"{BREED.replace('|', ' ')}", rf"an?\s(?:\w+\s)?(?:{BREED}),", _ENDING),
    (_PARTED, _LEFT, _ENDING),  # it changes nothing unless the same name was told before
    (_PARTED, rf"{_LEFT}[\w'-]+(?:\s[\w'-]+)?\s(?:for|to|in\sfor|with|and\s(?:bought|got))\s{_A}", _ENDING),
    ("dating married engaged together relationship divorced split broke",
     r"dating|married(?:\sto)?|engaged\sto|together\swith|relationship\swith|divorced|(?:split|broke)\sup\swith", _ENDING),
    (f"called named renamed name {_TITLES}",
     rf"(?:called|named|renamed)(?:\s(?:her|him|it|them))?(?:\snow)?|(?:name\sis|name's)(?:\snow|\sactually)?|(?:{_TITLES.replace(' ', '|')})\.?", None),
)  # fmt: skip

_ONE = rf"(?P<name>{_LETTER}[\w-]+)"
_KINDRED = "|".join(sorted({*map(re.escape, KIN), *BREED.split("|"), *PARTNERS.split("|")}, key=len, reverse=True))
_VERBS = """is was has had isn't doesn't can't never used lives works worked moved got started loves likes hates just now studies quit joined
    drives turned became called attends resides recently finally still died passed"""
_VERB = rf"(?:{'|'.join(_VERBS.split())})"
_WAYS = "street st road rd avenue ave lane ln drive dr boulevard blvd way court place square terrace"
# (words of which one is in it, where in a sentence a name stands)
_WITHIN = (
    # my sister lea lives in ..., our dog rex's
    ("my our", rf"\b(?:my|our)\s(?:(?:older|younger|little|big|best|new|old)\s)?(?:{_KINDRED}),?\s{_ONE}(?=(?:'s)?\s{_VERB}\b|'s\b)"),
    # a porto resident, we call porto home
    ("resident", rf"\ban?\s{_ONE}(?=\sresident\b)"), ("call calls", rf"\bcalls?\s{_ONE}(?=\s(?:my\s|our\s)?home\b)"),
    # 5 elm road
    (_WAYS, rf"\b\d{{1,5}}[a-z]?\s(?P<name>(?:[\w'.-]+\s){{1,3}}?)(?P<title>(?:{_WAYS.replace(' ', '|')})\b)"),
)  # fmt: skip
# the same at the beginning of a sentence or clause
_FIRST = (
    # freya and i broke up
    ("together dating couple broke broken split separated divorced",
     rf"(?:so\s|well\s|and\s)?{_ONE}(?=\sand\si(?:'ve|\shave|\sjust|\sare|'re|\sgot|\sfinally|\srecently)*"
     r"\s(?:no\slonger|not|now|together|dating|a\scouple|broken?|split|separated|divorced)\b)"),
    # porto is where i live, acme hired me, freya is my wife
    ("where hired my our home",
     rf"(?P<name>{_LETTER}[\w-]+(?:\s{_LETTER}[\w-]+)?)(?=\s(?:is\swhere\s(?:i|we)\s|(?:just\s|has\s)?hired\sme\b"
     rf"|is\s(?:now\s)?(?:my|our)\s(?:new\s)?(?:home|employer|{_KINDRED})\b|is\shome\snow\b))"),
    # astrid moved to ..., aunt rosa's number is ...
    (f"{_VERBS} doesn isn can", rf"(?P<title>(?:aunt|auntie|uncle|cousin)\s)?{_ONE}(?=\s{_VERB}\b|'s\s)"),
)  # fmt: skip
_CLAUSE = re.compile(r"[.!?;,]\s|\n")
_TITLE = re.compile(rf"\b(?:{_TITLES.replace(' ', '|')}|(?:{_INSTITUTIONS.replace(' ', '|')})(?=\sof))(?=\.?\s{_LETTER})")
_TITLED_BY = wordset(f"{_TITLES} {_INSTITUTIONS}")


_Rule = tuple[re.Pattern[str], re.Pattern[str] | None]  # where a name stands (its group `name`, or behind it), and how that does not end


def _by_word(rules: Iterable[tuple[str, str, re.Pattern[str] | None]]) -> dict[str, list[_Rule]]:
    """Return rules by the words that wake them."""
    index: dict[str, list[_Rule]] = {}
    for words, wording, ending in rules:
        rule = re.compile(wording), ending
        for word in words.split():
            index.setdefault(word, []).append(rule)
    return index


_BEHIND = ((words, rf"\b(?:{wording})\s?(?<=\s)(?={_LETTER})", ending) for words, wording, ending in _WORDINGS)
_ANYWHERE = _by_word((*_BEHIND, *((words, wording, _ENDING) for words, wording in _WITHIN)))
_OPENING = _by_word((words, wording, _ENDING) for words, wording in _FIRST)
_KNOWN = frozenset(SPELLED) | _OPENS_PHRASE


_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]*\s*")
_HEADS = re.compile(rf"(?m)^[^\w\n]*({_LETTER})(?=[\w'-]*(?:\s[\w'-]+){{0,2}}[ \t]*(?:$|:))")  # who wrote or said it: "JANE: ..."
_FEWEST_SHOUTED = 3  # words


def cased(text: str, people: Collection[str] = ()) -> str:
    """Return a text of the same length with capitals on its names, if its writer uses none inside a sentence; any other as it is. A sentence
    that is all in capitals is read as if it had none."""
    if text.isupper():
        return _small(text, people)
    shouted = [found for found in _SENTENCE.finditer(text) if found[0].isupper()] if _SHOUTING.search(text) else []
    for found in shouted:
        text = text[: found.start()] + _small(found[0], people) + text[found.end() :]
    return _named(text, people)


def _small(text: str, people: Collection[str]) -> str:
    """Return what is all in capitals with those on its names alone; as it is where it may be a name ("NASA HQ")."""
    small = text.lower()
    if len(small) != len(text) or len(_WORD.findall(text)) < _FEWEST_SHOUTED:
        return text
    letters = list(small)
    for found in _HEADS.finditer(text):
        letters[found.start(1)] = found[1]
    return _named("".join(letters), people)


def _named(text: str, people: Collection[str]) -> str:
    """Return a text with capitals on its names, where it has none inside a sentence."""
    if _WRITTEN.search(text) or len(small := text.lower()) != len(text):
        return text
    words = frozenset(_WORD.findall(small))
    letters = list(text)
    for start, name in (*_listed(small, words, people), *_guessed(small, words)):
        letters[start : start + len(name)] = name
    for found in _I.finditer(text):
        letters[found.start()] = "I"
    return "".join(letters)


def _listed(text: str, words: frozenset[str], people: Collection[str]) -> Iterator[tuple[int, str]]:
    """Yield where known names stand, as they are spelled."""
    firsts = {name.lower(): name for name in (person.partition(" ")[0] for person in people) if name[:1].isupper()}
    if words.isdisjoint(_KNOWN) and words.isdisjoint(firsts):
        return
    for found in _WORD.finditer(text):
        word, start = found.group(), found.start()
        name = SPELLED.get(word) or firsts.get(word, "")
        if len(name) == len(word):
            yield start, name
        if word in MAKES and (joint := _JOINT.match(text, found.end())) is not None:
            yield from _run(text, joint.end(), _ENDED)  # the model
        if word in _OPENS_PHRASE and (phrase := _PHRASE.match(text, start)) is not None:
            yield from _capitals(text, start, phrase.end())


def _guessed(text: str, words: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Yield what stands where a name does, with a capital, and where."""
    for rule in _awake(_ANYWHERE, words):
        for found in rule[0].finditer(text):
            yield from _read(text, found, rule)
    if opening := _awake(_OPENING, words):
        for start in (0, *(stop.end() for stop in _CLAUSE.finditer(text))):
            for rule in opening:
                if (first := rule[0].match(text, start)) is not None:
                    yield from _read(text, first, rule)
    if not words.isdisjoint(_TITLED_BY):
        for found in _TITLE.finditer(text):
            yield from _capitals(text, *found.span())


def _awake(index: Mapping[str, list[_Rule]], words: frozenset[str]) -> list[_Rule]:
    """Return the rules that may find something in a text of these words."""
    return list(dict.fromkeys(rule for word in words & index.keys() for rule in index[word]))


def _read(text: str, found: re.Match[str], rule: _Rule) -> Iterator[tuple[int, str]]:
    """Yield the words of the name that a rule has found, where there may be no other word."""
    if "name" not in rule[0].groupindex:
        words = _run(text, found.end(), rule[1])
        yield from words
        if words and rule[1] is None:  # "two dogs called rex and luna"
            more = _MORE.match(text, words[-1][0] + len(words[-1][1]))
            yield from _capitals(text, *more.span()) if more and not any(_is_ordinary(word, _ENDING) for word in _members(more[0])) else ()
    elif not any(_is_ordinary(word, rule[1]) for word in found["name"].split()):
        yield from _capitals(text, *found.span("name"))
        if found.groupdict().get("title"):
            yield from _capitals(text, *found.span("title"))


def _run(text: str, start: int, ending: re.Pattern[str] | None) -> list[tuple[int, str]]:
    """Return the words of the name that starts here; none where what starts here may be no name."""
    words: list[tuple[int, str]] = []
    while (found := _WORD.match(text, start)) is not None and len(words) <= _LONGEST:
        word = found.group()
        if words and word in CLOSERS:
            break
        if _is_ordinary(word, _VERBAL if words else ending) and not (words and word in _OF_FIRMS):
            return []
        words.append((start, _spelled(word)))
        joint = _JOINT.match(text, found.end())
        if joint is None:
            return words if _CLOSE.match(text, found.end()) else []
        start = joint.end()
    return words if len(words) <= _LONGEST else []


def _members(words: str) -> list[str]:
    """Return the words of a list but the "and" before the last."""
    return [word for word in _WORD.findall(words) if word != "and"]


def _capitals(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Yield the words of a part of the text with capitals."""
    for found in _WORD.finditer(text, start, end):
        if found.group() not in ("of", "de", "la", "and"):
            yield found.start(), _spelled(found.group())


def _spelled(word: str) -> str:
    """Return a word of a name as it is spelled, or with a capital; as it is where that would be two letters, as of "ß"."""
    first = word[0].upper()
    return SPELLED.get(word) or (first + word[1:] if len(first) == 1 else word)


def _is_ordinary(word: str, ending: re.Pattern[str] | None) -> bool:
    """Tell whether a word is one that may stand there and be no name."""
    return word in NO_NAMES or len(word) < 2 or (ending is not None and ending.search(word) is not None and word not in SPELLED)
