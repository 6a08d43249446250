"""An engine without a model: what it has "read" is a running hash of the tokens, and what it answers follows from that alone. It keeps
every promise of `loci.ports.engine.Engine`, so that a state which is not exactly its text shows in the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256

from loci.errors import Corrupt, Invalid
from loci.ports.engine import BLOCK, Codec, Fingerprint, LayerShape, Rates, Tensor, Tensors, Tier, reread_of
from loci.types import Message

WORDS = ("the", "harbour", "opens", "at", "nine", "and", "closes", "in", "rain", "today", "tea", "is", "green", "far", "away", "here")
LONGEST = 1 << 16  # tokens


@dataclass(frozen=True, slots=True)
class HashPage:
    """Some tokens, and the hash after each: of it and of all before it."""

    ids: tuple[int, ...]
    hashes: tuple[bytes, ...]

    @property
    def bytes(self) -> int:
        return 16 * len(self.hashes)


class HashEngine:
    """Reads bytes as tokens. ``model`` is the name of its weights: two of another name do not understand each other."""

    def __init__(self, model: str = "hash") -> None:
        self.name = model
        self.read_tokens = 0  # since it was made

    def tools(self) -> Mapping[str, str]:
        return {"loci.testing": "1"}

    def fingerprint(self) -> Fingerprint:
        digest = sha256(self.name.encode()).hexdigest()
        return Fingerprint(digest, "bytes", "lines", (), "uint8", "hash", ("none", 0.0, "{}"), (LayerShape("full", 1, 16),), LONGEST)

    def prompt(self, memory: str, messages: Sequence[Message]) -> tuple[str, str]:
        if not messages or messages[0].role != "user":
            raise Invalid("A prompt begins with a message of the user's.")
        head = f"user: {memory}"
        return head + "\n\n" + "\n".join([messages[0].text, *(f"{m.role}: {m.text}" for m in messages[1:])]) + "\nassistant: ", head

    def tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(text.encode())

    def read(self, ids: Sequence[int], after: Sequence[HashPage] = ()) -> tuple[HashPage, ...]:
        self.read_tokens += len(ids)
        if sum(len(page.ids) for page in after) + len(ids) > LONGEST:
            raise Invalid(f"That is more than this model reads ({LONGEST}).")
        pages = [page for page in after if len(page.ids) == BLOCK]
        rest = [i for page in after if len(page.ids) < BLOCK for i in page.ids] + list(ids)
        for start in range(0, len(rest), BLOCK):
            hashes, before = [], pages[-1].hashes[-1] if pages else bytes(16)
            for token in rest[start : start + BLOCK]:
                before = blake2b(before + token.to_bytes(4, "little"), digest_size=16).digest()
                hashes.append(before)
            pages.append(HashPage(tuple(rest[start : start + BLOCK]), tuple(hashes)))
        return tuple(pages)

    def read_hidden(self, ids: Sequence[int]) -> tuple[HashPage, ...]:
        return self.read(ids)

    def is_hidden_smaller(self) -> bool:
        return False

    def cut(self, state: Sequence[HashPage], tokens: int) -> tuple[HashPage, ...]:
        found, left = [], tokens
        for page in state:
            if left > 0:
                found.append(HashPage(page.ids[:left], page.hashes[:left]))
            left -= len(page.ids)
        return tuple(found)

    def compose(self, states: Sequence[Sequence[HashPage]], mode: str, share: float = 0.15, head: int = 0) -> tuple[HashPage, ...]:
        """Of the states behind the first every hash is mixed with the last before them. What ``blend`` reads again are the first tokens."""
        rest = [[(i, h) for page in state for i, h in zip(page.ids, page.hashes, strict=True)] for state in states]
        if mode not in ("block", "blend") or not rest or len({tuple(i for i, _ in state[:head]) for state in rest}) != 1:
            raise Invalid(f"States are put together by block or blend, and begin with the same {head} tokens.")
        del rest[0]
        count = reread_of(share if mode == "blend" else 0.0, sum(len(state) - head for state in rest))
        after = [i for state in rest for i, _ in state[head:]]
        again = self.read(after[:count], states[0])
        joined = [(i, h) for page in again for i, h in zip(page.ids, page.hashes, strict=True)]
        for state in rest:
            before = joined[-1][1]
            joined += [(i, blake2b(before + h, digest_size=16).digest()) for i, h in state[head + count :]]
            count = max(count - (len(state) - head), 0)
        parts = [joined[start : start + BLOCK] for start in range(0, len(joined), BLOCK)]
        return tuple(HashPage(tuple(i for i, _ in part), tuple(h for _, h in part)) for part in parts)

    def encode(self, page: HashPage, codec: Codec) -> Tensors:
        return {"L0.k": Tensor("U8", (len(page.ids), 16), b"".join(page.hashes)), "L0.v": Tensor("U8", (0,), b"")}

    def decode(self, ids: Sequence[int], start: int, codec: Codec, tensors: Tensors) -> HashPage:
        found = tensors.get("L0.k")
        if found is None or found.shape != (len(ids), 16):
            raise Corrupt("A page of this memory is of another shape. Build the memory again.")
        data = bytes(found.data)
        return HashPage(tuple(ids), tuple(data[n : n + 16] for n in range(0, len(data), 16)))

    def park(self, page: HashPage) -> HashPage:
        return page

    def fetch(self, page: HashPage) -> HashPage:
        return page

    def rates(self) -> Rates:
        return Rates(0.0, 1e-3, 0.0, 0.0, Tier(0.0, 1e12), Tier(0.0, 1e12))

    def compare(self, state: Sequence[HashPage], other: Sequence[HashPage]) -> Mapping[str, float]:
        return {"kl": float(list(state) != list(other))}

    def generate(
        self, state: Sequence[HashPage], ids: Sequence[int], *, max_tokens: int, temperature: float = 0.0, seed: int = 0
    ) -> Iterator[str]:
        for _ in range(max_tokens):
            state = self.read(ids, state)
            last = state[-1].hashes[-1]
            word = WORDS[last[0] % len(WORDS)] + " "
            yield word
            ids = tuple(word.encode())
