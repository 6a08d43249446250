"""mem0's routes as a room of a server: those of its hosted service, which `MemoryClient` calls, and those of its own server.

A door: what is asked is spelled as the methods of `Platform` take it, what they answer goes out as it is, and what goes wrong in the shape that mem0's
clients read, with the status of the error. What needs a key, and whose memories it opens, the gate says.
"""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NoReturn
from urllib.parse import unquote

from starlette.datastructures import URL, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from loci.compat.mem0 import Platform, asked
from loci.compat.mem0.errors import legacy
from loci.compat.mem0.platform import PAGE
from loci.errors import Invalid, LociError, Missing, Unsupported, meant
from loci.infrastructure import uses
from loci.server.calls import Lane
from loci.server.cursors import CURSOR, begun, cursor_of
from loci.server.problems import OtherMethod, beside, encoded, problem
from loci.server.rest import VERB, fields, given_key, made, opened

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
ASIDE = frozenset({
    "org_id", "project_id", "source", "version", "output_format", "async_mode", "enable_graph", "keyword_search", "filter_memories", "includes",
    "excludes", "immutable", "custom_categories", "custom_instructions", "agent_custom_instructions", "structured_data_schema", "latest_only",
    "fields", "schema", "export_instructions",
})  # fmt: skip
"""What the hosted service takes and means nothing here. The answer says that it was left aside."""
WHOSE = tuple(asked.IDS)
PAGING = ("page", "page_size", CURSOR)
NUMBERS, SWITCHES = ("page", "page_size", "top_k", "limit"), ("show_expired", "explain", "rerank", "delete_linked")
MAX_DIGITS = 20
NO_CATEGORIES = "There are no categories here: keep them in metadata when you add, and filter by that."
Given = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A request, read: the names in its path, its query, its body, and its idempotency key. ``told`` is what was left aside."""

    path: Given
    query: list[tuple[str, Any]]
    body: Given
    url: URL
    address: str  # the path in words; a last stroke that it has is a name's
    key: str | None
    told: list[str]

    def taken(self, *names: str) -> dict[str, Any]:
        """The fields of these names. Raises `Invalid` for what is none of them, and for one that says two things: whoever narrows a call must not find
        that it did more. Of pages the query counts: ``next`` has it there, and is asked for with the body of before."""
        found: dict[str, Any] = {}
        for name, value in (*self.body.items(), *self.query):
            spelled = asked.CAMEL.get(name, name)
            if spelled in names:
                if spelled not in PAGING and found.get(spelled, value) != value:
                    raise Invalid(f"{spelled} is {found[spelled]!r:.100} and {value!r:.100}: give it once. Nothing was done.")
                found[spelled] = value
            elif name == "categories":
                raise Unsupported(NO_CATEGORIES)
            elif name in ASIDE:
                self.told.append(f"{name}: it means nothing here")
            else:
                there = f" There are {', '.join(names)}." if names else " Leave it out."
                raise Invalid(f"There is no field {name!r:.100} here. Nothing was done." + meant(name, names, there, likeness=0.75))
        return {name: value for name, value in found.items() if value is not None or name == "expiration_date"}


Act = Callable[[Platform, Call], Any]


class Mem0:
    """The routes, over the vault of whoever asks. Calls without ``app_id`` are about ``cube``; ``run`` has them made in a thread."""

    def __init__(self, cube: str, run: Callable[[Callable[[], Response], Lane], Awaitable[Response]]) -> None:
        self._cube, self._run = cube, run
        self._routes = [
            Route(spelled, self._answering(acts), methods=METHODS) for path, acts in ROUTES.items() for spelled in _spelled(path)
        ]

    def routes(self) -> list[Route]:
        """They come before what takes all of /v1."""
        return self._routes

    def refusal(self, scope: Scope, error: LociError) -> Response:
        """The answer to what goes wrong: on these routes as mem0 has it, elsewhere as a problem document."""
        if all(route.matches(scope)[0] is Match.NONE for route in self._routes):
            return problem(error)
        status, body = legacy(error)
        return Response(encoded(body), status, beside(error), "application/json")

    def _answering(self, acts: Mapping[str, Act]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            request.scope[VERB] = "mem0"
            act = acts.get(request.method, acts.get("*"))
            if act is None:
                raise OtherMethod(
                    f"{request.method} is not for this address; it takes {', '.join(acts)}. Nothing was done.", ", ".join(acts)
                )
            query, address = _read(request.query_params), unquote(request.scope["raw_path"].decode("latin-1").removesuffix("/"))
            call = Call(request.path_params, query, await fields(request), request.url, address, given_key(request), [])
            if call.key is not None and act in KEYLESS:
                raise Invalid("An Idempotency-Key is for adding; this call takes none. Nothing was done.")
            return await self._run(lambda: self._made(request, act, call), "search" if act in SEARCHES else "short")

        return answer

    def _made(self, request: Request, act: Act, call: Call) -> Response:
        with uses.call():  # however many verbs it takes
            found = act(Platform.over(opened(request), self._cube, call.told), call)
        if isinstance(found, dict) and call.told:
            found = found | {"left_aside": call.told}
        return made(found)


def _spelled(path: str) -> tuple[str, ...]:
    """With and without the last stroke: the hosted service's addresses have one, its documents leave it out."""
    return (path,) if path.endswith(":path}") else (path, f"{path}/")


def _read(query: QueryParams) -> list[tuple[str, Any]]:
    """A query's words as JSON would have them."""
    return [(name, _value(name, word)) for name, word in query.multi_items()]


def _value(name: str, word: str) -> Any:
    if name in NUMBERS and word.isdecimal() and len(word) <= MAX_DIGITS:
        return int(word)
    if name in SWITCHES and word.lower() in ("true", "false"):
        return word.lower() == "true"
    return _literal(word) if name == "filters" else word


def _literal(word: str) -> Any:
    """A filter in a query. `MemoryClient.delete_all(filters={...})` sends what Python prints of it, which for filters is JSON but for quotes and None."""
    try:
        return ast.literal_eval(word)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise Invalid("filters is no object that can be read. Give user_id, agent_id, run_id or app_id. Nothing was done.") from error


# -- the hosted service ------------------------------------------------------------------------------------------------------


def ping(memory: Platform, call: Call) -> Any:
    return {"status": "ok", "org_id": "loci", "project_id": memory.cube_name, "user_email": None}


def add(memory: Platform, call: Call) -> Any:
    given = call.taken(*WHOSE, "messages", "filters", "metadata", "timestamp", "expiration_date", "infer", "memory_type", "prompt")
    return memory.remember(given.pop("messages", None), key=call.key, **given)


def search(memory: Platform, call: Call) -> Any:
    found = _searched(memory, call)
    return found | {"results": [_categorised(one) for one in found["results"]]}


def listed(memory: Platform, call: Call) -> Any:
    given = call.taken(*WHOSE, "filters", "metadata", "start_date", "end_date", *PAGING, "show_expired")
    cursor, number, size = given.pop(CURSOR, None), given.get("page", 1), given.get("page_size", PAGE)
    at = None if cursor is None else begun(cursor)
    page = memory.page(**_narrowed(given), begun=None if at is None or at.moment is None else (at.moment, at.after))
    next = None if page.next is None else cursor_of({}, moment=page.next[0], after=page.next[1])
    url = call.url.remove_query_params(CURSOR)
    return {
        "count": page.count,
        "next": None if next is None else str(url.include_query_params(page=number + 1, page_size=size, **{CURSOR: next})),
        "previous": str(url.include_query_params(page=number - 1, page_size=size)) if number > 1 else None,
        "results": [_categorised(one) for one in page.items],
    }


def get(memory: Platform, call: Call) -> Any:
    return _categorised(_shown(memory, call.path["memory_id"]))


def update(memory: Platform, call: Call) -> Any:
    id = call.path["memory_id"]
    given = call.taken("text", "data", "metadata", "expiration_date", "timestamp")
    if "timestamp" in given:
        raise Unsupported("When a memory was said does not change. Delete it, and add it with that timestamp. Nothing was changed.")
    told = memory.update(id, **given)
    shown = _shown(memory, id)
    return _categorised(shown) | {"text": shown["memory"]} | told


def delete(memory: Platform, call: Call) -> Any:
    if call.taken("delete_linked").get("delete_linked"):
        raise Unsupported(
            "delete_linked cannot be had: what a memory superseded has an id of its own, in `changes` of its addition. Nothing was deleted."
        )
    return memory.delete(call.path["memory_id"])


def delete_all(memory: Platform, call: Call) -> Any:
    return memory.delete_all(**call.taken(*WHOSE, "filters"))


def history(memory: Platform, call: Call) -> Any:
    rows = memory.history(call.path["memory_id"])
    if not rows:
        raise Missing(f"Memory with id {call.path['memory_id']:.100} not found. Please provide a valid 'memory_id'.")
    return rows


def users(memory: Platform, call: Call) -> Any:
    found = memory.entities()
    return {"count": len(found), "next": None, "previous": None, "results": found}


def delete_entity(memory: Platform, call: Call) -> Any:
    call.taken()
    kind, _, name = call.address.partition("/entities/")[2].partition("/")
    return memory.delete_entity(kind, name)


def batch_update(memory: Platform, call: Call) -> Any:
    return memory.batch_update(call.taken("memories").get("memories"))


def batch_delete(memory: Platform, call: Call) -> Any:
    return memory.batch_delete(call.taken("memories").get("memories"))


def export(memory: Platform, call: Call) -> Any:
    return memory.export(**call.taken(*WHOSE, "filters"))


def exported(memory: Platform, call: Call) -> Any:
    return memory.exported(**call.taken(*WHOSE, "filters", "memory_export_id"))


def feedback(memory: Platform, call: Call) -> Any:
    given = call.taken("memory_id", "feedback", "feedback_reason")
    return memory.feedback(given.get("memory_id"), given.get("feedback"), given.get("feedback_reason"))


def event(memory: Platform, call: Call) -> Any:
    return memory.event(call.path["event_id"])


# -- its own server ----------------------------------------------------------------------------------------------------------


def add_here(memory: Platform, call: Call) -> Any:
    found = add(memory, call)
    return {name: value for name, value in found.items() if name not in ("event_id", "status", "message")}


def listed_here(memory: Platform, call: Call) -> Any:
    return memory.get_all(**call.taken(*WHOSE, "filters", "top_k", "limit", "show_expired"))


def search_here(memory: Platform, call: Call) -> Any:
    return _searched(memory, call)


def get_here(memory: Platform, call: Call) -> Any:
    return _shown(memory, call.path["memory_id"])


def update_here(memory: Platform, call: Call) -> Any:
    return memory.update(call.path["memory_id"], **call.taken("text", "data", "metadata", "expiration_date"))


def entities_here(memory: Platform, call: Call) -> Any:
    return memory.entities()


def reset(memory: Platform, call: Call) -> Any:
    call.taken()
    memory.reset()
    return {"message": "All memories reset"}


# -- what they share ---------------------------------------------------------------------------------------------------------


def _searched(memory: Platform, call: Call) -> dict[str, Any]:
    given = call.taken(
        *WHOSE, "query", "filters", "metadata", "top_k", "limit", "threshold", "rerank", "explain", "reference_date", "show_expired"
    )
    return memory.search(given.pop("query", ""), **_narrowed(given))


def _shown(memory: Platform, id: str) -> dict[str, Any]:
    found = memory.get(id)
    if found is None:
        raise Missing(f"Memory with id {id:.100} not found. Please provide a valid 'memory_id'.")
    return found


def _categorised(item: dict[str, Any]) -> dict[str, Any]:
    """With the field that programs written for the hosted service look into: nothing sorts memories into categories here."""
    return item | {"categories": []}


def _narrowed(given: dict[str, Any]) -> dict[str, Any]:
    """What is asked beside a filter, in it: metadata, and the first and last day."""
    found: list[Any] = [{"metadata": given.pop("metadata")}] if "metadata" in given else []
    if "start_date" in given:
        found.append({"created_at": {"gte": _instant(given.pop("start_date"), "start_date")}})
    if "end_date" in given:
        end = given.pop("end_date")
        found.append({"created_at": {"lte": f"{end}T23:59:59.999999" if _is_day(end) else _instant(end, "end_date")}})
    if found:
        filters = given.get("filters") or {}
        if not isinstance(filters, Mapping) or not isinstance(filters.get("AND", []), list):
            raise Invalid(f"filters is {filters!r:.100}; it must be an object such as {{'user_id': 'alice'}}, and AND in it a list.")
        given["filters"] = {**filters, "AND": [*filters.get("AND", ()), *found]}
    return given


def _instant(value: object, name: str) -> str:
    return str(asked.time_of(value, name))


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _instead(told: str) -> dict[str, Act]:
    """An address of mem0's that has no meaning here, and what has."""

    def refuse(memory: Platform, call: Call) -> NoReturn:
        raise Unsupported(f"This cannot be had at Loci. {told}")

    return {"*": refuse}


def _nothing(memory: Platform, call: Call) -> NoReturn:
    raise Missing("There is nothing at this address of mem0's. docs/how-to/from-mem0.md lists what there is.")


ENTITY: dict[str, Act] = {"DELETE": delete_entity}
NO_MODEL = "It takes a model: `get_all` gives the memories, and your own program can ask one."
NO_ACCOUNTS = (
    "There are no accounts, organisations or projects: `loci key NAME` makes keys, `loci grant NAME ROLE --on CUBE` says what they may."
)
NO_PROFILES = f"There are no profiles. {NO_MODEL}"
NO_SETTINGS = "What is set is set where the server runs: `loci settings` shows it."
ROUTES: dict[str, dict[str, Act]] = {
    "/v1/ping": {"GET": ping},
    "/v3/memories/add": {"POST": add},
    "/v3/memories/search": {"POST": search},
    "/v2/memories/search": {"POST": search},
    "/v1/memories/search": {"POST": search},
    "/v3/memories": {"POST": listed},
    "/v2/memories": {"POST": listed},
    "/v1/memories": {"GET": listed, "POST": add, "DELETE": delete_all},
    "/v1/memories/{memory_id}": {"GET": get, "PUT": update, "DELETE": delete},
    "/v1/memories/{memory_id}/history": {"GET": history},
    "/v1/memories/{rest:path}": {"*": _nothing},
    "/v1/batch": {"PUT": batch_update, "DELETE": batch_delete},
    "/v1/entities": {"GET": users},
    "/v2/entities/{kind}/{name}/profile": _instead(NO_PROFILES),
    **dict.fromkeys(("/v2/entities/{kind}/{name:path}", "/v1/entities/{kind}/{name:path}"), ENTITY),
    "/v2/profiles/{rest:path}": _instead(NO_PROFILES),
    "/v1/exports": {"POST": export},
    "/v1/exports/get": {"POST": exported},
    "/v1/feedback": {"POST": feedback},
    "/v1/event/{event_id}": {"GET": event},
    "/v1/events": _instead(
        "The audit log has what was done: `POST /api/cubes/{cube}/log`. One addition's outcome is at /v1/event/{event_id}/."
    ),
    "/v1/summary": _instead(NO_MODEL),
    "/api/v1/webhooks/{rest:path}": _instead(
        "Nothing here calls other servers. Ask /v1/event/{event_id}/, or read `POST /api/cubes/{cube}/log`."
    ),
    "/api/v1/{rest:path}": _instead(NO_ACCOUNTS),
    "/memories": {"GET": listed_here, "POST": add_here, "DELETE": delete_all},
    "/memories/{memory_id}": {"GET": get_here, "PUT": update_here, "DELETE": delete},
    "/memories/{memory_id}/history": {"GET": history},
    "/search": {"POST": search_here},
    "/entities": {"GET": entities_here},
    "/entities/{kind}/{name:path}": ENTITY,
    "/reset": {"POST": reset},
    **dict.fromkeys(("/configure", "/configure/{rest:path}", "/generate-instructions"), _instead(NO_SETTINGS)),
    **dict.fromkeys(("/auth/{rest:path}", "/api-keys", "/api-keys/{rest:path}"), _instead(NO_ACCOUNTS)),
    "/requests": _instead("`loci serve --log` writes a line for each request; /metrics counts them."),
}
SEARCHES = (search, search_here)
KEYLESS = frozenset({update, delete, delete_all, delete_entity, batch_update, batch_delete, feedback, update_here, reset})
