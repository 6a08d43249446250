"""A model, with whatever is mounted on it, as an examination sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from loci.drivers.torch_kv.engine import TorchEngine
from loci.drivers.torch_lora.resting import resting
from loci.drivers.torch_lora.words import NOT, Row, expected, joined, rows_of

NUMBERS = 1 << 25  # logits at once


class TorchExaminee:
    """Rows of like length are read together, without a mask: a token sees nothing on its right."""

    def __init__(self, engine: TorchEngine, rest: Callable[[], None] | None = None) -> None:
        self._engine, self._rest = engine, rest

    def losses(self, cues: Sequence[str], answers: Sequence[str]) -> Sequence[float]:
        rows = self._rows(cues, answers)

        def found(logits: torch.Tensor, asked: torch.Tensor) -> list[float]:
            nats = expected(logits, asked)
            return [float(total / count) for total, count in zip(nats.double().sum(1), (asked != NOT).sum(1), strict=True)]

        return self._read(rows, found)

    def complete(self, cues: Sequence[str], answers: Sequence[str]) -> Sequence[float]:
        rows = self._rows(cues, answers)
        said = self.said(rows)
        return [sum(a == b for a, b in zip(row.answer, one, strict=True)) / len(one) for row, one in zip(rows, said, strict=True)]

    def said(self, rows: Sequence[Row]) -> list[tuple[int, ...]]:
        """What the model says by itself after what stands before the answer of each row, as many tokens, the best each time. It is given a guess, the answer first, and then what it
        said itself, until it says what it was given: that is what it would say token by token, and mostly found in a pass or two."""
        guesses = list(rows)
        open_ones = list(range(len(rows)))
        while open_ones:
            best = self._read([guesses[n] for n in open_ones], _best)
            still = []
            for n, line in zip(open_ones, best, strict=True):
                row = guesses[n]
                told = tuple(line[row.start - 1 : len(row.ids) - 1])
                if told != row.answer:
                    guesses[n] = Row((*row.ids[: row.start], *told), row.start)
                    still.append(n)
            open_ones = still
        return [row.answer for row in guesses]

    def _rows(self, cues: Sequence[str], answers: Sequence[str]) -> list[Row]:
        engine = self._engine
        rows = rows_of(engine, cues, answers)
        self._engine.check_room(max((len(row.ids) for row in rows), default=0))
        return rows

    def _read(self, rows: Sequence[Row], judged: Callable[[torch.Tensor, torch.Tensor], Sequence[Any]]) -> list[Any]:
        """What is made of the logits of each row, in the order of the rows."""
        found: dict[int, Any] = {}
        for part in self._batches(rows):
            ids, asked = joined([rows[n] for n in part], self._engine.device)
            with resting(self._rest), torch.inference_mode():
                logits = logits_of(self._engine.model, ids, self._engine.begin(()))
                found |= zip(part, judged(logits, asked), strict=True)
        return [found[n] for n in range(len(rows))]

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        size = int(self._engine.model.get_input_embeddings().num_embeddings)
        part: list[int] = []
        for n in sorted(range(len(rows)), key=lambda n: (len(rows[n].ids), n)):
            if part and (len(part) + 1) * len(rows[n].ids) * size > NUMBERS:
                yield part
                part = []
            part.append(n)
        if part:
            yield part


def logits_of(model: Any, ids: torch.Tensor, cache: Any) -> torch.Tensor:
    """[rows, tokens, vocabulary] of rows that all follow what the cache holds of one text."""
    found = model(input_ids=ids, past_key_values=cache, use_cache=True).logits
    assert isinstance(found, torch.Tensor)
    return found


def _best(logits: torch.Tensor, _: torch.Tensor) -> list[list[int]]:
    return logits.argmax(-1).tolist()  # type: ignore[no-any-return]
