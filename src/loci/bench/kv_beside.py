"""kvpress on the same conversations by the same model, in an environment of its own: other people's code for the same papers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from loci.bench.kv_language import Language, stream
from loci.bench.kv_recall import SINKS, Row, Setting, row_of
from loci.bench.rivals import alongside

PRESSES: dict[str, dict[str, int]] = {
    "StreamingLLMPress": {"n_sink": SINKS}, "KnormPress": {}, "SnapKVPress": {"window_size": 8}, "TOVAPress": {}, "KeyDiffPress": {},
    "ExpectedAttentionPress": {"n_sink": SINKS}, "RandomPress": {},
}  # fmt: skip


def beside(model: Any, language: Language, settings: Sequence[Setting], advance: Callable[[int, int], None]) -> list[Row]:
    """A row for each setting, press and budget. They read the whole conversation and compress once, so their peak is all of it.

    Installs kvpress on first use. Raises `Unavailable` where that or the run fails.
    """
    rows = []
    for setting in settings:
        streams = [stream(language, setting.length, setting.facts, setting.topics, setting.filler, seed) for seed in range(setting.streams)]
        cases = [{"tokens": s.tokens, "asked": [(language.question(k), language.value(v)) for k, v in s.facts.items()]} for s in streams]
        count = len(PRESSES) * len(setting.budgets) * len(cases)
        with tempfile.TemporaryDirectory(prefix="loci-bench-") as name:
            home = Path(name)
            save_file({k: v.contiguous().cpu() for k, v in model.state_dict().items()}, home / "model.safetensors")
            (home / "config.json").write_text(json.dumps(model.config.to_diff_dict()), "utf-8")
            (home / "cases.json").write_text(json.dumps({"cases": cases, "budgets": setting.budgets, "presses": PRESSES}), "utf-8")
            alongside("kvpress", home, lambda done, count=count: advance(done, count))  # type: ignore[misc]
            rights: dict[str, list[float]] = json.loads((home / "rights.json").read_text("utf-8"))
        for press in PRESSES:
            rows += [row_of(setting, f"kvpress {press}", b, rights[f"{press} {b}"], b, setting.length) for b in setting.budgets]
    return rows
