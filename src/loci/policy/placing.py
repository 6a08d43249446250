"""In which form a body of memory is kept: as text, as what a model made of it (a KV memory), or as weights. Pure: facts in, a decision with its
numbers and its reason out.

A body is what is read together. Of R expected uses each saves the seconds of reading its words, less those of bringing what stands for
them; it is kept in a form where that is more than making and keeping the form costs (MemOS v3 §5.4.2 names the moves and gives no value; the
model is ours). Ties go to text. R is what answers took of it of late, and no more than came between two changes of its words:
what is edited as often as it is used is never worth making.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from loci.policy.placement import load_seconds, read_seconds
from loci.policy.retention import HEAT_DAYS
from loci.ports.engine import Rates, Tier
from loci.types import Kind

HORIZON_DAYS = HEAT_DAYS / math.log(2)  # over which as many uses are expected as heat says
QUESTION = 64  # tokens that are read after the memories in any case
HOT = 0.5  # heat from which a memory is hot, and is taken into a body: an answer cited it within the week
PREFIX = 0.5  # of what the model reads at once, that memories may begin a prompt with
GIB = float(1 << 30)
TEXT, HELD, LEARNED = Kind.PLAINTEXT, Kind.ACTIVATION, Kind.PARAMETRIC
NAMES = {TEXT: "text", HELD: "activation", LEARNED: "parametric"}


@dataclass(frozen=True, slots=True)
class Body:
    """What is known of memories that are read together.

    ``uses`` are answers that cited them of late, and ``used_tokens`` those that these had of them (both fade: `retention.heat`); ``cited`` all of
    them, ``changes`` how often their words changed, ``changed_days`` how long ago that was last. ``held_tokens`` are in the form that it has now, which no longer
    fits where ``stale`` says why. ``demoted_days`` is how long ago it was put back into text, ``failed_days`` how long ago what was learned of it failed its examination,
    ``held_days`` how long ago that form was made; None for what never was. ``adapter_bytes`` and ``swap_s`` are the bytes of its adapter and the seconds that mounting
    it takes, where it has one and that was measured."""

    id: str
    memories: tuple[str, ...]
    tokens: int
    uses: float
    used_tokens: float
    cited: int
    changes: int = 0
    changed_days: float = 0.0
    form: Kind = TEXT
    held_tokens: int = 0
    stale: str = ""
    demoted_days: float | None = None
    failed_days: float | None = None
    held_days: float | None = None
    adapter_bytes: int | None = None
    swap_s: float | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A memory of a body: its tokens, its heat, how often answers cited it and its words changed, and how long ago that was last."""

    id: str
    tokens: int
    heat: float
    cited: int
    changes: int = 0
    changed_days: float = math.inf


@dataclass(frozen=True, slots=True)
class State:
    """How a body is kept: its form, the memories that are in it, why it no longer fits, when it was put back into text, when what was learned
    of it failed, and when it was made; of an adapter its bytes and the seconds that mounting it takes."""

    form: Kind = TEXT
    held: frozenset[str] = frozenset()
    stale: str = ""
    demoted_days: float | None = None
    failed_days: float | None = None
    held_days: float | None = None
    adapter_bytes: int | None = None
    swap_s: float | None = None


def body_of(id: str, members: Sequence[Member], state: State = State()) -> Body:
    """The body that these memories make: those that answers used of late, and those that are in it. Each citation counts as an answer of its own,
    which can only make the body look less worth bringing than it is."""
    chosen = [member for member in members if member.heat >= HOT or member.id in state.held]
    return Body(
        id=id, memories=tuple(sorted(member.id for member in chosen)), tokens=sum(member.tokens for member in chosen),
        uses=sum(member.heat for member in chosen), used_tokens=sum(member.heat * member.tokens for member in chosen),
        cited=sum(member.cited for member in chosen), changes=sum(member.changes for member in chosen),
        changed_days=min((member.changed_days for member in chosen), default=0.0), form=state.form,
        held_tokens=sum(member.tokens for member in chosen if member.id in state.held), stale=state.stale, demoted_days=state.demoted_days,
        failed_days=state.failed_days, held_days=state.held_days, adapter_bytes=state.adapter_bytes, swap_s=state.swap_s,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Training:
    """What learning takes here: seconds for each token of a body, for the probe of what came of it, and to mount it; and its bytes. The last two are
    assumed, unless ``is_measured`` of adapters that there are."""

    token_s: float
    probe_s: float
    swap_s: float
    bytes: int
    is_measured: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a form. ``caution``: half of the expected uses must pay for the making, so it counts twice. ``quiet_days`` without a change before
    what was put back is made again: edits come in a row, and a day has them all. ``stable_days`` without one before a body is learned: a week has one of each
    of its days. ``room_s``: what a gibibyte kept for a day costs, in seconds of this machine: a disk of a terabyte is then worth a hundred seconds a day."""

    caution: float = 2.0
    quiet_days: float = 1.0
    stable_days: float = 7.0
    room_s: float = 0.1


@dataclass(frozen=True, slots=True)
class Machine:
    """What a model and its machine take. ``token_bytes`` are of a token as a KV memory, ``context`` the tokens read at once at most, ``token_price_s``
    the seconds that a token of a prompt is worth besides the reading, where tokens cost money. Without ``training`` nothing is learned."""

    rates: Rates
    token_bytes: float
    context: int
    training: Training | None = None
    token_price_s: float = 0.0
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of KV memories at hand and on the disk, bytes of adapters, seconds of training a day."""

    hand_bytes: int
    disk_bytes: int
    adapter_bytes: int = 0
    training_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a body is, where it should be, why, and the numbers that say so (``_ms``, ``_days``, bytes, tokens, uses)."""

    body: Body
    after: Kind
    why: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def before(self) -> Kind:
        return self.body.form

    @property
    def is_move(self) -> bool:
        """Whether anything is to be done: into another form, or made anew of more."""
        return self.after is not self.before or (self.after is HELD and "added_tokens" in self.numbers)


@dataclass(frozen=True, slots=True)
class Worth:
    """What a form would save over the expected uses, and what it takes to make and to keep it, in seconds."""

    saved_s: float
    build_s: float
    room_s: float
    bytes: int
    caution: float

    @property
    def lasting_s(self) -> float:
        """Once it is made."""
        return self.saved_s - self.room_s

    @property
    def benefit_s(self) -> float:
        """Before it is made. What is built is built on an expectation, so its cost counts more than once."""
        return self.lasting_s - self.caution * self.build_s


def reuse(body: Body) -> float:
    """The uses that are expected within the horizon, or until its words change, whichever is less."""
    return min(body.uses, body.cited / body.changes) if body.changes else body.uses


def worth_held(body: Body, machine: Machine, tier: Tier) -> Worth:
    """As a KV memory that comes from this tier. All of it is brought, however little of it a use takes."""
    rates, size = machine.rates, round(body.tokens * machine.token_bytes)
    taken = _tokens_a_use(body)
    read = read_seconds(rates, round(taken) + QUESTION) + taken * machine.token_price_s
    attached = load_seconds(tier, size) + read_seconds(rates, QUESTION, body.tokens)
    build = read_seconds(rates, body.tokens) + load_seconds(rates.disk, size) + body.tokens * machine.token_price_s
    return Worth(reuse(body) * (read - attached), build, _room_s(size, machine), size, machine.terms.caution)


def worth_learned(body: Body, machine: Machine, training: Training) -> Worth:
    """As an adapter, which takes no token of a prompt. Of one that is there its own bytes and time to mount count, as far as they are known."""
    size = training.bytes if body.adapter_bytes is None else body.adapter_bytes
    taken = _tokens_a_use(body)
    read = read_seconds(machine.rates, round(taken) + QUESTION) + taken * machine.token_price_s
    saved = read - _swap_s(body, training) - read_seconds(machine.rates, QUESTION)
    build = training.token_s * body.tokens + training.probe_s
    return Worth(reuse(body) * saved, build, _room_s(size, machine), size, machine.terms.caution)


def why_not_kept(tokens: int, reads: float, machine: Machine) -> str:
    """Why what an answer has just read is not kept as a KV memory; empty where it is. ``reads`` are how often this very text was read of late, this
    time among them: as many are expected. Nothing is read to make it: it costs a writing, which is taken to be as fast as loading. Its room is not asked
    about, since where there is none what is worth least a byte goes."""
    if tokens > PREFIX * machine.context:
        return f"its {tokens:,} tokens are more than may begin a prompt of {machine.context:,}"
    rates, size, caution = machine.rates, round(tokens * machine.token_bytes), machine.terms.caution
    read = read_seconds(rates, tokens + QUESTION) + tokens * machine.token_price_s
    saved = reads * (read - load_seconds(rates.host, size) - read_seconds(rates, QUESTION, tokens))
    cost = load_seconds(rates.disk, size)
    told = f"{reads:.1f} expected uses would save {_ms(saved)}, and writing it costs {_ms(cost)}, which counts {caution:g} times"
    return "" if saved > caution * cost else told


def _swap_s(body: Body, training: Training) -> float:
    return training.swap_s if body.swap_s is None else body.swap_s


def _tokens_a_use(body: Body) -> float:
    return body.used_tokens / body.uses if body.uses else 0.0


def _room_s(size: int, machine: Machine) -> float:
    return machine.terms.room_s * size / GIB * HORIZON_DAYS


def plan(bodies: Sequence[Body], machine: Machine, limits: Limits) -> list[Decision]:
    """What is to become of each body, in the order of their ids. What is worth most a byte is at hand, the next on the disk, the rest is text; what
    is worth most a second of training is learned while there is time for it."""
    kept = {body.id: _alone(body, machine) for body in bodies}
    wanted = [decision for decision in kept.values() if decision.after is HELD]
    kept |= {decision.body.id: decision for decision in _within(wanted, machine, limits)}
    kept |= {decision.body.id: decision for decision in _learned(list(kept.values()), machine, limits)}
    return [kept[body.id] for body in sorted(bodies, key=lambda body: body.id)]


def _alone(body: Body, machine: Machine) -> Decision:
    """Text or a KV memory, if there were room for everything."""
    worth = worth_held(body, machine, machine.rates.host)
    numbers = _numbers(body, worth)
    if body.form is not TEXT and body.stale:
        return Decision(body, TEXT, f"{body.stale}: its text serves.", numbers)
    if body.form is LEARNED:
        return Decision(body, LEARNED, "learned, and neither its words nor the model have changed.", numbers)
    if body.tokens > PREFIX * machine.context:
        return Decision(body, TEXT, f"its {body.tokens:,} tokens are more than may begin a prompt of {machine.context:,}.", numbers)
    if body.form is HELD:
        return _held(body, worth, machine, numbers)
    told = (
        f"{reuse(body):.1f} expected uses save {_ms(worth.saved_s)}; making it takes {_ms(worth.build_s)}, "
        f"which counts {worth.caution:g} times, and keeping it {_ms(worth.room_s)}"
    )
    if worth.saved_s <= 0:
        return Decision(body, TEXT, "reading what a use takes of it is as fast as bringing all of it.", numbers)
    if worth.benefit_s <= 0:
        return Decision(body, TEXT, f"{told}: text is no dearer.", numbers)
    waits = _must_wait(body, machine.terms)
    if waits:
        return Decision(body, TEXT, f"{told}; but {waits}.", numbers)
    return Decision(body, HELD, f"{told}.", numbers)


def _held(body: Body, worth: Worth, machine: Machine, numbers: Mapping[str, float]) -> Decision:
    """What is made already is kept while it saves more than its room costs, and made anew of more where that pays."""
    if worth.lasting_s <= 0:
        return _unpaid(body, worth, machine, numbers, "bringing it takes longer than reading what a use takes of it")
    added = body.tokens - body.held_tokens
    if added > 0:
        share = added / body.tokens
        if share * worth.saved_s > worth.caution * worth.build_s and not _must_wait(body, machine.terms):
            why = f"{added:,} tokens of it that answers use are not in it: {_ms(share * worth.saved_s)} more for {_ms(worth.build_s)}."
            return Decision(body, HELD, why, {**numbers, "added_tokens": added})
    return Decision(body, HELD, f"it saves {_ms(worth.saved_s)} in {reuse(body):.1f} expected uses.", numbers)


def _unpaid(body: Body, worth: Worth, machine: Machine, numbers: Mapping[str, float], slower: str) -> Decision:
    """What becomes of what is made and no longer pays. ``slower`` says why a use of it costs more than text, where it does."""
    told = f"{reuse(body):.2f} expected uses would save {_ms(worth.saved_s)}, and keeping it costs {_ms(worth.room_s)}"
    if _is_new(body, machine.terms):
        made = f"it was made {body.held_days:.1f} days ago, and has {machine.terms.quiet_days:g} to be of use"
        return Decision(body, body.form, f"{made}: {told}.", numbers)
    why = slower if worth.saved_s < 0 else "out of use" if reuse(body) < HOT else "less than its room is worth"
    return Decision(body, TEXT, f"{told}: {why}.", numbers)


def _is_new(body: Body, terms: Terms) -> bool:
    return body.held_days is not None and body.held_days < terms.quiet_days


def _must_wait(body: Body, terms: Terms) -> str:
    """Why a body that was demoted is not promoted yet: nothing flaps."""
    if body.demoted_days is None or min(body.demoted_days, body.changed_days) >= terms.quiet_days:
        return ""
    return f"it was put back {body.demoted_days:.1f} days ago, and waits until {terms.quiet_days:g} days went by without a change"


def _within(wanted: Sequence[Decision], machine: Machine, limits: Limits) -> list[Decision]:
    """Those that there is room for. What is not made yet stands behind by what making it costs, so two of a kind do not take turns."""
    found, at_hand, on_disk = [], limits.hand_bytes, limits.disk_bytes
    for decision in sorted(wanted, key=lambda decision: (-_density(decision, machine), decision.body.id)):
        body, size = decision.body, int(decision.numbers["bytes"])
        is_at_hand = size <= at_hand
        worth = worth_held(body, machine, machine.rates.host if is_at_hand else machine.rates.disk)
        value = worth.lasting_s if body.form is HELD else worth.benefit_s
        if size > on_disk:
            told = f"there is no room: of {limits.disk_bytes:,} bytes others, worth more a byte, leave {on_disk:,}, and it takes {size:,}"
            found.append(Decision(body, TEXT, f"{told}.", decision.numbers))
        elif value <= 0 and not (body.form is HELD and _is_new(body, machine.terms)):
            told = f"what is worth more a byte is at hand, and from the disk it would save {_ms(worth.saved_s)}"
            found.append(Decision(body, TEXT, f"{told}: text is no dearer.", _numbers(body, worth)))
        else:
            on_disk, at_hand = on_disk - size, at_hand - size * is_at_hand
            found.append(decision)
    return found


def _density(decision: Decision, machine: Machine) -> float:
    worth = worth_held(decision.body, machine, machine.rates.host)
    return (worth.lasting_s if decision.body.form is HELD else worth.benefit_s) / max(1, worth.bytes)


def _learned(decisions: Sequence[Decision], machine: Machine, limits: Limits) -> list[Decision]:
    """Those that are learned, or let go of: benefit over the form they would have otherwise, within the day's training and the bytes."""
    training = machine.training
    if training is None:
        return []
    found, chosen = [], []
    room = limits.adapter_bytes
    for decision in decisions:
        worth, held = worth_learned(decision.body, machine, training), _otherwise_s(decision, machine)
        swap_s = _swap_s(decision.body, training)
        numbers = {**decision.numbers, **_training_numbers(worth), "swap_ms": 1000 * swap_s}
        if decision.before is LEARNED and decision.after is LEARNED:
            if worth.lasting_s <= 0:
                took = f"{_ms(swap_s)}{'' if decision.body.swap_s is not None else ', assumed'}"
                slower = f"mounting it ({took}) takes longer than reading what a use takes of it"
                decision = _unpaid(decision.body, worth, machine, numbers, slower)
            else:
                saves = f"it saves {_ms(worth.saved_s)} in {reuse(decision.body):.1f} expected uses"
                decision = replace(decision, why=f"{saves}, and neither its words nor the model have changed.", numbers=numbers)
            found.append(decision)
            room -= worth.bytes if decision.after is LEARNED else 0
        elif decision.before is not LEARNED and worth.benefit_s > held and _is_stable(decision, machine):
            chosen.append((worth, replace(decision, numbers=numbers)))
    left = limits.training_s
    for worth, decision in sorted(chosen, key=lambda entry: (-entry[0].benefit_s / entry[0].build_s, entry[1].body.id)):
        told = (
            f"unchanged for {decision.body.changed_days:.0f} days; {reuse(decision.body):.0f} expected uses save {_ms(worth.saved_s)} without it in the prompt, and learning "
            f"it takes {worth.build_s:,.0f} s"
        )
        if not training.is_measured:
            told += f" ({worth.bytes:,} bytes, and {_ms(training.swap_s)} to mount it, are assumed)"
        if worth.build_s > left or worth.bytes > room:
            found.append(
                replace(
                    decision, why=f"{decision.why} To be learned ({told}) it waits for its turn: {left:,.0f} s and {room:,} bytes are left."
                )
            )
            continue
        left, room = left - worth.build_s, room - worth.bytes
        found.append(Decision(decision.body, LEARNED, f"{told}.", decision.numbers))
    return found


def _otherwise_s(decision: Decision, machine: Machine) -> float:
    """What the form without training is worth."""
    if decision.after is not HELD:
        return 0.0
    worth = worth_held(decision.body, machine, machine.rates.host)
    return worth.lasting_s if decision.before is HELD else worth.benefit_s


def _is_stable(decision: Decision, machine: Machine) -> bool:
    """Whether it may be learned: by way of a KV memory, or because no prefix could hold it; and its words have stood for long, also since what
    was learned of them failed."""
    body = decision.body
    is_on_its_way = decision.before is HELD and decision.after is HELD
    is_too_long = body.tokens > PREFIX * machine.context
    stood = body.changed_days if body.failed_days is None else min(body.changed_days, body.failed_days)
    return (is_on_its_way or is_too_long) and stood >= machine.terms.stable_days and not _must_wait(body, machine.terms)


def _numbers(body: Body, worth: Worth) -> dict[str, float]:
    return {
        "tokens": body.tokens, "bytes": worth.bytes, "uses": round(body.uses, 3), "expected_uses": round(reuse(body), 3), "changes": body.changes,
        "saved_ms": 1000 * worth.saved_s, "build_ms": 1000 * worth.build_s, "room_ms": 1000 * worth.room_s,
    }  # fmt: skip


def _training_numbers(worth: Worth) -> dict[str, float]:
    return {"learned_saved_ms": 1000 * worth.saved_s, "training_s": worth.build_s, "adapter_bytes": worth.bytes}


def _ms(seconds: float) -> str:
    """In whole milliseconds; below ten, where these would say nothing, with a tenth. Nothing is no negative number."""
    ms = 1000 * seconds
    return f"{round(ms):,} ms" if abs(ms) >= 10 or not ms else f"{ms:.1f} ms"
