"""What the kernel asks of a model behind an inference server: the server keeps what it has read, and we know of which tokens, and whose.

Two kinds. A *prefix* server finds by itself what it has read before and forgets it as it likes; what is read under one salt is not found
under another. A *slot* server writes what it has read to files that we name, and reads them back when it is told to; nothing on its side
says whether a file fits, so that everything it depends on is compared before (`loci.memories.activation.check_fit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from loci.ports.engine import Fingerprint
from loci.types import Message


@dataclass(frozen=True, slots=True)
class Warmed:
    """A prefix that was read: its tokens, how many of them were in the cache already (None: the server does not say), and how long it took."""

    tokens: int
    cached_tokens: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and what it took: tokens of the prompt, and those of them that were not read again (None: the server does not say)."""

    text: str
    prompt_tokens: int
    cached_tokens: int | None


@dataclass(frozen=True, slots=True)
class Saved:
    """What a slot's file holds."""

    tokens: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Hits:
    """Of all prompts of all who use the server since it started: tokens, and those of them that its cache held."""

    tokens: int
    cached_tokens: int


@runtime_checkable
class Server(Protocol):
    """A model behind a server. Every call may be made from several threads. A server that does not answer is `Unavailable`; one that
    does not do what its documentation says is `Unsupported`."""

    @property
    def kind(self) -> str:
        """llamacpp, vllm or sglang."""

    @property
    def url(self) -> str: ...

    @property
    def model(self) -> str:
        """The model's name, as the server spells it."""

    @property
    def slots(self) -> Slots | None:
        """The files that it keeps what it has read in; None for a server that finds by itself what it has read."""

    def fingerprint(self) -> Fingerprint:
        """As the server tells it now. Fields that it does not tell are empty, and never differ."""

    def tokens(self, memory: str, messages: Sequence[Message]) -> tuple[int, ...]:
        """The whole prompt, as the server's own template and tokenizer make it. ``memory`` stands before the first message, which is the
        user's."""

    def warm(self, ids: Sequence[int], salt: str) -> Warmed:
        """Reads a prefix, so that a prompt that begins with it is answered sooner."""

    def answer(self, ids: Sequence[int], salt: str | None, *, max_tokens: int, temperature: float = 0.0, seed: int = 0) -> Answer:
        """The answer to a prompt. What was read under ``salt`` before need not be read again; under None everything is."""

    def reset(self) -> bool:
        """Has the server forget every prefix that it holds, of all who use it. False where it does not offer that."""

    def hits(self) -> Hits | None:
        """How well its cache does; None where the server does not tell."""


class Slots(Protocol):
    """The files of a server that keeps what it has read in one."""

    def alone(self) -> AbstractContextManager[object]:
        """Nobody else in this process has the server's slot inside."""

    def save(self, name: str) -> Saved:
        """Writes what was warmed to a file, which replaces the one of that name."""

    def restore(self, name: str) -> Saved:
        """Reads a file back, so that the next answer goes on from it. Raises `Missing` or `Corrupt` for one that cannot be read."""

    def drop(self, name: str) -> None:
        """Takes out of a file everything that was in it. Raises where nobody can say that it is gone."""
