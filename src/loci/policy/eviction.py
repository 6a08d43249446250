"""How many entries of a KV cache each layer may keep, and which stored payload goes first when the store is full."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loci.errors import Invalid

FLOOR = 4  # every layer has at least the mean over this
NEGLIGIBLE = 1e-3  # nats a token: what a codec may cost, too


def allocate(weights: Sequence[float], mean: int, *, most: float = 3.0) -> tuple[int, ...]:
    """A budget for each layer, in proportion to its weight within limits: they sum to ``mean * len(weights)`` exactly.

    Each lies between ``ceil(mean / 4)`` and ``floor(most * mean)``. What a layer cannot take because of the upper limit is shared out among the
    others by their weights, until nothing is left (water-filling); fractions go to the largest remainders. Without that
    redistribution one outlying weight breaks the sum: clamping after normalising, as EpiCache's code does, has been measured at 1.02 to 1.19 times
    the budget. Raises `Invalid` for weights that are negative, not finite or all zero, a mean below 1, or ``most`` below 1.
    """
    layers = len(weights)
    if not layers or mean < 1 or most < 1:
        raise Invalid(f"A budget needs a layer, a mean of at least 1 and an upper limit of at least 1x: {layers}, {mean}, {most}.")
    if not all(math.isfinite(w) and w >= 0 for w in weights) or not any(weights):
        raise Invalid(f"Weights are finite, not negative, and one is positive: {list(weights)}.")
    floor, cap = -(-mean // FLOOR), int(most * mean)
    given = _filled([w / max(weights) for w in weights], float(mean * layers - floor * layers), float(cap - floor))
    whole = [min(int(g), cap - floor) for g in given]
    left = mean * layers - floor * layers - sum(whole)
    by_remainder = sorted(range(layers), key=lambda i: (whole[i] - given[i], i))
    while left > 0:
        for i in by_remainder:
            if left > 0 and whole[i] < cap - floor:
                whole[i] += 1
                left -= 1
    return tuple(floor + w for w in whole)


def shared(weights: Sequence[float], mean: int, protected: int) -> tuple[int, ...]:
    """A budget for each layer of which ``protected`` entries are kept whatever they score: the rest is allocated by weight, so that no layer is
    left with less than it has to hold. The sum is ``mean * len(weights)`` and the limits of `allocate` hold as well. Raises `Invalid`."""
    if mean <= protected:
        raise Invalid(f"A budget of {mean} entries a layer cannot hold the {protected} that are protected and one more; give it more.")
    return tuple(protected + more for more in allocate(weights, mean - protected))


def _filled(weights: Sequence[float], amount: float, room: float) -> list[float]:
    """Shares of ``amount`` in proportion to weights, none above ``room``; evenly among layers of weight 0 once all others are full."""
    given, is_open = [0.0] * len(weights), [True] * len(weights)
    while amount > 1e-9 and any(is_open):
        total = sum(w for w, o in zip(weights, is_open, strict=True) if o)
        shares = [(w / total if total > 0 else 1 / sum(is_open)) * amount if o else 0.0 for w, o in zip(weights, is_open, strict=True)]
        full = [i for i, share in enumerate(shares) if is_open[i] and share > room]
        if not full:
            return [g + s for g, s in zip(given, shares, strict=True)]
        for i in full:
            given[i], is_open[i] = room, False
            amount -= room
    return given


def sensitivity_weights(divergences: Sequence[float]) -> tuple[float, ...]:
    """Weights in proportion to how much each layer's budget alone changes what the model says, the largest 1.

    Each counts `NEGLIGIBLE` more than it has: where no layer changes anything to speak of, they are all alike, and not as rounding has it. Raises
    `Invalid` for what is no divergence.
    """
    if not divergences or not all(math.isfinite(x) and x >= 0 for x in divergences):
        raise Invalid(f"A layer's sensitivity is finite and not negative: {list(divergences)}.")
    most = max(divergences) + NEGLIGIBLE
    return tuple((x + NEGLIGIBLE) / most for x in divergences)


def layer_weights(likeness: Sequence[float], alpha: float = 1.1) -> tuple[float, ...]:
    """EpiCache's weights from a profile: the mean cosine of each layer's keys under full and under block attention (2509.17396, its code).

    ``(1 - minmax(likeness)) ** alpha``: layers whose keys change most with what they may see get most. A flat profile gives equal weights.
    """
    if not likeness or not all(math.isfinite(x) for x in likeness):
        raise Invalid(f"A profile has a finite number for each layer: {list(likeness)}.")
    low, high = min(likeness), max(likeness)
    if high == low:
        return (1.0,) * len(likeness)
    return tuple(max(0.0, 1 - (x - low) / (high - low)) ** alpha for x in likeness)


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of a stored payload."""

    uses: int
    recompute_ms: float
    load_ms: float
    size: int  # bytes


def payload_key(stored: Stored, age_clock: float) -> float:
    """The sort key by which payloads leave the disk, least first: GreedyDual-Size-Frequency (Cherkasova 1998).

    ``age_clock + uses * (recompute - load) / bytes``. The caller sets ``age_clock`` to the key of the last payload that left, and computes
    a payload's key anew at each use, so that what was once dear and is no longer used ages out. Where loading is no faster than computing again,
    the key is the clock's alone: first to go.
    """
    if stored.size <= 0 or stored.uses < 0:
        raise Invalid(f"A payload has bytes and no negative uses: {stored}.")
    return age_clock + stored.uses * max(0.0, stored.recompute_ms - stored.load_ms) / stored.size
