"""The verbs that move activation memory: to where a coming turn will want it."""

from __future__ import annotations

from collections.abc import Sequence

from loci.errors import Invalid, Unsupported
from loci.interface import inputs
from loci.operation.activation import nearest
from loci.operation.porter import Errand
from loci.operation.preparing import Preparing
from loci.operation.served import Served
from loci.system.activating import Activating


class Carrying(Activating):
    """What a cube does with the pages of activation memories beside answering from them."""

    _activations: Preparing | Served

    def prepare(
        self,
        question: str | None = None,
        *,
        activations: Sequence[str] = (),
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        limit: int | None = None,
    ) -> Errand:
        """Sends for the pages that an answer to a question, or from these activation memories, would go on from: in the background, from the
        disk and the host's memory to where the model runs, as far as there is room for what is used less. Returns at once; ``wait()`` on
        what it returns tells what came of it. A further call ends the one before. What goes wrong is also told in the next search's trace."""
        rows = self._allow("prepare", inputs.scope_of(self.name, user, agent, session)).rows
        if (question is None) == (not activations):
            raise Invalid("prepare needs a question, or the ids of activation memories (activations=); not both.")
        kept = self._here("brought ahead")
        if question is None:
            wish = self._wish(rows, activations, "prefix", 0.0)
            return kept.prepare(() if wish is None else wish.manifests, rows, self._parts.porter)
        recall = self._recall(rows, question, limit=limit)
        handle = nearest(recall.handles, recall.ids)
        chosen = [] if handle is None else [kept.manifest(handle.id, handle.version)]
        return kept.prepare(chosen, rows, self._parts.porter)

    def _here(self, done: str) -> Preparing:
        """The activation memories of a model that runs here."""
        if not isinstance(self._activations, Preparing):
            raise Unsupported(f"What a server keeps cannot be {done}: its form and its memory are its own.")
        return self._activations
