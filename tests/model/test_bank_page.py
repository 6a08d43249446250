"""The code on the page about the bank runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from loci.testing.models import make_model, make_tokenizer

PAGE = Path(__file__).parents[2] / "docs/explanation/memory-bank.md"


def test_the_block_on_the_page_teaches_keeps_and_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    names = {"model": make_model("qwen3"), "tokenizer": make_tokenizer(), "__name__": "page"}
    exec(compile(block, PAGE.name, "exec"), names)
    assert len(names["bank"]) == 1 and names["prefix"].documents == ("n2", "n1") and names["prefix"].states.shape == (3, 2, 2, 4, 32)
    assert torch.equal(names["again"].compress([5, 6])[0], names["compressor"].compress([5, 6])[0])
