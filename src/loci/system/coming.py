"""What a conversation prepares for the turn to come, in the background, as long as nobody waits for anything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from loci.operation.foreseeing import Foreseen, Foresight
from loci.operation.pace import Pace
from loci.operation.porter import Errand, Porter
from loci.policy.foresight import Course
from loci.ports import RowFilter
from loci.types import Recall

Bring = Callable[[Sequence[str], RowFilter, Callable[[], bool]], str]
"""Sends for the pages that hold most of these memories, and answers what came of it."""
Find = Callable[[str, RowFilter], Recall]
"""What a search finds, which counts as no use."""


class Coming:
    """Where one conversation has got to, and what was prepared for its next turn. ``rows`` passes the gate; ``tenant`` is told of what goes wrong,
    in the trace of its next search. Not for several threads at once."""

    def __init__(
        self, foresight: Foresight, rows: Callable[[], RowFilter], find: Find, bring: Bring, budget_tokens: int, pace: Pace
    ) -> None:
        self._foresight, self._rows, self._find, self._bring = foresight, rows, find, bring
        self._budget, self._pace = budget_tokens, pace
        self._course, self._asked = Course(), ""
        self._made: list[tuple[Foreseen, Course]] = []  # by the errand in hand

    @property
    def foreseen(self) -> Foreseen | None:
        """What was prepared for the turn to come; None while it is not there, and once anything has changed: its words may be gone."""
        found = self._made[0][0] if self._made else None
        return None if found is None or found.head != self._foresight.store.head() else found

    def followed(self, recall: Recall, at: RowFilter) -> None:
        """A turn has recalled this."""
        self._course = self._foresight.followed(self._latest(), recall, at)

    def asked(self, question: str) -> None:
        """A turn took what was prepared; what its question would have recalled is looked up when nobody waits."""
        self._course, self._asked = self._latest(), question

    def send(self, porter: Porter, owner: object, tenant: Callable[[RowFilter], str]) -> Errand:
        """Begins to prepare for the next turn, and returns at once."""
        rows, made = self._rows(), list[tuple[Foreseen, Course]]()
        self._made, asked, self._asked = made, self._asked, ""
        return porter.send(owner, tenant(rows), (), partial(self._prepare, rows, made, self._course, asked))

    def _latest(self) -> Course:
        """The course, with what was expected of this turn if that was made in time; the errand in hand is for a turn that is over."""
        made, self._made = self._made, []
        return made[0][1] if made else self._course

    def _prepare(
        self, rows: RowFilter, made: list[tuple[Foreseen, Course]], course: Course, asked: str, is_wanted: Callable[[], bool]
    ) -> str:
        def breath() -> bool:
            self._pace.wait(lambda: not is_wanted())
            return is_wanted()

        if asked:
            breath()
            course = self._foresight.followed(course, self._find(asked, rows), rows)
            if self._made is made:  # or a turn has gone on meanwhile
                self._course = course
        foreseen, after = self._foresight.foresee(course, rows, self._budget, breath)
        if foreseen is None:
            return "It is not wanted any more."
        made.append((foreseen, after))
        return self._bring(foreseen.recall.ids, rows, breath)
