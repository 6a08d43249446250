"""A conversation with a model behind an API: each turn gives a prompt that begins as the last one did, so that the provider's cache finds it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loci.errors import Invalid
from loci.interface import inputs
from loci.interface.state import Kept, kept_of, state_of
from loci.operation.foreseeing import Foreseen
from loci.operation.porter import Errand
from loci.policy import layout as layouts
from loci.policy.caching import Gap, Mark, Provider, anchors_of, counted_as, gap, known_prefix, shared, usage_of
from loci.policy.layout import Budget, Candidates, Known, Layout, Pair, Rewrite
from loci.policy.prompt import Place, Rendered, Segment, breakpoints, segment_of, segments
from loci.ports import Clock, RowFilter
from loci.system.coming import Coming
from loci.system.gated import Calls
from loci.text.cited import citations
from loci.types import Recall

CHANGED = {Place.TOOLS: Rewrite.TOOLS, Place.SYSTEM: Rewrite.SYSTEM, Place.HISTORY: Rewrite.HISTORY}


@dataclass(frozen=True, slots=True)
class Setting:
    """What holds for all of a conversation. ``hash`` is the cube's keyed one."""

    key: str
    session: str
    system: str
    tools: tuple[Mapping[str, Any], ...]
    provider: Provider
    recall_tokens: int
    budget: Budget
    clock: Clock
    hash: Callable[..., str]


@dataclass(frozen=True, slots=True)
class Look:
    """What a turn may see, decided once at the gate: the search's answer, and the way to look up what stands in the prompt."""

    recall: Recall | None
    known: Callable[[Collection[Pair], Collection[str]], Known]
    candidates: Callable[[], Candidates]
    note: Callable[[Sequence[str]], None]
    cite: Callable[[Sequence[str]], None]
    rows: RowFilter
    is_prepared: bool = False


class Conversation(Calls):
    """Made by `Cube.conversation`. One turn is: ``turn(text)``, send it, ``reported(usage)``, ``replied(text)``. It keeps the messages in
    ``history`` while it lives; to go on later, keep ``history`` and ``state``. Not for several threads at once."""

    def __init__(
        self,
        setting: Setting,
        look: Callable[[str | None, int, Foreseen | None], Look],
        history: Sequence[Mapping[str, Any]],
        state: Mapping[str, Any] | None,
        coming: tuple[Coming, Callable[[], Errand]] | None = None,
    ) -> None:
        self._setting, self._look, self._coming = setting, look, coming
        self._history = [inputs.provider_message(message) for message in history]
        self._kept = Kept() if state is None else kept_of(state, setting.key, len(self._history))
        self._cite: Callable[[Sequence[str]], None] | None = None
        self.errand: Errand | None = None
        """What was begun for the turn to come (``ahead``); ``wait()`` tells what came of it."""

    @property
    def history(self) -> list[dict[str, Any]]:
        """The messages so far, without memories: the user's, the model's, and what was appended."""
        return [dict(message) for message in self._history]

    @property
    def state(self) -> dict[str, Any]:
        """Plain JSON without a word of a memory or a message, for `Cube.conversation` to go on by."""
        return state_of(self._kept, self._setting.key)

    @property
    def foreseen(self) -> Foreseen | None:
        """What was prepared for the turn to come (``ahead``); None while nothing is."""
        return None if self._coming is None else self._coming[0].foreseen

    def turn(self, text: str | None = None, *, prepared: bool = False) -> Rendered:
        """The prompt for what the user says now, with the memories that it needs and the prompt does not show yet. Without a text the
        prompt for the history as it is: after the result of a tool, or once more. What may no longer be shown is gone from it, wherever
        it stood. With ``prepared`` it takes what was foreseen and does not search, as long as that holds (``is_prepared`` says so). Raises what
        `Cube.search` raises, and then nothing has changed."""
        if text is None and not self._history:
            raise Invalid("There is nothing to answer yet: give turn() what the user says.")
        history = self._history if text is None else [*self._history, inputs.provider_message({"role": "user", "content": text})]
        asked = text[: inputs.MAX_QUESTION] if isinstance(text, str) else text
        if prepared and self._coming is None:
            raise Invalid("Nothing is prepared in this conversation: begin it with ahead=True.")
        look = self._look(
            None if asked is None else inputs.question(asked), self._setting.recall_tokens, self.foreseen if prepared else None
        )
        layout, known, reasons = self._laid_out(look, history)
        found = segments(self._setting.system, self._setting.tools, layout, history, known)
        look.note([entry.memory for entry in layout.entries])
        self._history, self._cite = history, look.cite
        if self._coming is not None and look.recall is not None and asked is not None:
            self._coming[0].asked(asked) if look.is_prepared else self._coming[0].followed(look.recall, look.rows)
        return self._rendered(found, layout, look, reasons)

    def replied(self, content: str | Sequence[Mapping[str, Any]]) -> None:
        """What the model answered: its text, or its content as the provider gave it, as plain JSON. The memories whose numbers it cites have been
        of use. The turn is over: the next one is prepared for in the background, where that was asked for (``ahead``). Raises `Denied` where that may not
        be any more, and then nothing has changed."""
        message = {"role": "assistant", "content": content if isinstance(content, str) else [dict(block) for block in content]}
        inputs.provider_message(message)
        if self._coming is not None:
            self.errand = self._coming[1]()
        self._note_cited(content)
        self.appended(message)

    def _note_cited(self, content: str | Sequence[Mapping[str, Any]]) -> None:
        texts = [content] if isinstance(content, str) else [str(block.get("text", "")) for block in content]
        shown = {entry.cite: entry.memory for entry in self._kept.layout.entries}
        cited = [shown[number] for number in citations("\n".join(texts)) if number in shown]
        if cited and self._cite is not None:
            self._cite(cited)

    def appended(self, message: Mapping[str, Any]) -> None:
        """A message of another kind as the provider takes it, such as a call of a tool, or its result."""
        self._history = [*self._history, inputs.provider_message(message)]

    def reported(self, usage: Mapping[str, Any]) -> Gap | None:
        """Takes in what the provider says of the last prompt (the response's ``usage`` as a dictionary). Returns the gap where fewer tokens
        were read from its cache than must have been. From then on tokens are counted as it counts them."""
        if not self._kept.sent:
            raise Invalid("No prompt was rendered yet, so there is none to report on: call turn() first.")
        said, kept = usage_of(usage), self._kept
        self._kept = replace(kept, anchors=anchors_of(kept.sent, said), held=kept.sent)
        return gap(kept.layout.turns, kept.prefix, kept.anchors, said, self._setting.provider)

    # -- one turn ------------------------------------------------------------------------------------------------------

    def _laid_out(self, look: Look, history: Sequence[Mapping[str, Any]]) -> tuple[Layout, Known, list[Rewrite]]:
        """Where everything stands at this turn, what of it may be shown, and why bytes were changed, if they were."""
        provider, budget = self._setting.provider, self._setting.budget
        layout = self._kept.layout
        recalled = () if look.recall is None else look.recall.ids
        pairs = {entry.pair for entry in layout.entries}
        known = look.known(pairs, recalled)
        stripped = layouts.without_gone(layout, known)
        reasons = [Rewrite.GONE] if stripped != layout else []
        if look.recall is None:
            return layouts.stayed(stripped, len(history)), known, reasons
        stripped = layouts.settled(stripped, known, provider, budget)
        history_tokens = sum(segment_of(message).tokens for message in history)
        why = Rewrite.COLD if self._is_cold() else layouts.why_rewrite(layout, stripped, known, budget, history_tokens, provider)
        if why is not None:
            candidates = look.candidates()
            known = look.known(pairs, {*recalled, *candidates.profile, *candidates.used, *layout.recalls})
            stripped = layouts.without_gone(stripped, known)
            stripped = layouts.with_core(stripped, known, candidates, budget, provider, self._said(known, history))
            reasons = list(dict.fromkeys((*reasons, why)))
        terms, at = look.recall.trace.call.terms, len(history) - 1
        behind = segment_of(history[at]).tokens
        return layouts.with_recalled(stripped, known, recalled, terms, at, self._said(known, history), behind), known, reasons

    def _said(self, known: Known, history: Sequence[Mapping[str, Any]]) -> set[str]:
        """Memories of this very session whose words stand in its history."""
        told = "\0".join(_texts(history))
        near = {memory: known.lines.get((memory, now.version)) for memory, now in known.now.items() if now.session == self._setting.session}
        return {memory for memory, item in near.items() if item is not None and item.text in told}

    def _is_cold(self) -> bool:
        """Whether nothing of this conversation can be in the cache any more, or ever was."""
        if self._kept.sent_at is None:
            return True
        return (self._setting.clock.now() - self._kept.sent_at).total_seconds() > self._setting.provider.idle_seconds

    def _rendered(self, found: Sequence[Segment], layout: Layout, look: Look, reasons: Sequence[Rewrite]) -> Rendered:
        """The prompt with its accounts, which are kept for the next turn."""
        kept, provider = self._kept, self._setting.provider
        marks = self._marks(found, layouts.keeps(layout, provider) and self._setting.budget.kept_tokens > 0)
        held = kept.held or kept.sent  # what was never reported may never have been sent
        prefix = 0 if self._is_cold() else known_prefix(held, marks, provider)
        expected = provider.hit_of(counted_as(prefix, kept.anchors)[0])
        common = shared(kept.sent, marks)
        if common >= kept.stable:
            reasons = ()
        else:
            changed = CHANGED.get(found[common].place if common < len(found) else Place.HISTORY, Rewrite.SHOWN)
            is_told = reasons and changed in (Rewrite.HISTORY, Rewrite.SHOWN)
            reasons = reasons if is_told else (*reasons, changed)
        self._kept = replace(
            kept, layout=layout, sent=marks, stable=_stable(found), sent_at=self._setting.clock.now(), prefix=prefix,
        )  # fmt: skip
        return Rendered(
            tuple(found), marks, self._setting.tools, provider, self._setting.key, expected, tuple(reasons),
            () if look.recall is None else look.recall.ids, layout.core_version, look.is_prepared,
        )  # fmt: skip

    def _marks(self, found: Sequence[Segment], keeps_tail: bool) -> tuple[Mark, ...]:
        ends = breakpoints(found, keeps_tail) if self._setting.provider.breakpoints else []
        marks: list[Mark] = []
        hash, tokens = "", 0
        for place, segment in enumerate(found):
            hash, tokens = self._setting.hash("prompt", hash, segment.role, segment.text), tokens + segment.tokens
            marks.append(Mark(hash, tokens, place in ends))
        return tuple(marks)


def _stable(found: Sequence[Segment]) -> int:
    """How many segments of a prompt the next one begins with: all up to the last message before this turn's."""
    end = len(found) - 1
    while end > 0 and found[end - 1].place is Place.RECALLED:
        end -= 1
    return end


def _texts(history: Sequence[Mapping[str, Any]]) -> list[str]:
    return [content for message in history if isinstance(content := message.get("content"), str)]
