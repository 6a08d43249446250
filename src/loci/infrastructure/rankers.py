"""What signals are worth, from a file: the one that ships, or one of the user's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from loci.errors import Invalid
from loci.infrastructure.files import writing
from loci.policy.answerable import EVIDENCE
from loci.policy.fusion import FACTS, SIGNALS, Ranker

SHIPPED = "ranker.json"


def load(path: Path | None = None) -> Ranker:
    """The ranker in a file of ``bench/train.py``'s format; without a path the one that ships. Raises `Invalid` for anything else."""
    try:
        raw = path.read_text("utf-8") if path is not None else (files("loci.infrastructure") / SHIPPED).read_text("utf-8")
        told = json.loads(raw)
        if unknown := told["weights"].keys() - set(SIGNALS):
            raise ValueError(f"there are no signals {', '.join(sorted(unknown))}; there are {', '.join(SIGNALS)}")
        weights = {signal: _slopes(slopes) for signal, slopes in told["weights"].items()}
        return Ranker(str(told["name"]), weights, _confidence(told.get("confidence", {})))
    except OSError as error:
        raise Invalid(
            f"The ranker {path} cannot be read ({error.strerror}). Leave the setting 'ranker' empty for the one that ships."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Invalid(f"The ranker {path or SHIPPED} is none: {error!r}. `python -m bench.train DATA --write FILE` makes one.") from error


def save(path: Path, ranker: Ranker, provenance: Mapping[str, object]) -> None:
    """Writes a ranker with where it comes from, a signal a line."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(dict(slopes))}" for name, slopes in ranker.weights.items())
    head = {"name": ranker.name, "provenance": provenance, "confidence": dict(ranker.confidence)}
    told = ",\n ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items())
    with writing(path, overwrite=True) as file:  # a setting may name it: it is never half there
        file.write(f'{{{told},\n "weights": {{\n{lines}\n }}\n}}\n'.encode())
    path.chmod(0o644)  # it holds nobody's words


def _slopes(told: dict[str, float]) -> dict[str, float]:
    unknown = told.keys() - {"base", *FACTS}
    if unknown or "base" not in told:
        raise ValueError(f"a signal needs 'base', and slopes only for {', '.join(FACTS)}; got {', '.join(told)}")
    return {name: float(value) for name, value in told.items()}


def _confidence(told: dict[str, float]) -> dict[str, float]:
    unknown = told.keys() - {"base", "threshold", *EVIDENCE}
    if unknown:
        raise ValueError(f"confidence knows base, threshold, {', '.join(EVIDENCE)}; got {', '.join(unknown)}")
    return {name: float(value) for name, value in told.items()}
