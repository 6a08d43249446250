"""The verbs of activation memory: have a model read memories once, and answer from what it made of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean

from loci.errors import Corrupt, Invalid, Missing, TooLarge, Unsupported, missing_activation
from loci.interface import inputs
from loci.interface.inputs import Words
from loci.operation import citing
from loci.operation.activation import NONE_HOLDS, nearest
from loci.operation.budgets import METHOD, MOST_EVICTED, Budget, Profile
from loci.operation.composing import MODES, MOST, SHARE, Wish
from loci.operation.episodes import Episodic
from loci.operation.fitting import Fitting
from loci.operation.keeping import MOST_MEMORIES, tenant_of
from loci.operation.pace import Pace
from loci.operation.reading import MOST_DIVERGENCE, Progress
from loci.operation.retaining import Retaining
from loci.operation.served import Served, Serving
from loci.ports import RowFilter, Transaction
from loci.ports.engine import Manifest, Sampling
from loci.system.adapting import Adapting
from loci.types import Attached, Handle, Head, Part, Recall, Scope

MOST_TOKENS = 1 << 16  # of an answer
MOST_SEED = (1 << 63) - 1
MOST_KEPT = 1 << 20  # entries of a layer
EPISODES, MOST_EPISODES = 4, 64  # as many as EpiCache's paper has, and at the most


@dataclass(frozen=True, slots=True)
class Generation:
    """An answer as it comes: iterate over its pieces, once; ``text()`` is all of it, also when some or all of it has come. ``attached`` says what of the
    prompt an activation memory held, and why; ``memories`` are all whose words it may be made of: recalled, held, or learned."""

    recall: Recall
    attached: Attached
    memories: tuple[str, ...]
    _pieces: Iterable[str] = field(repr=False)
    _come: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            self._come.append(piece)
            yield piece

    def text(self) -> str:
        self._come.extend(self._pieces)
        return "".join(self._come)


@dataclass(frozen=True, slots=True)
class _WaitedFor:
    """Pieces of an answer that somebody waits for, from when they are asked for to the last, or until whoever iterates over them lets go. Who iterates again gets the rest."""

    pieces: Iterator[str]
    pace: Pace

    def __iter__(self) -> Iterator[str]:
        with self.pace.foreground():
            for piece in self.pieces:  # noqa: UP028  (`yield from` would end them with this)
                yield piece


class Activating(Adapting):
    """What a cube does with a model that runs here, or behind a server."""

    _activations: Fitting

    def activate(
        self,
        memories: Sequence[str] = (),
        *,
        about: str | None = None,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        limit: int | None = None,
        codec: str | None = None,
        most_divergence: float = MOST_DIVERGENCE,
        budget: int | None = None,
        method: str | None = None,
        layers: str | None = None,
        most_evicted: float | None = None,
        id: str | None = None,
        progress: Progress | None = None,
    ) -> Handle:
        """Has the model read memories, by their ids or as a search ``about`` something finds them, and keeps what it makes of them: later
        answers go on from there. ``codec`` raw (the default) and hidden change nothing (``exact`` takes the smaller of them), int8 and int4 take less room and are
        refused where they would cost the answers more than ``most_divergence`` nats a token. With a ``budget``, each layer keeps so many entries of each
        head, on average, as a ``method`` (sirllm) chooses them: answers from it are approximate, and given only to who asks for them; ``layers`` share the budget
        equally or by their ``profile`` (`profile`), and it is refused where it loses more of the model's attention than ``most_evicted``, a share (0.5). What is no longer than
        its budget is kept exactly. Where just this was made before, that is the answer (``is_reused``), unless a file of it is damaged; ``id`` builds one that is there
        anew; alone, of its own memories as they read now, and as it was kept before. ``progress`` is told (pages, of)."""
        scope = inputs.scope_of(self.name, user, agent, session)
        former = None if id is None else self._admitted("activate", id)
        if former is not None and scope == Scope(self.name):
            scope = Scope(self.name, self._user_of(former))
        rows = self._allow("activate", scope).rows
        if former is not None and former.tenant != self._activations.tenant(rows):
            raise missing_activation(former.id, self.name)
        if former is not None and not memories and about is None:
            memories = [quoted.memory for quoted in former.quoted]
            codec = codec or (former.codec.name if former.remote is None else None)
            if budget is None and (part := former.episode) is not None:
                budget, method, layers = part.entries, method or part.method, layers or part.layers
            elif budget is None and (kept := former.eviction) is not None:
                budget, method, layers = round(fmean(kept.per_layer)), method or kept.method, layers or kept.layers
        chosen, codec = self._chosen(rows, memories, about, limit), codec or "raw"
        most = inputs.divergence(most_divergence, "most_divergence")
        within = self._within(budget, method, layers, most_evicted)
        now = self._parts.clock.now()
        self._scheduler.note_uses()  # what was used long ago gives way first
        is_anew, id = id is not None, id or self._parts.ids.new(now)
        record, episode = self._note_built, None if former is None else former.episode
        with self._parts.pace.foreground():
            if within is not None:
                if episode is not None and (episode.entries, episode.method, episode.layers) != (
                    within.entries,
                    within.method,
                    within.layers,
                ):
                    episode = None  # it is kept otherwise now
                return self._budgeted().condense(
                    id, chosen, rows, within, codec, most, record, progress, question=about, is_anew=is_anew, episode=episode
                )
            return self._activations.build(id, chosen, rows, codec, most, record, progress, is_anew=is_anew)

    def activate_episodes(
        self,
        memories: Sequence[str] = (),
        *,
        budget: int,
        episodes: int = EPISODES,
        about: str | None = None,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        limit: int | None = None,
        codec: str | None = None,
        most_divergence: float = MOST_DIVERGENCE,
        method: str | None = None,
        layers: str | None = None,
        most_evicted: float | None = None,
        progress: Progress | None = None,
    ) -> list[Handle]:
        """Has the model read memories as several episodes, at most ``episodes`` of them, each under a ``budget`` of its own (EpiCache, arXiv 2509.17396): memories, by their ids, as a
        search ``about`` something finds them, or every message of the user's, agent's and session's, are put together by their meaning. An approximate answer
        (`generate`) goes on from the episode that holds most of what is recalled for it. Asked again when more is remembered, with the same budget, each new
        memory joins the episode that it is nearest to, and the others are what they were (``is_reused``). The other options are those of `activate`; the ``method`` epicache
        keeps what an episode's most typical memories attend to. Where one of them loses more than is allowed, none is kept. ``progress`` is told (episodes, of).
        Raises `Unsupported` without an embedder: episodes are told apart by meaning."""
        rows = self._allow("activate", inputs.scope_of(self.name, user, agent, session)).rows
        most = inputs.number(episodes, "episodes", 1, MOST_EPISODES)
        within = self._budget(budget, method, layers, most_evicted)
        embedder = self._operator.embedder
        if embedder is None:
            raise Unsupported(
                "Episodes are told apart by meaning, and there is no embedder: `pip install 'loci-memos[minilm]'`, or name one by the setting embedder."
            )
        divergence = inputs.divergence(most_divergence, "most_divergence")
        chosen = self._chosen(rows, memories, about, limit) if memories or about is not None else self._messages(rows, limit)
        self._scheduler.note_uses()  # what was used long ago gives way first
        with self._parts.pace.foreground():
            return self._budgeted().condense_episodes(
                chosen, most, rows, within, codec or "raw", divergence, embedder.embed, self._note_built,
                lambda: self._parts.ids.new(self._parts.clock.now()), progress,
            )  # fmt: skip

    def _messages(self, rows: RowFilter, limit: int | None) -> list[str]:
        """Every whole message that the filter lets through, oldest first."""
        if limit is not None:
            raise Invalid("limit is of a search: give about too, or leave it out and all of it is read.")
        found = [memory.id for memory in self._store.select(rows, 1 << 40) if memory.part is Part.TURN]
        if not found:
            raise Invalid("Nothing is remembered here, so there is nothing to read.")
        if len(found) > MOST_MEMORIES:
            raise TooLarge(
                f"There are {len(found):,} messages, and {MOST_MEMORIES:,} at the most are read as one conversation: say which (session, about)."
            )
        return found

    def _user_of(self, manifest: Manifest) -> str | None:
        """Whose it is; None where it is the cube's as a whole."""
        user = self._store.scope_of(manifest.quoted[0].memory).user
        return user if tenant_of(self._store, user) == manifest.tenant else None

    def _note_built(self, tx: Transaction, built: Manifest) -> None:
        """The record of an activation memory."""
        detail = {"version": built.version, "tokens": len(built.ids), "codec": built.codec.name, "memories": len(built.quoted)}
        evicted = {} if built.eviction is None else {"method": built.eviction.method, "evicted_mass": built.quality["evicted_mass"]}
        kept: dict[str, object] = {"is_kept": True} if built.is_kept else {}
        if built.episode is not None:
            kept["episodes"] = built.episode.of
        tx.audit(self._parts.governance.principal, "activate", built.id, {**detail, **evicted, **kept})

    def profile(
        self,
        memories: Sequence[str] = (),
        *,
        about: str | None = None,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        limit: int | None = None,
        budget: int = 1024,
        method: str = METHOD,
    ) -> Profile:
        """How much each layer of the model matters when these memories are read under a ``budget`` (entries a layer, on average), and how
        layers would share it by that: judged by what it answers to ``about``, or how it goes on with their own words. Nothing is kept."""
        rows = self._allow("generate", inputs.scope_of(self.name, user, agent, session)).rows
        chosen = self._chosen(rows, memories, about, limit)
        found = self._budgeted().profile(chosen, rows, self._budget(budget, method), about)
        self._note_read("profile", chosen)
        return found

    def _within(self, entries: int | None, method: str | None, layers: str | None, most_evicted: float | None) -> Budget | None:
        """The budget; None where all is to be kept, and nothing said of how it would be cut down."""
        if entries is not None:
            return self._budget(entries, method, layers, most_evicted)
        for name, value in (("method", method), ("layers", layers), ("most_evicted", most_evicted)):
            if value is not None:
                raise Invalid(f"{name} is {value!r:.100}, and needs a budget (budget=, --budget): without one all of it is kept.")
        return None

    def _budget(self, entries: int, method: str | None, layers: str | None = None, most_evicted: float | None = None) -> Budget:
        most = MOST_EVICTED if most_evicted is None else inputs.share(most_evicted, "most_evicted")
        return Budget(inputs.number(entries, "budget", 1, MOST_KEPT), METHOD if method is None else method, layers or "equal", most)

    def _budgeted(self) -> Episodic:
        """Raises `Unsupported` where the model is behind a server, whose cache is its own."""
        if not isinstance(self._activations, Episodic):
            raise Unsupported(
                "A budget takes a model that runs here: name a folder by the setting engine. Servers keep what they were started to."
            )
        return self._activations

    def activations(self, *, user: str | None = None, agent: str | None = None, session: str | None = None) -> list[Handle]:
        """The activation memories of a user's, oldest first, and why one cannot be used (``void``): its words changed, say, or a file of it is gone. One that
        nobody can read is in the list of whoever may see the whole cube. Files are not read for this; `verify` looks at every byte."""
        return self._activations.listed(self._allow("activations", inputs.scope_of(self.name, user, agent, session)).rows)

    def activation(self, id: str) -> Manifest:
        """What an activation memory is, in full: the model that read it, its tokens, its files, the memories that it was built of."""
        return self._admitted("activations", id)

    def deactivate(self, id: str) -> tuple[str, ...]:
        """Lets go of an activation memory, in memory, on the disk and at a server. The memories that it was built of stay as they are.
        Returns, a sentence each, what a server may still hold, and why."""
        return self._let_go("deactivate", id)[1]

    def _let_go(self, verb: str, id: str) -> tuple[Head, tuple[str, ...]]:
        """The record of it, and what a server may still hold."""
        now = self._parts.clock.now()
        with contextlib.suppress(Corrupt):  # whose it is cannot be told: this raises it to whoever may let go of anybody's alone
            self._admitted(verb, id)
        with self._store.write(now) as tx:
            self._activations.let_go(tx, id)
            tx.audit(self._parts.governance.principal, verb, id, {})
            self._activations.tidy(tx)
            record = self._store.head()
        return record, self._activations.settle(now)

    def generate(
        self,
        question: Words,
        *,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        limit: int | None = None,
        budget_tokens: int | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        activations: Sequence[str] = (),
        compose: str = "prefix",
        share: float = SHARE,
        approximate: bool = False,
        most_evicted: float | None = None,
        adapters: Sequence[str] | None = None,
        keep: bool = False,
    ) -> Generation:
        """The model's answer to a question, or to a conversation that ends with one, from what is remembered. Where an activation memory
        holds some of it, the model goes on from there; the answer is the same as from the text. ``activations`` names the ones to begin
        with; of several one is gone on from (``prefix``), or all are put behind one another though each was read alone: ``block`` reads nothing
        again, ``blend`` a ``share``. With ``approximate`` it may go on from one that was read under a budget, where none that is exact holds as
        much and it has not lost more attention than ``most_evicted``. Answers that are not those of the text say so, and why (``attached``).
        Adapters that are mounted answer for what they learned, in the place of its text; ``adapters`` names others than those, or none. With
        ``keep``, what is read for the answer is kept as an activation memory where none holds any of it, no adapter answers, and that is worth its writing."""
        messages = inputs.turns_of(question)
        rows = self._allow("generate", inputs.scope_of(self.name, user, agent, session)).rows
        if most_evicted is not None and not approximate:
            raise Invalid(
                f"most_evicted is {most_evicted!r:.100}, and needs approximate=True (--approximate): without it nothing evicted is used."
            )
        wish = self._wish(rows, activations, compose, share)
        if wish is not None and approximate:
            raise Invalid(
                "activations names what to begin with, and approximate lets one be found that a budget left: ask for one of the two."
            )
        if keep and (wish is not None or approximate):
            raise Invalid("keep is for an answer from text: leave out activations and approximate, or keep.")
        retaining = self._retaining(rows) if keep else None
        most = inputs.number(max_tokens, "max_tokens", 1, MOST_TOKENS)
        sampling = Sampling(most, inputs.temperature(temperature), inputs.number(seed, "seed", 0, MOST_SEED))
        recall = self._recall(rows, messages[-1].text, limit=limit, budget_tokens=budget_tokens)
        if adapters and (wish is not None or approximate):
            raise Invalid("adapters are mounted for an answer from text: leave out activations and approximate, or adapters.")
        lost = 1.0 if most_evicted is None else inputs.share(most_evicted, "most_evicted")
        budgeted = self._budgeted() if approximate else None  # refused before a server is asked for anything
        mounted, wrong = self._mounted(rows, adapters) if wish is None and not approximate else ([], [])
        taken = sum(learning.recipe.tokens for _, learning in mounted if learning.recipe.form == "cartridge")
        with self._parts.pace.foreground():  # a prompt may be long to read
            fitted = self._activations.fitted(recall, wish, messages, rows, budget_tokens, most + taken)
            recall, wish, budget_tokens = fitted.recall, fitted.wish, fitted.budget_tokens
            held = self._begun(recall, wish, approximate)
            if mounted or wrong:
                pieces, attached = self._adapters.answer(mounted, recall, messages, rows, budget_tokens, sampling, wrong)
                self._scheduler.use(attached.adapters)
                held = [quoted.memory for row, learning in mounted if row.id in attached.adapters for quoted in learning.quoted]
            elif budgeted is not None:
                pieces, attached = budgeted.answer_roughly(recall, messages, rows, budget_tokens, lost, sampling)
            elif retaining is not None:
                id = self._parts.ids.new(self._parts.clock.now())
                pieces, attached, wish = retaining.answer_keeping(recall, messages, rows, budget_tokens, sampling, id, self._note_built)
                held = held if wish is None else self._begun(recall, wish, False)
            else:
                answer = self._activations.answer if wish is None else partial(self._activations.answer_from, wish)
                pieces, attached = answer(recall, messages, rows, budget_tokens, sampling)
        if fitted.told:
            first = () if fitted.is_begun and attached.reason == NONE_HOLDS else (attached.reason,)
            attached = replace(attached, reason="; ".join((*first, *fitted.told)))
        if attached.handle is not None:
            attached = replace(attached, handles=attached.handles or (attached.handle,))
            self._scheduler.use(attached.handles)
        shown = [] if approximate else self._numbered(recall, wish, rows, attached, budget_tokens)
        return Generation(
            recall, attached, tuple(dict.fromkeys((*recall.ids, *held))), _WaitedFor(self._citing(pieces, shown), self._parts.pace)
        )

    @staticmethod
    def _begun(recall: Recall, wish: Wish | None, approximate: bool) -> list[str]:
        """The memories that a prompt begins with, whether it goes on from what was read of them or they are read anew."""
        if wish is not None:
            return [quoted.memory for manifest in wish.manifests for quoted in manifest.quoted]
        exact = [handle for handle in recall.handles if not handle.method]
        begun = [nearest(handles, recall.ids) for handles in ((recall.handles, exact) if approximate else (exact,))]
        return [id for handle in begun if handle is not None for id in handle.memories]

    def _retaining(self, rows: RowFilter) -> Retaining:
        """What keeps what is read. Raises `Denied` for who may not activate, `Unsupported` where the model is behind a server."""
        self._allow("activate", Scope(self.name, rows.user, rows.agent, rows.session))
        if not isinstance(self._activations, Retaining):
            raise Unsupported("A server keeps what it reads as it was started to: leave out keep.")
        return self._activations

    def _numbered(self, recall: Recall, wish: Wish | None, rows: RowFilter, attached: Attached, budget_tokens: int | None) -> list[str]:
        """The memories of a prompt, by their numbers in it. None where a number stands for several: in blocks that were each read alone."""
        if attached.mode != "prefix":
            return []
        if wish is not None:
            block = [memory.id for memory in self._activations.shown(wish, rows)]
        else:
            begun = nearest([handle for handle in recall.handles if not handle.method], recall.ids)
            block = [] if begun is None else sorted(begun.memories)
        return citing.shown(recall, block, self._redactor, budget_tokens)

    def _citing(self, pieces: Iterator[str], shown: Sequence[str]) -> Iterator[str]:
        """The pieces of an answer; after the last, what it cites has been of use."""
        told: list[str] = []
        for piece in pieces:
            told.append(piece)
            yield piece
        if cited := citing.cited("".join(told), shown):
            self._scheduler.cite(cited)

    def _wish(self, rows: RowFilter, ids: Sequence[str], mode: str, share: float, verb: str = "generate") -> Wish | None:
        """What an answer is to begin with; None where that is left to what is recalled. Raises `Missing` for what is not there, or for
        another user, or built of anything outside the grant."""
        is_list = isinstance(ids, Sequence) and not isinstance(ids, str) and all(isinstance(id, str) for id in ids)
        if not is_list or len(set(ids)) != len(ids) or len(ids) > MOST:
            raise Invalid(f"activations is {ids!r:.100}; it must be a list of at most {MOST} ids, each once.")
        inputs.one_of(mode, MODES, "compose")
        share = inputs.share(share, "share")
        if not ids and mode != "prefix":
            raise Invalid(f"compose is {mode!r}, and no activation memories are named to put together: activations=[id, id].")
        if not ids:
            return None
        found = tuple(self._named(rows, id) for id in ids)
        self._note_read(verb, list(dict.fromkeys(quoted.memory for manifest in found for quoted in manifest.quoted)))
        return Wish(found, mode, share)

    def _named(self, rows: RowFilter, id: str) -> Manifest:
        """An activation memory of whom a call is for, all of whose memories its grant reaches."""
        manifest = self._activations.manifest(inputs.id_of(id))
        admits, find = self._parts.governance.admits, self._store.scope_of
        if manifest.tenant != self._activations.tenant(rows) or not all(admits(rows, quoted.memory, find) for quoted in manifest.quoted):
            raise missing_activation(id, self.name)
        return manifest

    def server(self) -> Serving:
        """The inference server that the engine is: what it says it is, and what it holds of this cube. Raises `Unsupported` where the
        engine is none."""
        self._allow("stats", Scope(self.name))
        if not isinstance(self._activations, Served):
            raise Unsupported("The engine is no server. Name one by the setting engine, such as http://127.0.0.1:8080.")
        return self._activations.serving()

    def write_off(self, name: str, *, reason: str = "") -> None:
        """Takes your word that a server holds no more what nobody could make it forget: the disk was wiped, say, or the server is no more.
        ``name`` is as a receipt or `verify` has it. The log keeps who said so."""
        self._allow("write_off", Scope(self.name))
        with self._store.write(self._parts.clock.now()) as tx:
            self._activations.write_off(tx, inputs.id_of(name))
            tx.audit(self._parts.governance.principal, "write_off", name, {"reason": self._reason(reason)})

    def _admitted(self, verb: str, id: str) -> Manifest:
        """An activation memory. What was built of anything outside the grant is, for its holder, not there."""
        return self._reached(verb, id)[0]

    def _reached(self, verb: str, id: str) -> tuple[Manifest, RowFilter]:
        """The same, and the rows that the grant opens. One that nobody can read is there for who may see the whole cube."""
        try:
            manifest = self._activations.manifest(inputs.id_of(id))
        except Corrupt:
            self._check_unreadable(verb, missing_activation(id, self.name))
            raise
        try:
            rows = self._reach(verb, manifest.quoted[0].memory).rows
        except Missing:
            raise missing_activation(id, self.name) from None
        if not all(self._parts.governance.admits(rows, quoted.memory, self._store.scope_of) for quoted in manifest.quoted):
            raise missing_activation(id, self.name)
        return manifest, rows
