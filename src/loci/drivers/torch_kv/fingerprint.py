"""Which model, tokenizer and template this is: everything that a state depends on besides its tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from types import CellType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch

from loci.drivers.torch_kv.trial import Kept, kept_by
from loci.errors import Unsupported
from loci.ports.engine import Fingerprint

SAMPLES = 16  # runs of a tensor that a sampled hash looks at
RUN = 256  # bytes of each
SILENT = {
    "_name_or_path",
    "transformers_version",
    "torch_dtype",
    "dtype",
    "architectures",
    "_attn_implementation",
    "_attn_implementation_autoset",
}
"""Fields of a configuration that change nothing of what the model computes, or are told apart by fields of their own."""
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")  # of a tokenizer, beside its tokens
BASES = ("base_layer", "original_module", "token_adapter", "base_model", "model")  # under these names what an adapter stands before goes on
TOLD_APART = {
    "kwargs",
    "_caches",
    "_adapters",
    "_active_adapter",
    "_disable_adapters",
    "merged_adapters",
    *vars(torch.nn.Module()),
}  # of an adapter's layer: what changes nothing, or is looked at by itself
LIBRARIES = {"torch", "transformers", "peft"}
OURS = LIBRARIES | {"accelerate", "loci"}  # whose hooks move numbers about, or look on, and change none
CLOSE = 4  # steps from a hook to the tensors that it adds
_EMPTY = CellType()
_PEFT: WeakKeyDictionary[type, bool] = WeakKeyDictionary()
_TOKENIZERS: WeakKeyDictionary[Any, tuple[Any, tuple[object, ...], str]] = WeakKeyDictionary()
FIXED_ROPE = {"default", "linear", "llama3", "yarn", "proportional"}
"""Kinds of rotation that turn a token by its position alone, however long the text is."""


class Known(NamedTuple):
    """A model as it was last looked at: a hash of its weights without adapters, what it was made of, by name (the class of a module, ``parameter``, or the hash of
    what comes between a module and who calls it), and what it keeps of a text."""

    hash: str
    parts: Mapping[str, str]
    kept: Kept


class Mount(NamedTuple):
    """What an adapter has put at a place of the model: the module that is there now, and the names of what in it is not the model's."""

    name: str
    module: torch.nn.Module
    own: frozenset[str]


@dataclass(slots=True)
class Built:
    """What a model is made of, by the names that it has without adapters."""

    modules: dict[str, torch.nn.Module] = field(default_factory=dict)
    parameters: dict[str, torch.Tensor] = field(default_factory=dict)
    mounts: list[Mount] = field(default_factory=list)
    hooked: dict[str, str] = field(default_factory=dict)  # what comes between a module and who calls it, by a hash

    def parts(self) -> dict[str, str]:
        classes = {name: _class_of(module) for name, module in self.modules.items()}
        return {**classes, **dict.fromkeys(self.parameters, "parameter"), **self.hooked}


def fingerprint_of(model: Any, tokenizer: Any, known: Known) -> Fingerprint:
    """As the model is now, given what was found when all of it was looked at (`look`), which takes long."""
    config = model.config.get_text_config(decoder=True)
    return Fingerprint(
        model=known.hash,
        tokenizer=_hash_tokenizer(tokenizer),
        template=_digest(getattr(tokenizer, "chat_template", None) or ""),
        adapters=adapters_of(model, known),
        dtype=str(model.dtype).removeprefix("torch."),
        attention=str(config._attn_implementation),
        rope=_rope(config),
        layers=known.kept.layers,
        context=context_of(model),
    )


def context_of(model: Any) -> int:
    return int(getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", 0) or 0)


def look(model: Any, *, is_full: bool) -> Known:
    """Looks at the configuration and the weights without adapters: at every byte, or at ``SAMPLES`` runs in each tensor, which
    is quick and sees a change only where it looks. Raises `Unsupported` for a model that cannot go on from what it has read."""
    kept = kept_by(model)
    config, built = {k: v for k, v in model.config.to_dict().items() if k not in SILENT}, _built(model)
    digest = sha256(json.dumps(config, sort_keys=True, default=str).encode())
    mounted = {id(tensor) for mount in built.mounts for _, tensor in _tensors(mount)}
    weights = [(_bare(name), tensor.detach()) for name, tensor in _named(model) if id(tensor) not in mounted]
    for name, tensor in sorted(weights, key=lambda entry: entry[0]):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(_bytes(tensor) if is_full else _sample(tensor))
    whose = LIBRARIES | {_class_of(built.modules[""]).partition(".")[0]}
    for name, told in sorted(built.parts().items()):
        if told != "parameter" and told.partition(".")[0] not in whose:
            digest.update(f"{name} is {told}".encode())
    return Known(digest.hexdigest(), built.parts(), kept)


def adapters_of(model: Any, known: Known | None = None) -> tuple[str, ...]:
    """What is mounted on the model, of whatever kind: each adapter in use, by its name and a hash of its weights and of all that its layers were told (scales,
    order, what is merged); then what else the model was not made of when it was ``known``, by the name of the first. None where adapters are switched off."""
    built = _built(model)
    digests: dict[str, Any] = {}
    sampled: dict[int, bytes] = {}
    for mount in built.mounts:
        for adapter, told in _in_use(mount).items():
            digest = digests.setdefault(adapter, sha256())
            digest.update(f"{mount.name} {_class_of(mount.module)} {told}".encode())
            others = _names(mount) - {adapter}
            for path, tensor in _tensors(mount):
                if others.isdisjoint(path.split(".")):
                    if id(tensor) not in sampled:  # some adapters share one tensor among all layers
                        sampled[id(tensor)] = _sample(tensor)
                    digest.update(path.encode() + sampled[id(tensor)])
    found = [f"{name}:{digests[name].hexdigest()[:32]}" for name in sorted(digests)]
    return (*found, *_others(built, known.parts if known else built.parts()))


def _others(built: Built, known: Mapping[str, str]) -> Iterator[str]:
    """What was added, taken away or put in the place of another, beside adapters: one entry for all of it."""
    parts = built.parts()
    names = sorted(name for name in {*parts, *known} if name and parts.get(name) != known.get(name))
    if not names:
        return
    digest = sha256()
    for name in names:
        digest.update(f"{name} {parts.get(name)}".encode())
        tensors = [built.parameters[name]] if name in built.parameters else []
        for tensor in tensors or ([t for _, t in _named(built.modules[name])] if name in built.modules else []):
            digest.update(_sample(tensor))
    more = f" and {len(names) - 1} more" if names[1:] else ""
    yield f"{names[0]}{more}:{digest.hexdigest()[:32]}"


def _built(model: torch.nn.Module) -> Built:
    """Walks the modules once: an adapter's layer is passed through to what it stands before."""
    found, seen, left = Built(), set[int](), [("", model)]
    while left:
        name, module = left.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        is_peft = _is_peft(module)
        keys = (*module._modules, *module._parameters, *module._buffers)
        own = frozenset(key for key in keys if (key not in BASES if is_peft else key.startswith("lora_")))
        if own:
            found.mounts.append(Mount(name, module, own))
        found.modules[name] = module  # what an adapter stands before comes later, under the same name
        if calls := _between(module):
            found.hooked[f"{name} (hooked)"] = sha256(b"".join(_told(call, CLOSE) for call in calls)).hexdigest()
        found.parameters.update({_under(name, key): p for key, p in module._parameters.items() if p is not None and key not in own})
        for key, child in module._modules.items():
            if child is not None and key not in own:
                left.append((name if (own or is_peft) and key in BASES else _under(name, key), child))
    return found


def _between(module: torch.nn.Module) -> list[Any]:
    """What has taken the place of a module's ``forward``, and what is called before or after it: so adapters are mounted that stay outside of the model."""
    calls = [module.__dict__["forward"]] if "forward" in module.__dict__ else []
    calls += [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
    return [call for call in calls if not _homes(call) <= OURS]


def _homes(call: Any) -> set[str]:
    """The packages in which a callable was written, whatever it says of itself, and those in which what it wraps was."""
    found = set[str]()
    for _ in range(CLOSE):
        inner = call.func if isinstance(call, partial) else getattr(call, "__func__", call)
        found.add(str(getattr(inner, "__globals__", {}).get("__name__") or type(inner).__module__).partition(".")[0])
        call = getattr(inner, "__wrapped__", None)
        if call is None:
            break
    return found


def _told(value: Any, depth: int) -> bytes:
    """What is known of a hook: its name, the plain values that it was told, and the tensors that it can add, as far as they are at hand."""
    if isinstance(value, torch.Tensor):
        return _sample(value)
    if isinstance(value, str | int | float | bool | None) or depth == 0:
        return repr(value).encode() if depth else b""
    if isinstance(value, torch.nn.Module):
        plain = _spelled({key: part for key, part in vars(value).items() if not key.startswith("_")}, frozenset())
        return (_class_of(value) + plain).encode() + b"".join(name.encode() + _sample(tensor) for name, tensor in _named(value))
    if isinstance(value, dict | list | tuple):
        entries = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
        return type(value).__name__.encode() + b"".join(_told(part, depth - 1) for part in entries)
    inner = getattr(value, "__func__", value)
    cells = [cell.cell_contents for cell in getattr(inner, "__closure__", None) or () if cell != _EMPTY]
    parts = [getattr(value, "__self__", None), getattr(value, "func", None), getattr(value, "args", None), getattr(value, "keywords", None)]
    parts += [getattr(inner, "__defaults__", None), getattr(inner, "__kwdefaults__", None), getattr(inner, "__dict__", None), *cells]
    name = f"{sorted(_homes(value))} {getattr(inner, '__qualname__', type(inner).__qualname__)}"
    return name.encode() + b"".join(_told(part, depth - 1) for part in parts)


def _is_peft(module: torch.nn.Module) -> bool:
    kind = type(module)
    if kind not in _PEFT:
        _PEFT[kind] = any(one.__module__.partition(".")[0] == "peft" for one in kind.__mro__)
    return _PEFT[kind]


def _in_use(mount: Mount) -> dict[str, str]:
    """Each adapter that changes what this layer computes, with what the layer was told of it, spelled out."""
    module, names = mount.module, _names(mount)
    if not names:
        return {type(module).__name__: _spelled(vars(module), frozenset())}
    active, merged = getattr(module, "active_adapters", None), [str(name) for name in getattr(module, "merged_adapters", ())]
    active = [active] if isinstance(active, str) else active if isinstance(active, list | tuple) else sorted(names)
    used = [] if getattr(module, "disable_adapters", False) is True else [str(name) for name in active]
    return {name: f"{used} {merged} {_spelled(vars(module), names - {name})}" for name in sorted({*used, *merged} & names)}


def _names(mount: Mount) -> frozenset[str]:
    """Of the adapters that a layer has something of."""
    found = [child for key, child in mount.module._modules.items() if key in mount.own and child is not None]
    return frozenset(str(name) for child in found if hasattr(child, "keys") for name in child.keys())  # noqa: SIM118


def _spelled(value: object, others: frozenset[str]) -> str:
    """Plain values, whatever order they were put there in, without what belongs to other adapters; of anything else its class."""
    if isinstance(value, dict):
        entries = sorted((str(key), value[key]) for key in value if key not in TOLD_APART and key not in others)
        return "{" + ",".join(f"{key}={_spelled(entry, others)}" for key, entry in entries) + "}" if entries else "{}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_spelled(entry, others) for entry in value) + "]"
    return repr(value) if isinstance(value, str | int | float | None) else type(value).__name__


def _tensors(mount: Mount) -> Iterator[tuple[str, torch.Tensor]]:
    """What an adapter has at a place, by its name there."""
    for key in sorted(mount.own):
        part = getattr(mount.module, key)
        if isinstance(part, torch.Tensor):
            yield key, part
        elif part is not None:
            for name, tensor in _named(part):
                yield f"{key}.{name}", tensor


def _named(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _bare(name: str) -> str:
    """The name that a parameter has without adapters."""
    for base in BASES[:3]:
        name = name.replace(f".{base}", "")
    return name.removeprefix("base_model.model.")


def _under(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _class_of(module: torch.nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _sample(tensor: torch.Tensor) -> bytes:
    """Runs of a tensor's bytes at fixed places, ends included."""
    flat = tensor.detach().reshape(-1)
    run = max(RUN // flat.element_size(), 1)
    if flat.numel() <= run * SAMPLES:
        return _bytes(flat)
    places = [round(i * (flat.numel() - run) / (SAMPLES - 1)) for i in range(SAMPLES)]
    return _bytes(torch.cat([flat[p : p + run] for p in places]))


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).cpu().numpy().tobytes() if tensor.numel() else b""


def _hash_tokenizer(tokenizer: Any) -> str:
    """Of all that it is. Spelling out a large one takes longer than many an answer, so that is done once, and again where what tells a change quickly
    has changed: how many tokens there are, and every part beside them."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return _digest(json.dumps(tokenizer.get_vocab(), sort_keys=True))
    parts = (getattr(backend, part) for part in PARTS)
    mark = backend.get_vocab_size(), backend.truncation, backend.padding, *(None if part is None else part.__getstate__() for part in parts)
    known = _TOKENIZERS.get(tokenizer)
    if known is None or known[:2] != (backend, mark):
        known = _TOKENIZERS[tokenizer] = backend, mark, _digest(backend.to_str())
    return known[2]


def _rope(config: Any) -> tuple[str, float, str]:
    """(type, theta, the whole of it). Raises `Unsupported` for rotations that depend on how long the text becomes."""
    found = getattr(config, "rope_parameters", None) or {}
    by_layer = found.values() if found and all(isinstance(v, dict) for v in found.values()) else [found]
    kinds = {str(rope.get("rope_type", "default")) for rope in by_layer}
    if not kinds <= FIXED_ROPE:
        raise Unsupported(
            f"This model's rotary positions ({', '.join(sorted(kinds - FIXED_ROPE))}) depend on how long the text becomes, so what it has read "
            "cannot be kept exactly. Use the text of memories with it."
        )
    theta = next((float(rope["rope_theta"]) for rope in by_layer if rope.get("rope_theta")), 0.0)
    return "+".join(sorted(kinds)), theta, json.dumps(found, sort_keys=True, default=str)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
