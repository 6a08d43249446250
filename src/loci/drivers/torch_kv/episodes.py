"""A conversation in several budgeted caches, one an episode: a new part costs one block on one of them, a question is asked of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loci.drivers.torch_kv.budget import BudgetedCache
from loci.drivers.torch_kv.prefill import Reading, read
from loci.errors import Invalid
from loci.ports import BudgetPlan, Episodes


class EpisodicCache:
    """Caches that grow with a conversation. Memory is episodes x budget; the peak of reading is one budget + block + probe beside it.

    Every cache begins with the conversation's first tokens (the plan's sinks), and every token has its position in the whole conversation, whichever
    cache it is in.
    """

    def __init__(self, model: Any, plan: BudgetPlan, episodes: Episodes, *, block: int = 1024, watched: int = 32) -> None:
        self._model, self._plan, self._episodes = model, plan, episodes
        self._block, self._watched = block, watched
        self._opening: tuple[int, ...] = ()
        self.caches: list[BudgetedCache] = []
        self.seen = 0

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values over all episodes."""
        return sum(cache.nbytes for cache in self.caches)

    def append(self, ids: Sequence[int], vector: Sequence[float]) -> tuple[int, Reading]:
        """Reads the conversation's next part into the one episode that it joins: which, and what that took."""
        if self.seen < self._plan.sinks:
            self._opening = (*self._opening, *ids)[: self._plan.sinks]
        episode = self._episodes.join(ids, vector)
        if episode == len(self.caches):
            self.caches.append(self._opened(episode))
        cache = self.caches[episode]
        cache.advise(self._episodes.scorer(episode))
        cache.skip_to(max(self.seen, cache.seen))
        done = read(self._model, cache, ids[max(0, cache.seen - self.seen) :], block=self._block, watched=self._watched)
        self.seen += len(ids)
        return episode, done

    def rebuild(self, episode: int, conversation: Sequence[int]) -> Reading:
        """Reads the whole conversation into a new cache for one episode, as the paper does for each; the old one is dropped when that is done.

        A job may do so for an episode whose patched prompt has changed much. Raises `Invalid` for one after the next.
        """
        if episode > len(self.caches):
            raise Invalid(f"Episodes are read in their order: {len(self.caches)} comes before {episode}.")
        made = BudgetedCache(self._plan, self._episodes.scorer(episode))
        done = read(self._model, made, conversation, block=self._block, watched=self._watched)
        self.caches[episode : episode + 1] = [made]
        self.seen = max(self.seen, made.seen)
        return done

    def attach(self, vector: Sequence[float]) -> BudgetedCache:
        """The nearest episode's cache for a question: open, to be thrown away afterwards, its next position behind the whole conversation.

        Raises `Invalid` where that episode has not been read.
        """
        episode = self._episodes.route(vector)
        if episode >= len(self.caches):
            raise Invalid(f"Episode {episode} is known but has not been read into a cache; `rebuild` it from the conversation first.")
        made = self.caches[episode].fork(is_open=True)
        made.skip_to(self.seen)
        return made

    def _opened(self, episode: int) -> BudgetedCache:
        """An episode's empty cache, but for the sinks of a conversation that began elsewhere."""
        cache = BudgetedCache(self._plan, self._episodes.scorer(episode))
        if self.seen and self._opening:
            read(self._model, cache, self._opening, block=self._block, watched=0)
        return cache
