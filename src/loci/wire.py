"""Settings to a system: the one place where names become objects."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loci.drivers.clock import SystemClock, Ulids
from loci.drivers.keys import FileKeyring, make_key, save_new
from loci.drivers.minilm import PACKAGE, MiniLM
from loci.drivers.signing import Ed25519, make_signer
from loci.drivers.sqlite import SqliteFiles, SqliteRegistry
from loci.errors import Invalid, ReadOnly
from loci.infrastructure import rankers
from loci.infrastructure.governance import Governance
from loci.infrastructure.vault import Vault
from loci.interface.reader import MemReader
from loci.operation.residence import Residence
from loci.policy.redacting import Rules
from loci.ports import Chat, Clock, Embedder, Ids, Secret
from loci.ports.engine import Engine
from loci.settings import Settings, load, place
from loci.system import Parts, System


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
        engine: Engine[Any] | str | None = None,
        **settings: object,
    ) -> MemOS:
        """Opens a vault, a folder of cubes; it is made if it is not there. ``embedder`` and ``engine`` are an object or a name of the
        setting; any other setting can be given by name. Raises `Invalid` for a setting that does not exist."""
        names = {"embedder": embedder, "engine": engine}
        named = {name: given for name, given in names.items() if isinstance(given, str)}
        found, _ = load({"vault": None if vault is None else str(vault), **named, **settings})
        given = None if isinstance(embedder, str) else embedder
        model = engine_of(found) if engine is None or isinstance(engine, str) else partial(_itself, engine)
        return cls(parts(found, clock=clock, ids=ids, embedder=given, model=model))


def parts(
    settings: Settings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    embedder: Embedder | None = None,
    model: Callable[[], Engine[Any]] | None = None,
) -> Parts:
    """The parts these settings describe. What is handed in takes the place of what would be built."""
    clock = clock or SystemClock()
    root = place(settings.vault, "vault")
    is_writable = _prepare(root)
    engine = embedder or embedder_of(settings)

    registry = SqliteRegistry(root / "registry.db")
    return Parts(
        vault=Vault(root, clock, SqliteFiles(clock), registry, keyring_of(settings, root)), registry=registry,
        governance=Governance(clock, settings.principal, registry, is_writable),
        reader=MemReader(), embedder=engine, clock=clock, ids=ids or Ulids(),
        ranker=rankers.load(place(settings.ranker, "ranker") if settings.ranker else None), limit=settings.limit,
        capacity=settings.capacity, is_background=settings.background, is_auditing=settings.audit_reads, quota=settings.quota,
        rules=Rules.of(settings.secrets, settings.personal),
        notary=Ed25519(), engine=model, residence=Residence(model, settings.kv_device_bytes, settings.kv_host_bytes), kv_bytes=settings.kv_disk_bytes,
    )  # fmt: skip


def _prepare(root: Path) -> bool:
    """Makes the vault's folder. Returns whether it can be written."""
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
    raise Invalid(f"embedder is {name!r}; it must be auto, minilm or none.")


def engine_of(settings: Settings) -> Callable[[], Engine[Any]] | None:
    """The model that the settings name, which is loaded when it is asked for first; None when they name none."""
    if not settings.engine:
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


def _itself(engine: Engine[Any]) -> Engine[Any]:
    return engine


def keyring_of(settings: Settings, root: Path) -> FileKeyring:
    """Where the data keys of encrypted cubes are, and what opens them. The secret is read when it is needed, and not before."""

    def secret() -> Secret:
        return Secret(settings.passphrase(), Path(settings.key_file).expanduser() if settings.key_file else None)

    folder = Path(settings.key_folder).expanduser() if settings.key_folder else root
    return FileKeyring(root, folder, secret, is_armed=bool(settings.passphrase_variable or settings.key_file))


def keygen(path: Path, purpose: str) -> str | None:
    """Makes a key file: ``signing`` (its public key goes to a file beside it and is returned) or ``cubes``."""
    if purpose == "cubes":
        make_key(path)
        return None
    private, public = make_signer()
    save_new(path, private)
    shown = f"ed25519:{public.hex()}"
    save_new(path.with_name(f"{path.name}.pub"), f"{shown}\n".encode())
    return shown


def chat_of(settings: Settings) -> Chat | None:
    """The language model that the settings name; None when they name no endpoint."""
    if not settings.endpoint:
        return None
    from loci.drivers.openai import OpenAIChat

    return OpenAIChat(settings.endpoint, settings.model, settings.key())
