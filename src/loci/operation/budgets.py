"""Activation memory under a budget: of memories that were read, each layer keeps what an eviction method found worth keeping.

What is left is never equal to its text, and is never taken for it: it is a leaf that is attached as a whole or not at all, only for who asks for
answers that may be approximate, and only while it is not known to have lost more of the model's attention than they allow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from loci.errors import Conflict, Invalid, TooLossy, Unsupported, meant
from loci.infrastructure.pages import PageFiles
from loci.memories import activation, pages
from loci.operation.activation import GIVES_WAY, coded_of, releasing
from loci.operation.bundling import Bundling
from loci.operation.keeping import CHAIN, RAW, handle_of
from loci.operation.lending import Lending
from loci.operation.reading import Progress, quoted_of
from loci.operation.redact import Redactor
from loci.operation.residence import LOADERS, Lease, Residence
from loci.policy.eviction import sensitivity_weights, shared
from loci.ports import BudgetPlan, RowFilter, Scorer, Store, Transaction
from loci.ports.budgeting import Condenser, Condensing, Method
from loci.ports.engine import BLOCK, Codec, Engine, Episode, Eviction, Manifest, Page, Sampling, Tensor
from loci.types import Attached, Handle, Message, Recall

SINKS, RECENT = 4, 32  # tokens that are kept whatever they score: the first, and the last
READ = 512  # tokens that are read at a time: no layer holds more than its budget and these, and a method's probe
PROFILED = 1024  # tokens of a text that its layers are judged by, which reads it once more than there are layers
LAYERS = ("equal", "profile")
EPICACHE = "epicache"  # of episodes alone: what the most typical windows of one attend to
METHOD = "sirllm"  # at least as good as any other of one cache on all fillers but one, in `loci bench kv-recall`
MOST_EVICTED = 0.5  # beyond it, what is left out can change an output by as much as the largest value: the bound says nothing any more
NOT_KEPT = "Nothing was kept: give a larger budget, choose another method, or allow more (most_evicted)."


@dataclass(frozen=True, slots=True)
class Budget:
    """``entries`` that a layer keeps of each head, on average; by which ``method``; how ``layers`` share them, equal or by their profile; and
    how much attention may be evicted (``most_evicted``, a share)."""

    entries: int
    method: str = METHOD
    layers: str = "equal"
    most_evicted: float = MOST_EVICTED

    def __post_init__(self) -> None:
        if not isinstance(self.method, str):
            raise Invalid(f"method is {self.method!r:.100}; it must be the name of an eviction method, such as {METHOD}.")
        if self.layers not in LAYERS:
            raise Invalid(f"layers is {self.layers!r}; a budget is shared among layers by {' or '.join(LAYERS)}.")


@dataclass(frozen=True, slots=True)
class Profile:
    """How much each layer matters: the ``divergence`` of what the model says next where that layer alone is under its budget, in nats a token,
    its weight, and its share of the budget. The first ``tokens`` of the text were looked at, by a ``method``; what the model said next was of the
    question, or of the text's own beginning where there was none (``probe``)."""

    method: str
    tokens: int
    probe: str
    divergence: tuple[float, ...]
    weights: tuple[float, ...]
    budgets: tuple[int, ...]


class Budgeted(Bundling):
    """The activation memories of a cube whose model runs here: exact ones, and those of which a budget is kept."""

    def __init__(
        self, store: Store, engine: Callable[[], Engine[Any]] | None, files: PageFiles, redactor: Redactor, residence: Residence, lending: Lending,
        methods: Mapping[str, Method],
    ) -> None:  # fmt: skip
        super().__init__(store, engine, files, redactor, residence, lending)
        self._methods = methods

    # -- building ------------------------------------------------------------------------------------------------------

    def condense(
        self,
        id: str,
        memories: Sequence[str],
        at: RowFilter,
        budget: Budget,
        codec: str,
        most_divergence: float,
        record: Callable[[Transaction, Manifest], None],
        progress: Progress | None = None,
        *,
        question: str | None = None,
        is_anew: bool = False,
        episode: Episode | None = None,
    ) -> Handle:
        """Reads memories and keeps what the budget leaves of them; all of it, exactly, where they are no longer than the budget. ``question``
        is what layers are judged by. Raises `TooLossy` where more attention was evicted than is allowed; nothing is kept then."""
        scorer = self._scorer(budget.method)
        reading = self.condensed(
            id, memories, at, budget, codec, most_divergence, record, scorer, question=question, is_anew=is_anew, episode=episode
        )
        return reading(progress, ())

    def condensed(
        self, id: str, memories: Sequence[str], at: RowFilter, budget: Budget, codec: str, most_divergence: float,
        record: Callable[[Transaction, Manifest], None], scorer: Scorer, *, question: str | None = None, is_anew: bool = False,
        episode: Episode | None = None,
    ) -> Callable[[Progress | None, Collection[str]], Handle]:  # fmt: skip
        """The same up to where something is kept: what it returns keeps it, and is told of its progress and of what is made beside it."""
        chosen, condenser = _codec(codec), self._condenser()
        found = self._present(memories, at)
        text = self._block(found, at.now)
        ids, fingerprint, tenant = self._head(text), self.engine.fingerprint(), self.tenant(at)
        equal = BudgetPlan((budget.entries,) * len(fingerprint.layers), SINKS, RECENT)
        if len(ids) <= budget.entries:
            exact = self._codec(codec)
            return lambda progress, beside: self._built(
                id, memories, at, exact, most_divergence, record, progress, is_anew=is_anew, episode=episode, beside=beside
            )
        plan = equal if budget.layers == "equal" else BudgetPlan(self._profile(text, ids, budget, scorer, question).budgets, SINKS, RECENT)
        eviction = Eviction(budget.method, scorer.name, plan.per_layer, plan.sinks, plan.recent, READ, budget.layers)
        names, most = activation.leaf(fingerprint, tenant, chosen, ids, eviction), budget.most_evicted
        same = None if is_anew else self._same(memories, self._holds(names, text, found))
        if same is not None:
            if self._is_usable(same):
                _check_mass(same.quality["evicted_mass"], most, NOT_KEPT)
                self._check_divergence(chosen, same.quality, most_divergence)
                known = same
                return lambda progress, beside: self._reused(known)
            id = same.id
        state, mass = condenser.read(ids, plan, scorer, READ)
        _check_mass(mass, most, NOT_KEPT)
        write = partial(self._write_leaf, condenser, state, names, plan, chosen)

        def keep(progress: Progress | None, beside: Collection[str]) -> Handle:
            with self._tidied(at.now):
                written = write(progress)
                manifest = Manifest(
                    id=id, version=self._next_version(id), created=at.now, text=self._hash(text), ids=ids, fingerprint=fingerprint,
                    quoted=quoted_of(found), tenant=tenant, codec=chosen, pages=tuple(written), quality={"evicted_mass": mass},
                    tools=self.engine.tools(), eviction=eviction, costs=self._costs(len(ids), sum(page.bytes for page in written)), episode=episode,
                )  # fmt: skip
                kept = state
                if chosen != RAW:  # not by way of the files, which somebody may tidy away before a row names them
                    kept = condenser.decode(ids, plan, chosen, [condenser.encode(state, layer, chosen) for layer in range(len(names))])
                manifest = self._rated(manifest, condenser, state, kept, most_divergence)
                manifest = self._commit(manifest, memories, at, record, write, beside=beside)
            self._residence.put(names[:1], [kept])
            return handle_of(self._store.payload(id), manifest)

        return keep

    def profile(self, memories: Sequence[str], at: RowFilter, budget: Budget, question: str | None) -> Profile:
        """How much each layer of the model matters to these memories under a budget, and how it would be shared by that."""
        text = self._block(self._present(memories, at), at.now)
        return self._profile(text, self._head(text), budget, self._scorer(budget.method), question)

    def _profile(self, text: str, ids: tuple[int, ...], budget: Budget, scorer: Scorer, question: str | None) -> Profile:
        """Of the text's beginning, with as large a share of it kept as the budget is of the whole."""
        begun, protected = ids[:PROFILED], SINKS + RECENT
        if budget.entries <= protected:
            BudgetPlan((budget.entries,), SINKS, RECENT)  # says what is wrong with it
        entries = max(protected + 1, round(budget.entries * len(begun) / len(ids)))
        plan = BudgetPlan((entries,) * len(self.engine.fingerprint().layers), SINKS, RECENT)
        probe = begun[:BLOCK]
        if question is not None:
            whole = self.engine.tokenize(self.engine.prompt(text, [Message("user", question)])[0])
            probe = whole[activation.agreed(ids, whole) :]
        found = tuple(self._condenser().sensitivity(begun, plan, scorer, READ, [probe]))
        weights = sensitivity_weights(found)
        told = "the question" if question is not None else "the text's beginning"
        return Profile(budget.method, len(begun), told, found, weights, shared(weights, budget.entries, protected))

    def _scorer(self, name: str, also: Sequence[str] = ()) -> Scorer:
        if name == EPICACHE:
            raise Invalid(
                f"The method {EPICACHE} is of several caches: `activate_episodes` (`loci activate --episodes N`) reads them, each anew where it must be."
            )
        if name not in self._methods:
            known = [*self._methods, *also]
            raise Invalid(f"method is {name!r}; it must be one of {', '.join(known)}." + meant(name, known))
        return self._methods[name](self.engine.tokenize)

    def _condenser(self) -> Condenser[Any]:
        engine = self.engine
        if not isinstance(engine, Condensing):
            raise Unsupported(f"The engine {engine.name} reads whole texts alone; a budget takes a model of transformers.")
        return engine.condenser()

    def _write_leaf(
        self, condenser: Condenser[Any], state: Any, names: Sequence[str], plan: BudgetPlan, codec: Codec, progress: Progress | None = None
    ) -> list[Page]:
        """A file for each layer."""
        written = []
        for layer, name in enumerate(names):
            named = Tensor("U8", (32,), bytes.fromhex(name))
            file, size = self._files.put(pages.dump({**condenser.encode(state, layer, codec), CHAIN: named}))
            written.append(Page(name, file, size, min(plan.per_layer[layer], len(state.ids))))
            if progress is not None:
                progress(layer + 1, len(names))
        return written

    def _rated(self, manifest: Manifest, condenser: Condenser[Any], state: Any, kept: Any, most_divergence: float) -> Manifest:
        """With what the codec cost on top of the budget. Raises `Unsupported` where that is more than was allowed."""
        if manifest.codec == RAW:
            return manifest
        quality = condenser.compare(state, kept)
        self._check_divergence(manifest.codec, quality, most_divergence)
        return replace(manifest, quality={**manifest.quality, **quality})

    # -- using ---------------------------------------------------------------------------------------------------------

    def answer_roughly(
        self,
        recall: Recall,
        messages: Sequence[Message],
        at: RowFilter,
        budget_tokens: int | None,
        most_evicted: float,
        sampling: Sampling,
    ) -> tuple[Iterator[str], Attached]:
        """The answer, which may be approximate: from what a budget left, where that holds more of what was recalled than any exact activation
        memory does, and has not lost more attention than allowed. Otherwise as `answer` gives it."""
        begun = self._begun_by(recall, messages, at, budget_tokens, is_exact=False)
        if isinstance(begun, str) or begun[0].eviction is None:
            return self.answer(recall, messages, at, budget_tokens, sampling)
        manifest, text, told = begun
        ids = self.engine.tokenize(self.engine.prompt(text, told)[0])
        try:
            lease, attached = self._attached_leaf(manifest, text, ids, most_evicted)
        except (*GIVES_WAY, Unsupported) as error:
            pieces, attached = self.answer(recall, messages, at, budget_tokens, sampling)
            return pieces, attached if attached.handle is not None else replace(attached, reason=str(error))
        pieces = self._condenser().generate(
            lease.pages[0],
            ids[attached.held_tokens :],
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            seed=sampling.seed,
        )
        return releasing(lease, pieces), attached

    def _attached_leaf(self, manifest: Manifest, text: str, ids: tuple[int, ...], most_evicted: float) -> tuple[Lease, Attached]:
        """Raises where the leaf is not what is left of just these words, read by this model, or has lost more than is allowed."""
        assert manifest.eviction is not None
        held, mass = len(manifest.ids), manifest.quality["evicted_mass"]
        _check_mass(mass, most_evicted, f"The text was read; `loci activate --budget` builds {manifest.id} with a larger one.")
        self._check_current(manifest, text)
        agreed = activation.agreed(manifest.ids, ids)
        if agreed != held:
            raise Conflict(
                f"This prompt has the first {agreed} of the {held} tokens of {manifest.id}, and what a budget left cannot be cut."
            )
        self._check_worth([manifest])
        lease = self._residence.take([manifest.pages[0].chain], [manifest.ids], partial(self._load_leaf, manifest))
        kept = round(sum(page.tokens for page in manifest.pages) / len(manifest.pages))
        why = f"{manifest.eviction.method} kept {kept} of {held} tokens in a layer and evicted up to {mass:.2f} of the attention"
        told = f"approximate: {why}; {coded_of(manifest)}from the {next(iter(lease.tiers))}"
        return lease, Attached(manifest.id, held, len(ids) - held, told, is_approximate=True)

    def _load_leaf(self, manifest: Manifest, _: int) -> Any:
        """All layers, from the disk, by several ways at once."""
        assert manifest.eviction is not None
        condenser, eviction = self._condenser(), manifest.eviction
        with ThreadPoolExecutor(LOADERS) as loaders:
            found = list(loaders.map(partial(self._opened, manifest), manifest.pages))
        return condenser.decode(manifest.ids, BudgetPlan(eviction.per_layer, eviction.sinks, eviction.recent), manifest.codec, found)


def _codec(name: str) -> Codec:
    if name not in (*activation.EVICTED, "exact"):
        raise Invalid(f"codec is {name!r}; what a budget leaves is kept as {', '.join(activation.EVICTED)}.")
    return RAW if name == "exact" else activation.CODECS[name]


def _check_mass(mass: float, most: float, next_step: str) -> None:
    if not mass <= most:
        raise TooLossy(
            f"{mass:.2f} of the attention of some of the model's queries went to what was evicted, more than the {most:.2f} allowed. {next_step}",
            mass,
            most,
        )
