"""Everyday conversations in which facts change, written from a bank of phrasings: what a stream is, the banks, the writer.

Kinds of message in a bank: `state` tells a value first, `change` another one, `correct` takes the last one back at once,
`restate` says it again, `end` says it holds no longer; `past`, `future` and `joke` speak of other values and change nothing;
`third` and `third_change` tell of somebody else. `ask` and `ask_third` are the questions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from loci.bench.phrases_dev import DEV, DEV_CHAT, DEV_NAMES, DEV_PEOPLE, DEV_TIMED
from loci.bench.phrases_held import HELD, HELD_CHAT, HELD_NAMES, HELD_PEOPLE, HELD_TIMED
from loci.text.facts import key

Kind = Literal["state", "change", "correct", "restate", "past", "future", "joke", "end", "third", "third_change"]
TELLING = ("state", "change", "correct", "end", "third", "third_change")
"""Kinds of message that set, change or end a value; all others must change nothing."""


@dataclass(frozen=True)
class Message:
    at: datetime
    speaker: str
    text: str
    session: str


@dataclass(frozen=True)
class Question:
    text: str
    as_of: datetime | None
    expected: tuple[str, ...]  # values that hold at the asked time; empty: nothing holds, or it was never said
    stale: tuple[str, ...]  # values that held before
    kind: str  # current, retracted, other-person, one-hop, two-hop, as-of, never-said
    key: tuple[str, ...]  # subject, attribute (and for two hops the second attribute)
    sources: frozenset[int] = frozenset()  # the messages that tell the expected value


@dataclass(frozen=True)
class Label:
    """What a message does: its kind, whose what it is about, and the messages whose value it may take the place of."""

    message: int
    kind: str
    key: tuple[str, str] | None
    changes: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Stream:
    kind: str
    messages: list[Message]
    questions: list[Question]
    labels: list[Label]


# -- the banks --------------------------------------------------------------------------------------------------------


@dataclass
class Attribute:
    name: str
    values: list[str] = field(default_factory=list)
    phrases: dict[str, list[tuple[str, str | None]]] = field(default_factory=dict)  # kind -> (wording, the value it is of)
    many: bool = False
    ordered: bool = False


@dataclass(frozen=True)
class Bank:
    name: str
    attributes: dict[str, Attribute]
    people: list[str]
    names: list[str]
    chat: list[str]
    timed: list[tuple[str, list[str]]]


def read_bank(name: str, text: str, people: list[str], names: list[str], chat: str, timed: str) -> Bank:
    """Return a bank from its literal form."""
    attributes: dict[str, Attribute] = {}
    current = Attribute("")
    for line in text.strip().splitlines():
        if line.startswith("# "):
            current = attributes.setdefault(line[2:], Attribute(line[2:]))
        elif line:
            head, _, rest = line.partition(": ")
            kind, _, value = head.partition("=")
            if kind == "values":
                current.values = rest.split(" | ")
            elif kind in ("many", "ordered"):
                setattr(current, kind, True)
            else:
                current.phrases.setdefault(kind, []).append((rest, value or None))
    rows = [line.split(" | ", 1) for line in timed.strip().splitlines()]
    return Bank(name, attributes, people, names, chat.strip().splitlines(), [(a, t.split(" / ")) for a, t in rows])


BANKS = {
    "DEV": read_bank("DEV", DEV, DEV_PEOPLE, DEV_NAMES, DEV_CHAT, DEV_TIMED),
    "HELD": read_bank("HELD", HELD, HELD_PEOPLE, HELD_NAMES, HELD_CHAT, HELD_TIMED),
}

# -- everyday talk ----------------------------------------------------------------------------------------------------


@dataclass
class _Step:
    kind: str
    text: str
    value: str | None  # the value it tells, for the kinds that tell one
    now: str | None  # the value that holds after it
    session: int
    at_once: bool = False  # directly after the step before it


@dataclass
class _Thread:
    """One attribute of one person through a stream."""

    speaker: str
    who: str | None  # a third person as the speaker calls them, None for the speaker
    attribute: Attribute
    steps: list[_Step]

    @property
    def key(self) -> tuple[str, str]:
        return subject_of(self.speaker, self.who), self.attribute.name


def subject_of(speaker: str, who: str | None) -> str:
    """Return the subject key that a person should get: "nadia", "nadia/sister", "ingrid"."""
    if who is None:
        return key(speaker)
    if not who.startswith("my "):
        return key(who)
    words = who[3:].split()
    if words[-1][0].isupper():  # "my best friend Leo" has a name of his own
        return key(words[-1])
    return "/".join([key(speaker), *" ".join(words).split("'s ")])


class _Writer:
    """Writes one everyday stream."""

    def __init__(self, bank: Bank, rng: random.Random) -> None:
        self.bank, self.rng = bank, rng
        self.speakers = rng.sample(bank.names, 2)
        self.sessions = rng.randint(4, 6)

    def stream(self) -> Stream:
        threads = self._threads()
        messages, owners = self._messages(threads)
        labels = list(self._labels(owners))
        return Stream("everyday", messages, [*self._questions(threads, owners), *self._never_said(threads)], labels)

    def _threads(self) -> list[_Thread]:
        names = self.rng.sample(sorted(self.bank.attributes), 4)
        if {"partner", "marital_status"} <= set(names):  # one tells of the other
            names.remove("partner")
        threads = [_Thread(self.rng.choice(self.speakers), None, self.bank.attributes[name], []) for name in names]
        first = threads[0]
        other = next(name for name in self.speakers if name != first.speaker)
        threads.append(_Thread(other, None, first.attribute, []))  # the same of another person
        for model in threads[:3]:
            if "third" in model.attribute.phrases:
                threads.append(_Thread(model.speaker, self.rng.choice(self.bank.people), model.attribute, []))
        unlike: dict[tuple[str, str], _Thread] = {thread.key: thread for thread in threads}
        for thread in unlike.values():
            self._script(thread)
        return list(unlike.values())

    def _script(self, thread: _Thread) -> None:
        """Write the steps of a thread: told, perhaps corrected, repeated, changed, ended, with things that change nothing."""
        attribute, rng = thread.attribute, self.rng
        values = list(attribute.values)
        if not attribute.ordered:
            rng.shuffle(values)
        session = rng.randrange(2)
        first = "third" if thread.who else "state"
        value = self._say(thread, first, values, None, session)
        if value is None:
            return
        if not thread.who and rng.random() < 0.3 and not attribute.many:
            value = self._say(thread, "correct", values, value, session, at_once=True) or value
        quiet = ("restate", "past", "future", "joke")
        for kind in rng.sample(quiet, rng.randint(1, 3)) if not thread.who else ():
            session = min(session + rng.randrange(2), self.sessions - 1)
            self._say(thread, kind, values, value, session)
        if rng.random() < 0.75:
            session = min(session + 1, self.sessions - 1)
            changed = self._say(thread, "third_change" if thread.who else "change", values, value, session)
            value = changed or value
            if changed and not thread.who and rng.random() < 0.2 and not attribute.many:
                value = self._say(thread, "correct", values, value, session, at_once=True) or value
            for kind in rng.sample(quiet, rng.randint(0, 2)) if not thread.who else ():
                self._say(thread, kind, values, value, session)
        if not thread.who and rng.random() < 0.25:
            self._say(thread, "end", values, value, self.sessions - 1)

    def _say(self, thread: _Thread, kind: str, values: list[str], now: str | None, session: int, at_once: bool = False) -> str | None:
        """Add a step of a kind; return the value that holds after it, None if the bank has no wording for it here."""
        attribute = thread.attribute
        options = attribute.phrases.get(kind, [])
        if kind in ("restate", "end"):
            options = [(text, of) for text, of in options if of in (None, now)]
        elif kind in ("change", "correct", "third_change", "past"):
            options = [(text, of) for text, of in options if of is None or of != now]
        if (attribute.many and kind == "change") or not options:
            return None
        text, of = self.rng.choice(options)
        told = now if kind == "restate" else of if of else self._other(attribute, values, now)
        if told is None and "{v}" in text:
            return None
        who = thread.who or ""
        filled = text.format(v=told, o=now, who=who, Who=who[:1].upper() + who[1:], Whose=who[:1].upper() + who[1:] + "'s")
        filled = filled[:1].upper() + filled[1:]
        after = None if kind == "end" else told if kind in TELLING else now
        thread.steps.append(_Step(kind, filled, told if kind in TELLING or kind == "restate" else None, after, session, at_once))
        return after

    def _other(self, attribute: Attribute, values: list[str], now: str | None) -> str | None:
        if attribute.ordered:
            later = [value for value in values if now is None or int(value) > int(now)]
            return later[0] if later else None
        return self.rng.choice([value for value in values if value != now])

    def _messages(self, threads: list[_Thread]) -> tuple[list[Message], list[tuple[_Thread, _Step] | None]]:
        """Return the messages in order and, for each, the thread and step it belongs to (None: chat)."""
        messages: list[Message] = []
        owners: list[tuple[_Thread, _Step] | None] = []
        day = datetime(2024, self.rng.randint(1, 3), self.rng.randint(1, 28), self.rng.randint(8, 20))
        for session in range(self.sessions):
            at = day
            for block in self._blocks(threads, session):
                for owner in block:
                    at += timedelta(minutes=self.rng.randint(1, 3))
                    speaker = owner[0].speaker if owner else self._chatting(block)
                    messages.append(Message(at, speaker, owner[1].text if owner else self.rng.choice(self.bank.chat), f"s{session}"))
                    owners.append(owner)
            day += timedelta(days=self.rng.randint(5, 40), hours=self.rng.randint(-2, 2))
        return messages, owners

    def _chatting(self, block: list[tuple[_Thread, _Step] | None]) -> str:
        """Return who chats: within a block, before a correction, the one who listens."""
        listening = [name for name in self.speakers if block[0] and name != block[0][0].speaker]
        return self.rng.choice(listening or self.speakers)

    def _blocks(self, threads: list[_Thread], session: int) -> Iterator[list[tuple[_Thread, _Step] | None]]:
        """Yield the steps of a session, each with what follows it at once, threads mixed, chat in between."""
        queues: list[list[list[tuple[_Thread, _Step] | None]]] = []
        for thread in threads:
            blocks: list[list[tuple[_Thread, _Step] | None]] = []
            for step in (step for step in thread.steps if step.session == session):
                if step.at_once and blocks:
                    blocks[-1] += [*([None] if self.rng.random() < 0.3 else []), (thread, step)]
                else:
                    blocks.append([(thread, step)])
            if blocks:
                queues.append(blocks)
        yield [None]
        while queues:
            queue = self.rng.choice(queues)
            yield queue.pop(0)
            if not queue:
                queues.remove(queue)
            for _ in range(self.rng.choice((0, 1, 1, 2))):
                yield [None]

    def _labels(self, owners: list[tuple[_Thread, _Step] | None]) -> Iterator[Label]:
        for index, owner in enumerate(owners):
            if owner is None:
                yield Label(index, "chat", None)
                continue
            thread, step = owner
            earlier = [(i, o[1]) for i in range(index) if (o := owners[i]) and o[0] is thread]
            stale = {i for i, old in earlier if old.value is not None and old.value != step.now}
            plans = {i for i, old in earlier if old.kind == "future" and step.kind == "future"}
            may_change = {i for i, _ in earlier} if step.kind == "end" else stale | plans
            yield Label(index, step.kind, thread.key, frozenset(may_change))

    def _questions(self, threads: list[_Thread], owners: list[tuple[_Thread, _Step] | None]) -> Iterator[Question]:
        for thread in threads:
            told = [(i, o[1]) for i, o in enumerate(owners) if o and o[0] is thread and o[1].value is not None]
            if not told:
                continue
            ended = told[-1][1].kind == "end"
            now = None if ended else told[-1][1].value
            asks = thread.attribute.phrases.get("ask_third" if thread.who else "ask", [])
            if not asks:
                continue
            kind = "retracted" if ended else "other-person" if thread.who else "current"
            stale = tuple(dict.fromkeys(step.value for _, step in told if step.value and step.value != now))
            sources = frozenset(i for i, step in told if step.value == now) if now else frozenset()
            yield Question(self._ask(asks, thread), None, (now,) if now else (), stale, kind, thread.key, sources)

    def _ask(self, asks: list[tuple[str, str | None]], thread: _Thread) -> str:
        who = thread.who or ""
        whose = who.replace("my ", thread.speaker + "'s ", 1)
        return self.rng.choice(asks)[0].format(name=thread.speaker, whose=whose, whose2=whose + "'s")

    def _never_said(self, threads: list[_Thread]) -> Iterator[Question]:
        said = {thread.key for thread in threads}
        for name in self.rng.sample(sorted(self.bank.attributes), 3):
            speaker = self.rng.choice(self.speakers)
            asks = self.bank.attributes[name].phrases["ask"]
            if (key(speaker), name) not in said and name not in ("partner", "marital_status"):
                text = self.rng.choice(asks)[0].format(name=speaker)
                yield Question(text, None, (), (), "never-said", (key(speaker), name))


def everyday(seed: int, bank: Bank) -> Stream:
    """Return two people's talk over some weeks."""
    return _Writer(bank, random.Random(f"everyday {bank.name} {seed}")).stream()
