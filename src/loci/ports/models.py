"""What the kernel asks of clocks and models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Clock(Protocol):
    """Time is something you hand in."""

    def now(self) -> datetime:
        """The present, time zone aware, never earlier than the last answer."""


class Ids(Protocol):
    """Where ids come from."""

    def new(self, at: datetime) -> str:
        """An id never given before that sorts by ``at``."""


class Embedder(Protocol):
    """Turns texts into directions."""

    @property
    def name(self) -> str:
        """Identity of model and precision. Vectors of two names are never compared."""

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has; 0 where that shows with the first."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (len(texts), dimensions), float32, each row of length 1, in the order given. Any text is accepted."""


class Chat(Protocol):
    """A language model that answers."""

    @property
    def name(self) -> str:
        """The model, as its endpoint spells it."""

    def complete(self, system: str, user: str, *, max_tokens: int = 512) -> str:
        """The answer to one message, as repeatable as the model allows. Raises a `LociError`."""
