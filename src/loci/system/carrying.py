"""The verbs that move activation memory: to another vault, from another vault, and to where a coming turn will want it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from loci.errors import Invalid, Unsupported
from loci.interface import inputs
from loci.memories.bundle import Bundle
from loci.operation.activation import nearest
from loci.operation.bundling import Bundling, detail_of
from loci.operation.porter import Errand
from loci.operation.reading import MOST_DIVERGENCE
from loci.operation.served import Served
from loci.ports import Transaction
from loci.ports.engine import Manifest
from loci.system.activating import Activating
from loci.types import Handle


class Carrying(Activating):
    """What a cube does with the pages of activation memories beside answering from them."""

    _activations: Bundling | Served

    def export_activation(self, id: str, path: str | Path, *, plain: bool = False) -> Mapping[str, object]:
        """Writes an activation memory to a new folder that `import_activation` reads, and answers what is in it: ``manifest.json`` and parts of
        at most 1 GiB in the safetensors format. It is plain: whoever has it has the words, so who may read them may write it; of
        an encrypted cube it needs ``plain``."""
        manifest, rows = self._reached("export_activation", id)
        written = self._here("exported").write(manifest, rows, inputs.path_of(path), is_plain=plain)
        self._note_read("export_activation", [quoted.memory for quoted in manifest.quoted])
        return written

    def import_activation(
        self,
        path: str | Path,
        *,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        trusted: bool = False,
        most_divergence: float = MOST_DIVERGENCE,
    ) -> Handle:
        """Takes in an activation memory that `export_activation` wrote, of words that are here too, for the very same model. Everything is
        checked; the numbers too, for which the model reads the words once, unless you vouch for who made them (``trusted``). With a codec it
        may cost answers ``most_divergence`` nats a token at the most. An owner's right; nothing of a bundle that is refused stays. Where just this is here
        already, that is the answer (``is_reused``), and nothing is taken in."""
        rows = self._allow("import_activation", inputs.scope_of(self.name, user, agent, session)).rows
        kept, principal = self._here("imported"), self._parts.governance.principal
        most = inputs.divergence(most_divergence, "most_divergence")

        def record(tx: Transaction, taken: Manifest, told: Bundle) -> None:
            tx.audit(principal, "import_activation", taken.id, detail_of(taken, told, is_trusted=trusted))

        self._scheduler.note_uses()  # what was used long ago gives way first
        id = self._parts.ids.new(self._parts.clock.now())
        return kept.take_in(id, inputs.path_of(path), rows, most, record, is_trusted=trusted)

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
            raise Invalid("prepare needs a question, or the ids of activation memories (activations); not both.")
        kept = self._here("brought ahead")
        if question is None:
            wish = self._wish(rows, activations, "prefix", 0.0, "prepare")
            return kept.prepare(() if wish is None else wish.manifests, rows, self._parts.porter)
        recall = self._found(self._query(rows, question, limit, None), rows)
        self._note_read("prepare", recall.ids)
        handle = nearest(recall.handles, recall.ids)
        chosen = [] if handle is None else [kept.manifest(handle.id, handle.version)]
        return kept.prepare(chosen, rows, self._parts.porter)

    def _here(self, done: str) -> Bundling:
        """The activation memories of a model that runs here."""
        if not isinstance(self._activations, Bundling):
            raise Unsupported(f"What a server keeps cannot be {done}: its form and its memory are its own.")
        return self._activations
