"""Whether claims under one name are about one person: "my brother Tom" and "my colleague Tom" are two (design/026).

A relation told with the name says who is meant. A bare name means whom it was known for when it was said: one person, or, where
several were known by it, nobody knows whom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from loci.policy.claim import Claim
from loci.text.facts import key
from loci.text.wording.relations import is_one_person, naming

Precedes = Callable[[Claim, Claim], bool]


def namesakes(name: str, known: Sequence[Claim]) -> list[Claim]:
    """Return the claims that tell a relation of who is called so: of their own subject, or of the one they name."""
    told = []
    for claim in known:
        if claim.subject == name and claim.relation is not None:
            told.append(claim)
        elif claim.polarity and claim.subject and claim.attribute and claim.value in (name, name.split(" ")[0]):
            relation = naming(claim.subject, claim.attribute)
            told += [replace(claim, relation=relation)] if relation else []
    return told


def same_person(a: Claim, b: Claim, told: Sequence[Claim], precedes: Precedes) -> bool | None:
    """Tell whether two claims under one name are about one person, by the relations `told` of it; None where nobody knows."""
    if not told or (_is_own(a) and _is_own(b)):
        return True
    mine, others = (_meant(claim, told, precedes) for claim in (a, b))
    if len(mine) != 1 or len(others) != 1:
        return None
    return is_one_person(mine[0], others[0])


def _meant(claim: Claim, told: Sequence[Claim], precedes: Precedes) -> list[str]:
    """Return the relations of the people whom a claim can be about, one of each."""
    if claim.relation is not None:
        return [claim.relation]
    before = _people([each for each in told if each.memory == claim.memory or precedes(each, claim)])
    return before or _people(told)


def _people(told: Sequence[Claim]) -> list[str]:
    """Return the relations of different people, one of each."""
    found: list[str] = []
    for claim in told:
        assert claim.relation is not None
        if not any(is_one_person(claim.relation, relation) for relation in found):
            found.append(claim.relation)
    return found


def _is_own(claim: Claim) -> bool:
    return claim.relation is None and claim.speaker is not None and key(claim.speaker) == claim.subject
