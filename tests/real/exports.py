"""What other systems write, as they write it: a small file or folder of each, whose shape is that of the named version's own source."""

from __future__ import annotations

import base64
import json
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

ANA, TEA, CAT = (f"6f6b6a3e-0c7a-4a4e-9d5c-0b6f7f1f5a0{n}" for n in (1, 2, 3))
POINTS = (
    (
        "c-mc1O-sW-5Y<|&TBIO?c+0^<MN&5Xq+WXLrHEj!vP^b2WFbxBW>Tym=zT%K^`QU6KOlJa<iBwfD^wrDehhEsJ>FgQ`F(w@gm$jDf*2`_q=>N<BBrfb!bOxV"
        "FQe<{iHz|ARnE{nnd5tNYnpnCQZ5-%TK+1M8-3Id`hFie!X<0~ZWp@39r7M?iQf+fffw|Ect&r|1;a#{OVb>W-d+m4jz=HAkIznt@#yQPBXli=MU((9m8u*N"
        "jBZTiTx5=nor%o+BsRJlLKYfb39Upe&xE3drwxcLdxt3jC^!W)`mjyfJ(qM`;!QnrN{TuuPfN^G{-0>8Jtf1x#0H9Mq>-4-0OgIaO7+M(a-yZ1T|iXQ&x>7{"
        "Sa*dZljnMm(saRX<dRXlLV->2OdqUt11Tb&(M%NKKA2{>9oEA7quyWPq)N`M&tf+BTi-dvtD*"
    ),
    (
        "c-oDT%}T>S5XajX+G=kih<M4tLq$?H{fOwL-f|F1L9eoGcPAz^CULVV_E6B9$by1fP~XHy@a)N}PvRz3=+R->`QSIqpP5^8Q86l|N$Z+%5(`YD5Mt2|gh<<0"
        "34<v6bxJlzNf?VW!E-9qv)aE?bJda!j9Ewp#${%NOvydhcgHU2f{o}Qv3sNk_7Uq-8;xE6(0BYkK^-M)Q=lT@>O!@=!PjeHZ{FbJFZk@1<_+GL6_E9m%%X&_"
        "a+1l2AWH6zIQYObO8~KwDR7G>z7Jr1zbuqA1Cj+w8i5{H&okh-(6>fn-C5&#T&4zhG|7_)v@0Mb8>CRS0&h?bL;%A?D7n)?oxY8_Hge7#bd2<K4vHUXFi+XP"
        "zy{UWWx{7#3FBcr(HpMD#WGH--if(9%kX}#s}uE5E7NKQc`i3GPG?LXE2J211Sfj;L%F?D^+SkQhBGM6@~B$DdQcCVPjYL8NqIQc3X0x*-2MS!cf1h"
    ),
)


def claude(path: Path) -> Path:
    """Claude's account export, conversations.json: keys of its published JSON schema (uuid, name, chat_messages with sender, text, content,
    attachments, files), read in November 2026."""

    def said(id: str, sender: str, text: str, at: str, **more: Any) -> dict[str, Any]:
        return {"uuid": id, "text": text, "content": [{"type": "text", "text": text}], "sender": sender, "created_at": at, "updated_at": at,
                "attachments": [], "files": [], **more}  # fmt: skip

    note = {"file_name": "menu.txt", "file_size": 20, "file_type": "txt", "extracted_content": "Soup is on Mondays."}
    thought = [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "Tea it is."}]
    talk = [
        said(
            "m1", "human", "I drink tea, never coffee.", "2025-02-03T09:00:00.123456Z", attachments=[note], files=[{"file_name": "cup.png"}]
        ),
        said("m2", "assistant", "Tea it is.", "2025-02-03T09:00:05.000000Z", content=thought),
    ]
    chat = {
        "uuid": "c1",
        "name": "Breakfast",
        "created_at": talk[0]["created_at"],
        "updated_at": talk[1]["created_at"],
        "account": {"uuid": "a"},
    }
    empty = {"uuid": "c2", "name": "", "created_at": talk[0]["created_at"], "updated_at": talk[0]["created_at"], "account": {"uuid": "a"}}
    return _json(path / "conversations.json", [{**chat, "chat_messages": talk}, {**empty, "chat_messages": []}])


def claude_zip(path: Path) -> Path:
    """The same in the archive that is downloaded, beside what else is in that."""
    with zipfile.ZipFile(path / "data-2025-02-04-10-00-00-batch-0000.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(claude(path), "conversations.json")
        archive.writestr("users.json", "[]")
        archive.writestr("projects.json", "[]")
    return Path(str(archive.filename))


def claude_whole(path: Path, is_zip: bool) -> Path:
    """The same with what Claude remembers (a list of conversations_memory, project_memories by uuid, account_uuid), with projects (uuid, name,
    description, prompt_template, is_starter_project, docs of uuid, filename, content), in one file and in files of their own, and with what is neither."""
    began = {
        "created_at": "2025-02-02T09:00:00Z",
        "updated_at": "2025-02-02T09:00:00Z",
        "is_private": True,
        "creator": {"uuid": "a", "full_name": "Ana"},
    }
    first = {"uuid": "p1", "name": "Boat", "description": "All about my boat.", "prompt_template": "Answer in knots.", "is_starter_project": False,
             "docs": [{"uuid": "d1", "filename": "plan.md", "content": "Paint in May.", "created_at": began["created_at"]}], **began}  # fmt: skip
    starter = {
        "uuid": "p0",
        "name": "How to",
        "description": "An example.",
        "prompt_template": "",
        "is_starter_project": True,
        "docs": [],
        **began,
    }
    home = path / "export"
    (home / "projects").mkdir(parents=True)
    claude(home)
    _json(home / "memories.json", [{"conversations_memory": "**Home** Ana lives in Lisbon and sails.", "project_memories": {"p1": "The boat is green."},
          "account_uuid": "a"}])  # fmt: skip
    _json(home / "projects.json", [first, starter])
    _json(home / "projects" / "p2.json", {**first, "uuid": "p2", "prompt_template": "", "docs": []})
    _json(home / "users.json", [{"uuid": "a", "full_name": "Ana"}])
    (home / "notes").mkdir()
    (home / "notes" / "extra.txt").write_text("x")
    if not is_zip:
        return home
    with zipfile.ZipFile(path / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((p for p in home.rglob("*") if p.is_file()), reverse=True):
            archive.write(file, file.relative_to(home).as_posix())
    return path / "data.zip"


def mem0_json(path: Path) -> Path:
    """mem0ai 2.2.1: what ``Memory.get_all`` answers (``MemoryItem`` and the promoted keys of ``main.py``)."""
    return _json(path / "memories.json", {"results": [
        {"id": ANA, "memory": "Lives in Lisbon", "hash": "h1", "metadata": {"category": "home"}, "created_at": "2025-03-01T10:00:00+00:00",
         "updated_at": "2025-05-02T09:00:00+00:00", "user_id": "ana", "run_id": "r1"},
        {"id": TEA, "memory": "Prefers tea over coffee", "hash": "h2", "created_at": "2025-03-01T10:00:01+00:00", "updated_at": None, "user_id": "ana",
         "expiration_date": "2025-12-31"},
        {"id": CAT, "memory": "", "hash": "h3", "created_at": "2025-03-01T10:00:02+00:00", "updated_at": None, "user_id": "bo"},
    ]})  # fmt: skip


def mem0_history(path: Path) -> Path:
    """mem0ai 2.2.1: history.db as ``SQLiteManager`` (storage.py) makes it, with the changes that add, update and delete write."""
    with closing(sqlite3.connect(path / "history.db")) as db:
        db.execute(
            "CREATE TABLE history (id TEXT PRIMARY KEY, memory_id TEXT, old_memory TEXT, new_memory TEXT, event TEXT, created_at DATETIME,"
            " updated_at DATETIME, is_deleted INTEGER, actor_id TEXT, role TEXT)"
        )
        db.execute(
            "CREATE TABLE messages (id TEXT PRIMARY KEY, session_scope TEXT, role TEXT, content TEXT, name TEXT, created_at DATETIME)"
        )
        began = "2025-03-01T10:00:00+00:00"
        db.executemany("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [
            ("e1", ANA, None, "Lives in Porto", "ADD", began, began, 0, None, "user"),
            ("e2", TEA, None, "Prefers tea over coffee \u2615", "ADD", began, began, 0, "ana", "user"),
            ("e3", CAT, None, "Has a cat called Mia", "ADD", began, began, 0, None, None),
            ("e4", ANA, "Lives in Porto", "Lives in Lisbon", "UPDATE", began, "2025-05-02T09:00:00+00:00", 0, None, "user"),
            ("e5", CAT, "Has a cat called Mia", None, "DELETE", began, "2025-06-01T09:00:00+00:00", 1, None, None),
        ])  # fmt: skip
        db.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", [
            ("s1", "run_id=r1&user_id=ana", "user", "I moved from Porto to Lisbon.", None, "2025-05-02T08:59:00+00:00"),
            ("s2", "run_id=r1&user_id=ana", "assistant", "Noted.", None, "2025-05-02T08:59:01+00:00"),
        ])  # fmt: skip
        db.commit()
    return path / "history.db"


def qdrant(path: Path, *points: bytes) -> Path:
    """The folder that qdrant-client 1.20.0 keeps (local/qdrant_local.py, local/persistence.py): a table of pickled points. These bytes are what it
    wrote for two memories of mem0ai 2.2.1's."""
    home = path / "qdrant"
    (home / "collection" / "mem0").mkdir(parents=True)
    (home / ".lock").write_text("tmp lock file")
    _json(home / "meta.json", {"collections": {"mem0": {"vectors": {"size": 4, "distance": "Cosine"}}}, "aliases": {}, "text_indexes": {}})
    with closing(sqlite3.connect(home / "collection" / "mem0" / "storage.sqlite")) as db:
        db.execute("CREATE TABLE points (id TEXT PRIMARY KEY, point BLOB)")
        stored = points or [zlib.decompress(base64.b85decode(point)) for point in POINTS]
        db.executemany("INSERT INTO points VALUES (?, ?)", [(str(place), blob) for place, blob in enumerate(stored)])
        db.commit()
    return home


def mem0_folder(path: Path) -> Path:
    """Both of them in one folder, as somebody puts them together: the changes, and whose the memories are."""
    home = qdrant(path)
    mem0_history(home)
    return home


def graphiti(path: Path) -> Path:
    """Graphiti at 00eb869: ``EpisodicNode`` (nodes.py) and ``EntityEdge`` (edges.py) as ``model_dump(mode="json")`` gives them."""
    episodes = [
        {"uuid": "ep1", "name": "turn 1", "group_id": "g", "labels": [], "created_at": "2025-01-06T08:00:00Z", "source": "message",
         "source_description": "chat", "content": "Ana (user): I work at the museum now.", "valid_at": "2025-01-05T09:00:00Z", "entity_edges": ["ed1"]},
        {"uuid": "ep2", "name": "doc", "group_id": "g", "labels": [], "created_at": "2025-03-02T08:00:00Z", "source": "text",
         "source_description": "letter", "content": "Ana starts at the archive in March.", "valid_at": "2025-03-01T09:00:00Z", "entity_edges": ["ed2"]},
    ]  # fmt: skip
    edge = {"group_id": "g", "source_node_uuid": "n1", "target_node_uuid": "n2", "name": "WORKS_AT", "fact_embedding": None, "attributes": {},
            "reference_time": None}  # fmt: skip
    return _json(path / "graph.json", {"episodes": episodes, "edges": [
        {**edge, "uuid": "ed1", "fact": "Ana works at the museum", "episodes": ["ep1"], "created_at": "2025-01-06T08:00:01Z",
         "expired_at": "2025-03-02T08:00:02Z", "valid_at": "2025-01-05T09:00:00Z", "invalid_at": "2025-03-01T00:00:00Z"},
        {**edge, "uuid": "ed2", "fact": "Ana works at the archive", "episodes": ["ep2"], "created_at": "2025-03-02T08:00:01Z", "expired_at": None,
         "valid_at": "2025-03-01T00:00:00Z", "invalid_at": None},
    ], "nodes": [{"uuid": "n1", "name": "Ana", "group_id": "g", "labels": ["Entity"], "created_at": "2025-01-06T08:00:01Z", "summary": "Ana, museum"}]})  # fmt: skip


def zep(path: Path) -> Path:
    """Graphiti's REST answer to a search (``FactResult``): facts alone."""
    return _json(path / "facts.json", {"facts": [{"uuid": "ed9", "name": "LIKES", "fact": "Ana likes figs", "valid_at": "2025-01-05T09:00:00Z",
                 "invalid_at": None, "created_at": "2025-01-06T08:00:01Z", "expired_at": None}]})  # fmt: skip


MEMOS_NODES = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333")


def memos(path: Path) -> Path:
    """A cube as MemOS dumps it (mem_cube/general.py at 21ede58; ``TextualMemoryItem`` and ``ArchivedTextualMemory`` of item.py at 06735f4): config.json,
    textual_memory.json as ``export_graph`` gives it, and a KV cache that is pickled."""
    home = path / "cube"
    home.mkdir()
    first, second, third = MEMOS_NODES
    meta = {
        "user_id": "ana",
        "session_id": "s1",
        "memory_type": "LongTermMemory",
        "tags": ["home"],
        "usage": [],
        "background": "",
        "status": "activated",
    }
    source = {"type": "chat", "role": "user", "chat_time": "2025-05-02T08:59:00", "message_id": "s1-1", "content": "I moved to Lisbon."}
    old = {"version": 1, "is_fast": False, "memory": "Ana lives in Porto", "update_type": "conflict", "archived_memory_id": None,
           "created_at": "2025-03-01T10:00:00"}  # fmt: skip
    _json(home / "config.json", {"model_schema": "memos.configs.mem_cube.GeneralMemCubeConfig", "cube_id": "ana"})
    _json(home / "textual_memory.json", {"nodes": [
        {"id": first, "memory": "Ana lives in Lisbon", "metadata": {**meta, "version": 2, "history": [old], "sources": [source, "notes.md"],
         "created_at": "2025-03-01T10:00:00", "updated_at": "2025-05-02T09:00:00"}},
        {"id": second, "memory": "Ana paints", "metadata": {**meta, "status": "archived", "created_at": "2025-03-01T10:00:00",
         "updated_at": "2025-04-01T10:00:00"}},
        {"id": third, "memory": "Ana paints and draws", "metadata": {**meta, "created_at": "2025-04-01T10:00:00", "updated_at": "2025-04-01T10:00:00"}},
    ], "edges": [{"source": second, "target": third, "type": "MERGED_TO"}, {"source": first, "target": third, "type": "PARENT"}]})  # fmt: skip
    (home / "activation_memory.pickle").write_bytes(b"\x80\x04N.")
    return home


def letta(path: Path) -> Path:
    """A Letta agent file: ``AgentFileSchema`` (schemas/agent_file.py at 4184ae2), as those of letta-ai/agent-file at bf321c1 look."""

    def said(id: str, role: str, text: str, at: str, **more: Any) -> dict[str, Any]:
        return {"type": "message", "role": role, "content": [{"type": "text", "text": text, "signature": None}], "name": None, "id": id,
                "agent_id": "agent-0", "tool_calls": None, "tool_call_id": None, "tool_returns": [], "created_at": at, **more}  # fmt: skip

    speak = [
        {"id": "call-1", "type": "function", "function": {"name": "send_message", "arguments": json.dumps({"message": "Hello Chad."})}}
    ]
    return _json(path / "sam.af", {
        "agents": [{"name": "sam", "block_ids": ["block-0", "block-1"], "tool_ids": ["tool-0"], "system": "You are Sam.", "id": "agent-0",
            "in_context_message_ids": ["message-0"], "messages": [
                said("message-0", "system", "You are Sam.", "2025-10-31T22:56:56.459100+00:00"),
                said("message-1", "user", json.dumps({"type": "login", "last_login": "Never"}), "2025-10-31T22:57:00+00:00"),
                said("message-2", "user", json.dumps({"type": "user_message", "message": "I sail on Sundays.", "time": "now"}), "2025-10-31T22:57:01+00:00"),
                said("message-3", "assistant", "thinking", "2025-10-31T22:57:02+00:00", tool_calls=speak),
                said("message-4", "tool", "{}", "2025-10-31T22:57:03+00:00", tool_call_id="call-1"),
            ], "files_agents": [], "group_ids": [], "tool_exec_environment_variables": {"KEY": "not-to-be-read"}}],
        "groups": [], "files": [], "sources": [], "mcp_servers": [], "metadata": {"revision_id": "x"}, "created_at": "2025-10-31T23:00:00+00:00",
        "blocks": [{"value": "\nFirst name: Chad\n", "limit": 20000, "label": "human", "description": "The human block", "id": "block-0"},
                   {"value": "I am Sam.", "limit": 20000, "label": "persona", "description": "The persona block", "id": "block-1"}],
        "tools": [{"id": "tool-0", "name": "cancel_order", "source_code": "import os\nos.system('touch /tmp/ran')", "tool_type": "custom"}],
    })  # fmt: skip


def letta_blocks(path: Path) -> Path:
    """Memory blocks alone, as ``client.blocks.list`` gives them (schemas/block.py at 2f364c9)."""
    return _json(path / "blocks.json", [{"id": "block-5f1c", "label": "human", "value": "Chad sails.", "limit": 20000, "read_only": False}])


def langgraph(path: Path) -> Path:
    """A LangGraph store as JSON: ``Item.dict()`` (langgraph/store/base at 002503c), with a value as LangMem stores it."""
    times = {"created_at": "2025-02-01T10:00:00+00:00", "updated_at": "2025-02-02T10:00:00+00:00"}
    return _json(path / "store.json", [
        {"value": {"kind": "Memory", "content": {"content": "Ana cycles to work."}}, "key": "k1", "namespace": ["memories", "ana"], **times},
        {"value": {"theme": "dark"}, "key": "k2", "namespace": ["prefs", "ana"], **times},
        {"value": None, "key": "k3", "namespace": ["prefs", "ana"], **times},
    ])  # fmt: skip


def _json(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")
    return path


ALL: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "claude": ("claude", claude), "claude-zip": ("claude", claude_zip), "mem0-json": ("mem0", mem0_json), "mem0-history": ("mem0", mem0_history),
    "mem0-qdrant": ("mem0", qdrant), "mem0-folder": ("mem0", mem0_folder), "graphiti": ("graphiti", graphiti), "zep": ("graphiti", zep),
    "memos": ("memos", memos), "letta": ("letta", letta), "letta-blocks": ("letta", letta_blocks), "langgraph": ("langgraph", langgraph),
}  # fmt: skip
