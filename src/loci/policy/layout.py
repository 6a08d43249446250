"""What of memory stands where in a conversation's prompt, so that a provider's cache finds it again.

    [tools] [system] [core] [history, with what was recalled on the way] [recalled now] [user]

Nothing before the last message of the history changes from one turn to the next, unless the answer says why. What stands in the prompt is
remembered as memories' ids, versions and positions, never as words: the words are fetched anew at every turn, and what may no longer be
shown is gone from the next prompt by itself. Since a version never changes, the same ids give the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from loci.policy.caching import Provider, pays
from loci.policy.packing import LONG, Item, line_of
from loci.text.excerpt import chosen, shown
from loci.text.fence import Line, write
from loci.text.tokens import count_tokens

Pair = tuple[str, int]  # a memory and its version


class Standing(StrEnum):
    """What became of a version that stands in a prompt."""

    CURRENT = "current"
    REPLACED = "replaced"
    PARTLY = "partly"
    ENDED = "ended"


class Rewrite(StrEnum):
    """Why bytes that had been sent before were changed."""

    GONE = "a memory may no longer be shown"
    COLD = "the cache had run out"
    PAYS = "a shorter prompt pays for itself"
    TOOLS = "the tools were changed"
    SYSTEM = "the system prompt was changed"
    HISTORY = "the history was changed"
    SHOWN = "a memory is shown otherwise"


@dataclass(frozen=True, slots=True)
class Entry:
    """A version of a memory in the prompt, cited by a number that is not given again. ``places`` are the sentences shown of a long one."""

    cite: int
    memory: str
    version: int
    places: tuple[int, ...] = ()

    @property
    def pair(self) -> Pair:
        return self.memory, self.version


@dataclass(frozen=True, slots=True)
class Correction:
    """What became of an entry since it was shown, and the entry that stands for it now (0: none)."""

    cite: int
    standing: Standing
    by: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that stand right before the message of the history with this number."""

    at: int
    rows: tuple[Entry | Correction, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands. ``recalls`` counts, for each memory that was recalled, how often, and its tokens; ``reused`` and ``carried``
    are the tokens that would have been found in the prompt, and carried along, if nothing recalled had ever been dropped; ``behind`` are those of the
    messages that came right after what was recalled, which are written anew where it is dropped."""

    core: tuple[Entry, ...] = ()
    core_version: int = 0
    blocks: tuple[Block, ...] = ()
    cited: int = 0
    asked_at: int = -1
    turns: int = 0
    recalls: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    reused: int = 0
    carried: int = 0
    behind: int = 0

    @property
    def entries(self) -> Iterator[Entry]:
        """The entries of the core and of the blocks, in the order of the prompt."""
        yield from self.core
        for block in self.blocks:
            yield from (row for row in block.rows if isinstance(row, Entry))


@dataclass(frozen=True, slots=True)
class Now:
    """A memory at present: its latest version, whether what it says still holds, the memory that stands for it, and the session that it
    was said in."""

    version: int
    standing: Standing = Standing.CURRENT
    by: str | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What may be shown at this moment: versions as they are written, and what became of their memories. What is not in it is gone. A turn asks
    for a line several times: ``written`` keeps those that were asked for."""

    lines: Mapping[Pair, Item]
    now: Mapping[str, Now]
    written: dict[Entry, str] = field(default_factory=dict, init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens for memories: the core's, and those of recalled ones that may be carried along until they are taken out."""

    core_tokens: int
    kept_tokens: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """Memories for a core, best first: of the profile, and of those that were used most before."""

    profile: Sequence[str] = ()
    used: Sequence[str] = ()


# -- words -------------------------------------------------------------------------------------------------------------


def row_text(row: Entry | Correction, known: Known) -> str:
    """The row's line of inert data."""
    if isinstance(row, Correction):
        return write(Line(row.cite, "", note=_note(row)))
    text = known.written.get(row)
    if text is None:
        item = known.lines[row.pair]
        text = known.written[row] = line_of(replace(item, text=shown(item.text, row.places, LONG)), row.cite)
    return text


def _note(row: Correction) -> str:
    if row.standing is Standing.CURRENT:
        return "current again"
    if row.standing is Standing.ENDED or not row.by:
        return "no longer current: it ended"
    return f"no longer current: {'in part, see' if row.standing is Standing.PARTLY else 'replaced by'} [{row.by}]"


def tokens_of(rows: Collection[Entry | Correction], known: Known) -> int:
    """Estimated tokens of the rows."""
    return sum(count_tokens(row_text(row, known) + "\n") for row in rows)


# -- from one turn to the next -----------------------------------------------------------------------------------------


def without_gone(layout: Layout, known: Known) -> Layout:
    """The layout without the versions that may no longer be shown, and without corrections that lead from or to one."""
    left = {entry.cite for entry in layout.entries if entry.pair in known.lines} | {0}

    def stays(row: Entry | Correction) -> bool:
        return row.pair in known.lines if isinstance(row, Entry) else row.cite in left and row.by in left

    blocks = (Block(block.at, tuple(row for row in block.rows if stays(row))) for block in layout.blocks)
    return replace(layout, core=tuple(filter(stays, layout.core)), blocks=tuple(block for block in blocks if block.rows))


def keeps(layout: Layout, provider: Provider) -> bool:
    """Whether what was recalled last stays where it stands: if, in this conversation, carrying recalled memories along has so far cost less
    than saying them again would have, and writing anew what stands behind them."""
    saved = layout.reused * provider.write + layout.behind * (provider.write - provider.read)
    return saved >= layout.carried * provider.read


def settled(layout: Layout, known: Known, provider: Provider, budget: Budget) -> Layout:
    """The layout with what was recalled for the last turn kept in its place, or dropped: where that would not pay, or has no room."""
    if not layout.blocks or layout.blocks[-1].at != layout.asked_at:
        return layout
    kept = sum(tokens_of(block.rows, known) for block in layout.blocks)
    return layout if keeps(layout, provider) and kept <= budget.kept_tokens else replace(layout, blocks=layout.blocks[:-1])


def stayed(layout: Layout, messages: int) -> Layout:
    """The layout when a prompt goes on from its last turn with further messages: what was recalled for that turn has to stay then."""
    return layout if layout.asked_at >= messages - 1 else replace(layout, asked_at=-1)


def why_rewrite(before: Layout, layout: Layout, known: Known, budget: Budget, history_tokens: int, provider: Provider) -> Rewrite | None:
    """Why the core should be chosen anew at this turn, if it should: all that follows it is then written anew too. ``before`` is the layout
    with what is gone."""
    if layout.core != before.core:
        return Rewrite.GONE
    core = _likely_core(layout, known, budget, provider)
    rows: dict[str, int] = {}
    for row in (*layout.core, *(row for block in layout.blocks for row in block.rows)):
        name = row.memory if isinstance(row, Entry) else ""
        rows[name] = rows.get(name, 0) + tokens_of((row,), known)
    saved = _per_turn(rows, layout, provider) - _per_turn(core, layout, provider)
    return Rewrite.PAYS if pays(saved, history_tokens + sum(core.values()), layout.turns, provider) else None


def _likely_core(layout: Layout, known: Known, budget: Budget, provider: Provider) -> dict[str, int]:
    """Tokens by memory of what `with_core` would choose now, as far as that is known without looking up more: what of the core still
    holds, and what is recalled often, while there is room."""
    found = {entry.memory: tokens_of((entry,), known) for entry in layout.core if _holds(entry, known)}
    for memory in _often_recalled(layout, provider):
        tokens = layout.recalls[memory][1]
        if memory not in found and sum(found.values()) + tokens <= budget.core_tokens:
            found[memory] = tokens
    return found


def _per_turn(standing: Mapping[str, int], layout: Layout, provider: Provider) -> float:
    """What a turn pays for these tokens by memory in the prompt, and for saying again what is recalled and does not stand there."""
    again = sum(_often(memory, layout) * tokens for memory, (_, tokens) in layout.recalls.items() if memory not in standing)
    return sum(standing.values()) * provider.read + again * provider.write


def _holds(entry: Entry, known: Known) -> bool:
    now = known.now[entry.memory]
    return now.standing is Standing.CURRENT and now.version == entry.version


def _often(memory: str, layout: Layout) -> float:
    """In what share of the turns a memory was recalled, of few turns guardedly."""
    return layout.recalls[memory][0] / (layout.turns + 1)


def _often_recalled(layout: Layout, provider: Provider) -> list[str]:
    """What was recalled more than once, and so often that carrying it costs less than saying it again; the most often first."""
    ranked = sorted(layout.recalls, key=lambda memory: (-layout.recalls[memory][0], memory))
    return [m for m in ranked if layout.recalls[m][0] > 1 and _often(m, layout) * provider.write > provider.read]


def with_core(
    layout: Layout, known: Known, candidates: Candidates, budget: Budget, provider: Provider, said: Collection[str] = ()
) -> Layout:
    """The layout with its core chosen anew and nothing else: what the conversation recalls often, the profile, and, while there is little
    to go by, what was used most before. In the order of ids; nothing untrusted, nothing outdated, nothing that was ``said`` in it."""
    often = _often_recalled(layout, provider)
    used = candidates.used if layout.turns * provider.read < provider.write else ()
    room, picked = budget.core_tokens, dict[str, Entry]()
    for memories, reserved in ((candidates.profile, budget.core_tokens // 2), ((*often, *used), 0)):
        for memory in memories:
            entry = None if memory in picked else _candidate(memory, known, said)
            cost = 0 if entry is None else tokens_of((replace(entry, cite=layout.cited + 1),), known)
            if entry is not None and cost <= room - reserved:
                picked[memory] = entry
                room -= cost
    cites = {entry.pair: entry.cite for entry in layout.entries}
    core: list[Entry] = []
    cited = layout.cited
    for _, entry in sorted(picked.items()):
        if entry.pair not in cites:
            cites[entry.pair] = cited = cited + 1
        core.append(replace(entry, cite=cites[entry.pair]))
    return replace(layout, core=tuple(core), core_version=layout.core_version + 1, blocks=(), cited=cited)


def _candidate(memory: str, known: Known, said: Collection[str]) -> Entry | None:
    """The entry of a memory that may stand in a core."""
    now = known.now.get(memory)
    if now is None or now.standing is not Standing.CURRENT or memory in said:
        return None
    item = known.lines.get((memory, now.version))
    return Entry(0, memory, now.version, chosen(item.text, (), LONG)) if item is not None and item.is_trusted else None


def with_recalled(
    layout: Layout, known: Known, recalled: Sequence[str], terms: Sequence[str], at: int, said: Collection[str] = (), behind: int = 0
) -> Layout:
    """The layout with a block before the message ``at``, of ``behind`` tokens: of the ``recalled`` memories what does not stand in the prompt yet, and of all that
    stands in it what became of it since it was last told. What was ``said`` in the conversation word for word is not said again."""
    there = [memory for memory in dict.fromkeys(recalled) if memory in known.now and (memory, known.now[memory].version) in known.lines]
    counted = [memory for memory in there if memory not in said]
    tail = _Tail(layout, known)
    for memory in sorted(counted):
        tail.show(memory, terms)
    tail.correct()
    rows: tuple[Entry | Correction, ...] = (*tail.entries, *tail.corrections)
    blocks = (*layout.blocks, Block(at, rows)) if rows else layout.blocks
    counts = _counted(layout, known, counted)
    return replace(counts, blocks=blocks, cited=tail.cited, asked_at=at, behind=layout.behind + (behind if rows else 0))


class _Tail:
    """The rows of a new block, as they come together."""

    def __init__(self, layout: Layout, known: Known) -> None:
        self._known, self.cited = known, layout.cited
        self.entries: list[Entry] = []
        self.corrections: list[Correction] = []
        self._cites: dict[Pair, int] = {}
        self._seen: dict[Pair, frozenset[int] | None] = {}  # sentences that the prompt shows, None for all
        self._told = {row.cite: row for block in layout.blocks for row in block.rows if isinstance(row, Correction)}
        for entry in layout.entries:
            self._cites.setdefault(entry.pair, entry.cite)
            self._see(entry)

    def show(self, memory: str, terms: Sequence[str] = ()) -> int:
        """Adds of a memory's latest version what the prompt does not show yet. Returns its citation."""
        pair = memory, self._known.now[memory].version
        seen, text = self._seen.get(pair, frozenset()), self._known.lines[pair].text
        if pair not in self._cites:
            self._cites[pair] = self.cited = self.cited + 1
            self._add(Entry(self.cited, *pair, chosen(text, terms, LONG)))
        elif seen is not None:
            fresh = tuple(place for place in chosen(text, terms, LONG) if place not in seen)
            if fresh:
                self._add(Entry(self._cites[pair], *pair, fresh))
        return self._cites[pair]

    def correct(self) -> None:
        """Adds a correction for each entry of which something else was told last; what stands for it now is shown with it."""
        waiting = list(self._cites)
        for pair in waiting:  # which grows by what is shown on the way
            cite, (standing, by) = self._cites[pair], self._standing(pair)
            told = self._told.get(cite, Correction(cite, Standing.CURRENT))
            now = Correction(cite, standing, 0 if by is None else self.show(by))
            waiting.extend(list(self._cites)[len(waiting) :])
            if now != told:
                self.corrections.append(now)

    def _standing(self, pair: Pair) -> tuple[Standing, str | None]:
        """What became of a version, and the memory that stands for it now, as far as that may be shown."""
        memory, version = pair
        now = self._known.now[memory]
        if now.version != version:
            return Standing.REPLACED, memory
        if now.by is None:
            return now.standing, None
        heir = self._known.now.get(now.by)
        if heir is None or (now.by, heir.version) not in self._known.lines:
            return Standing.ENDED, None
        return now.standing, now.by

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._see(entry)

    def _see(self, entry: Entry) -> None:
        seen = self._seen.get(entry.pair, frozenset())
        self._seen[entry.pair] = None if seen is None or not entry.places else seen | {*entry.places}


def _counted(layout: Layout, known: Known, recalled: Sequence[str]) -> Layout:
    """The layout with one more turn in its counts."""
    counts = dict(layout.recalls)
    carried = sum(tokens for _, tokens in counts.values())
    reused = sum(counts[memory][1] for memory in recalled if memory in counts)
    for memory in recalled:
        entry = Entry(0, memory, known.now[memory].version, ())
        counts[memory] = counts.get(memory, (0, 0))[0] + 1, tokens_of((entry,), known)
    return replace(layout, recalls=counts, turns=layout.turns + 1, reused=layout.reused + reused, carried=layout.carried + carried)
