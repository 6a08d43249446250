"""Activation memory: what a model made of memories that it has read. Which state belongs to which tokens, model and words; pure.

A state is exact for a prompt if the tokens that it holds are the prompt's first, the model is the very same, and positions go on where it
ends. Whatever differs is named, and the text is used instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from hashlib import sha256
from typing import Any

from loci.errors import Corrupt, IncompatiblePayload
from loci.ports.engine import BLOCK, Codec, Episode, Eviction, Fingerprint, LayerShape, Manifest, Page, Quoted, Remote

SCHEMA = 1
LONGEST = 1 << 20  # tokens
LET_GO = "Its text is used instead. `loci kv verify` names it, `loci kv drop ID` lets go of it."
EVICTED = ("raw", "int8", "int4")  # codecs that hold what a budget left
CODECS = {"raw": Codec("raw"), "hidden": Codec("hidden"), "int8": Codec("int8", 8), "int4": Codec("int4", 4)}
REMOTE = {"slot": Codec("slot"), "prefix": Codec("prefix")}  # by a server: in a file that we name, or in a cache of its own


# -- identity ------------------------------------------------------------------------------------------------------------


def chain(fingerprint: Fingerprint, tenant: str, codec: Codec, ids: Sequence[int]) -> list[str]:
    """A name for each page of these tokens, and for their end with models that hold something there: a hash of the model, the tenant, the codec, its tokens
    and all before them. Two tenants with the same words share no name."""
    before = _root(fingerprint, tenant, codec)
    names = []
    for start in range(0, len(ids), BLOCK):
        before = sha256(before + b"".join(i.to_bytes(4, "little") for i in ids[start : start + BLOCK])).digest()
        names.append(before.hex())
    return [*names, sha256(before + b"end").hexdigest()] if fingerprint.has_end else names


def parts(manifest: Manifest) -> list[tuple[int, ...]]:
    """The tokens of each page, in order; the end of a state has none."""
    found = [manifest.ids[start : start + BLOCK] for start in range(0, len(manifest.ids), BLOCK)]
    return [*found, ()] if manifest.fingerprint.has_end else found


def leaf(fingerprint: Fingerprint, tenant: str, codec: Codec, ids: Sequence[int], eviction: Eviction) -> list[str]:
    """A name for each layer of what a budget left of these tokens: a hash of all that it depends on. No page has any of them."""
    said = sha256(b"".join(i.to_bytes(4, "little") for i in ids)).digest()
    whole = sha256(_root(fingerprint, tenant, codec) + said + canonical(asdict(eviction))).digest()
    return [sha256(whole + place.to_bytes(4, "little")).hexdigest() for place in range(len(eviction.per_layer))]


def _root(fingerprint: Fingerprint, tenant: str, codec: Codec) -> bytes:
    told = asdict(fingerprint)
    for layer in told["layers"]:  # so that what was named before layers told of it keeps its name
        if not layer["values"]:
            del layer["values"]
    return sha256(canonical({"fingerprint": told, "tenant": tenant, "codec": asdict(codec)})).digest()


def agreed(held: Sequence[int], prompt: Sequence[int]) -> int:
    """How many first tokens of a prompt a state holds; the prompt's last is always read anew, since the answer begins after it. The
    tokens at the seam may be others when what follows is tokenised with them."""
    most = min(len(held), len(prompt) - 1)
    return next((i for i in range(most) if held[i] != prompt[i]), most)


def is_whole(manifest: Manifest) -> bool:
    """Whether its files are the pages of its tokens, all of them: those of what is kept in another way, or by a server, are not."""
    return [page.chain for page in manifest.pages] == chain(manifest.fingerprint, manifest.tenant, manifest.codec, manifest.ids)


BUILD = "`loci activate` builds it for this model."


def check_fit(stored: Fingerprint, current: Fingerprint, how: str = "read", again: str = BUILD) -> None:
    """Raises `IncompatiblePayload` with what differs between the model that made it, ``how``, and the model at hand, and what makes it ``again``; the hash of the weights comes
    last, since most of what differs shows in it too."""
    for name in (*(part.name for part in fields(Fingerprint) if part.name != "model"), "model"):
        before, now = getattr(stored, name), getattr(current, name)
        if before != now:
            was, found = _shown(before), _shown(now)
            told = f"It was {how} with {name} {was}, and the model at hand has {found}. {again}"
            raise IncompatiblePayload(told, name, was, found)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=asdict)
    return text if len(text) <= 80 else f"{text[:60]}... ({sha256(text.encode()).hexdigest()[:8]})"


# -- manifests as JSON ---------------------------------------------------------------------------------------------------


def canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def dump(manifest: Manifest) -> str:
    return canonical({**asdict(manifest), "created": manifest.created.isoformat()}).decode()


def load(text: str) -> Manifest:
    """A manifest that `dump` wrote. Raises `Corrupt` for one that contradicts itself."""
    try:
        told = json.loads(text)
        layers = tuple(LayerShape(**layer) for layer in told["fingerprint"]["layers"])
        rope, adapters = tuple(told["fingerprint"]["rope"]), tuple(told["fingerprint"]["adapters"])
        manifest = Manifest(
            **{
                **told, "created": datetime.fromisoformat(told["created"]), "ids": tuple(told["ids"]),
                "fingerprint": Fingerprint(**{**told["fingerprint"], "layers": layers, "rope": rope, "adapters": adapters}),
                "quoted": tuple(Quoted(**{**q, "sources": tuple(q["sources"])}) for q in told["quoted"]),
                "codec": Codec(**told["codec"]), "pages": tuple(Page(**page) for page in told["pages"]),
                "remote": Remote(**told["remote"]) if told.get("remote") else None,
                "eviction": _eviction(told["eviction"]) if told.get("eviction") else None,
                "episode": Episode(**told["episode"]) if told.get("episode") else None,
            }
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(f"The manifest of an activation memory cannot be read ({error}). {LET_GO}") from error
    fault = fault_of(manifest)
    if fault:
        raise Corrupt(f"The manifest of activation memory {manifest.id!r} {fault}. {LET_GO}")
    return manifest


def _eviction(told: Mapping[str, Any]) -> Eviction:
    return Eviction(**{**told, "per_layer": tuple(told["per_layer"])})


def fault_of(manifest: Manifest) -> str:
    """What a manifest says that cannot be; empty when nothing."""
    if manifest.schema != SCHEMA:
        return f"has schema {manifest.schema}; this Loci reads {SCHEMA}"
    if manifest.codec not in (CODECS if manifest.remote is None else REMOTE).values():
        return f"names a codec that there is not, {manifest.codec.name!r}"
    if not 0 < len(manifest.ids) <= LONGEST or not all(type(i) is int and 0 <= i < 1 << 32 for i in manifest.ids):
        return f"lists {len(manifest.ids)} tokens that no tokenizer has"
    if manifest.remote is not None:
        return "has pages, and a server that keeps it" if manifest.pages else ""
    if manifest.eviction is not None and (fault := _eviction_fault(manifest, manifest.eviction)):
        return fault
    if not isinstance(manifest.is_kept, bool):
        return "does not say whether somebody asked for it"
    if (part := manifest.episode) is not None and not (type(part.of) is type(part.entries) is int and part.of > 0 and part.entries > 0):
        return "does not say of how many episodes it is one, or how large they may be"
    sizes, names = _expected(manifest)
    if [page.tokens for page in manifest.pages] != sizes:
        return "has pages of other sizes than its tokens ask for"
    if [page.chain for page in manifest.pages] != names:
        return "names pages that are not of its tokens"
    if not {"read_ms", "load_ms"} <= manifest.costs.keys():
        return "does not say what it costs to load"
    if any(len(page.hash) != 64 or not set(page.hash) <= set("0123456789abcdef") for page in manifest.pages):
        return "names files by something else than their hashes"
    return ""


def _expected(manifest: Manifest) -> tuple[list[int], list[str]]:
    """The sizes and the names that the files of a manifest must have."""
    about = (manifest.fingerprint, manifest.tenant, manifest.codec, manifest.ids)
    if manifest.eviction is None:
        return [len(part) for part in parts(manifest)], chain(*about)
    return [min(budget, len(manifest.ids)) for budget in manifest.eviction.per_layer], leaf(*about, manifest.eviction)


def _eviction_fault(manifest: Manifest, eviction: Eviction) -> str:
    """What a manifest says of its budget that cannot be; empty when nothing."""
    counts = (*eviction.per_layer, eviction.sinks, eviction.recent, eviction.block)
    if not 0 < len(eviction.per_layer) == len(manifest.fingerprint.layers) or not all(type(n) is int and 0 <= n <= LONGEST for n in counts):
        return "shares a budget among other layers than its model has"
    if min(eviction.per_layer) <= eviction.sinks + eviction.recent or eviction.block < 1:
        return "protects more than a layer may keep"
    if manifest.codec.name not in EVICTED:
        return f"keeps what a budget left as {manifest.codec.name}"
    mass = manifest.quality.get("evicted_mass")
    return "" if isinstance(mass, float | int) and 0 <= mass <= 1 else "does not say how much attention was evicted"
