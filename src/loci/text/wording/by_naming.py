"""A pet named after it was told of: "We adopted a cat! ... and we've called her Foley.": the animal stands earlier in the turn."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loci.text.wording.by_verb import blocked
from loci.text.wording.telling import Fact, Sentence
from loci.text.wording.values import plain
from loci.text.wording.verbs import BREED, NAME, SPECIES_OF

_NAMED = re.compile(
    rf"\b(?:[Ww]e|I)(?:'ve|'re|'m|\shave)?\s(?:just\s|finally\s|also\s)?(?:called|named|calling|naming|call)\s(?:her|him|it)\s(?P<v>{NAME})"
)
_TOLD_OF = re.compile(
    rf"\b(?i:I|we)(?:'ve|\shave)?\s(?:just\s|finally\s)?(?:got|have|own|adopted|bought|rescued|found|took\sin)\s"
    rf"(?:an?|the|this|that|our|my)\s(?:\w+\s){{0,2}}(?P<x>{BREED})\b"
)


WAKING = frozenset(["called", "named", "calling", "naming", "call"])


def by_naming(sentence: Sentence) -> Iterator[Fact]:
    """Yield the name that the speaker gives to an animal told of before."""
    if sentence.words.isdisjoint(WAKING):
        return
    for found in _NAMED.finditer(sentence.text, sentence.start):
        animals = [animal["x"].casefold() for animal in _TOLD_OF.finditer(sentence.text, 0, found.start())]
        if len(set(animals)) == 1 and not blocked(sentence.text, sentence.start, found.start()):
            attribute = f"pet_name/{SPECIES_OF.get(animals[0], 'pet')}"
            yield Fact(found.start(), found.end(), sentence.me, attribute, plain(found["v"]), arity="many", sort="name")
