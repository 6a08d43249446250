"""Families of models as the library has them: gone on from exactly, or refused."""

from __future__ import annotations

import pytest
import transformers
from bench import families


@pytest.mark.skipif(not hasattr(transformers, "Gemma4TextConfig"), reason="an earlier transformers has others, and cannot keep hybrids")
def test_some_of_each_kind() -> None:
    wanted = {"gemma4_text": "exact", "gpt_bigcode": "exact", "gpt_oss": "exact", "kimi_linear": "exact", "llama4_text": "exact", "nemotron_h": "exact",
              "lfm2": "exact", "bert": "refused", "doge": "refused", "jamba": "refused", "mamba": "refused"}  # fmt: skip
    found = {one.family: one for one in families.tried(tuple(wanted))}
    assert {name: one.verdict for name, one in found.items()} == wanted
    assert [found[name].told for name in ("lfm2", "gpt_oss")] == ["2 end, 2 full", "2 full, 2 window"] and "end" in found["nemotron_h"].told


def test_one_that_forgets_is_called_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measure itself: with a token less in each state, the library's own logits are others."""
    right = families.TorchEngine.read
    monkeypatch.setattr(families.TorchEngine, "read", lambda self, ids, after=(): right(self, [*ids[:-1], 7], after))
    (found,) = families.tried(("qwen3",))
    assert found.verdict == "wrong" and found.difference > 0.01 and "otherwise than the library" in found.told


@pytest.mark.slow
def test_none_is_wrong() -> None:
    found = list(families.tried())
    assert [one.family for one in found if one.verdict == "wrong"] == [] and sum(one.verdict == "exact" for one in found) > 100
