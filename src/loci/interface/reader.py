"""MemReader by rules (MemOS v3 §5.2): messages to candidates with exact spans, questions to MemoryCalls. No model."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from loci.operation.intake import Heard
from loci.text import asked, dates, entities, facts, sentences, speech, tokens, voice
from loci.text.wording import relations
from loci.text.wording.by_wish import is_conditional
from loci.types import ROLES, Candidate, Interval, MemoryCall, Message, Part, TimeSpan, Type

ASSISTANT, USER = "assistant", "user"
TYPES = {type.value: type for type in Type}


class MemReader:
    """Reads by rules; the same words give the same reading."""

    def read(self, message: Message, people: Collection[str]) -> Heard:
        """The whole turn, then the sentences of it that stand alone: those with a claim of their own, and what a user wishes for good."""
        speaker = message.speaker or message.role
        reading = _Reading.of(message, speaker, people)
        found = facts.facts(message.text, speaker, message.at, people) if message.role != ASSISTANT else []
        candidates = [reading.cut(0, len(message.words), Part.TURN)]
        is_wish = message.role == USER and speech.is_lasting(message.text)
        cuts = (
            [each for cut in sentences.sentences(message.text) for each in _parts(message.text, *cut, found, is_wish)]
            if found or is_wish
            else []
        )
        if len(cuts) < 2:
            return Heard(tuple(candidates), (tuple(found),))
        claimed: list[list[facts.Fact]] = [[]]
        for start, end in cuts:
            own = [fact for fact in found if start <= fact.start < end]
            if own or (is_wish and speech.is_lasting(message.text[start:end])):
                candidates.append(reading.cut(start, end, Part.SENTENCE))
                claimed.append(own)
        return Heard(tuple(candidates), tuple(tuple(own) for own in claimed))

    def call(self, question: str, now: datetime, people: Sequence[str], speaker: str | None) -> MemoryCall:
        """What a question asks for: its intent, the people it is about, its time window, and the words to look for. It is about the ``speaker`` too where that is one of
        several people, and "I" in it; of somebody who talks to an assistant alone, all is."""
        said = set(tokens.words(question))
        persons = [p for p in people if p not in ROLES]
        named = tuple(p for p in persons if set(tokens.words(p)) & said)
        is_own = len(persons) > 1 and speaker in persons and not said.isdisjoint(ME) and said.isdisjoint(YOU)
        window = dates.window(question, now)
        asks_when = dates.asks_when(question)
        keys, hops = tuple(asked.asked(question, speaker, people)), asked.hops(question, speaker, people)
        is_over = window is not None and window[1] <= now and not said.isdisjoint(WAS) and bool(keys or hops)
        return MemoryCall(
            text=question,
            intent=_intent(question, asks_when),
            people=(*named, speaker) if is_own and speaker is not None and speaker not in named else named,
            window=None if window is None else Interval(*window),
            then=Interval(*window) if window is not None and is_over else None,
            terms=tuple(tokens.terms(question)),
            asks_when=asks_when,
            asks_many=asked.asks_many(question),
            asked=keys,
            hops=hops,
            relation=relations.asked(question, speaker, people),
            voiced=voice.in_own_words(question, named),
        )


def _parts(text: str, start: int, end: int, found: Sequence[facts.Fact], is_wish: bool) -> list[tuple[int, int]]:
    """A sentence, in parts where each of them wishes for something for good or tells a fact of its own: "Call me Al, and remember that I live in
    Oslo" must be able to end in part."""
    parts = sentences.clauses(text, start, end) if is_wish and not is_conditional(text[start:end]) else []
    wishes = [speech.is_lasting(text[begin:stop]) for begin, stop in parts]
    alone = [OWN.match(text, begin) and any(begin <= fact.start < stop for fact in found) for begin, stop in parts]
    return parts if len(parts) > 1 and any(wishes) and all(a or b for a, b in zip(wishes, alone, strict=True)) else [(start, end)]


@dataclass(frozen=True, slots=True)
class _Reading:
    """A message with what was recognised in it once, to be shared out among its cuts."""

    words: str
    speaker: str
    people: Collection[str]
    entities: list[entities.Entity]
    times: list[dates.TimeMention]

    @classmethod
    def of(cls, message: Message, speaker: str, people: Collection[str]) -> _Reading:
        words = message.words
        return cls(words, speaker, people, entities.entities(words, people), dates.mentions(words, message.at))

    def cut(self, start: int, end: int, part: Part) -> Candidate:
        text = self.words[start:end]
        inside = [e.text for e in self.entities if start <= e.start and e.end <= end]
        times = [TimeSpan(m.words, _aware(m.earliest), _aware(m.latest)) for m in self.times if start <= m.start and m.end <= end]
        said = tokens.words(text)
        return Candidate(
            start, end, part, TYPES[speech.semantic_type(text, said)], self.speaker, entities.about(text, self.speaker, self.people),
            tuple(dict.fromkeys(inside)), tuple(speech.keywords(text, found=said)), tuple(times),
        )  # fmt: skip


OWN = re.compile(r"(?:I|i|[Mm]y|[Ww]e|[Oo]ur)\b")
PAST = frozenset(
    {"before", "previously", "formerly", "used", "originally", "earlier", "past", "history", "changed", "former", "once", "first"}
)
ME, YOU = frozenset({"i", "im", "me", "my", "mine", "myself"}), frozenset({"you", "your", "yours"})
WAS = frozenset({"did", "was", "were", "had"})
ONCE = re.compile(
    r"\W*(?:(?:so|and|but|well|ok|okay),? )?(?:did|have|has|had|(?:was|were) (?:\S+ ){1,3}ever)\b", re.IGNORECASE
)  # "Did I ever"
ADVICE = frozenset({"recommend", "suggest", "suggestions", "advice", "advise", "recommendations", "ideas", "tips", "should"})
PREFERENCE = frozenset(
    {"like", "likes", "love", "loves", "prefer", "prefers", "favorite", "favourite", "hate", "hates", "dislike", "enjoy"}
)


def _intent(question: str, asks_when: bool) -> str:
    words = set(tokens.words(question))
    if asks_when:
        return "when"
    if words & PAST or ONCE.match(question):
        return "past"
    if words & ADVICE:
        return "advice"
    if words & PREFERENCE:
        return "preference"
    if "many" in words and "how" in words:
        return "count"
    return "lookup"


def _aware(at: datetime) -> datetime:
    """A date in a message of unknown time is taken as UTC."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)
