"""A store of LangGraph's, dumped: items of a namespace, a key and a value, as `Item.dict()` gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from loci.infrastructure.formats import Kept, Row, Sheet, Transcript, objects
from loci.types import Message

TEXTS = ("memory", "text", "content", "data", "fact")


def items(sheet: Sheet) -> list[Transcript]:
    """Each item as a fact whose session is its namespace, and whose id is that and its key. A value without words is kept as JSON."""
    kept = Kept(sheet)
    for row in objects(sheet):
        for one in row.each("items", "item") if "items" in row.fields else [row]:
            with sheet.each(one.named("key")):
                _keep(kept, one)
    return kept.transcripts()


def _keep(kept: Kept, row: Row) -> None:
    namespace, key, held = row.names("namespace"), row.label("key"), row.fields.get("value")
    if not namespace or key is None:
        raise row.wrong("'namespace' must be an array of names, and 'key' a string.")
    id = f"{'/'.join(namespace)}/{key}"
    if not isinstance(held, Mapping):
        row.sheet.refuse(id, "its value is no object" if held is not None else "it has no value: it was deleted")
        return
    kept.add((None, None), Message("user", _text(held), row.at("updated_at", "created_at"), id=id, session="/".join(namespace)), row.line)


def _text(value: Mapping[str, object]) -> str:
    """What a value says: its words, those of the object they stand in (LangMem's ``content``), else all of it."""
    for name in TEXTS:
        held = value.get(name)
        if isinstance(held, str) and held.strip():
            return held
        if isinstance(held, Mapping):
            return _text(held)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
