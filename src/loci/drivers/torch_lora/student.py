"""A model that learns: `TorchEngine.student()`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loci.drivers.torch_lora import cartridge, exporting, layers, learning
from loci.drivers.torch_lora.checkpoint import identity, weights_of
from loci.drivers.torch_lora.course import Terms
from loci.drivers.torch_lora.examining import TorchExaminee
from loci.drivers.torch_lora.mounting import Mounts, check_fits
from loci.drivers.torch_lora.resting import resting
from loci.errors import Invalid, Unsupported
from loci.ports.adapting import Checkpoint, Learned, Lesson, Progress, Recipe

if TYPE_CHECKING:
    from loci.drivers.torch_kv.engine import TorchEngine


class TorchStudent:
    """What an engine's model learns, and the engine with that mounted. The model is never written to: adapters are trained and mounted on copies that share its weights.

    The same lessons, replay, recipe and model come to the same bytes on the same machine with the same number of threads (other processors and threads add up
    in another order).
    """

    def __init__(self, engine: TorchEngine) -> None:
        self._engine = engine
        self._mounts = Mounts(engine)
        self._learning = threading.Lock()

    def learn(
        self, lessons: Sequence[Lesson], replay: Sequence[str], recipe: Recipe, checkpoint: Checkpoint | None = None, progress: Progress | None = None,
        breathe: Callable[[], None] | None = None, after: Learned | None = None, rest: Callable[[], None] | None = None,
    ) -> Learned:  # fmt: skip
        """Behind the answer to a prompt the model's own end is learned; of a plain statement all words are. ``replay`` are learned as statements; without any, the model's own texts are held to
        what the model says of them. A cartridge takes no replay: see `cartridge`. ``after``: a LoRA of the same shape that learning goes on from. A checkpoint of
        something else, or a damaged one, is not used and written over. What ``breathe`` or ``rest`` raises ends it with nothing more saved."""
        self._check_asked(lessons, recipe)
        if after is not None:
            self._check_after(after, recipe)
        named = identity(self._engine.fingerprint(), lessons, replay, recipe, weights_of(after))
        with self._learning, resting(rest):
            terms = Terms(recipe, named, checkpoint, progress, breathe)
            if recipe.form == "cartridge":
                return cartridge.learn(self._engine, lessons, terms)
            return learning.learn(self._engine, lessons, replay, terms, after)

    def check_lessons(self, lessons: Sequence[Lesson], recipe: Recipe) -> None:
        self._check_asked(lessons, recipe)
        (cartridge if recipe.form == "cartridge" else learning).prepared(self._engine, lessons, recipe)

    def check(self, learned: Learned) -> None:
        check_fits(self._engine, learned)

    def examinee(self, adapters: Sequence[Learned] = (), rest: Callable[[], None] | None = None) -> TorchExaminee:
        return TorchExaminee(self.mounted(adapters), rest)

    def mounted(self, adapters: Sequence[Learned]) -> TorchEngine:
        return self._mounts.of(adapters)

    def export(self, learned: Learned, folder: Path) -> Path:
        self.check(learned)
        return exporting.export(self._engine, learned, folder)

    @staticmethod
    def _check_asked(lessons: Sequence[Lesson], recipe: Recipe) -> None:
        layers.check_recipe(recipe)
        if not lessons:
            raise Invalid("There is nothing to learn: no lessons.")

    def _check_after(self, after: Learned, recipe: Recipe) -> None:
        self.check(after)
        if recipe.form != "lora" or after.recipe.form != "lora":
            raise Unsupported("Only a LoRA can go on from another.")
        if (after.recipe.rank, after.recipe.alpha, after.recipe.targets) != (recipe.rank, recipe.alpha, recipe.targets):
            raise Invalid("Learning goes on from an adapter of the same rank, alpha and targets only.")
