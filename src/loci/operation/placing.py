"""The bodies of memory of a cube, for `policy.placing` to decide on: what was said in one session is one, where answers used it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from loci.errors import Conflict, Corrupt, IncompatiblePayload, Missing, Unsupported
from loci.memories import activation
from loci.operation.activation import GIVES_WAY
from loci.operation.adapters import Adapters
from loci.operation.composing import Composing
from loci.operation.lifecycle import strength_of
from loci.policy import placing
from loci.policy.placement import read_seconds
from loci.policy.placing import HELD, LEARNED, NAMES, TEXT, Body, Decision, Machine, Member, State, Training
from loci.policy.retention import DAY, heat
from loci.ports import RowFilter, Store
from loci.ports.adapting import Retained
from loci.ports.engine import Engine, Manifest
from loci.text.tokens import count_tokens
from loci.types import Memory, Record
from loci.types import State as Life

VERB = "place"  # under which a move is in the log
LINE_TOKENS = 12  # of a memory in a prompt beside its words: number, day, speaker
EXPOSURES, PASSES = 60, 3.0  # a lesson is seen so often to be learned, and each takes as long as reading it three times
PROBES, PROBE_TOKENS = 200, 64  # what the examination of an adapter reads, before and after
SWAP_S, ADAPTER_BYTES = 0.01, 1 << 24  # assumed where there is no adapter to measure
WIDTHS = {"float32": 4, "float64": 8, "uint8": 1, "int8": 1}  # bytes of a number; others are halves
Group = tuple[str | None, str]  # a user, and a session, page or activation memory


@dataclass(frozen=True, slots=True)
class Placed:
    """What is to become of a body and what came of it. ``user`` is whose it is, ``name`` the session or page that it was said in, ``held`` the
    activation memory that holds it; ``left`` says why a move was not done, where it was to be."""

    decision: Decision
    user: str | None
    name: str
    held: str | None = None
    is_done: bool = False
    left: str = ""


def machine_of(engine: Engine[Any]) -> Machine:
    """What this machine takes, as far as it was measured; what learning takes is an estimate from how fast it reads."""
    rates, mark = engine.rates(), engine.fingerprint()
    width = WIDTHS.get(mark.dtype, 2)
    token_bytes = float(width * sum(layer.heads * (layer.width + (layer.values or layer.width)) for layer in mark.layers))
    probe_s = PROBES * read_seconds(rates, PROBE_TOKENS)
    return Machine(rates, token_bytes, mark.context, Training(EXPOSURES * PASSES * rates.token_s, probe_s, SWAP_S, ADAPTER_BYTES))


def placed(
    store: Store, activations: Composing, adapters: Adapters, machine: Machine, limits: placing.Limits, now: datetime
) -> list[Placed]:
    """What is to become of each body of the cube, in the order of their ids."""
    memories = {memory.id: memory for memory in store.select(RowFilter(now=now), limit=1 << 40)}
    held = _held(store, activations)
    groups, holding = _grouped(memories, held)
    learned = _learned(store, adapters, memories, groups, now)
    machine = _measured(machine, [one.state for one in learned.values()])
    known = {name: _facts(ids, holding.get(name), memories, now) for name, ids in groups.items()}
    bodies: dict[str, tuple[Body, Group]] = {}
    moves = store.records(None, None, VERB, None, 1 << 40)
    demoted = {move.object: move.at for move in moves if move.detail["after"] == NAMES[TEXT] and not _failed(move)}
    failed = {move.object: move.at for move in moves if _failed(move)}
    for name, members in known.items():
        id = store.hash("body", name[0], name[1]).hex()[:16]
        state = learned[name].state if name in learned else _state(activations, holding.get(name), name[0], now)
        if state.form is TEXT and id in demoted:
            state = replace(state, demoted_days=max(0.0, (now - demoted[id]) / DAY))
        if id in failed:
            state = replace(state, failed_days=max(0.0, (now - failed[id]) / DAY))
        if state.form is not TEXT or any(member.heat >= placing.HOT for member in members):
            bodies[id] = placing.body_of(id, members, state), name
    left = max(0.0, limits.training_s - sum(_training_s(move) for move in moves if now - move.at < DAY))
    decisions = placing.plan([body for body, _ in bodies.values()], machine, replace(limits, training_s=left))
    return [_placed(decision, bodies[decision.body.id][1], holding, learned) for decision in decisions]


def record(moved: Placed, hash_before: str, hash_after: str) -> Mapping[str, object]:
    """What the log keeps of a move: forms and hashes before and after, the numbers, and the reason, which holds no word of a memory."""
    decision = moved.decision
    return {
        "before": NAMES[decision.before], "after": NAMES[decision.after], "hash_before": hash_before, "hash_after": hash_after, "held": moved.held,
        "memories": len(decision.body.memories), "why": decision.why, "numbers": {name: round(value, 3) for name, value in decision.numbers.items()},
    }  # fmt: skip


def _placed(decision: Decision, name: Group, holding: Mapping[Group, Manifest], learned: Mapping[Group, Learned]) -> Placed:
    if name in learned:
        return Placed(_with_retained(decision, learned[name].retained), name[0], name[1], learned[name].id)
    manifest = holding.get(name)
    return Placed(decision, name[0], "" if manifest is not None and name[1] == manifest.id else name[1], manifest.id if manifest else None)


def _measured(machine: Machine, states: Sequence[State]) -> Machine:
    """A machine that takes of what is to be learned the most bytes and the longest time to mount that adapters of it have; as it was, where there are none."""
    sizes, swaps = [s.adapter_bytes for s in states if s.adapter_bytes is not None], [s.swap_s for s in states if s.swap_s is not None]
    if machine.training is None or not sizes or not swaps:
        return machine
    return replace(machine, training=replace(machine.training, bytes=max(sizes), swap_s=max(swaps), is_measured=True))


@dataclass(frozen=True, slots=True)
class Learned:
    """The adapter that answers for a body, and what probes found that it would still know, were it trained on."""

    id: str
    state: State
    retained: tuple[Retained, ...] = ()


def _with_retained(decision: Decision, retained: Sequence[Retained]) -> Decision:
    """A decision that also tells what was found of that. It is decided by nothing: what was learned is learned anew here, and never trained on."""
    left = [one for one in retained if one.updates]
    if not left:
        return decision
    told = ", ".join(f"{one.recall:.0%} after {one.updates:,}" for one in left)
    numbers = {**decision.numbers, **{f"recall_after_{one.updates}": one.recall for one in left}}
    return replace(
        decision, why=f"{decision.why} Trained on, which nothing here does, it would recall {told} further updates.", numbers=numbers
    )


def _learned(
    store: Store, adapters: Adapters, memories: Mapping[str, Memory], groups: dict[Group, list[str]], now: datetime
) -> dict[Group, Learned]:
    """The bodies that a mounted adapter was made of: what was said in one session. One that somebody made of several is theirs to look after."""
    found = {}
    for row in store.adapters():
        if not row.is_wanted or row.state not in (Life.ACTIVATED, Life.ARCHIVED):
            continue
        try:
            learning = adapters.learning(row.id, row.number)[1]
        except Corrupt:
            continue  # for `verify` to tell
        names = {_name(memories[id]) for id in learning.chosen if id in memories}
        if learning.stage != "evaluated" or len(names) != 1:
            continue
        at = RowFilter(now=now, user=learning.user, agent=learning.agent, session=learning.session)
        told = adapters.told(row, learning, at)
        name = names.pop()
        for id in learning.chosen:
            if id in memories and id not in groups.setdefault(name, []):
                groups[name].append(id)
        days = max(0.0, (now - row.created) / DAY)
        stale, swap_s = "" if told.is_valid else told.reason, None
        if told.is_valid:
            try:
                swap_s = adapters.swap_seconds(row, learning, at)
            except GIVES_WAY as error:
                stale = str(error)
            except Unsupported:
                pass  # nothing here can mount it, so its time stays assumed
        size = row.file.bytes if row.file is not None else None
        state = State(LEARNED, frozenset(learning.chosen), stale.rstrip("."), held_days=days, adapter_bytes=size, swap_s=swap_s)
        found[name] = Learned(row.id, state, learning.retained)
    return found


def _held(store: Store, activations: Composing) -> list[Manifest]:
    """What is held exactly and here, oldest first. What a budget left, and what a server keeps, somebody asked for; it is left alone."""
    found = []
    for row in store.payloads():
        try:
            manifest = activations.manifest(row.id, row.number)
        except (Missing, Corrupt):
            continue  # gone meanwhile; or for `verify` to tell
        if activation.is_whole(manifest) and manifest.eviction is None:
            found.append(manifest)
    return found


def _grouped(memories: Mapping[str, Memory], held: Sequence[Manifest]) -> tuple[dict[Group, list[str]], dict[Group, Manifest]]:
    """The memories of each body, and what holds it. What is held of one session belongs to its body; of several it is a body of its own. What holds only
    what another one does, somebody made: it is left alone."""
    holding: dict[Group, Manifest] = {}
    taken: dict[str, Group] = {}
    for manifest in held:
        ids = [quoted.memory for quoted in manifest.quoted]
        names = {_name(memories[id]) for id in ids if id in memories}
        name = next(iter(names)) if len(names) == 1 else (next(iter(names))[0] if names else None, manifest.id)
        if name in holding:
            name = (name[0], manifest.id)
        holding[name] = manifest
        for id in ids:
            taken.setdefault(id, name)
    groups: dict[Group, list[str]] = {name: [] for name in holding}
    for id, memory in memories.items():
        if memory.cited or id in taken:
            groups.setdefault(taken.get(id, _name(memory)), []).append(id)
    for name, manifest in list(holding.items()):
        if not groups[name] and any(quoted.memory in memories for quoted in manifest.quoted):  # all of it belongs to another body
            del groups[name], holding[name]
    return groups, holding


def _name(memory: Memory) -> Group:
    return memory.scope.user, memory.scope.session or memory.origin.name or ""


def _facts(ids: Sequence[str], manifest: Manifest | None, memories: Mapping[str, Memory], now: datetime) -> list[Member]:
    """The memories of a body; of those that it holds and that are gone nothing is known but that."""
    gone = [] if manifest is None else [quoted.memory for quoted in manifest.quoted if quoted.memory not in memories]
    return [_member(memories[id], now) for id in ids] + [Member(id, 0, 0.0, 0, 1, 0.0) for id in gone]


def _member(memory: Memory, now: datetime) -> Member:
    changed = memory.recorded.start if memory.version > 1 else None
    days = math.inf if changed is None else max(0.0, (now - changed) / DAY)
    born = memory.recorded.start
    stood = max(0.0, (now - born) / DAY) if born else 0.0
    tokens = count_tokens(memory.text) + LINE_TOKENS
    return Member(memory.id, tokens, heat(strength_of(memory, now), now), memory.cited, memory.version - 1, min(days, stood))


def _state(activations: Composing, manifest: Manifest | None, user: str | None, now: datetime) -> State:
    """Whether a body is held, and whether what is held is still of its words and of this model."""
    if manifest is None:
        return State()
    stale = ""
    try:
        activations.words_of(manifest, RowFilter(now=now, user=user))
        activation.check_fit(manifest.fingerprint, activations.engine.fingerprint())
    except Missing:
        stale = "a memory of it is gone"
    except Conflict:
        stale = "its words changed"
    except IncompatiblePayload as error:
        stale = str(error).rstrip(".")
    held = frozenset(quoted.memory for quoted in manifest.quoted)
    return State(HELD, held, stale, held_days=max(0.0, (now - manifest.created) / DAY))


def _failed(move: Record) -> bool:
    """Whether what was learned failed its examination, so that the body stayed what it was."""
    return bool(move.detail.get("is_failed"))


def _training_s(move: Record) -> float:
    """What a move took of the day's training, as it was expected to."""
    is_learned = _failed(move) or move.detail["after"] == NAMES[LEARNED]
    return float(move.detail["numbers"]["training_s"]) if is_learned else 0.0
