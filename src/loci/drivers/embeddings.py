"""An embedding model behind any endpoint that speaks OpenAI's embeddings, on this machine or not (Ollama, llama.cpp, vLLM, TEI, OpenAI)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from loci.drivers.endpoint import Endpoint
from loci.errors import EmbedderFailed, Invalid, Unsupported

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AT_ONCE = 32  # texts of one request: what the strictest of these servers take
QUESTION_SECONDS, SECONDS = 10.0, 60.0
SHORTEST = 64  # letters: what is refused though it is no longer is refused for something else
ADVICE = "Check the address, which ends with the version as in .../v1, and embedder_model."


class EndpointEmbedder:
    """``url`` is the base, with its version ("http://127.0.0.1:11434/v1"), ``model`` its name there. Without a key none is sent.

    What is too long for the model is cut until it is taken. A text that comes alone is a question, somebody waits for it, and it is tried once.
    """

    def __init__(self, url: str, model: str, key: str = "") -> None:
        if not model:
            raise Invalid("The endpoint needs the name of an embedding model: set embedder_model as its own documentation spells it.")
        self.name = f"endpoint:{model}"
        self.dimensions = 0
        """How many numbers a vector has; 0 until the first came."""
        self._model = model
        self._many = Endpoint(url, key, ADVICE, absent=Unsupported, seconds=SECONDS)
        self._one = Endpoint(url, key, ADVICE, absent=Unsupported, seconds=QUESTION_SECONDS, tries=1)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Embedder.embed`. Raises `EmbedderFailed` for an answer that is none, and as `Endpoint.post` does."""
        import numpy as np

        told = [text.encode("utf-8", "replace").decode() if text.strip() else "." for text in texts]
        rows = [row for start in range(0, len(told), AT_ONCE) for row in self._taken(told[start : start + AT_ONCE])]
        if len({len(row) for row in rows}) > 1:
            raise EmbedderFailed(f"The embedder {self.name} answered vectors of {sorted({len(row) for row in rows})} numbers.")
        found = np.array(rows, dtype=np.float64).reshape(len(rows), len(rows[0]) if rows else self.dimensions)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and lengths.all()):
            raise EmbedderFailed(f"The embedder {self.name} answered a vector without a direction.")
        self.dimensions = found.shape[1]
        directions: NDArray[np.float32] = (found / lengths).astype(np.float32)
        return directions

    def _taken(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of texts, each shortened until the server takes it."""
        try:
            return self._asked(texts)
        except Invalid:
            if len(texts) == 1 and len(texts[0]) <= SHORTEST:
                raise
            self._asked(["."])  # raises where it is not the words that it refuses
        if len(texts) == 1:
            return self._taken([texts[0][: len(texts[0]) // 2]])
        half = len(texts) // 2
        return [*self._taken(texts[:half]), *self._taken(texts[half:])]

    def _asked(self, texts: Sequence[str]) -> list[list[float]]:
        endpoint = self._one if len(texts) == 1 else self._many
        return _rows(endpoint.post("/embeddings", {"model": self._model, "input": list(texts), "encoding_format": "float"}), len(texts))


def _rows(told: object, count: int) -> list[list[float]]:
    """The vectors of an answer by their index."""
    try:
        found = {int(entry["index"]): [float(value) for value in entry["embedding"]] for entry in told["data"]}  # type: ignore[index]
    except (LookupError, TypeError, ValueError) as error:
        raise EmbedderFailed(f"The endpoint's answer is no list of embeddings: {str(told)[:200]!r}") from error
    rows = [found.get(place, []) for place in range(count)]
    if len(found) != count or not all(rows):
        raise EmbedderFailed(f"The endpoint answered {len(found)} vectors, with numbers for {sum(map(bool, rows))}, for {count} texts.")
    return rows
