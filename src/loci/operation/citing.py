"""The memories that a prompt shows, by the numbers that an answer cites them by."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from loci.operation.operator import pack
from loci.operation.redact import Redactor
from loci.policy.packing import Pack
from loci.text.cited import citations
from loci.types import Hit, Recall


def shown(recall: Recall, block: Sequence[str], redactor: Redactor, budget_tokens: int | None) -> list[str]:
    """In the order of their numbers: the memories of an activation memory that the prompt begins with, if it does, and then what else was
    recalled, as far as there was room for it."""
    if not block:
        return list(recall.ids)
    hits, packed = behind(recall, block, redactor, budget_tokens)
    return [*block, *(hits[rank].memory.id for rank in packed.taken)]


def behind(recall: Recall, block: Collection[str], redactor: Redactor, budget_tokens: int | None) -> tuple[list[Hit], Pack]:
    """What was recalled besides the memories of a block that a prompt begins with, and as the prompt shows it: numbered behind these."""
    hits = [hit for hit in recall.hits if hit.memory.id not in block]
    return hits, pack(hits, redactor, budget_tokens, recall.trace.call.terms, len(block) + 1)


def cited(text: str, memories: Sequence[str]) -> list[str]:
    """Those of the memories that an answer refers to. Numbers that nothing has are passed over: a model may write any."""
    return [memories[number - 1] for number in citations(text) if 0 < number <= len(memories)]
