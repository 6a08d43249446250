"""Facts told as plain statements about the world: "14. The capital of X is Y", "Fact 3: X is located in Y", "X plays for Y"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loci.text.wording.subjects import key, person
from loci.text.wording.telling import Fact, Sentence
from loci.text.wording.values import Sort, plain
from loci.text.wording.verbs import NAME, UPPER

SERIAL = re.compile(r"(?i)\s*(?:(?:fact|statement|note|item|no\.?)\s*)?[#\[(]?(?P<n>\d{1,7})[\])]?\s*[.:)\]-]\s+(?=\D)")
# read over before the value: "in the city of Porto" is the same as "in Porto"
_CLASS = (
    r"(?:the\s+(?:city|town|village|country|state|region|continent|county|province|field|sport|language|religion|company|position|"
    r"university|club|team)\s+(?:of|called|named)\s+)?"
)
_OF = re.compile(
    rf"(?i)^(?:the|an?)\s+(?P<left>.+?)\s+(?:is|was|are|were)\s+(?:now\s+)?(?:(?:located|situated|based)\s+in\s+)?{_CLASS}(?P<y>\S.*)$",
    re.DOTALL,
)
_OF_NAMED = re.compile(rf"\sof\s(?=(?:the\s)?[\"“]?(?:{UPPER}|\d))")
_GENITIVE = re.compile(r"^(?P<x>.+?)(?:'s|s')\s+(?P<r>[a-z][\w -]{1,40}?)\s+(?:is|was|are|were)\s+(?P<y>\S.*)$", re.DOTALL)
# what stands between two names; an "is" or "was" before it is read over, so that both tenses are one attribute
RELATIONS = (
    "located in", "situated in", "based in", "headquartered in", "born in", "buried in", "founded by", "founded in", "created by",
    "created in", "developed by", "produced by", "written by", "written in", "directed by", "performed by", "composed by", "painted by",
    "designed by", "built by", "owned by", "published by", "manufactured by", "invented by", "discovered by", "led by", "chaired by",
    "coached by", "employed by", "educated at", "married to", "engaged to", "affiliated with", "associated with", "a citizen of",
    "a member of", "a part of", "part of", "famous for", "known for", "the capital of", "the spouse of", "the child of",
    "works for", "works at", "works as", "works in", "worked in", "plays for", "plays", "speaks",
    "studied at", "lives in", "resides in", "died in", "belongs to", "follows", "leads", "coaches", "owns",
    "borders", "flows into", "comes from", "originates from", "holds the office of", "holds the position of",
)  # fmt: skip
WAKING = frozenset(word for relation in RELATIONS for word in relation.split()) - {
    "in",
    "the",
    "a",
    "to",
    "at",
    "as",
    "by",
    "for",
    "with",
    "from",
    "into",
}
_RELATION = "|".join(sorted((re.escape(r).replace(r"\ ", r"\s+") for r in RELATIONS), key=len, reverse=True))
_BETWEEN = re.compile(rf"^(?P<x>.+?)\s+(?:(?:is|was|are|were)\s+)?(?:now\s+)?(?P<r>{_RELATION})\s+{_CLASS}(?P<y>\S.*)$", re.DOTALL)
_ANY_BETWEEN = re.compile(
    rf"^(?P<x>{NAME})\s+(?P<r>(?:is|was|are|were|has|had|[a-z]+(?:s|ed))\s+(?:[a-z'-]+\s+){{0,7}})(?P<y>{NAME}.*|[\d$€£].*)$", re.DOTALL
)
_NAMED_BETWEEN = re.compile(rf"^(?P<x>{NAME})\s+(?:(?:is|was|are|were)\s+)?(?P<r>{_RELATION})\s+{_CLASS}(?P<y>{NAME})\W*$")
_NOT_RELATIONS = re.compile(
    r"(?i)\b(?:best|rest|part|end|point|most|lot|one|first|thing|time|kind|sort|way|couple|bit|beauty|idea|thought|name|rest)\b"
)


def by_number(sentence: Sentence) -> Iterator[Fact]:
    """Yield the fact of a numbered statement; its number orders it among others."""
    numbered = SERIAL.match(sentence.text, sentence.start)
    if numbered is None:
        return
    body = sentence.text[numbered.end() :].strip().rstrip(".!;")
    read = _statement(body)
    if read is not None:
        subject, relation, value = read
        yield Fact(numbered.end(), len(sentence.text), subject, relation, value, serial=int(numbered["n"]), sort=_sort(value, body))


def by_relation(sentence: Sentence) -> Iterator[Fact]:
    """Yield the fact of a statement without a number, between two names only: "The capital of X is Y", "X plays for Y"."""
    if sentence.words.isdisjoint(WAKING) or len(sentence.text) - sentence.start > 160:
        return
    body = sentence.said.strip().rstrip(".!;")
    start = sentence.start + sentence.said.index(body)
    named = _NAMED_BETWEEN.match(body)
    if named:
        who = person(named["x"], sentence.people)
        if who is not None:
            yield Fact(start, start + len(body), who, "attr/" + _relation(named["r"]), plain(named["y"]), sort="name")
        return
    if "of" in sentence.words and (found := _OF.match(body)) and not _NOT_RELATIONS.search(found["left"]):
        parts = _OF_NAMED.split(found["left"], maxsplit=1)
        if len(parts) == 2 and parts[1][:1].isalpha() and re.fullmatch(rf"(?:the\s)?{NAME}", found["y"]):
            yield Fact(start, start + len(body), key(parts[1]), "attr/" + key(parts[0]), plain(found["y"]), sort="name")


def _statement(body: str) -> tuple[str, str, str] | None:
    """Return subject, attribute and value of a statement about the world."""
    if found := _OF.match(body):
        left = found["left"]
        parts = _OF_NAMED.split(left, maxsplit=1)
        if len(parts) == 1:
            parts = left.split(" of ", 1)
        if len(parts) == 2:
            return key(parts[1]), "attr/" + key(parts[0]), _value(found["y"])
    if found := _GENITIVE.match(body):
        return key(found["x"]), "attr/" + key(found["r"]), _value(found["y"])
    if found := _BETWEEN.match(body) or _ANY_BETWEEN.match(body):
        return key(found["x"]), "attr/" + _relation(found["r"]), _value(found["y"])
    return None


def _relation(words: str) -> str:
    """Return the relation with its auxiliaries left out."""
    return " ".join(word for word in key(words).split() if word not in ("is", "was", "are", "were", "now", "has", "been", "the"))


def _value(raw: str) -> str:
    return key(plain(raw.removeprefix("now ")))


def _sort(value: str, body: str) -> Sort:
    return "number" if value.replace(",", "").isdecimal() else "name" if body[-len(value) :][:1].isupper() else "text"
