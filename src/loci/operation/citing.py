"""The memories that a prompt shows, by the numbers that an answer cites them by."""

from __future__ import annotations

from collections.abc import Sequence

from loci.operation.operator import item
from loci.operation.redact import Redactor
from loci.policy import packing
from loci.text.cited import citations
from loci.types import Recall


def shown(recall: Recall, block: Sequence[str], redactor: Redactor, budget_tokens: int | None) -> list[str]:
    """In the order of their numbers: the memories of an activation memory that the prompt begins with, if it does, and then what else was
    recalled, as far as there was room for it."""
    if not block:
        return list(recall.ids)
    hits = [hit for hit in recall.hits if hit.memory.id not in set(block)]
    texts = redactor.texts([hit.memory.text for hit in hits])
    items = [item(hit, text) for hit, text in zip(hits, texts, strict=True)]
    packed = packing.pack(items, budget_tokens, recall.trace.call.terms, first=len(block) + 1)
    return [*block, *(hits[rank].memory.id for rank in packed.taken)]


def cited(text: str, memories: Sequence[str]) -> list[str]:
    """Those of the memories that an answer refers to. Numbers that nothing has are passed over: a model may write any."""
    return [memories[number - 1] for number in citations(text) if 0 < number <= len(memories)]
