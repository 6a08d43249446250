"""mem0's configuration, as far as it means something here. It never raises because of a store that Loci replaces."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loci.compat.mem0.errors import in_habit
from loci.errors import Invalid
from loci.settings import load, mem0_home
from loci.wire import MemOS

MINILM = ("all-minilm-l6-v2", "sentence-transformers/all-minilm-l6-v2")
SILENT = {"version"}  # of which there is only one left


def config_of(config: object) -> Mapping[str, Any]:
    """The configuration as a dictionary: mem0's own object has ``model_dump``."""
    dumped = config.model_dump() if hasattr(config, "model_dump") else config
    if dumped is None:
        return {}
    if not isinstance(dumped, Mapping):
        raise Invalid(f"config is {config!r:.100}; it must be a dictionary such as mem0's.")
    return dumped


def opened(config: object, vault: str | Path | None, settings: Mapping[str, object]) -> tuple[MemOS, str]:
    """The vault that is meant, open, and the cube that calls without ``app_id`` are about. Warns, once, of what it leaves out.

    The vault is the one that is given, else the one that Loci's own settings name, else ``loci`` in mem0's home (``MEM0_DIR``, ``~/.mem0``)."""
    with in_habit():
        given = config_of(config)
        wanted, ignored = embedder_of(given.get("embedder"))
        ignored += sorted(str(key) for key, value in given.items() if key not in (*SILENT, "embedder") and value is not None)
        if ignored:
            warnings.warn(
                f"Loci keeps memories in a vault of its own and reads them by rules: it leaves {', '.join(ignored)} of the configuration aside.",
                stacklevel=4,
            )
        found, origins = load(dict(settings))
        is_named = any(one.name == "vault" and one.origin != "default" for one in origins)
        home = vault if vault is not None else None if is_named else mem0_home() / "loci"
        return MemOS.open(home, **{**wanted, **settings}), found.cube  # type: ignore[arg-type]


def embedder_of(embedder: object) -> tuple[dict[str, object], list[str]]:
    """The setting that names the same embedder, if Loci has it; else what is left aside."""
    if embedder is None:
        return {}, []
    about = embedder.get("config") if isinstance(embedder, Mapping) else None
    model = str(about.get("model", "")).lower() if isinstance(about, Mapping) else ""
    return ({"embedder": "minilm"}, []) if model in MINILM else ({}, ["embedder"])
