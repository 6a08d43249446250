"""Wishes for good of which a later one takes an earlier one's place: the language of answers, their length, their tone, units, and what one is called.

"Always answer in French" has the key wish/language. A wish under a condition ("answer in French when I write French") and one of which it is not told
where it ends have none, and stand beside the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from loci.text.sentences import clauses
from loci.text.speech import is_lasting
from loci.text.tokens import STOPWORDS
from loci.text.wording.origins import is_origin
from loci.text.wording.spelling import NO_NAMES
from loci.text.wording.telling import Fact, Sentence
from loci.text.wording.values import plain
from loci.text.wording.words import wordset

_LANGUAGES = wordset(
    """hindi urdu mandarin cantonese hebrew farsi swahili tagalog klingon esperanto gaelic yiddish gujarati marathi telugu kannada malayalam sinhala pashto
    afrikaans zulu xhosa yoruba igbo hausa amharic khmer lao javanese bahasa hokkien flemish luxembourgish"""
)
_NO_NAMES = (
    NO_NAMES - {"al", "rose", "grace", "hope", "joy", "may"}
    | STOPWORDS
    | wordset(
        "anytime sometime whenever asap crazy maybe old lucky stupid lazy weird names names' anything whatever collect either both sir"
    )
)
_CONDITION = re.compile(
    r"(?i)\W*(?:(?:so|and|but|please|ok)\W+)*(?:if|when|whenever|every\s?time|each\stime|any\s?time|unless|in\scase|for)\b"
)
_OPEN = (
    r"\W*(?:(?:please|also|and|but|just|now|so|ok|okay|no|yes|actually|well|hey|hi|hello|instead|kindly|oh|sorry|wait|thanks|from\snow\son|going\sforward"
    r"|in\sfuture|henceforth|remember\sto|make\ssure\s(?:to|you)|i(?:'d|\swould)\slike\syou\sto|i\s(?:want|need)\syou\sto|you\s(?:can|may|should|must)"
    r"|(?:can|could|would|will)\syou|always|only)\b\W*)*"
)
_NOT = r"(?P<no>(?:don't|do\snot|never|stop|quit|you\s(?:don't|do\snot)\s(?:have|need)\sto|no\sneed\sto|no\slonger)\s(?:always\s)?)?"
_CLOSE = (
    r"(?:[\s,]+(?:please|pls|from\snow\son|going\sforward|in\sfuture|always|ok(?:ay)?|thanks|thank\syou|instead|again|only|now|from\shere\son|everywhere"
    r"|(?:with|to|for)\sme|at\sall\stimes|too|as\swell|for\sgood|any\s?more|any\slonger|at\sall|though|(?:even|unless|no\sneed|that's|it's|(?:and\s)?not)\s.{1,60}))*\W*\Z"
)
_ANSWERS = r"(?:(?:all\s)?(?:of\s)?(?:your|the)\s)?(?:answers|replies|responses|messages|explanations|summaries)"
_TO = r"(?:\s(?:to\s)?(?:me|everything|all\s(?:my|of\smy)\squestions|my\squestions|all\squestions|back|things))*"
_IN = r"(?:\s(?:only|always))?\s(?:in|using)\s(?:only\s)?"
_TONGUE = r"(?P<v>(?:(?:british|american|brazilian|european|mexican|swiss)\s)?[a-z]+)"
_HOW = r"(?:(?P<less>less\s|(?:so|too|that|overly)\s(?:damn\s)?)|(?:more|very|really|a\sbit\smore|as)\s)?"
_SHORT, _LONG = (
    r"(?:brief|concise|short|terse|succinct|curt)(?:er)?",
    r"(?:detailed|long|longer|verbose|wordy|chatty|thorough|elaborate|in-depth|exhaustive)",
)
_FORMAL, _CASUAL = r"formal", r"(?:informal|casual|relaxed)"


def _kind(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"(?i){_OPEN}{_NOT}{pattern}{_CLOSE}") for pattern in patterns)


def _manner(quality: str) -> tuple[re.Pattern[str], ...]:
    """Return the wordings that wish for answers of a quality."""
    return _kind(
        rf"be(?:ing)?\s{_HOW}{quality}(?:\s(?:in|with)\s{_ANSWERS})?",
        rf"(?:keep|make)\s(?:it|things|everything|{_ANSWERS})\s{_HOW}{quality}",
        rf"(?:give\sme|write|use)\s{_HOW}(?:an?\s)?{quality}\s(?:answers|replies|responses|explanations|tone|language)",
    )


# (attribute, the value where the words are not it, the wordings)
_KINDS: tuple[tuple[str, str, tuple[re.Pattern[str], ...]], ...] = (
    ("wish/language", "", _kind(
        rf"(?:answer|reply|respond|speak|talk|write|explain|communicate|chat)(?:ing)?{_TO}{_IN}{_TONGUE}",
        rf"(?:speak|speaking|use|using)\s(?:only\s)?{_TONGUE}", rf"(?:switch|change)(?:\sback)?\sto\s{_TONGUE}",
        rf"(?:keep|write|give)\s(?:me\s)?{_ANSWERS}{_IN}{_TONGUE}",
    )),
    ("wish/length", "short", (*_manner(_SHORT), *_kind(rf"(?:answer|reply|respond|explain|write)(?:ing)?{_TO}\s(?:more\s)?(?:briefly|concisely|succinctly)"))),
    ("wish/length", "long", (*_manner(_LONG), *_kind(rf"(?:answer|reply|respond|explain|write)(?:ing)?{_TO}\sin\s(?:more\s|full\s|great\s)?(?:detail|depth|length)"))),
    ("wish/formality", "formal", _manner(_FORMAL)),
    ("wish/formality", "casual", _manner(_CASUAL)),
    ("wish/units", "", _kind(r"us(?:e|ing)\s(?:only\s)?(?:the\s)?(?P<v>metric|imperial)(?:\s(?:units|system|measurements|measures))?")),
    ("wish/temperature", "", _kind(r"us(?:e|ing)\s(?:only\s)?(?P<v>celsius|fahrenheit)", r"give\s(?:me\s)?(?:all\s)?temperatures\sin\s(?P<v>celsius|fahrenheit)")),
    ("wish/name", "", _kind(r"(?:call|address)(?:ing)?\sme\s(?:as\s)?(?P<v>(?:(?:dr|mrs?|ms|prof|captain|sir)\.?\s)?[^\W\d_][\w'-]*(?:\s(?-i:[A-Z])[\w'-]*)?)")),
)  # fmt: skip
WAKING = wordset(
    """answer answering reply respond speak speaking talk write use using explain communicate chat switch change keep make give be being call calling address
    answers replies responses brief briefly concise concisely short metric imperial celsius fahrenheit formal casual informal"""
)
_LONGEST = 160  # characters of a clause that is read
_HEAD = re.compile(
    rf"(?i){_OPEN}{_NOT}(?:answer|reply|respond|speak|talk|write|explain|communicate|chat|use?|switch|change|keep|make|give|be|call|address)(?:ing)?\b"
)
_FRAGMENT = 2  # words: what an "and" joins to a wish without being one, "answer in French and German"


def is_conditional(said: str) -> bool:
    """Tell whether a sentence says first in which case the rest of it is meant."""
    return _CONDITION.match(said) is not None


def opens(said: str, words: frozenset[str]) -> bool:
    """Tell whether a sentence begins as such a wish does."""
    return not words.isdisjoint(WAKING) and _HEAD.match(said) is not None


def by_wish(sentence: Sentence) -> Iterator[Fact]:
    """Yield the wishes that a sentence tells, each clause one at most."""
    if sentence.words.isdisjoint(WAKING) or is_conditional(sentence.said):
        return
    spans = clauses(sentence.text, sentence.start, len(sentence.text))
    for (start, end), then in zip(spans, [*spans[1:], None], strict=True):
        fact = _read(sentence, start, end)
        if fact is not None and (then is None or fact.value in ("short", "long") or _is_apart(sentence.text[then[0] : then[1]])):
            yield fact


def _is_apart(following: str) -> bool:
    return len(following.split()) > _FRAGMENT or _HEAD.match(following) is not None


def _read(sentence: Sentence, start: int, end: int) -> Fact | None:
    said = sentence.text[start:end]
    head = _HEAD.match(said)
    if head is None or end - start > _LONGEST or not (head["no"] or is_lasting(said)):
        return None
    for attribute, value, patterns in _KINDS:
        for pattern in patterns:
            if (found := pattern.match(said)) and _is_told(attribute, words := value or found["v"]):
                is_wished = not head["no"] and not (found.groupdict().get("less") or "").startswith("less")
                return Fact(end - len(said.lstrip()), end, sentence.me, attribute, plain(words), is_wished)
    return None


def _is_told(attribute: str, words: str) -> bool:
    """Tell whether the words are what the attribute takes: a language, a name."""
    folded = words.casefold()
    if attribute == "wish/language":
        return folded.split()[-1] in _LANGUAGES or is_origin(folded)
    return attribute != "wish/name" or words[:1].isupper() or folded not in _NO_NAMES
