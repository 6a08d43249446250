"""``LociStore``: LangGraph's operations over the verbs of a cube."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)

from loci.compat.langgraph.items import (
    KEY,
    NAMESPACE,
    ROLE,
    SEARCHED,
    WHOLE,
    Namespace,
    Written,
    item_of,
    minutes_of,
    path_of,
    plain,
    written,
)
from loci.compat.langgraph.matching import Users, matches, passes
from loci.errors import Invalid, Missing, Refused
from loci.system import Cube
from loci.types import Channel, Hit, Memory, Message, Outcome

PAGE = 1_000  # memories that are looked through at a time, and hits at most
FRESH = 0.9  # of its time to live: with more than that left, reading an item does not lengthen it
UPDATED = "put again"


class LociStore(BaseStore):
    """A `BaseStore` over a ``cube``, of `MemOS.open` or of `loci.connect`.

    ``index={"fields": [...]}`` says what of a value is searched (paths as in LangGraph; default: all of it, as JSON). ``users`` says whose an item is:
    ``("memories", "{langgraph_user_id}")`` makes what is put below ``("memories", "alice")`` alice's. ``ttl`` is LangGraph's `TTLConfig`. With ``erases``
    a delete destroys; otherwise it forgets. Errors are `loci.errors`; of a namespace, LangGraph's `InvalidNamespaceError`.
    """

    supports_ttl = True

    def __init__(
        self,
        cube: Cube,
        *,
        index: Mapping[str, Any] | None = None,
        users: Sequence[str] = (),
        ttl: TTLConfig | None = None,
        erases: bool = False,
    ) -> None:
        self._cube, self._users, self.ttl_config, self._erases = cube, Users(users), ttl, erases
        self._fields = _fields_of(index or {})
        self._writing = threading.Lock()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The answers, in order. As in `InMemoryStore`, reads see what was there before the batch, and of several puts of one key the last holds."""
        asked = list(ops)
        for op in asked:
            validate_op_namespace(op)
            if isinstance(op, PutOp) and not op.namespace:
                raise InvalidNamespaceError("Namespace cannot be empty.")
        answers = [None if isinstance(op, PutOp) else self._answer(op) for op in asked]
        self._write({(op.namespace, op.key): op for op in asked if isinstance(op, PutOp)}.values())
        return answers

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The same in a thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    # -- reading ---------------------------------------------------------------------------------------------------------

    def _answer(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            return self._get(op)
        if isinstance(op, SearchOp):
            return self._search(op)
        if isinstance(op, ListNamespacesOp):
            return self._namespaces(op)
        raise Invalid(f"{op!r:.100} is no operation; there are GetOp, SearchOp, PutOp and ListNamespacesOp.")

    def _get(self, op: GetOp) -> Item | None:
        known = self._known(op.namespace, op.key)
        found = item_of(known[-1]) if known else None
        if found is None:
            return None
        self._refresh(known[-1:], op.refresh_ttl)
        return plain(found)

    def _search(self, op: SearchOp) -> list[SearchItem]:
        begin, end = _bounds(op.offset, op.limit)
        user = self._users.of(op.namespace_prefix)
        memories = (
            self._ranked(op, end, user)
            if op.query
            else ((memory, None) for memory in self._listed(op.namespace_prefix, user, PAGE if op.filter else end))
        )
        items = (
            (memory, item) for memory, score in memories if (item := item_of(memory, score)) is not None and passes(item.value, op.filter)
        )
        found = list(islice(items, begin, end))
        self._refresh([memory for memory, _ in found], op.refresh_ttl)
        return [item for _, item in found]

    def _ranked(self, op: SearchOp, most: int, user: str | None) -> Iterator[tuple[Memory, float | None]]:
        """What answers the query, best first, with its score; then, as in `InMemoryStore`, the rest without one. Asks for more while more is wanted."""
        where = {"AND": [_below(op.namespace_prefix), {SEARCHED: {"ne": False}}]}
        seen: set[str] = set()
        most = min(max(most, 1), PAGE)
        while True:
            hits = self._hits(str(op.query), user, most, where)
            for hit in hits:
                if hit.memory.id not in seen:
                    seen.add(hit.memory.id)
                    yield hit.memory, hit.score
            if len(hits) < most or most == PAGE:
                break
            most = min(4 * most, PAGE)
        for memory in self._listed(op.namespace_prefix, user):
            if memory.id not in seen:
                yield memory, None

    def _namespaces(self, op: ListNamespacesOp) -> list[Namespace]:
        begin, end = _bounds(op.offset, op.limit)
        conditions = op.match_conditions or ()
        items = map(item_of, self._listed((), self._users.among(conditions)))
        found = {item.namespace for item in items if item is not None and matches(item.namespace, conditions)}
        return sorted({namespace[: op.max_depth] for namespace in found})[begin:end]

    def _listed(self, namespace: Namespace, user: str | None, step: int = PAGE) -> Iterator[Memory]:
        """What is below a namespace, in the order it was first put; so many are read at a time."""
        try:
            yield from self._cube.walk(step=min(max(step, 1), PAGE), archived=True, user=user, where=_below(namespace))
        except Missing:  # the cube: behind a server the first put makes it
            return

    def _known(self, namespace: Namespace, key: str) -> list[Memory]:
        """The memory that is this item. They are several where two processes put it for the first time at once: then the last holds."""
        found = self._list(user=self._users.of(namespace), session=path_of(namespace), where={KEY: {"eq": key}}, limit=PAGE)
        return sorted(found, key=lambda memory: (str(memory.recorded.start), memory.id))

    def _list(self, **asked: Any) -> Sequence[Memory]:
        try:
            return self._cube.list(archived=True, **asked)
        except Missing:  # the cube: behind a server the first put makes it
            return ()

    def _hits(self, query: str, user: str | None, most: int, where: Mapping[str, Any]) -> Sequence[Hit]:
        try:
            return self._cube.search(query, user=user, limit=most, where=where, archived=True).hits
        except Missing:  # as above
            return ()

    # -- writing ---------------------------------------------------------------------------------------------------------

    def _write(self, puts: Iterable[PutOp]) -> None:
        now = datetime.now(UTC)
        kept = [(op, None if op.value is None else written(op, self._fields, now)) for op in puts]  # all are checked before one is stored
        new: dict[tuple[str | None, datetime | None], list[Message]] = defaultdict(list)
        with self._writing:
            for op, item in kept:
                known = self._known(op.namespace, op.key)
                if item is None:
                    self._delete(known)
                elif known:
                    self._revise(known[-1], item)
                else:
                    new[self._users.of(op.namespace), item.expires].append(item.message(op.namespace))
            for (user, expires), messages in new.items():
                receipt = self._cube.add(messages, user=user, expires=expires)
                if receipt.count(Outcome.QUARANTINED):
                    raise Refused(
                        "What was put gives orders, and this key's words are untrusted: it waits until its owner accepts it (`loci review`)."
                    )
                if len(receipt.sources) < len(messages):
                    told = next(change.reason for change in receipt.changes if change.memory is None)
                    raise Refused(
                        f"Of {len(messages)} new items {len(receipt.sources)} were stored: {told}. Have the whole value searched, or change it."
                    )

    def _revise(self, memory: Memory, item: Written) -> None:
        """A further version, unless it is what is there already."""
        end: dict[str, Any] = (
            {} if item.expires == memory.expires else {"forever": True} if item.expires is None else {"expires": item.expires}
        )
        kept = None if item.metadata == memory.metadata else item.metadata
        if item.text != memory.text:
            self._cube.update(memory.id, item.text, metadata=kept, channel=Channel(ROLE), reason=UPDATED, **end)
        elif kept is not None or end:
            self._cube.update(memory.id, metadata=kept, reason=UPDATED, **end)

    def _delete(self, known: Sequence[Memory]) -> None:
        for memory in known:
            if self._erases:
                self._cube.erase(memory.id)
            else:
                self._cube.forget(memory.id, reason="deleted from the store")

    def _refresh(self, read: Sequence[Memory], is_wanted: bool) -> None:
        """Lengthens the time to live of what was read, where a tenth of it has passed: each time is a version."""
        now = datetime.now(UTC)
        for memory in read if is_wanted else ():
            minutes = minutes_of(memory)
            if minutes is not None and memory.expires is not None and memory.expires - now < FRESH * timedelta(minutes=minutes):
                self._cube.update(memory.id, expires=now + timedelta(minutes=minutes), reason="read")


def _below(namespace: Namespace) -> dict[str, Any]:
    """The filter for items at a namespace and below it."""
    return {NAMESPACE: {"eq": path_of(namespace)} if namespace else "*", KEY: "*"}


def _bounds(offset: int, limit: int) -> tuple[int, int]:
    if offset < 0 or limit < 0:
        raise Invalid(f"offset is {offset} and limit {limit}; neither can be less than 0.")
    return offset, offset + limit


def _fields_of(index: Mapping[str, Any]) -> Sequence[str]:
    """What of a value is searched."""
    if left_out := sorted({"embed", "dims"} & index.keys()):
        warnings.warn(f"Loci leaves {' and '.join(left_out)} of the index aside: the vault has an embedder of its own.", stacklevel=3)
    found = index.get("fields") or [WHOLE]
    if isinstance(found, str) or not all(isinstance(field, str) for field in found):
        raise Invalid(f"fields is {found!r:.100}; it must be a list of paths, such as ['text', 'context[*].content'].")
    return list(found)
