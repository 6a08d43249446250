"""What a mirror and its cube have to tell each other: decided from what both say, before either is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from loci.errors import Malformed
from loci.infrastructure.markdown import Manifest, Page, Paragraph, shown
from loci.types import Memory

Words = Callable[[str, int], str | None]
"""The words of a version of a memory; None where there is none such."""


class Step(StrEnum):
    """What a paragraph asks for."""

    KEEP = "keep"  # nothing changed in the file; it gets what the cube says
    ADD = "add"
    UPDATE = "update"
    FORGET = "forget"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Plan:
    """What one paragraph, or the lack of one, comes to, and why where that is a conflict."""

    step: Step
    path: str
    paragraph: Paragraph | None
    memory: str | None
    why: str = ""


def plan(pages: Sequence[Page], present: Mapping[str, Memory], last: Manifest | None, words: Words) -> list[Plan]:
    """A plan for each paragraph of each page, in their order, then for what was there the last time and is in no page any more. Raises `Malformed`
    for a comment that names no memory of the cube, or one that is there twice."""
    found: list[Plan] = []
    seen: dict[str, str] = {}
    for page in pages:
        for paragraph in page.paragraphs:
            if paragraph.id is None:
                found.append(Plan(Step.ADD if paragraph.is_text else Step.KEEP, page.path, paragraph, None))
                continue
            where = f"{page.path}, line {paragraph.line}"
            if paragraph.id in seen:
                raise Malformed(
                    f"{where}: memory {paragraph.id} is in {seen[paragraph.id]} already. Take the comment off one of them; then it is a new memory. Nothing was changed.",
                    paragraph.line,
                )
            seen[paragraph.id] = where
            found.append(_plan(page.path, paragraph, paragraph.id, present.get(paragraph.id), words))
    for id, version in (last.versions if last else {}).items():
        memory = present.get(id)
        if id not in seen and memory is not None:
            is_same = memory.version == version
            found.append(
                Plan(
                    Step.FORGET if is_same else Step.CONFLICT, "", None, id, "" if is_same else "deleted in the folder, changed in the cube"
                )
            )
    return found


def _plan(path: str, paragraph: Paragraph, id: str, memory: Memory | None, words: Words) -> Plan:
    """Three sides: what the file says, what it said when it was written (the version in its comment), what the cube says."""
    base = words(id, paragraph.version)
    if base is None:
        raise Malformed(
            f"{path}, line {paragraph.line}: the cube has no version {paragraph.version} of a memory {id}, or it is not yours to see. Take the comment "
            "off to make this a new memory. Nothing was changed.",
            paragraph.line,
        )
    is_edited, is_empty = paragraph.lines != shown(base), not paragraph.lines
    if memory is None:
        return Plan(
            Step.CONFLICT if is_edited and not is_empty else Step.KEEP, path, paragraph, id, "edited in the folder, gone from the cube"
        )
    if not is_edited or paragraph.lines == shown(memory.text):
        return Plan(Step.KEEP, path, paragraph, id)
    if shown(memory.text) != shown(base):
        return Plan(Step.CONFLICT, path, paragraph, id, f"{'deleted' if is_empty else 'edited'} in the folder, changed in the cube")
    return Plan(Step.FORGET if is_empty else Step.UPDATE, path, paragraph, id)
