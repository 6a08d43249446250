"""An Embedder that knows the directions of the last questions: a question that is asked again is not computed again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from loci.ports import Embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEPT = 1024  # questions, of 1.5 kB each


class Remembering:
    """An embedder as it is, but for texts that come alone, as questions do. Of those it keeps hashes, and no words. Safe to share between threads."""

    def __init__(self, embedder: Embedder) -> None:
        self.name, self._embedder = embedder.name, embedder
        self._known: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Embedder.embed`. What comes alone is handed out to be read only."""
        if len(texts) != 1:
            return self._embedder.embed(texts)
        name = hashlib.blake2b(texts[0].encode(errors="surrogatepass"), digest_size=16).digest()
        with self._lock:
            if name in self._known:
                self._known.move_to_end(name)
                return self._known[name]
        found = self._embedder.embed(texts)
        found.flags.writeable = False
        with self._lock:
            self._known[name] = found
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return found
