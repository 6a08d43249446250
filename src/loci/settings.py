"""Settings: the only reader of the environment and of configuration files. Arguments win, then LOCI_*, then the file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from loci.errors import Denied, Invalid, meant
from loci.text.address import is_address

PREFIX = "LOCI_"


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, with a line of meaning each. Unknown names raise, with the nearest known one."""

    vault: str = _setting("vault", "folder of the cubes")
    cube: str = _setting("main", "cube that commands use when none is named")
    embedder: str = _setting(
        "auto", "auto (MiniLM when installed), minilm, http://.../v1 of an OpenAI-compatible API, or none for search by words alone"
    )
    embedder_model: str = _setting("", "name of the embedding model at that API")
    embedder_key_variable: str = _setting("", "environment variable that holds that API's key, if it wants one")
    cache: str = _setting("", "folder for the model graph; empty means the user's cache folder")
    endpoint: str = _setting("", "base address of an OpenAI-compatible API (http://127.0.0.1:8080/v1); empty means no language model")
    model: str = _setting("", "name of the language model at the endpoint")
    key_variable: str = _setting("OPENAI_API_KEY", "environment variable that holds the endpoint's key, if it wants one")
    upstream: str = _setting(
        "", "address of the models that `loci serve` stands before (https://api.openai.com/v1); empty means that of endpoint"
    )
    upstream_key_variable: str = _setting(
        "", "environment variable that holds the upstream's key, for who comes with a key of Loci's; empty means that of key_variable"
    )
    passphrase_variable: str = _setting(
        "", "environment variable that holds the passphrase of encrypted cubes; new cubes are encrypted then"
    )
    key_file: str = _setting(
        "", "file of 32 random bytes that opens encrypted cubes, instead of a passphrase; new cubes are encrypted then"
    )
    key_folder: str = _setting(
        "", "folder of the cubes' wrapped keys; empty means beside the cubes, where copies of the vault take them along"
    )
    engine: str = _setting(
        "",
        "what reads memories once and answers from them: the folder of a transformers model, or http://... of a server; empty means none",
    )
    engine_key_variable: str = _setting("", "environment variable that holds the key of the engine's server, if it wants one")
    slot_folder: str = _setting(
        "",
        "the folder of a llama.cpp server's slot files (--slot-save-path), if this machine has it; then they are checked and destroyed here",
    )
    device: str = _setting("auto", "where the engine runs: auto (a GPU when there is one), cpu, cuda, cuda:1 ...")
    kv_device_bytes: int = _setting(4 << 30, "bytes of activation memories that are at hand where the engine runs")
    kv_host_bytes: int = _setting(
        8 << 30, "bytes of activation memories beyond those, parked in the host's memory; where the engine runs on a CPU the two add up"
    )
    kv_disk_bytes: int = _setting(32 << 30, "bytes of activation memories that a cube keeps on the disk before the least useful go")
    adapter_bytes: int = _setting(1 << 30, "bytes of adapters that `loci plan` lets a cube have")
    training_seconds: int = _setting(600, "seconds a day in which `loci plan` has memories learned; 0 means never")
    ranker: str = _setting("", "file with the weights of the search's signals; empty means the one that ships")
    read_only: bool = _setting(
        False,
        "refuse every verb that changes something; who read what, and who was refused, is still logged where the folder can be written",
    )
    principal: str = _setting("owner", "who embedded calls act as")
    limit: int = _setting(10, "hits a search returns at most")
    capacity: int = _setting(0, "findable memories a cube may hold before the least valuable are archived; 0 means no limit")
    retention: str = _setting(
        "memorybank",
        "what a full cube archives first: memorybank (by the answers that cited it, and how long apart), recent (longest uncited), or worth (by what searches found)",
    )
    stability_days: int = _setting(3, "days after which memorybank expects a memory that no answer cited yet not to be wanted any more")
    secrets: str = _setting(
        "mask", "keys, tokens, passwords and cards in what comes in: keep, mask or refuse; a cube's `protect` overrules it"
    )
    personal: str = _setting("keep", "addresses, phone and identity numbers in what comes in: keep, mask or refuse; so does it here")
    quota: int = _setting(0, "messages that one user may have in a cube; 0 means no limit; so does it here")
    traces: str = _setting(
        "",
        "address of a collector (OTLP over HTTP, http://127.0.0.1:4318) that `loci serve` sends a span a request to; empty means nowhere",
    )
    audit_reads: bool = _setting(True, "write reads into the audit log too, together with the use counters; false leaves only writes")
    background: bool = _setting(
        True, "work the queue in a background thread; no means only when asked (a search, an import, `loci worker`)"
    )

    def key(self) -> str:
        """The endpoint's key; empty when there is none. It is never shown, stored or logged."""
        return os.environ.get(self.key_variable, "")

    def upstream_key(self) -> str:
        """The upstream's key; empty when there is none. It is never shown, stored or logged."""
        return os.environ.get(self.upstream_key_variable or self.key_variable, "")

    @property
    def is_embedder_elsewhere(self) -> bool:
        """Whether the embedder is behind an API: who asks it waits, and does not compute."""
        return self.embedder.startswith(("http://", "https://"))

    def embedder_key(self) -> str:
        """The key of the embedding model's API; empty when none is named. It is never shown, stored or logged."""
        return os.environ.get(self.embedder_key_variable, "") if self.embedder_key_variable else ""

    def engine_key(self) -> str:
        """The key of the engine's server; empty when none is named. It is never shown, stored or logged."""
        return os.environ.get(self.engine_key_variable, "") if self.engine_key_variable else ""

    def passphrase(self) -> str:
        """The passphrase of encrypted cubes; empty when none is named. It is never shown, stored or logged. Raises `Denied` where
        the variable that is to hold it holds nothing: a cube must not be made plain by a slip."""
        return held_by(self.passphrase_variable) if self.passphrase_variable else ""

    def cache_folder(self) -> Path:
        """Where derived files of the installation go."""
        if self.cache:
            return place(self.cache, "cache")
        return place(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "XDG_CACHE_HOME") / "loci"


def place(text: str, name: str) -> Path:
    """The path that a setting names; ``~`` is the user's home. Raises `Invalid` where no file can be called so."""
    try:
        path = Path(text).expanduser()
        is_name = b"\0" not in os.fsencode(path)
    except (RuntimeError, UnicodeEncodeError):  # no such user, or no home
        is_name = False
    if not is_name:
        raise Invalid(f"{name} is {text!r:.100}, which is no path. Name a folder or a file as the system can have one.")
    return path


def mem0_home() -> Path:
    """Where programs that were written for mem0 expect their memories."""
    return place(os.environ.get("MEM0_DIR") or "~/.mem0", "MEM0_DIR")


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting as it holds, and where it came from."""

    name: str
    value: object
    origin: str
    meaning: str


def load(
    arguments: Mapping[str, object] | None = None, file: Path | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Settings, list[Effective]]:
    """The settings that hold. ``file`` defaults to LOCI_CONFIG, else ``loci.toml`` in the current folder if there is one."""
    environment = os.environ if environment is None else environment
    named = file or (Path(environment[f"{PREFIX}CONFIG"]) if environment.get(f"{PREFIX}CONFIG") else None)
    path = named or Path("loci.toml")
    known = {f.name: f for f in fields(Settings)}
    found: dict[str, tuple[object, str]] = {}
    if named is not None or path.exists():
        found.update({name: (value, str(path)) for name, value in _read(path).items()})
    named_secret = (arguments or {}).get("passphrase_variable") or environment.get(f"{PREFIX}PASSPHRASE_VARIABLE")
    secret = named_secret or found.get("passphrase_variable", ("", ""))[0]  # it may be called LOCI_SOMETHING, and is no setting
    for variable, text in environment.items():
        if variable.startswith(PREFIX) and variable not in (f"{PREFIX}CONFIG", secret):
            found[variable.removeprefix(PREFIX).lower()] = (text, variable)
    found.update({name: (value, "argument") for name, value in (arguments or {}).items() if value is not None})
    values = {}
    for name, (value, origin) in found.items():
        if name not in known:
            raise Invalid(f"{origin}: there is no setting {name!r}." + meant(name, known, " `loci settings` lists them."))
        values[name] = _typed(name, value, known[name].default, origin)
    if is_address(vault := str(values.get("vault", ""))):
        raise Invalid(
            f"{found['vault'][1]}: vault is {vault!r}, an address; a vault is a folder. `loci.connect(url)` speaks to a vault that a server has."
        )
    settings = Settings(**values)
    return settings, [
        Effective(n, getattr(settings, n), found[n][1] if n in found else "default", f.metadata["meaning"]) for n, f in known.items()
    ]


def held_by(variable: str, what: str = "a passphrase") -> str:
    """What an environment variable holds. Raises `Denied` when that is nothing."""
    value = os.environ.get(variable, "")
    if not value:
        raise Denied(f"The environment variable {variable} is to hold {what}, and is empty or not set. Set it and try again.")
    return value


def inherited(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program that is started from here, with changes."""
    return {**os.environ, **changes}


def count_in(folder: Path) -> None:
    """Has prometheus_client, which reads this once when it is imported, count for several processes in a folder."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise Invalid(f"{path} does not exist; LOCI_CONFIG names it.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not TOML: {error}") from error


def _typed(name: str, value: object, default: object, origin: str) -> Any:
    kind = type(default)
    if isinstance(value, kind) and kind is not int:
        return value
    text = str(value).strip()
    if kind is bool and text.lower() in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        return text.lower() in ("1", "true", "yes", "on")
    if kind is int and not isinstance(value, bool) and text.lstrip("-").isdecimal():
        if text.startswith("-"):
            raise Invalid(f"{origin}: {name} is {text}; it must be 0 or more.")
        return int(text)
    if kind is str and isinstance(value, Path | str):
        return text
    raise Invalid(f"{origin}: {name} is {value!r}; it must be a {kind.__name__}, such as {default!r}.")
