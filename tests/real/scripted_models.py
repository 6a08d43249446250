"""An upstream that answers by script over real HTTP, in the words of three APIs. It remembers every byte that it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON, EVENTS = "application/json", "text/event-stream"
PATHS = {"/v1/chat/completions": "chat", "/v1/responses": "responses", "/v1/messages": "messages"}


@dataclass
class Call:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw)
        return found


@dataclass
class Script:
    """What is answered: words, a call of a tool, or an error; ``late`` is waited for before any of it, ``gate`` before the last half of a stream,
    ``ends`` whether it comes."""

    words: str = "Noted."
    tool: dict[str, Any] | None = None
    status: int = 200
    error: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    late: threading.Event | None = None
    gate: threading.Event | None = None
    ends: bool = True
    id: str = "resp_1"  # of a response


class Models(ThreadingHTTPServer):
    """``scripts`` are taken one a request; then the last goes on."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[Call] = []
        self.sent: list[bytes] = []
        self.scripts: list[Script] = [Script()]
        self.is_left = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def script(self) -> Script:
        return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]

    def handle_error(self, *_: object) -> None:
        """Clients leave; that is no noise."""


class _Handler(BaseHTTPRequestHandler):
    server: Models
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.calls.append(Call("GET", self.path, dict(self.headers), b""))
        listed = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "here"}]}
        self._whole(200, json.dumps(listed).encode(), {})

    def do_PUT(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.calls.append(Call(self.command, self.path, dict(self.headers), raw))
        self._whole(200, b"{}", {})

    do_PATCH = do_DELETE = do_PUT

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.calls.append(Call("POST", self.path, dict(self.headers), raw))
        script, api = self.server.script(), PATHS.get(self.path.partition("?")[0])
        if script.late is not None and not script.late.wait(20):
            return
        if script.status != 200:
            self._whole(script.status, script.error, script.headers)
        elif api is None:
            self._whole(200, raw, script.headers)
        elif json.loads(raw).get("stream"):
            self._stream(EVENT[api](script), script)
        else:
            self._whole(200, json.dumps(WHOLE[api](script)).encode(), script.headers)

    def _whole(self, status: int, raw: bytes, headers: dict[str, str]) -> None:
        self.server.sent.append(raw)
        self.send_response(status)
        for name, value in {"Content-Type": JSON, "Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def _stream(self, events: list[bytes], script: Script) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": EVENTS, "Transfer-Encoding": "chunked", **script.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        half = len(events) // 2
        try:
            for place, event in enumerate(events):
                if place == half and script.gate is not None and not script.gate.wait(20):
                    return
                if place == half and not script.ends:
                    self.close_connection = True
                    return
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            self.server.sent.append(b"".join(events))
        except OSError:
            self.server.is_left.set()
            raise

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def _event(body: dict[str, Any], name: str | None = None) -> bytes:
    head = b"" if name is None else f"event: {name}\n".encode()
    return head + b"data: " + json.dumps(body).encode() + b"\n\n"


def _pieces(words: str) -> Iterator[str]:
    for place in range(0, len(words), 4):
        yield words[place : place + 4]


# -- chat completions --------------------------------------------------------------------------------------------------


def _call(tool: dict[str, Any]) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": tool["name"], "arguments": json.dumps(tool["arguments"])}}


def _chat(script: Script) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": script.words or None}
    if script.tool:
        message["tool_calls"] = [_call(script.tool)]
    choice = {"index": 0, "finish_reason": "tool_calls" if script.tool else "stop", "message": message, "logprobs": None}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def _chat_events(script: Script) -> list[bytes]:
    def chunk(delta: dict[str, Any], why: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": why}
        return _event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})

    events = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": piece}) for piece in _pieces(script.words))]
    if script.tool:
        call = _call(script.tool)
        told = call["function"].pop("arguments")
        events.append(chunk({"tool_calls": [{"index": 0, **call, "function": {**call["function"], "arguments": ""}}]}))
        events += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in _pieces(told)]
    return [*events, chunk({}, "tool_calls" if script.tool else "stop"), b": a comment\n\n", b"data: [DONE]\n\n"]


# -- responses ---------------------------------------------------------------------------------------------------------


def _response(script: Script, status: str = "completed") -> dict[str, Any]:
    output: list[dict[str, Any]] = [
        {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": script.words, "annotations": []}]}
    ]  # fmt: skip
    if script.tool:
        called = {"name": script.tool["name"], "arguments": json.dumps(script.tool["arguments"])}
        output.append({"id": "fc_1", "type": "function_call", "call_id": "call_1", "status": "completed", **called})
    rest = {
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    return {"id": script.id, "object": "response", "created_at": 1, "model": "m", "status": status, "output": output, **rest}


def _response_events(script: Script) -> list[bytes]:
    begun = {**_response(script, "in_progress"), "output": []}
    item = _response(script)["output"][0]
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun}, {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": [], "status": "in_progress"}},
        {"type": "response.content_part.added", **place, "part": part},
        *({"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []} for piece in _pieces(script.words)),
        {"type": "response.output_text.done", **place, "text": script.words, "logprobs": []},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": _response(script)},
    ]  # fmt: skip
    return [_event({**event, "sequence_number": number}, event["type"]) for number, event in enumerate(told)]


# -- messages ----------------------------------------------------------------------------------------------------------


def _message(script: Script) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": script.words}] if script.words else []
    if script.tool:
        content.append({"type": "tool_use", "id": "toolu_1", "name": script.tool["name"], "input": script.tool["arguments"]})
    usage = {"input_tokens": 9, "output_tokens": 3}
    why = "tool_use" if script.tool else "end_turn"
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": content,
        "stop_reason": why,
        "stop_sequence": None,
        "usage": usage,
    }


def _message_events(script: Script) -> list[bytes]:
    told: list[dict[str, Any]] = [{"type": "message_start", "message": {**_message(script), "content": [], "stop_reason": None}}]
    for place, block in enumerate(_message(script)["content"]):
        if block["type"] == "text":
            begun, deltas = {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
        else:
            begun, given = {**block, "input": {}}, json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _pieces(given)]
        told.append({"type": "content_block_start", "index": place, "content_block": begun})
        told += [{"type": "content_block_delta", "index": place, "delta": delta} for delta in deltas]
        told.append({"type": "content_block_stop", "index": place})
    why = "tool_use" if script.tool else "end_turn"
    told += [
        {"type": "message_delta", "delta": {"stop_reason": why, "stop_sequence": None}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    return [_event(event, event["type"]) for event in told]


WHOLE = {"chat": _chat, "responses": _response, "messages": _message}
EVENT = {"chat": _chat_events, "responses": _response_events, "messages": _message_events}
