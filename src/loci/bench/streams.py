"""Conversations in which facts change, from a seed: what memory should hold at the end is known, because it was written so.

Four kinds of stream: `templated` (numbered facts, later wins, one hop and two), `everyday` (people talking: changes,
corrections, retractions, restatements, jokes, other people's facts), `timed` (validity in time, asked as of a date), and
questions about things never said in all of them. Everyday wordings come from two banks that share nothing: `DEV`, on which
the rules were tuned, and `HELD`, written before the rules, of which only the totals were ever looked at. Both are by the
author of the rules, so expect somewhat less from strangers.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from loci.bench.talk import BANKS, Bank, Label, Message, Question, Stream, everyday
from loci.policy.conflict import Claim, Possible, Supersede, resolve
from loci.text.facts import Fact, facts, key
from loci.text.wording.values import plain, when

__all__ = [
    "BANKS", "Label", "Message", "Question", "Stream", "evaluate_rules", "everyday", "numbered", "run_rules", "spelled", "templated", "timed",
]  # fmt: skip

# -- numbered facts ---------------------------------------------------------------------------------------------------

_THINGS = {
    "country": ["Veldora", "Ostmark", "Quillia", "Tarsenia", "Belmont", "Norvia", "Sandoria", "Kestria", "Islavo", "Mirenza"],
    "city": ["Arlen", "Brisk", "Calder", "Dunmore", "Esk", "Falken", "Grimsby", "Haldane", "Ivrea", "Jarrow", "Kelso", "Lorne"],
    "person": [
        "Ada Berg",
        "Ben Okoro",
        "Cleo Marsh",
        "Dan Voss",
        "Eva Lindt",
        "Finn Tanaka",
        "Gia Rossi",
        "Hal Moreno",
        "Ida Novak",
        "Jon Pike",
    ],
    "company": ["Arco", "Bellweather", "Cindertech", "Dovetail Inc.", "Everline Group", "Foxglove Labs", "Granite Foods"],
    "language": ["Veldoric", "Ostian", "Quillic", "Tarsene", "Norvian", "Kestric"],
    "sport": ["rowing", "fencing", "table tennis", "association football", "curling"],
}
# relation: the sort of its subject, the sort of its value, the statement, the question's words for it
_RELATIONS = (
    ("capital", "country", "city", "The capital of {x} is {y}", "the capital of {x}"),
    ("official language", "country", "language", "The official language of {x} is {y}", "the official language of {x}"),
    ("head of government", "country", "person", "The name of the current head of state of {x} is {y}", "the head of state of {x}"),
    ("located in", "city", "country", "{x} is located in the country of {y}", "the country where {x} is located"),
    ("mayor", "city", "person", "The mayor of {x} is {y}", "the mayor of {x}"),
    ("citizen", "person", "country", "{x} is a citizen of {y}", "the country {x} is a citizen of"),
    ("spouse", "person", "person", "{x} is married to {y}", "the spouse of {x}"),
    ("born in", "person", "city", "{x} was born in the city of {y}", "the birthplace of {x}"),
    ("employer", "person", "company", "{x} is employed by {y}", "the employer of {x}"),
    ("sport", "person", "sport", "{x} is associated with the sport of {y}", "the sport of {x}"),
    ("speaks", "person", "language", "{x} speaks the language of {y}", "the language of {x}"),
    ("chief executive", "company", "person", "The chief executive officer of {x} is {y}", "the chief executive of {x}"),
    ("founder", "company", "person", "{x} was founded by {y}", "the founder of {x}"),
    ("headquarters", "company", "city", "The headquarters of {x} is located in the city of {y}", "the headquarters of {x}"),
    ("child", "person", "person", "{x}'s child is {y}", "the child of {x}"),
    ("plays for", "person", "company", "{x} plays for {y}", "the team of {x}"),
    ("developed", "language", "company", "{x} was developed by {y}", "the developer of {x}"),
)  # fmt: skip
_PREFIXES = ("Fact {n}: {s}.", "{n}. {s}.", "{n}) {s}.", "#{n}: {s}.")


ASKED = 200  # questions of each kind about a long stream


def templated(seed: int) -> Stream:
    """Return numbered facts, about a third of them told anew with another value; one-hop and two-hop questions."""
    rng = random.Random(f"templated {seed}")
    pairs = [(x, r) for r, row in enumerate(_RELATIONS) for x in _THINGS[row[1]]]
    plan = rng.sample(pairs, 60)
    plan += rng.sample(plan, 20) + rng.sample(plan, 5)
    return _told(rng, plan, _THINGS)


def numbered(seed: int, facts: int) -> Stream:
    """Return so many numbered facts about invented things, a third of them told anew, and a sample of the questions."""
    rng = random.Random(f"numbered {seed}")
    things = _invented(rng, max(10, facts // 10))
    pairs = [(x, r) for r, row in enumerate(_RELATIONS) for x in things[row[1]]]
    plan = rng.sample(pairs, facts * 2 // 3)
    plan += rng.sample(plan, facts - len(plan))
    stream = _told(rng, plan, things)
    questions = []
    for kind in ("one-hop", "two-hop"):
        asked = [question for question in stream.questions if question.kind == kind]
        questions += rng.sample(asked, min(ASKED, len(asked)))
    return replace(stream, questions=questions)


def _invented(rng: random.Random, count: int) -> dict[str, list[str]]:
    """Return that many names of each sort, no two alike."""
    endings = {"country": "ia", "city": "ton", "company": " Works", "language": "ese"}
    names: dict[str, list[str]] = {"sport": _THINGS["sport"]}
    for sort, ending in endings.items():
        names[sort] = [f"{name}{ending}" for name in _syllables(rng, count)]
    firsts, lasts = _syllables(rng, count), _syllables(rng, count)
    names["person"] = [f"{first} {last}" for first, last in zip(firsts, lasts, strict=True)]
    return names


def _syllables(rng: random.Random, count: int) -> list[str]:
    """Return that many different invented words."""
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice("bdfglmnprstvz") + rng.choice("aeiou") for _ in range(3)).capitalize()] = None
    return list(found)


def _told(rng: random.Random, plan: list[tuple[str, int]], things: dict[str, list[str]]) -> Stream:
    """Return the facts of a plan, each with a value it did not have, and every question that they answer."""
    at, prefix = datetime(2024, 3, 1, 9), rng.choice(_PREFIXES)
    told: dict[tuple[str, int], list[tuple[int, str]]] = {}
    messages, labels = [], []
    for n, (x, r) in enumerate(plan):
        old = [y for _, y in told.get((x, r), [])]
        values = things[_RELATIONS[r][2]]
        y = rng.choice(values)
        while y == x or y in old:
            y = rng.choice(values)
        messages.append(Message(at + timedelta(seconds=n), "user", prefix.format(n=n, s=_RELATIONS[r][3].format(x=x, y=y)), "s0"))
        labels.append(Label(n, "change" if old else "state", (key(x), str(r)), frozenset(i for i, _ in told.get((x, r), []))))
        told.setdefault((x, r), []).append((n, y))
    attributes = [_attribute_of(r) for r in range(len(_RELATIONS))]
    questions = []
    for (x, r), rows in told.items():
        index, value = rows[-1]
        stale = tuple(y for _, y in rows[:-1])
        text = f"What is {_RELATIONS[r][4].format(x=x)}?"
        questions.append(Question(text, None, (value,), stale, "one-hop", (key(x), attributes[r]), frozenset([index])))
        for second in (s for s in range(len(_RELATIONS)) if (value, s) in told):
            index2, final = told[(value, second)][-1]
            words = _RELATIONS[second][4].format(x=_RELATIONS[r][4].format(x=x))
            hops = (key(x), attributes[r], attributes[second])
            questions.append(Question(f"What is {words}?", None, (final,), stale, "two-hop", hops, frozenset([index2])))
    return Stream("templated", messages, questions, labels)


def _attribute_of(relation: int) -> str:
    """Return the attribute under which the rules file a relation, as told of two things that occur nowhere."""
    told = facts("1. " + _RELATIONS[relation][3].format(x="Xoxo", y="Yoyo"), None, None)
    return str(told[0].attribute) if told else "?"


# -- facts in time ----------------------------------------------------------------------------------------------------


def timed(seed: int, bank: Bank) -> Stream:
    """Return three facts with their years, told in any order, and questions as of a year."""
    rng = random.Random(f"timed {bank.name} {seed}")
    name, wordings = rng.choice(bank.timed)
    years = sorted(rng.sample(range(2008, 2023), 3))
    values = rng.sample(bank.attributes[name].values, 3)
    filling = {f"y{i}": y for i, y in enumerate(years)} | {f"v{i}": v for i, v in enumerate(values)}
    order = rng.sample(range(3), 3) if rng.random() < 0.5 else [0, 1, 2]
    speaker = rng.choice(bank.names)
    start = datetime(2024, 2, 1, 10)
    messages = [Message(start + timedelta(days=9 * n), speaker, wordings[i].format(**filling), f"s{n}") for n, i in enumerate(order)]
    questions = []
    for i, value in enumerate(values):
        end = years[i + 1] if i < 2 else 2024
        as_of = datetime(rng.randint(years[i], end - 1), 7, 1) if end > years[i] else None
        text = {"residence": "Where did {n} live in {y}?", "employer": "Where did {n} work in {y}?"}[name]
        stale = tuple(v for v in values if v != value)
        if as_of:
            source = frozenset([order.index(i)])
            asked = text.format(n=speaker, y=as_of.year)
            questions.append(Question(asked, as_of, (value,), stale, "as-of", (key(speaker), name), source))
    return Stream("timed", messages, questions, [Label(n, "state", (key(speaker), name), frozenset(range(n))) for n in range(3)])


def spelled(stream: Stream, letters: str) -> Stream:
    """Return a stream as those type it who write "i moved to lisbon" (``small``) or "I moved to lisbon" (``sentence``); ``written``: as it is."""
    if letters == "written":
        return stream
    spell = str.lower if letters == "small" else _sentence_case
    messages = [replace(message, text=spell(message.text)) for message in stream.messages]
    return replace(stream, messages=messages, questions=[replace(question, text=spell(question.text)) for question in stream.questions])


def _sentence_case(text: str) -> str:
    """Return the text with the capitals that a telephone sets by itself."""
    return re.sub(r"\bi\b|(?:\A|(?<=[.!?] ))[^\W\d_]", lambda found: found.group().upper(), text.lower())


# -- the figures of the pure rules ------------------------------------------------------------------------------------


@dataclass
class Held:
    """What a list in memory holds after a stream, and what went wrong on the way."""

    claims: list[Claim] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def run_rules(stream: Stream) -> Held:
    """Return the claims that the pure rules hold after the messages of a stream; a memory's id is its message's number."""
    held = Held()
    people = sorted({message.speaker for message in stream.messages})
    labels = {label.message: label for label in stream.labels}
    turns: Counter[tuple[str, str]] = Counter()
    for index, message in enumerate(stream.messages):
        turns[message.speaker, message.session] += 1
        for nth, fact in enumerate(facts(message.text, message.speaker, message.at, people)):
            claim = claim_of(fact, message, f"{index}.{nth}", index * 100 + nth, turns[message.speaker, message.session])
            verdict = resolve(claim, held.claims)
            for action in verdict.actions:
                if isinstance(action, Possible):
                    held.wrong["possible"] += 1
                elif isinstance(action, Supersede):
                    _close(held, action, labels[index], stream)
            held.claims.append(verdict.claim)
    return held


def claim_of(fact: Fact, message: Message, memory: str, seq: int, turn: int) -> Claim:
    """Return a fact as the claim of a memory."""
    return Claim(
        memory,
        fact.subject,
        fact.attribute,
        fact.value,
        polarity=fact.polarity,
        tense=fact.tense,
        cue=fact.cue,
        arity=fact.arity,
        valid_from=fact.since,
        valid_to=fact.until,
        said_at=message.at,
        seq=seq,
        speaker=key(message.speaker),
        turn=turn,
        session=message.session,
        replaces=fact.replaces,
        sort=fact.sort,
        serial=fact.serial,
        relation=fact.relation,
    )


def _close(held: Held, action: Supersede, label: Label, stream: Stream) -> None:
    old = int(action.old_id.split(".")[0])
    held.claims = [replace(c, closed=True, valid_to=action.valid_to) if c.memory == action.old_id else c for c in held.claims]
    if stream.kind == "timed" or old in label.changes or old == label.message:
        return
    owner = next((item for item in stream.labels if item.message == old), None)
    if owner and owner.key and label.key and owner.key[0] != label.key[0]:
        held.wrong["cross-person"] += 1
    else:
        held.wrong[f"superseded by {label.kind}"] += 1
    held.faults.append(f"[{label.kind}] {stream.messages[label.message].text!r} closed {stream.messages[old].text!r}: {action.reason}")


def is_answered(question: Question, held: Held) -> bool:
    """Tell whether exactly what is expected holds, from a message that told it."""
    subject = question.key[0]
    if len(question.key) == 3:
        middle = _holding(held, subject, question.key[1], None)
        if len({claim.value for claim in middle}) != 1:
            return False
        subject = key(middle[0].value)
    holding = _holding(held, subject, question.key[-1], question.as_of)
    if not question.expected:
        return not holding
    return bool(holding) and all(_is_expected(claim, question) for claim in holding)


def shows_stale(question: Question, held: Held) -> bool:
    """Tell whether a value that no longer holds is held as current."""
    stale = {_form(value, question.key[-1]) for value in question.stale if value not in question.expected}
    if question.key[-1].startswith("likes/") or len(question.key) == 3:
        return False
    return any(claim.value in stale for claim in _holding(held, question.key[0], question.key[-1], question.as_of))


def _holding(held: Held, subject: str, attribute: str, as_of: datetime | None) -> list[Claim]:
    """Return the claims of a key that hold now, or held at a time."""
    found = [c for c in held.claims if c.subject == subject and f"{c.attribute}/".startswith(attribute + "/")]
    if as_of is not None:
        return [c for c in found if c.polarity and (c.valid_from or as_of) <= as_of and (c.valid_to is None or as_of < c.valid_to)]
    return [c for c in found if not c.closed and c.tense == "now" and (c.polarity or attribute.startswith("likes/"))]


_SAME = {"meat eater": {"meat eater", "omnivore"}, "yes": {"True"}, "no": {"False"}}


def _is_expected(claim: Claim, question: Question) -> bool:
    value = str(claim.polarity) if question.key[-1].startswith("likes/") else claim.value
    fits = any(value in _SAME.get(v, {_form(v, question.key[-1])}) for v in question.expected)
    return fits and int(claim.memory.split(".")[0]) in question.sources


def _form(value: str, attribute: str) -> str:
    date = when(value, None) if attribute.startswith(("plan/", "birthday")) else None
    return date[2] if date else plain(value)


def evaluate_rules(seed: int, n: int, bank: str = "DEV", failures: list[str] | None = None, letters: str = "written") -> dict[str, object]:
    """Return the figures of the pure rules over `n` streams of each kind, the everyday ones in `letters` (`spelled`); what failed is added to `failures`."""
    asked: Counter[str] = Counter()
    right: Counter[str] = Counter()
    stale: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for i in range(seed, seed + n):
        for stream in (templated(i), spelled(everyday(i, BANKS[bank]), letters), timed(i, BANKS[bank])):
            held = run_rules(stream)
            wrong.update(held.wrong)
            faults = list(held.faults)
            for question in stream.questions:
                asked[question.kind] += 1
                right[question.kind] += is_answered(question, held)
                stale[question.kind] += shows_stale(question, held)
                if not is_answered(question, held):
                    faults.append(_explained(question, stream, held))
            if failures is not None:
                failures.extend(faults)
    everyday_kinds = ("current", "other-person", "retracted", "never-said")
    return {
        "bank": bank,
        "letters": letters,
        "answered": {kind: f"{right[kind]}/{asked[kind]} = {100 * right[kind] / asked[kind]:.1f} %" for kind in sorted(asked)},
        "everyday": round(100 * sum(right[k] for k in everyday_kinds[:3]) / max(1, sum(asked[k] for k in everyday_kinds[:3])), 1),
        "stale shown as current": {kind: stale[kind] for kind in sorted(stale) if stale[kind]},
        "wrong supersessions": {name: count for name, count in sorted(wrong.items()) if name != "possible"},
        "possible conflicts": wrong["possible"],
    }


def _explained(question: Question, stream: Stream, held: Held) -> str:
    lines = [f"? {question.text} as of {question.as_of}: expected {question.expected} of {question.key}"]
    for label in stream.labels:
        if label.key == question.key:
            claims = [
                f"{c.subject} {c.attribute}={c.value!r} {c.polarity} {c.tense} {c.cue}{' closed' if c.closed else ''}"
                for c in held.claims
                if c.memory.startswith(f"{label.message}.")
            ]
            lines.append(f"    {label.kind:8} {stream.messages[label.message].text!r} -> {claims}")
    return "\n".join(lines)
