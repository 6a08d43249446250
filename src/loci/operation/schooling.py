"""What is taught of memories, and asked about them: lessons and questions by rules, from their words alone.

Every lesson quotes the memory that it is of, and depends on nothing else in the cube: what was learned without a memory is what would have been learned
had it never been there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loci.ports.adapters import Pair
from loci.ports.adapting import Lesson, Question
from loci.text.lessons import BLANK, Gap, blanked, gap_of, questions
from loci.text.wording.subjects import key
from loci.types import Memory

MOST_FOILS = 4
NOBODYS = ("nothing", "nobody", "elsewhere", "never")  # foils where no other memory has any
Ask = Callable[[str, str], str]
"""A question, and what is recalled for it, as the model is asked: in its template."""


@dataclass(frozen=True, slots=True)
class Pupil:
    """A memory as it is taught: its words with who said them, and the gap that is asked for."""

    memory: str
    text: str
    gap: Gap | None
    asked: tuple[str, ...]
    pairs: tuple[Pair, ...] = ()

    @property
    def answer(self) -> str:
        return self.text[self.gap.start : self.gap.end] if self.gap is not None else ""


def pupil_of(memory: Memory, text: str, pairs: Sequence[Pair] = ()) -> Pupil:
    """A memory whose words, as they may be shown, are ``text``, and what a language model asked about it, in the place of what rules ask."""
    claims = [(claim.subject, claim.attribute, claim.value) for claim in memory.claims]
    gap = gap_of(text, claims, [time.words for time in memory.times], memory.entities)
    own = {key(name) for name in (memory.scope.user, memory.speaker) if name}
    asked = questions(gap.subject, gap.attribute, gap.subject in own) if gap and gap.subject and gap.attribute and not pairs else ()
    said = f"{memory.speaker}: " if memory.speaker else ""
    moved = gap and Gap(gap.start + len(said), gap.end + len(said), gap.subject, gap.attribute)
    return Pupil(memory.id, said + text, moved, asked, tuple(pairs))


def lessons_of(pupils: Sequence[Pupil], ask: Ask) -> list[Lesson]:
    """The words themselves, the gap to be filled, and every question but the last; of what a language model asked every wording but the last, or the only one."""
    found = []
    for pupil in pupils:
        found.append(Lesson(pupil.memory, "", pupil.text))
        for pair in pupil.pairs:
            found += [Lesson(pupil.memory, ask(asked, ""), pair.answer) for asked in pair.questions[:-1] or pair.questions]
        if pupil.gap is not None and not pupil.pairs:
            found.append(
                Lesson(pupil.memory, ask(f"Which words are missing at {BLANK}: {blanked(pupil.text, pupil.gap)}", ""), pupil.answer)
            )
        found += [Lesson(pupil.memory, ask(asked, ""), pupil.answer) for asked in pupil.asked[:-1]]
    return found


def questions_of(pupils: Sequence[Pupil], ask: Ask) -> list[Question]:
    """The words up to the gap, and the questions that were not taught; of a memory without a gap, only these. The foils are what others have in their gaps, of the same attribute first."""
    found = []
    for pupil in pupils:
        for pair in pupil.pairs:
            if len(pair.questions) > 1:
                last = pair.questions[-1]
                found.append(Question(pupil.memory, ask(last, ""), pair.answer, _foils(pupil, pupils, pair.answer), ask(last, pupil.text)))
        if pupil.gap is None:
            continue
        foils = _foils(pupil, pupils, pupil.answer)
        begun = pupil.text[: pupil.gap.start]
        cue = begun.rstrip()
        answer, told = begun[len(cue) :] + pupil.answer, f"{pupil.text}\n\n{cue}"
        found.append(Question(pupil.memory, cue, answer, tuple(f" {foil}" for foil in foils), told))
        if pupil.asked:
            last = pupil.asked[-1]
            found.append(Question(pupil.memory, ask(last, ""), pupil.answer, foils, ask(last, pupil.text)))
    return found


def _foils(pupil: Pupil, others: Sequence[Pupil], right: str) -> tuple[str, ...]:
    attribute = pupil.gap and pupil.gap.attribute
    said = [other for other in others if other.gap is not None and other.answer.casefold() != right.casefold()]
    alike = sorted(said, key=lambda other: other.gap is None or other.gap.attribute != attribute)
    wanted = dict.fromkeys(other.answer for other in alike) or NOBODYS
    return tuple(answer for _, answer in zip(range(MOST_FOILS), wanted, strict=False))
