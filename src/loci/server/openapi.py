"""The OpenAPI document, made from the verbs: what each takes by its signature, what it answers by the fields of its types."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from loci import __version__
from loci.errors import Denied, Invalid, kinds
from loci.server.calls import CUBE_CALLS, IMPORT, MAX_PAGE, VAULT_CALLS, Call, is_listed
from loci.server.cursors import CURSOR
from loci.server.schemas import Names, Schema, answer_of, schema_of
from loci.system import Cube, System
from loci.system.activating import Generation

NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 100}
IN_CUBE = {"name": "cube", "in": "path", "required": True, "schema": NAME, "description": "The cube."}
ONCE = {
    "name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "A text of the caller's, new for each write: asked again with it within a day, the write is not done again, and the answer is that of the first time.",
}  # fmt: skip
PROBLEM: Schema = {
    "type": "object",
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"}, "code": {"type": "string"},
        "detail": {"type": "string", "description": "What happened, and what to do next."},
    },
    "required": ["type", "title", "status", "code", "detail"],
}  # fmt: skip


@cache
def described() -> Schema:
    """The document, in OpenAPI 3.1."""
    names: Names = {"Problem": PROBLEM}
    paths: dict[str, Any] = {f"/api/{verb}": {"post": _operation(call, System, names)} for verb, call in VAULT_CALLS.items()}
    paths |= {f"/api/cubes/{{cube}}/{verb}": {"post": _operation(call, Cube, names, IN_CUBE)} for verb, call in CUBE_CALLS.items()}
    paths["/api/cubes/{cube}/import_file"] = {"post": _import(names)}
    paths["/api/cubes/{cube}/export"] = {"post": _export()}
    for path, (told, media) in PLAIN.items():
        paths[path] = {"get": {"operationId": path.strip("/").replace("/", "_").replace(".", "_"), "summary": told, "security": [],
                               "responses": {"200": {"description": told, "content": {media: {}}}}}}  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {"title": "Loci", "version": __version__, "description": "A memory operating system: every verb, over HTTP."},
        "paths": paths,
        "components": {"schemas": names, "responses": _problems(), "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
    }


PLAIN = {
    "/health/live": ("Whether the process answers.", "application/json"),
    "/health/ready": ("Whether the vault can be read, and why not; where keys are wanted, the server's log says why.", "application/json"),
    "/metrics": ("Counts and times, for Prometheus.", "text/plain"),
    "/openapi.json": ("This document.", "application/json"),
}


def _operation(call: Call, kind: type, names: Names, *places: Schema) -> Schema:
    told = inspect.getdoc(call.what) or ""
    cube = "cube_" if kind is Cube else ""
    parameters = [*places, *([ONCE] if call.is_repeatable else [])]
    answers: dict[str, Schema] = {"200": {"description": "The answer.", "content": {"application/json": {"schema": _answer(call, names)}}}}
    if call.is_told:
        answers["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    return {
        "operationId": f"{cube}{call.verb}", "summary": told.split(". ")[0].split(": ")[0].rstrip("."), "description": told, "parameters": parameters,
        "requestBody": {"required": bool(call.required), "content": {"application/json": {"schema": _taken(call)}}},
        "responses": answers | PROBLEMS,
    }  # fmt: skip


def _taken(call: Call) -> Schema:
    shown = {name: schema_of(hint) for name, hint in call.hints.items()}
    if call.is_paged:
        shown |= {CURSOR: {"type": "string", "description": "`next` of the page before; beside it goes limit alone."}}
    if call.is_reading and "limit" in shown:
        shown["limit"] = {**shown["limit"], "minimum": 0, "maximum": MAX_PAGE}
    required = {"required": list(call.required)} if call.required and not call.is_paged else {}
    return {"type": "object", "properties": shown, "additionalProperties": False, **required}


def _answer(call: Call, names: Names) -> Schema:
    if call.answer is Cube:
        return {"type": "object", "properties": {"cube": {"type": "string"}}, "required": ["cube"]}
    if call.answer is type(None):
        return {"type": "object"}
    if call.answer is Generation:
        made = answer_of(Generation, ("_pieces",), names)
        return {**made, "properties": {"text": {"type": "string"}, **made["properties"]}, "required": ["text", *made["required"]]}
    shown = schema_of(call.answer, names)
    if is_listed(call.answer):
        more: Schema = {"next": {"type": "string"}} if call.is_paged else {}
        return {"type": "object", "properties": {"items": shown, **more}, "required": ["items"]}
    return (
        shown
        if shown.get("type") == "object" or "$ref" in shown
        else {"type": "object", "properties": {"value": shown}, "required": ["value"]}
    )


def _import(names: Names) -> Schema:
    """The file is the body: its fields are in the query."""
    fields = {name: schema_of(hint) for name, hint in IMPORT.hints.items() if name != "path"}
    named: list[Schema] = [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in fields.items()]
    named.append({"name": "name", "in": "query", "required": False, "schema": NAME, "description": "The file's name."})
    return {
        "operationId": "cube_import_file", "summary": "Takes in a file", "description": inspect.getdoc(IMPORT.what), "parameters": [IN_CUBE, *named],
        "requestBody": {"required": True, "content": {"application/octet-stream": {}}},
        "responses": {"200": {"description": "What was taken in.", "content": {"application/json": {"schema": schema_of(IMPORT.answer, names)}}}} | PROBLEMS,
    }  # fmt: skip


def _export() -> Schema:
    return {
        "operationId": "cube_export", "summary": "The whole cube as a file", "description": inspect.getdoc(Cube.export), "parameters": [IN_CUBE],
        "responses": {"200": {"description": "The file, which `import_file` reads.", "content": {"application/x-ndjson": {}}}} | PROBLEMS,
    }  # fmt: skip


def _codes() -> dict[int, list[str]]:
    """The codes of errors, by the status they have."""
    codes: dict[int, set[str]] = {401: {Denied.code}, 405: {Invalid.code}, 421: {Denied.code}}
    for kind in kinds():
        codes.setdefault(kind.http_status, set()).add(kind.code)
    return {status: sorted(found) for status, found in sorted(codes.items())}


def _problems() -> dict[str, Schema]:
    """What may go wrong, by status."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {f"Problem{status}": {"description": ", ".join(found), "content": content} for status, found in _codes().items()}


PROBLEMS: dict[str, Schema] = {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in _codes()}
