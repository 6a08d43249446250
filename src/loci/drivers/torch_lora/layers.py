"""Which layers of a model an adapter is for, what room it takes there, and a copy of the model that it can be put into."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from loci.errors import Invalid, TooLarge, Unsupported
from loci.ports.adapting import Recipe
from loci.ports.engine import LayerShape

FORMS = ("lora", "cartridge")
EXPECTED = (
    ".*modify a model with PEFT for a second time.*",
    ".*Already found a `peft_config` attribute.*",
    ".*is_gradient_checkpointing.*",
)
"""What peft warns of, and is meant here, or is between peft and transformers."""
QUIET = threading.Lock()  # filters of warnings are the process's
PREFIX = "base_model.model."  # before every name in a file of peft's


def check_recipe(recipe: Recipe) -> None:
    """Raises `Invalid` for numbers that mean nothing."""
    wrong = {
        "form": recipe.form not in FORMS,
        "rank": recipe.rank < 1,
        "alpha": not 0 < recipe.alpha < float("inf"),
        "tokens": recipe.tokens < 0,
        "exposures": recipe.exposures < 1,
        "batch": recipe.batch < 1,
        "rate": not 0 < recipe.rate < float("inf"),
        "replay": not 0 <= recipe.replay < 1,
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise Invalid(f"{name} is {getattr(recipe, name)!r} in the recipe; {_right(name)}.")


def _right(name: str) -> str:
    return {
        "form": f"there are {' and '.join(FORMS)}",
        "alpha": "it is a number above 0",
        "rate": "it is a number above 0",
        "tokens": "it is 0, for as many as the text has, or more",
        "replay": "it is a share of each batch, from 0 to below 1",
    }.get(name, "it is 1 at least")


def targets_of(model: nn.Module, recipe: Recipe) -> dict[str, tuple[int, int]]:
    """The linear layers that a recipe adapts, by name: how many numbers go in and come out. Raises `Invalid` for an ending that none has, and for a rank that
    one of them cannot hold, `Unsupported` where there are none, or somebody has put adapters into the model itself."""
    if any(isinstance(module, BaseTunerLayer) for module in model.modules()):
        raise Unsupported("Adapters are mounted in this very model. Unload them: Loci mounts its own on a copy that shares the weights.")
    output = model.get_output_embeddings()
    linear = {
        name: (module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not output
    }
    if not linear:
        raise Unsupported(f"{type(model).__name__} has no linear layers that could be adapted.")
    for ending in recipe.targets:
        if not any(_ends(name, ending) for name in linear):
            there = sorted({name.rpartition(".")[2] for name in linear})
            raise Invalid(f"No linear layer of this model is called {ending!r}; there are {', '.join(there)}.")
    found = {name: shape for name, shape in linear.items() if not recipe.targets or any(_ends(name, e) for e in recipe.targets)}
    for name, shape in found.items():
        if recipe.rank > min(shape):
            raise Invalid(f"rank is {recipe.rank}, but {name} is {shape[0]} by {shape[1]} and holds {min(shape)} at most.")
    return found


def _ends(name: str, ending: str) -> bool:
    return name == ending or name.endswith(f".{ending}")


def shapes_of(model: nn.Module, recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a LoRA by this recipe, by the name that peft's file gives it."""
    found: dict[str, tuple[int, ...]] = {}
    for name, (d_in, d_out) in targets_of(model, recipe).items():
        found[f"{PREFIX}{name}.lora_A.weight"] = (recipe.rank, d_in)
        found[f"{PREFIX}{name}.lora_B.weight"] = (d_out, recipe.rank)
    return found


def check_room(needed: int, recipe: Recipe) -> None:
    """Raises `TooLarge` for an adapter of more bytes than the recipe allows."""
    if needed > recipe.most_bytes:
        raise TooLarge(
            f"This adapter would take {needed:,} bytes, more than the {recipe.most_bytes:,} of most_bytes. Choose a smaller rank, fewer targets or fewer tokens."
        )


def config_of(model: nn.Module, recipe: Recipe) -> LoraConfig:
    """How peft describes the recipe for this model: endings of names where they pick the very layers, the whole names otherwise."""
    names = targets_of(model, recipe)
    endings = sorted({name.rpartition(".")[2] for name in names})
    alike = targets_of(model, Recipe(rank=recipe.rank, targets=tuple(endings)))
    return LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM",
        target_modules=endings if set(alike) == set(names) else sorted(names),
    )  # fmt: skip


def inject(copy: nn.Module, config: LoraConfig, name: str, weights: Mapping[str, torch.Tensor]) -> dict[str, nn.Parameter]:
    """Puts a LoRA of these weights, by the names of peft's file, into a `bare_copy`, and gives its parameters, which want gradients. They stay float32 whatever
    the model is, as peft loads them."""
    with QUIET, warnings.catch_warnings():
        for message in EXPECTED:
            warnings.filterwarnings("ignore", message=message)
        inject_adapter_in_model(config, copy, name)
    found = {}
    for path, module in copy.named_modules():
        if isinstance(module, LoraLayer):
            for part in ("lora_A", "lora_B"):
                held = getattr(module, part)
                if name in held:
                    told = f"{PREFIX}{path}.{part}.weight"
                    held[name].weight = nn.Parameter(weights[told].to(module.get_base_layer().weight.device))
                    found[told] = held[name].weight
    return found


def activate(copy: nn.Module, names: list[str]) -> None:
    """These and no others are added to what the layers say, in this order; none of them is trained any more."""
    for module in copy.modules():
        if isinstance(module, LoraLayer):
            module.set_adapter(names, inference_mode=True)
    copy.requires_grad_(False)


def cache_shapes(shapes: tuple[LayerShape, ...], tokens: int) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a cartridge of so many tokens: [heads, tokens, width]. Raises `Unsupported` for layers that keep something else than keys and values
    alike."""
    if odd := sorted({"compressed" if s.values else s.kind for s in shapes if s.kind not in ("full", "window") or s.values}):
        raise Unsupported(
            f"A cartridge is keys and values of every layer, and this model has layers of another kind ({', '.join(odd)}). Learn a LoRA."
        )
    return {f"layers.{n}.{part}": (s.heads, tokens, s.width) for n, s in enumerate(shapes) for part in ("keys", "values")}
