"""The code on the page about budgets runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from small import model, text

PAGE = Path(__file__).parents[2] / "docs/explanation/eviction.md"


def test_the_block_on_the_page_reads_and_answers():
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    ids = text(1700)
    names = {"model": model(), "token_ids": ids, "all_ids": torch.tensor([[*ids, *text(5, 1)]])}
    exec(compile(block, PAGE.name, "exec"), names)
    assert names["cache"].stored == (1024,) * 3 and names["cache"].peaks == (1536,) * 3 and names["answer"].shape[1] > 1705
