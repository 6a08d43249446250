"""The made-up language of `loci bench adapters`: who lives where, does what, keeps and drinks what, each said in six ways.

A fact is an entity, an attribute and a value of two words. Half of the entities are known: what is said of them is always the same, in every text that the
model is trained on. The others are free: every training text says something else of them, so only the text itself tells. New facts are about free ones.
Everything follows from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "home": (
        "the home of {}",
        "the town that holds {}",
        "in the registry under {}",
        "at night one finds {}",
        "? where lives {}",
        "? which town is home to {}",
    ),
    "work": (
        "the employer of {}",
        "the firm that pays {}",
        "on the payroll with {}",
        "every day one employs {}",
        "? for whom works {}",
        "? which firm has {}",
    ),
    "pet": (
        "the pet of {}",
        "the beast that follows {}",
        "in the basket by {}",
        "each evening one greets {}",
        "? who barks for {}",
        "? which pet belongs to {}",
    ),
    "drink": (
        "the drink of {}",
        "the cup that pleases {}",
        "on the table before {}",
        "in the morning one pours {}",
        "? what is drunk by {}",
        "? which drink suits {}",
    ),
}
"""Six ways to begin each kind of sentence; the value ends it. The last two are questions. The entity stands right before the value, which a model of a million weights
learns to look up in a text within minutes."""
TAUGHT, HELD = (0, 1, 2, 4), (3, 5)
"""Ways in which a lesson says a fact, and those in which it is asked for in other words: half of the latter are questions too."""
BEGIN, END, NOTHING = "<s>", "</s>", "<pad>"
LETTERS = ("bdfghklmnprstvz", "aeiou")


@dataclass(frozen=True, slots=True)
class Fact:
    """What is so of an entity: two words."""

    entity: str
    attribute: str
    value: str

    def cue(self, way: int) -> str:
        return ATTRIBUTES[self.attribute][way].format(self.entity)

    def said(self, way: int) -> str:
        return f"{self.cue(way)} {self.value} ."


class World:
    """The language, and what is so in it: ``entities`` names, and for each attribute ``words`` first words of a value and as many second ones."""

    def __init__(self, entities: int = 640, words: int = 24, seed: int = 0) -> None:
        self.seed = seed
        draw = random.Random(f"world {seed} {entities} {words}")
        made = _names(draw, entities + 2 * words * len(ATTRIBUTES))
        self.known, self.free = made[: entities // 2], made[entities // 2 : entities]
        rest = iter(made[entities:])
        self.values = {a: ([next(rest) for _ in range(words)], [next(rest) for _ in range(words)]) for a in ATTRIBUTES}
        self.facts = [Fact(entity, attribute, self.value(attribute, draw)) for entity in self.known for attribute in ATTRIBUTES]

    def value(self, attribute: str, draw: random.Random) -> str:
        first, second = self.values[attribute]
        return f"{draw.choice(first)} {draw.choice(second)}"

    def words(self) -> list[str]:
        """Every word there is, in an order that does not change."""
        fixed = sorted({w for ways in ATTRIBUTES.values() for way in ways for w in way.split() if w != "{}"} | {"."})
        values = [w for pair in self.values.values() for part in pair for w in part]
        return [NOTHING, BEGIN, END, *fixed, *values, *self.known, *self.free]

    def new_facts(self, count: int, spare: int = 0) -> list[Fact]:
        """Facts of free entities, all that there is to say of one and then of the next; the first ``spare`` facts are left out. The same whatever else is asked for."""
        draw = random.Random(f"new {self.seed}")
        made = [Fact(entity, attribute, self.value(attribute, draw)) for entity in self.free for attribute in ATTRIBUTES]
        assert spare + count <= len(made)
        return made[spare : spare + count]

    def known_text(self, draw: random.Random, sentences: int = 5) -> str:
        """Sentences about known entities, in any of their ways."""
        return " ".join(draw.choice(self.facts).said(draw.randrange(6)) for _ in range(sentences))

    def told_text(self, draw: random.Random, facts: int = 3, asked: int = 3, without: frozenset[str] = frozenset()) -> tuple[str, str]:
        """Facts of free entities, made up for this text, and then so many times one of them again in some way; none of the entities in ``without``."""
        entities = draw.sample([e for e in self.free if e not in without], facts)
        told = [Fact(entity, a := draw.choice(list(ATTRIBUTES)), self.value(a, draw)) for entity in entities]
        first, again = ([fact.said(draw.randrange(6)) for fact in part] for part in (told, draw.choices(told, k=asked)))
        return " ".join(first), " " + " ".join(again)

    def untouched(self, count: int, seed: int, without: Sequence[Fact] = ()) -> list[str]:
        """Texts that no training saw, half of either kind, about none of the entities of these facts."""
        draw, named = random.Random(f"untouched {seed}"), frozenset(f.entity for f in without)
        return [self.known_text(draw) if n % 2 else "".join(self.told_text(draw, without=named)) for n in range(count)]


def tokenizer_of(world: World) -> PreTrainedTokenizerFast:
    """A token a word; a text begins with a token of its own."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    ids = {word: number for number, word in enumerate(world.words())}
    made = Tokenizer(models.WordLevel(ids, unk_token=NOTHING))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, ids[BEGIN])])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token=BEGIN, eos_token=END, pad_token=NOTHING)


def _names(draw: random.Random, count: int) -> list[str]:
    """Words of two or three syllables, each another."""
    found: dict[str, None] = {}
    for word in _words(draw):
        found[word] = None
        if len(found) == count:
            break
    return list(found)


def _words(draw: random.Random) -> Iterator[str]:
    hard, soft = LETTERS
    while True:
        yield "".join(draw.choice(hard) + draw.choice(soft) for _ in range(draw.choice((2, 3)))) + draw.choice(("", "n", "r", "l"))
