"""Engines of tiny models, made once, and a cube with something to read in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache, PreTrainedTokenizerFast

from loci.drivers.torch_kv.engine import TorchEngine
from loci.ports.engine import Rates, Tier
from loci.system import Cube
from loci.testing.models import SHAPES, make_model, make_tokenizer

EngineOf = Callable[..., TorchEngine]
RATES = Rates(0.1, 1e-3, 0.0, 0.0, Tier(0.0, 1e12), Tier(0.0, 1e12))
"""As if reading took long and loading no time: with a model this small it is the other way round."""

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture(scope="session")
def engine_of(tokenizer: PreTrainedTokenizerFast) -> Callable[..., TorchEngine]:
    """An engine by its shape, made once for each."""
    made: dict[tuple[Any, ...], TorchEngine] = {}

    def make(shape: str = "qwen3", dtype: torch.dtype = torch.float32, attention: str = "sdpa") -> TorchEngine:
        key = (shape, dtype, attention)
        if key not in made:
            if shape not in SHAPES:
                pytest.skip(f"the installed transformers has no {shape}")
            if shape in ("qwen3.5", "lfm2") and not hasattr(DynamicCache, "has_previous_state"):
                pytest.skip("the installed transformers cannot keep what hybrids hold")
            made[key] = TorchEngine(make_model(shape, dtype=dtype, attention=attention), tokenizer)
            made[key]._rates = RATES
        return made[key]

    return make


@pytest.fixture
def clean_environment() -> Callable[[Path], dict[str, str]]:
    """The environment of a command: this one's without settings of Loci's, and an engine."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOCI_")}
    return lambda engine: {**clean, "LOCI_EMBEDDER": "none", "LOCI_ENGINE": str(engine)}


@pytest.fixture
def overtaken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Cube, str, Sequence[str]], list[str]]:
    """Has another build of Ann's come to its end just when one has written its files by this method: no row names them yet, and they are
    tidied away. The list that is returned gets the other's id."""

    def arrange(cube: Cube, writer: str, memories: Sequence[str]) -> list[str]:
        right, other = getattr(type(cube._activations), writer), list[str]()

        def written(self: Any, *arguments: Any) -> Any:
            found = right(self, *arguments)
            monkeypatch.setattr(type(cube._activations), writer, right)  # the other is not overtaken itself
            if not other:
                other.append(cube.activate(memories, user="ann").id)
            return found

        monkeypatch.setattr(type(cube._activations), writer, written)
        return other

    return arrange
