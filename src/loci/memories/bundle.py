"""An activation memory as files for somebody else: what its manifest says, spelled so that another cube can check all of it. Pure.

A bundle is a folder with ``manifest.json`` and parts in the safetensors format, in which the tensors of page n are called ``P{n}.`` and then
as in a page's own file. Nothing of it is keyed: memories are told by the hash of the line that the model read, tokens are listed, and what is
of one cube alone (tenant, names of pages, keyed hashes) stays there. Whoever has it has the words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from loci.errors import Malformed
from loci.memories.activation import CODECS, LONGEST, canonical
from loci.ports.engine import BLOCK, Codec, Fingerprint, LayerShape

FORMAT = "loci activation memory"
SCHEMA = 1
LONGEST_PART = 1 << 30  # bytes
MOST_PARTS = 1 << 14
MOST_MEMORIES = 1000
HASH = re.compile(r"[0-9a-f]{64}")
ID = re.compile(r"[0-9A-Za-z.\-]{1,64}")
NAME = re.compile(r"[0-9A-Za-z_.\-]{1,40}")  # of a tool, or of a number of its quality
VERSION = re.compile(r"[0-9A-Za-z_.+\-]{1,64}")
LARGEST = 1e300  # of what a number may be
LONGEST_TEXT = 1000  # characters of what a fingerprint says
NOT_TAKEN = "Nothing was taken in."


@dataclass(frozen=True, slots=True)
class Read:
    """A memory that was read: its id and version where it was, and the hash (SHA-256) of its line as the model read it, cited [1]."""

    id: str
    version: int
    line: str


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a bundle, its size and hash (SHA-256), and how many pages are in it."""

    file: str
    bytes: int
    sha256: str
    pages: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """What ``manifest.json`` says. ``tools`` are the libraries that it was read with."""

    id: str
    version: int
    created: datetime
    ids: tuple[int, ...]
    fingerprint: Fingerprint
    codec: Codec
    memories: tuple[Read, ...]
    parts: tuple[Part, ...]
    quality: Mapping[str, float]
    tools: Mapping[str, str]


def part_name(place: int) -> str:
    return f"part-{place:05d}.safetensors"


def page_prefix(place: int) -> str:
    """Before the names of a page's tensors, in a part."""
    return f"P{place:05d}."


def tensor_names(codec: Codec, layers: Sequence[LayerShape]) -> frozenset[str]:
    """The tensors of a page of tokens, all of them, and no other."""
    numbers = [number for number, layer in enumerate(layers) if layer.heads]
    if codec.name == "hidden":
        return frozenset(f"L{layer}.x" for layer in numbers)
    kinds = (".q", ".s", ".m") if codec.bits else ("",)
    return frozenset(f"L{layer}.{letter}{kind}" for layer in numbers for letter in "kv" for kind in kinds)


def line_hash(line: str) -> str:
    return sha256(line.encode()).hexdigest()


def dump(bundle: Bundle) -> bytes:
    told = asdict(bundle)
    tokens = {"count": len(bundle.ids), "sha256": _ids_hash(bundle.ids), "ids": told.pop("ids")}
    kind = "hidden" if bundle.codec.name == "hidden" else "kv"
    fixed = {"format": FORMAT, "schema": SCHEMA, "kind": kind, "position": {"start": 0, "contiguous": True}, "tokens": tokens}
    return canonical({**told, **fixed, "created": bundle.created.isoformat()})


def load(data: bytes) -> Bundle:
    """What `dump` wrote. Raises `Malformed`, with what is wrong, for anything else."""
    try:
        told = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"is not JSON ({str(error)[:80]})") from error
    names = {"format", "schema", "kind", "position", "tokens", "id", "version", "created", "fingerprint", "codec", "memories", "parts",
             "quality", "tools"}  # fmt: skip
    fields = _object(told, names, "it")
    if fields["format"] != FORMAT or fields["schema"] != SCHEMA or type(fields["schema"]) is not int:
        raise _wrong(
            f"says format {_brief(fields['format'])}, schema {_brief(fields['schema'])}; this Loci reads {FORMAT!r}, schema {SCHEMA}"
        )
    if fields["position"] != {"start": 0, "contiguous": True}:
        raise _wrong(f"has position {_brief(fields['position'])}; only what begins a text, without gaps, is taken")
    codec = CODECS.get(str(_object(fields["codec"], {"name", "bits"}, "codec")["name"]))
    if codec is None or asdict(codec) != fields["codec"] or fields["kind"] != ("hidden" if codec.name == "hidden" else "kv"):
        raise _wrong(f"names kind {_brief(fields['kind'])}, codec {_brief(fields['codec'])}; there are {', '.join(CODECS)}")
    ids, model = _ids(fields["tokens"]), _model(fields["fingerprint"])
    return Bundle(
        _id(fields["id"]), _count(fields["version"], "version", 1 << 31), _moment(fields["created"]), ids, model, codec,
        _memories(fields["memories"]), _parts(fields["parts"], -(-len(ids) // BLOCK) + model.has_end), _numbers(fields["quality"]), _tools(fields["tools"]),
    )  # fmt: skip


def _ids(told: object) -> tuple[int, ...]:
    fields = _object(told, {"count", "sha256", "ids"}, "tokens")
    ids = fields["ids"]
    if not isinstance(ids, list) or not 0 < len(ids) <= LONGEST or not all(type(i) is int and 0 <= i < 1 << 32 for i in ids):
        raise _wrong(f"lists tokens that no tokenizer has, or more than {LONGEST:,}")
    if fields["count"] != len(ids) or fields["sha256"] != _ids_hash(ids):
        raise _wrong("lists other tokens than it counts and hashes")
    return tuple(ids)


def _ids_hash(ids: Sequence[int]) -> str:
    return sha256(b"".join(i.to_bytes(4, "little") for i in ids)).hexdigest()


def _model(told: object) -> Fingerprint:
    fields = _object(told, set(Fingerprint.__dataclass_fields__), "fingerprint")
    layers, rope, adapters = fields["layers"], fields["rope"], fields["adapters"]
    if not isinstance(layers, list) or not 0 < len(layers) <= 1000 or not isinstance(rope, list) or not isinstance(adapters, list):
        raise _wrong("describes a model without layers, or none")
    shapes = tuple(_shape(layer) for layer in layers)
    if len(rope) != 3 or not all(isinstance(x, str) for x in (*adapters, rope[0], rope[2])):
        raise _wrong("describes a rotation or adapters that no model has")
    texts = [fields[name] for name in ("model", "tokenizer", "template", "dtype", "attention")] + [shape.kind for shape in shapes]
    if not all(
        isinstance(text, str) and len(text) <= LONGEST_TEXT and text.isprintable() for text in (*texts, *adapters, rope[0], rope[2])
    ):
        raise _wrong("describes a model in letters that cannot be shown")
    return Fingerprint(**{**fields, "layers": shapes, "rope": tuple(rope), "adapters": tuple(adapters)})


def _shape(told: object) -> LayerShape:
    """A layer; bundles of before layers told the width of their values leave that out."""
    fields = _object({"values": 0, **told} if isinstance(told, dict) else told, set(LayerShape.__dataclass_fields__), "layer")
    if not isinstance(fields["kind"], str):
        raise _wrong("describes a layer of no kind")
    for name in ("heads", "width", "window", "values"):
        _count(fields[name], f"{name} of a layer", 1 << 31)
    return LayerShape(**fields)


def _memories(told: object) -> tuple[Read, ...]:
    if not isinstance(told, list) or not 0 < len(told) <= MOST_MEMORIES:
        raise _wrong(f"names no memories, or more than {MOST_MEMORIES}")
    found = [_object(entry, {"id", "version", "line"}, "memory") for entry in told]
    return tuple(Read(_id(one["id"]), _count(one["version"], "version", 1 << 31), _hash(one["line"], "line")) for one in found)


def _parts(told: object, pages: int) -> tuple[Part, ...]:
    if not isinstance(told, list) or not 0 < len(told) <= MOST_PARTS:
        raise _wrong(f"names no parts, or more than {MOST_PARTS:,}")
    found = []
    for place, entry in enumerate(told):
        one = _object(entry, {"file", "bytes", "sha256", "pages"}, "part")
        if one["file"] != part_name(place):
            raise _wrong(f"calls a part {_brief(one['file'])}; it must be {part_name(place)}, in the folder itself")
        size = _count(one["bytes"], f"bytes of {part_name(place)}", LONGEST_PART)
        found.append(Part(one["file"], size, _hash(one["sha256"], "sha256"), _count(one["pages"], "pages", pages)))
    if sum(part.pages for part in found) != pages or not all(part.pages for part in found):
        raise _wrong(f"has {sum(part.pages for part in found)} pages in its parts, and its tokens ask for {pages}")
    return tuple(found)


def _numbers(told: object) -> dict[str, float]:
    if not isinstance(told, dict) or len(told) > 32:
        raise _wrong("tells of its quality what cannot be read")
    if not all(NAME.fullmatch(name) and type(x) in (int, float) and -LARGEST < x < LARGEST for name, x in told.items()):
        raise _wrong("has numbers of quality that are none, or without a name")
    return {name: float(x) for name, x in told.items()}


def _tools(told: object) -> dict[str, str]:
    if not isinstance(told, dict) or len(told) > 16:
        raise _wrong("names tools that cannot be read")
    if not all(isinstance(x, str) and NAME.fullmatch(name) and VERSION.fullmatch(x) for name, x in told.items()):
        raise _wrong("names tools, or versions of them, as none is called")
    return told


def _object(told: object, names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(told, dict) or set(told) != names:
        has = sorted(told) if isinstance(told, dict) else type(told).__name__
        raise _wrong(f"says of {what} {_brief(has)}; it must be {', '.join(sorted(names))}")
    return told


def _id(told: object) -> str:
    if not isinstance(told, str) or not ID.fullmatch(told):
        raise _wrong(f"has {_brief(told)} as id; it must be 1 to 64 letters, digits, dots and hyphens")
    return told


def _hash(told: object, what: str) -> str:
    if not isinstance(told, str) or not HASH.fullmatch(told):
        raise _wrong(f"has {_brief(told)} as {what}, which is no SHA-256")
    return told


def _count(told: object, what: str, most: int) -> int:
    if type(told) is not int or not 0 <= told <= most:
        raise _wrong(f"has {_brief(told)} as {what}; it must be a whole number up to {most:,}")
    return told


def _moment(told: object) -> datetime:
    try:
        found = datetime.fromisoformat(told if isinstance(told, str) else "")
    except ValueError as error:
        raise _wrong(f"was created {_brief(told)}, which is no time") from error
    if found.tzinfo is None:
        raise _wrong(f"was created {_brief(told)}, a time without its zone")
    return found


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no number")


def _brief(value: object) -> str:
    return f"{value!a:.100}"


def _wrong(what: str) -> Malformed:
    return Malformed(f"manifest.json {what}. {NOT_TAKEN}")
