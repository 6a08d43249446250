"""Settings to a system: the one place where names become objects."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from loci.drivers.clock import SystemClock, Ulids
from loci.drivers.keys import FileKeyring, make_key, save_new
from loci.drivers.minilm import PACKAGE, MiniLM
from loci.drivers.remembering import Remembering
from loci.drivers.signing import Ed25519, make_signer
from loci.drivers.sqlite import SqliteFiles, SqliteRegistry
from loci.errors import Invalid, Missing, ReadOnly, Unsupported
from loci.infrastructure import rankers
from loci.infrastructure.governance import Governance
from loci.infrastructure.shelf import Shelf
from loci.infrastructure.signature import shown
from loci.infrastructure.vault import Vault
from loci.interface.inputs import path_of
from loci.interface.reader import MemReader
from loci.methods import fewshot
from loci.methods.memorybank import MemoryBank
from loci.operation.residence import Residence
from loci.policy.placing import Limits
from loci.policy.redacting import Rules
from loci.policy.retention import Recency, Retention
from loci.ports import Chat, Clock, Embedder, Grouping, Ids, Scorer, Secret
from loci.ports.budgeting import Method
from loci.ports.engine import Engine
from loci.ports.serving import Server
from loci.settings import Settings, load, place
from loci.system import Parts, System

if TYPE_CHECKING:
    from loci.drivers.endpoint import Endpoint

SERVERS = ("http://", "https://")
SERVER_SECONDS = 600.0  # a long text takes a slow machine minutes
Given = TypeVar("Given")


class MemOS(System):
    """A memory operating system: ``MemOS.open(folder)``, then ``.cube(name)`` and its verbs."""

    @classmethod
    def open(
        cls,
        vault: str | Path | None = None,
        *,
        clock: Clock | None = None,
        ids: Ids | None = None,
        embedder: Embedder | str | None = None,
        engine: Engine[Any] | Server | str | Path | None = None,
        **settings: object,
    ) -> MemOS:
        """Opens a vault, a folder of cubes; it is made if it is not there. ``embedder`` and ``engine`` are an object or a name of the
        setting; any other setting can be given by name. Raises `Invalid` for a setting that does not exist."""
        engine = str(engine) if isinstance(engine, Path) else engine
        names = {"embedder": embedder, "engine": engine}
        named = {name: given for name, given in names.items() if isinstance(given, str)}
        found, _ = load({"vault": None if vault is None else str(path_of(vault)), **named, **settings})
        given = None if isinstance(embedder, str) else embedder
        if isinstance(engine, Server):
            return cls(parts(found, clock=clock, ids=ids, embedder=given, server=partial(_itself, engine)))
        model, server = engine_of(found), server_of(found)
        if engine is not None and not isinstance(engine, str):
            model, server = partial(_itself, engine), None
        return cls(parts(found, clock=clock, ids=ids, embedder=given, model=model, server=server))


def parts(
    settings: Settings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    embedder: Embedder | None = None,
    model: Callable[[], Engine[Any]] | None = None,
    server: Callable[[], Server] | None = None,
) -> Parts:
    """The parts these settings describe. What is handed in takes the place of what would be built."""
    clock = clock or SystemClock()
    root = place(settings.vault, "vault")
    is_writable = _prepare(root, is_new=not settings.read_only)
    named = embedder_of(settings) if embedder is None else None
    engine = embedder if named is None else Remembering(named)

    registry = SqliteRegistry(root / "registry.db")
    return Parts(
        vault=Vault(root, clock, SqliteFiles(clock), registry, keyring_of(settings, root)), registry=registry,
        governance=Governance(clock, settings.principal, registry, is_writable and not settings.read_only, is_writable),
        reader=MemReader(), embedder=engine, clock=clock, ids=ids or Ulids(),
        ranker=rankers.load(place(settings.ranker, "ranker") if settings.ranker else None), limit=settings.limit,
        capacity=settings.capacity, is_background=settings.background, is_auditing=settings.audit_reads, quota=settings.quota,
        rules=Rules.of(settings.secrets, settings.personal),
        notary=Ed25519(), engine=model, server=server, methods=METHODS, grouping=_grouping, probe=fewshot, chat=partial(chat_of, settings), retention=retention_of(settings), limits=limits_of(settings), shelf=Shelf(slot_folder(settings), settings.kv_disk_bytes), residence=Residence(model, settings.kv_device_bytes, settings.kv_host_bytes),
    )  # fmt: skip


def _prepare(root: Path, *, is_new: bool) -> bool:
    """Makes the vault's folder where it may be new. Returns whether it can be written."""
    if not is_new and not root.is_dir():
        raise Missing(f"There is no vault at {root}, and none is made where it is opened for reading only. --vault names another folder.")
    try:
        root.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise Invalid(f"{root} is a file; a vault is a folder. Choose another path.") from error
    except OSError as error:
        raise ReadOnly(f"{root} cannot be made: {error.strerror}. Choose a folder that can be written.") from error
    return os.access(root, os.W_OK)


def embedder_of(settings: Settings) -> Embedder | None:
    """The embedder that the settings name; None when there is none, by choice or because the model is not installed."""
    name = settings.embedder
    if name == "none":
        return None
    if name == "auto":
        needed = (PACKAGE, "onnxruntime", "onnx", "tokenizers")
        return MiniLM(settings.cache_folder()) if all(find_spec(module) for module in needed) else None
    if name == "minilm":
        return MiniLM(settings.cache_folder())
    if settings.is_embedder_elsewhere:
        from loci.drivers.embeddings import EndpointEmbedder

        return EndpointEmbedder(name, settings.embedder_model, settings.embedder_key())
    raise Invalid(f"embedder is {name!r}; it must be auto, minilm, none, or the address of an API, as http://127.0.0.1:11434/v1.")


def retention_of(settings: Settings) -> Retention | None:
    """What decides what leaves a full cube, by the answers that cited it; None for what searches found (`policy.retention.value`)."""
    name = settings.retention
    if name == "memorybank":
        if settings.stability_days < 1:
            raise Invalid(f"stability_days is {settings.stability_days}; it must be at least 1.")
        return MemoryBank(float(settings.stability_days))
    if name in ("recent", "worth"):
        return Recency() if name == "recent" else None
    raise Invalid(f"retention is {name!r}; it must be memorybank, recent or worth.")


def limits_of(settings: Settings) -> Limits:
    """The room and the time that `loci plan` has."""
    hand = settings.kv_device_bytes + settings.kv_host_bytes
    return Limits(hand, settings.kv_disk_bytes, settings.adapter_bytes, float(settings.training_seconds))


def engine_of(settings: Settings) -> Callable[[], Engine[Any]] | None:
    """The model that the settings name, which is loaded when it is asked for first; None when they name none."""
    if not settings.engine or settings.engine.startswith(SERVERS):
        return None
    folder, lock = place(settings.engine, "engine"), threading.Lock()

    @cache
    def load_once() -> Engine[Any]:
        from loci.drivers.torch_kv.loading import load_engine

        return load_engine(folder, settings.device)

    def model() -> Engine[Any]:
        with lock:
            return load_once()

    return model


def server_of(settings: Settings) -> Callable[[], Server] | None:
    """The inference server that the settings name, which is asked what it is when it is needed first; None when they name none."""
    if not settings.engine.startswith(SERVERS):
        return None
    lock = threading.Lock()

    @cache
    def ask_once() -> Server:
        from loci.drivers.endpoint import Endpoint

        url = settings.engine.rstrip("/").removesuffix("/v1")
        return server_at(Endpoint(url, settings.engine_key(), seconds=SERVER_SECONDS), is_local=bool(settings.slot_folder))

    def server() -> Server:
        with lock:
            return ask_once()

    return server


def server_at(endpoint: Endpoint, *, is_local: bool = False) -> Server:
    """The driver for the server at an address, by what it says it is (``owned_by`` in its list of models)."""
    from loci.drivers.llamacpp import LlamaServer
    from loci.drivers.prefix_server import PrefixServer

    told = endpoint.get("/v1/models")
    models = told.get("data") if isinstance(told, dict) else None
    kind = models[0].get("owned_by") if isinstance(models, list) and models and isinstance(models[0], dict) else None
    if kind == "llamacpp":
        return LlamaServer(endpoint, is_local=is_local)
    if kind in ("vllm", "sglang"):
        return PrefixServer(endpoint, kind)
    raise Unsupported(f"The server at {endpoint.url} says that it is {kind!r:.80}; it must be llama.cpp's, vLLM or SGLang.")


def slot_folder(settings: Settings) -> Path | None:
    """Where a llama.cpp server's slot files are on this machine; None when the settings name no folder. Raises `Invalid` for none that is."""
    if not settings.slot_folder:
        return None
    folder = place(settings.slot_folder, "slot_folder")
    if not folder.is_dir():
        raise Invalid(f"slot_folder is {settings.slot_folder!r}, where there is no folder. Name what the server has as --slot-save-path.")
    return folder


def _method(module: str, name: str, words: str, tokenize: Callable[[str], Sequence[int]]) -> Scorer:
    """An eviction method as its file has it; ``words`` come before what it probes with. They bring torch, so each is imported when it is
    asked for."""
    made = getattr(import_module(f"loci.methods.{module}"), name)
    scorer: Scorer = made(tuple(tokenize(words))) if words else made()
    return scorer


def _grouping(most: int) -> Grouping:
    """EpiCache, which brings torch."""
    made: Grouping = import_module("loci.methods.epicache").EpiCache(most=most)
    return made


METHODS: dict[str, Method] = {
    "sirllm": partial(_method, "sirllm", "SirLLM", ""),
    "key_difference": partial(_method, "key_difference", "KeyDifference", ""),
    "kvzip": partial(_method, "kvzip", "KVzip", "\n\nRepeat the previous text exactly:\n"),
    "snapkv": partial(_method, "snapkv", "SnapKV", ""),
    "key_norm": partial(_method, "key_norm", "KeyNorm", ""),
    "streaming": partial(_method, "streaming", "Streaming", ""),
}
"""What chooses the entries of a KV budget, by the names of `loci.methods`. EpiCache keeps several caches, and is made of them by `Cube.activate_episodes`."""


def _itself(given: Given) -> Given:
    return given


def keyring_of(settings: Settings, root: Path) -> FileKeyring:
    """Where the data keys of encrypted cubes are, and what opens them. The secret is read when it is needed, and not before."""

    def secret() -> Secret:
        return Secret(settings.passphrase(), place(settings.key_file, "key_file") if settings.key_file else None)

    folder = place(settings.key_folder, "key_folder") if settings.key_folder else root
    return FileKeyring(root, folder, secret, is_armed=bool(settings.passphrase_variable or settings.key_file))


def keygen(path: Path, purpose: str) -> str | None:
    """Makes a key file: ``signing`` (its public key goes to a file beside it and is returned) or ``cubes``."""
    if purpose == "cubes":
        make_key(path)
        return None
    private, public = make_signer()
    beside, told = path.with_name(f"{path.name}.pub"), shown(public)
    save_new(beside, f"{told}\n".encode())
    try:
        save_new(path, private)
    except BaseException:
        beside.unlink()  # no key stays without the other
        raise
    return told


def chat_of(settings: Settings) -> Chat | None:
    """The language model that the settings name; None when they name no endpoint."""
    if not settings.endpoint:
        return None
    from loci.drivers.openai import OpenAIChat

    return OpenAIChat(settings.endpoint, settings.model, settings.key())
