"""Activation memory before it is asked for: the pages that a coming turn would go on from are brought while nobody waits.

What is brought is what `generate` would use, after the same comparisons, and in the same order. It is a guess: nothing is read by the
model for it, nothing in use is pushed out, and if it was wrong, nothing but the way of some bytes was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from loci.errors import Conflict, Corrupt, IncompatiblePayload, Missing
from loci.memories import activation
from loci.operation.activation import nearest, slower
from loci.operation.porter import Errand, Porter
from loci.operation.residence import Brought
from loci.operation.retaining import Retaining
from loci.policy.placement import is_worth_preparing
from loci.ports import RowFilter
from loci.ports.engine import Manifest


class Preparing(Retaining):
    """The activation memories of one cube, whose pages can be brought ahead."""

    def prepare(self, manifests: Sequence[Manifest], at: RowFilter, porter: Porter) -> Errand:
        """Sends for the pages of these that are not where the model runs. What would not be used, or takes longer than it is worth, is left, and
        the errand says why."""
        chosen, left = self._worth(manifests, at)
        if not chosen:
            return Errand((), left)
        return porter.send(self, self.tenant(at), tuple(manifest.id for manifest in chosen), partial(self._bring, chosen, left))

    def bring(self, memories: Sequence[str], at: RowFilter, is_wanted: Callable[[], bool]) -> str:
        """Brings the pages that hold most of these memories, in this thread, for as long as that is wanted; answers what came of it."""
        handle = nearest(self.handles(at, memories)[0], memories)
        chosen, left = self._worth([] if handle is None else [self.manifest(handle.id, handle.version)], at)
        return self._bring(chosen, left, is_wanted) if chosen else left

    def _worth(self, manifests: Sequence[Manifest], at: RowFilter) -> tuple[list[Manifest], str]:
        """Those of these that are worth bringing, and why the others are not."""
        chosen: list[Manifest] = []
        left: list[str] = []
        room = self._residence.room()
        for manifest in manifests:
            why = self._why_not(manifest, at, room)
            if why:
                left.append(why)
                continue
            room -= manifest.bytes
            chosen.append(manifest)
        return chosen, " ".join(left) or ("" if chosen else "No activation memory holds what would be recalled.")

    def _why_not(self, manifest: Manifest, at: RowFilter, room: int) -> str:
        """Why it is not worth bringing; empty where it is."""
        if not activation.is_whole(manifest):
            return f"{manifest.id} is not kept in pages of all its tokens here."
        try:
            self.words_of(manifest, at)
            activation.check_fit(manifest.fingerprint, self.engine.fingerprint())
        except (IncompatiblePayload, Conflict, Missing) as error:
            return str(error)
        if told := slower([manifest], [manifest], is_worth_preparing):
            return f"{told}: it was left on the disk."
        if manifest.bytes > room:
            return f"{manifest.id} has {manifest.bytes:,} bytes, for which there is no room (kv_device_bytes, kv_host_bytes): it was left on the disk."
        return ""

    def _bring(self, manifests: Sequence[Manifest], left: str, is_wanted: Callable[[], bool]) -> str:
        """What the errand does, in the porter's thread."""
        told = []
        for manifest in manifests:

            def is_of_use(manifest: Manifest = manifest) -> bool:  # not what was erased, or let go of, meanwhile
                return is_wanted() and (manifest.id, manifest.version) in self._manifests

            try:
                brought = self._residence.bring(
                    [page.chain for page in manifest.pages], activation.parts(manifest), partial(self._load, manifest), is_of_use
                )
            except (Corrupt, Missing):
                if is_of_use():
                    raise
                brought = None
            if brought is None or not is_of_use():
                told.append(f"{manifest.id} is not wanted any more.")
            else:
                told.append(f"{manifest.id}: pages: {_told(brought)}.")
        return " ".join((*told, left)).strip()


def _told(brought: Brought) -> str:
    found = ", ".join(f"{count} from the {tier}" for tier, count in sorted(brought.tiers.items()))
    if not brought.is_out_of_room:
        return found or "none had to be brought"
    return f"{found or 'none'}, and for the next there was no room beside what is in use"
