"""Several activation memories for one answer: the one that agrees with the text, or all of them behind one another though each was read
alone.

``prefix`` is exact: the prompt is that of the memories of all, and goes on from the one that holds most of it. ``block`` and ``blend`` are
not: the prompt is the template's head, the fenced block of each activation memory, and then what follows a block in any prompt. Each was
read right after the head, which stands once; what follows sees all of them. Whatever is wrong with one of them, the text of all
is read as one prompt instead, and the reason is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from loci.errors import Conflict, Unsupported
from loci.memories import activation
from loci.operation.activation import GIVES_WAY, Activations, Ready, coded_of
from loci.ports import RowFilter
from loci.ports.engine import BLOCK, Manifest, Sampling, reread_of
from loci.types import Attached, Memory, Message, Recall

MODES = ("prefix", "block", "blend")
MOST = 64  # activation memories for one answer
SHARE = 0.15  # of the tokens that blend reads again, as CacheBlend proposes (arXiv 2405.16444)


@dataclass(frozen=True, slots=True)
class Wish:
    """What an answer is to begin with: activation memories in this order, and how they are put together. ``share`` is of `blend`."""

    manifests: tuple[Manifest, ...]
    mode: str = "prefix"
    share: float = SHARE

    @property
    def is_composed(self) -> bool:
        """One alone needs no putting together: it is exact."""
        return self.mode != "prefix" and len(self.manifests) > 1


class Composing(Activations):
    """The activation memories of one cube, of which several can be put together for an answer."""

    def answer_from(
        self,
        wish: Wish,
        recall: Recall,
        messages: Sequence[Message],
        at: RowFilter,
        budget_tokens: int | None,
        sampling: Sampling,
    ) -> tuple[Iterator[str], Attached]:
        """As `answer`, from what was wished for instead of what is nearest."""
        ready = self.ready_from(wish, recall, messages, at, budget_tokens, sampling.max_tokens)
        return self._told(ready, sampling), ready.attached

    def ready_from(
        self, wish: Wish, recall: Recall, messages: Sequence[Message], at: RowFilter, budget_tokens: int | None, max_tokens: int = 0
    ) -> Ready:
        """The prompt of a conversation that begins with what was wished for, or with the text of all of it; ``max_tokens`` come after it."""
        found = self.shown(wish, at)
        told = self._with_rest(recall, found, messages, budget_tokens)
        text = self._block(found, at.now) if found else ""
        try:
            if wish.is_composed:
                return self._put_together(wish, told, at, max_tokens)
            return self._begun_with(wish, text, told, at)
        except (*GIVES_WAY, Unsupported) as error:
            ids = self.engine.tokenize(self.engine.prompt(text, told)[0])
            return Ready((), ids, Attached(None, 0, len(ids), str(error)))

    def shown(self, wish: Wish, at: RowFilter) -> list[Memory]:
        """The memories of all, each once, that may be shown now."""
        wanted = dict.fromkeys(quoted.memory for manifest in wish.manifests for quoted in manifest.quoted)
        found = self._store.present(list(wanted), at)
        return [found[id] for id in sorted(found)]

    def words_of(self, manifest: Manifest, at: RowFilter) -> str:
        """The block of an activation memory as it reads now. Raises where that is not what was read."""
        text = self._block(self._present([quoted.memory for quoted in manifest.quoted], at), at.now)
        self._check_words(manifest, text)
        return text

    def check_whole(self, manifest: Manifest) -> None:
        """Raises `Unsupported` for one that is not kept in pages of all its tokens here."""
        if manifest.eviction is not None:
            raise Unsupported(f"{manifest.id} is kept under a budget: ask with approximate (--approximate), without naming it.")
        if not activation.is_whole(manifest):
            raise Unsupported(f"{manifest.id} is not kept in pages of all its tokens here.")

    # -- exact -----------------------------------------------------------------------------------------------------------

    def _begun_with(self, wish: Wish, text: str, told: Sequence[Message], at: RowFilter) -> Ready:
        """The text of all, gone on from the one that holds most of its first tokens. Raises where none can be used, with why."""
        ids = self.engine.tokenize(self.engine.prompt(text, told)[0])
        wrong = []
        for manifest in sorted(wish.manifests, key=lambda one: -activation.agreed(one.ids, ids)):
            try:
                self.check_whole(manifest)
                ready = self._attached(manifest, self.words_of(manifest, at), ids)
            except (*GIVES_WAY, Unsupported) as error:
                wrong.append(str(error))
                continue
            told_of = "; ".join((ready.attached.reason, *(f"not used: {why}" for why in wrong)))
            return replace(ready, attached=replace(ready.attached, reason=told_of, handles=(manifest.id,)))
        raise Conflict(" ".join(dict.fromkeys(wrong)))

    # -- approximate -----------------------------------------------------------------------------------------------------

    def _put_together(self, wish: Wish, told: Sequence[Message], at: RowFilter, max_tokens: int) -> Ready:
        """All of them behind one another. Raises where one is not what it was, or the model has no way to do it, or not for so many tokens."""
        texts = [self.words_of(manifest, at) for manifest in wish.manifests]
        current = self.engine.fingerprint()
        if current.has_end:
            raise Unsupported(
                "This model's layers hold what a whole text made of them: several are not put behind one another. Their text was read."
            )
        for manifest in wish.manifests:
            self.check_whole(manifest)
            activation.check_fit(manifest.fingerprint, current)
        self._check_worth(wish.manifests)
        head = self._head_of(wish)
        last = wish.manifests[-1]
        prompt = self.engine.tokenize(self.engine.prompt(texts[-1], told)[0])
        held = activation.agreed(last.ids, prompt)
        if held <= head:
            raise Conflict(f"No token of {last.id} beyond the template's begins its prompt.")
        sizes = [*(len(manifest.ids) for manifest in wish.manifests[:-1]), held]
        first, total = sizes[0], sum(sizes) - head * (len(sizes) - 1)
        _check_length(total + len(prompt) - held + max_tokens, current.context)
        state, tiers = self._joined(wish, sizes, head)
        reread = reread_of(wish.share, total - first) if wish.mode == "blend" else 0
        ids = tuple(manifest.id for manifest in wish.manifests)
        kept = "".join(dict.fromkeys(coded_of(manifest) for manifest in wish.manifests))
        reason = f"{wish.mode} of {len(ids)} activation memories, approximate: each was read without the others; {kept}pages: {tiers}"
        rest = prompt[held:]
        return Ready(state, rest, Attached(ids[0], total - reread, len(rest), reason, wish.mode, True, reread, ids))

    def _joined(self, wish: Wish, sizes: Sequence[int], head: int) -> tuple[Sequence[object], str]:
        """The state, whose pages are its own, and where what it was made of came from."""
        leases = []
        try:
            for manifest, size in zip(wish.manifests, sizes, strict=True):
                leases.append(self._take(manifest, -(-size // BLOCK)))
            states = [self.engine.cut(lease.pages, size) for lease, size in zip(leases, sizes, strict=True)]
            state = self.engine.compose(states, wish.mode, wish.share, head)
        finally:
            for lease in leases:
                lease.release()
        tiers = [tier for lease in leases for tier in lease.tiers.elements()]
        return state, ", ".join(f"{tiers.count(tier)} from the {tier}" for tier in sorted(set(tiers)))

    def _head_of(self, wish: Wish) -> int:
        """How many first tokens are the template's, in each of them: what stands before a memory, whatever it is."""
        head = self.engine.tokenize(self.engine.prompt("", [Message("user", "?")])[1])
        return min(len(head), *(_common(manifest.ids, head) for manifest in wish.manifests))


def _check_length(tokens: int, context: int) -> None:
    """Raises where the model reads no prompt as long: memories that are in several stand in each, and in the text of all once."""
    if context and tokens > context:
        raise Conflict(
            f"Behind one another, with the answer, they are {tokens} tokens, more than this model reads ({context}): the text was read."
        )


def _common(one: Sequence[int], two: Sequence[int]) -> int:
    """How many first tokens are the same."""
    return next((place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
