"""A made-up language of entities, attributes and values: what `loci bench bank` writes documents in, and asks in.

A name is two syllables; a fact is three words, ``first second fact``, the last of which names an attribute and its value together; a document is the
facts of one entity with filler strewn in; a question is ``? first second attribute``, and the answer the value. Which value goes with which
attribute is chance, so nothing but the document tells. Nothing here is language: the tables say what a bank keeps of such facts, and nothing
about the quality of a model's words.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

BOS, ASK = 0, 1


@dataclass(frozen=True, slots=True)
class Language:
    """How many words of each kind there are; from that, which token id means what. A document has ``facts`` facts and ``length`` tokens,
    the first of them the start token."""

    syllables: int = 48
    attributes: int = 12
    values: int = 24
    fillers: int = 16
    facts: int = 6
    length: int = 28

    @property
    def first_attribute(self) -> int:
        return 2 + 2 * self.syllables

    @property
    def first_value(self) -> int:
        return self.first_attribute + self.attributes

    @property
    def first_fact(self) -> int:
        return self.first_value + self.values

    @property
    def first_filler(self) -> int:
        return self.first_fact + self.attributes * self.values

    @property
    def vocabulary(self) -> int:
        return self.first_filler + self.fillers

    def name(self, entity: int) -> tuple[int, int]:
        """The two syllables of an entity, of which there are ``syllables`` squared."""
        return 2 + entity // self.syllables, 2 + self.syllables + entity % self.syllables

    def fact(self, attribute: int, value: int) -> int:
        return self.first_fact + attribute * self.values + value


@dataclass(frozen=True, slots=True)
class Words:
    """As much of a tokenizer as tells one language from another."""

    language: Language
    chat_template: str | None = None

    def get_vocab(self) -> dict[str, int]:
        return {f"{self.language} {i}": i for i in range(self.language.vocabulary)}


@dataclass(frozen=True, slots=True)
class Article:
    """A document of the language: its tokens, and the value of each attribute that it tells."""

    entity: int
    ids: tuple[int, ...]
    facts: dict[int, int]


def article(language: Language, entity: int, chance: random.Random, attributes: Sequence[int] = ()) -> Article:
    """What is said of an entity, about these attributes or any."""
    facts = {
        attribute: chance.randrange(language.values)
        for attribute in attributes or chance.sample(range(language.attributes), language.facts)
    }
    spare = language.length - 1 - 3 * language.facts
    places = sorted(chance.randrange(language.facts + 1) for _ in range(spare))
    ids = [BOS]
    for number, (attribute, value) in enumerate(facts.items()):
        ids += [language.first_filler + chance.randrange(language.fillers) for place in places if place == number]
        ids += [*language.name(entity), language.fact(attribute, value)]
    ids += [language.first_filler + chance.randrange(language.fillers) for place in places if place == language.facts]
    return Article(entity, tuple(ids), facts)


def question(language: Language, entity: int, attribute: int) -> tuple[int, ...]:
    return ASK, *language.name(entity), language.first_attribute + attribute


def answer(language: Language, value: int) -> tuple[int, ...]:
    return (language.first_value + value,)


def entities(language: Language, held: int, seed: int) -> tuple[list[int], list[int]]:
    """All entities by chance in two parts: those that are trained with, and ``held`` of which no training text says a word."""
    every = list(range(language.syllables**2))
    random.Random(f"entities {seed}").shuffle(every)
    return every[held:], every[:held]


def alike(language: Language, entity: int, among: Sequence[int], known: frozenset[int], chance: random.Random) -> int:
    """Another of these entities (``known`` is the same as a set), half of the time one that shares a syllable."""
    if chance.random() < 0.5:
        s = language.syllables
        near = (entity // s) * s + chance.randrange(s) if chance.random() < 0.5 else chance.randrange(s) * s + entity % s
        if near != entity and near in known:
            return near
    return chance.choice(among)
