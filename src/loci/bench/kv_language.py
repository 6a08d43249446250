"""A made-up language of facts among filler, in which one token can hold one fact: what `loci bench kv-recall` reads and asks.

A fact token names a key and its value together, a question token names a key, an answer token a value. Keys belong to topics, and a
conversation stays with one topic for some windows before it turns to another. Nothing here is language: the table says which entries of a
cache are worth keeping, and nothing about the quality of a model's words.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

Filler = Literal["predictable", "noise", "adversarial", "mixed"]
FILLERS: tuple[Filler, ...] = get_args(Filler)
BOS = 0
PATTERN = 16  # tokens of the cycle that predictable filler walks, and of the noise
WINDOW = 16  # tokens of a conversation that belong to one topic
STRANGE = 64  # tokens that no training text holds
MIXED = 0.3  # their share of mixed filler


@dataclass(frozen=True, slots=True)
class Language:
    """How many keys and values there are; from that, which token id means what."""

    keys: int = 128
    values: int = 16

    @property
    def vocabulary(self) -> int:
        return self.first_strange + STRANGE

    @property
    def first_value(self) -> int:
        return 1 + self.keys

    @property
    def first_fact(self) -> int:
        return self.first_value + self.values

    @property
    def first_cycle(self) -> int:
        return self.first_fact + self.keys * self.values

    @property
    def first_noise(self) -> int:
        return self.first_cycle + PATTERN

    @property
    def first_strange(self) -> int:
        return self.first_noise + PATTERN

    def question(self, key: int) -> int:
        return 1 + key

    def value(self, value: int) -> int:
        return self.first_value + value

    def fact(self, key: int, value: int) -> int:
        return self.first_fact + key * self.values + value

    def key_of(self, token: int) -> int | None:
        """The key that a fact or a question is about; None for filler, answers and the first token."""
        if 1 <= token <= self.keys:
            return token - 1
        if self.first_fact <= token < self.first_cycle:
            return (token - self.first_fact) // self.values
        return None

    def filler(self, kind: Filler, length: int, chance: random.Random) -> list[int]:
        """A run of filler: the cycle from its start, independent draws of tokens known or never seen, or the cycle with the latter strewn in."""
        if kind in ("predictable", "mixed"):
            share = MIXED if kind == "mixed" else 0.0
            return [
                self.first_strange + chance.randrange(STRANGE) if chance.random() < share else self.first_cycle + i % PATTERN
                for i in range(length)
            ]
        first, count = (self.first_noise, PATTERN) if kind == "noise" else (self.first_strange, STRANGE)
        return [first + chance.randrange(count) for _ in range(length)]


@dataclass(frozen=True, slots=True)
class Stream:
    """A conversation in windows of `WINDOW` tokens, each of one topic, and what was said in it."""

    tokens: tuple[int, ...]
    topics: tuple[int, ...]  # of each window
    facts: dict[int, int]  # the value of each key
    places: dict[int, int]  # the position of each key's fact
    topic_of: dict[int, int]  # of each key


def stream(language: Language, length: int, facts: int, topics: int, filler: Filler, seed: int) -> Stream:
    """A conversation with so many facts, evenly over topics, at random places of their topic's windows; topics last two to four windows.

    The first window's first token is the start token. `facts` keys are drawn from the language's; a topic has facts // topics of them.
    """
    chance = random.Random(f"{seed} {length} {facts} {topics} {filler}")
    owners = _turns(length // WINDOW, topics, chance)
    keys = chance.sample(range(language.keys), facts)
    values = {key: chance.randrange(language.values) for key in keys}
    topic_of = {key: place % topics for place, key in enumerate(keys)}
    places: dict[int, int] = {}
    for topic in range(topics):
        free = [w * WINDOW + i for w, owner in enumerate(owners) if owner == topic for i in range(WINDOW) if w or i]
        own = [key for key in keys if topic_of[key] == topic]
        places.update(zip(own, chance.sample(free, len(own)), strict=True))
    tokens, at = [BOS], {place: key for key, place in places.items()}
    while len(tokens) < length:
        start = len(tokens)
        end = next((p for p in range(start, length) if p in at), length)
        tokens += language.filler(filler, end - start, chance)
        if end < length:
            tokens.append(language.fact(at[end], values[at[end]]))
    return Stream(tuple(tokens), tuple(owners), values, places, topic_of)


def _turns(windows: int, topics: int, chance: random.Random) -> list[int]:
    """The topic of each window: runs of two to four, each topic about equally often."""
    owners: list[int] = []
    while len(owners) < windows:
        for topic in chance.sample(range(topics), topics):
            owners += [topic] * chance.randint(2, 4)
    return owners[:windows]
