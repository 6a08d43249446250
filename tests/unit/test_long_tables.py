"""Tables at the command line that have more rows than a screen: written as they come, and nothing of a cell is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from rich.cells import cell_len
from rich.text import Text

from loci.cli import render

WIDTH = 60


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setattr(render, "MEASURED", 20)


def test_a_long_table_is_written_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    def rows() -> Iterator[list[render.Cell]]:
        for n in range(100):
            if n == 50:
                assert "house 30" in capsys.readouterr().out, "fifty rows were asked for, and none is there yet"
            yield [str(n), f"house {n}"]

    render.show_table(["n", "what"], rows(), right=("n",))
    assert "house 99" in capsys.readouterr().out


def test_a_long_table_reads_as_a_short_one(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[list[render.Cell]] = [
        [str(n), "ana", Text(f"house {n}\nid-{n}", "dim"), "a street that is long enough to be folded " * 2] for n in range(30)
    ]
    columns = ["n", "who", "what", "where"]
    render.show_table(columns, rows[:20], right=("n",))
    short = capsys.readouterr().out.split()
    render.show_table(columns, rows, right=("n",))
    long = capsys.readouterr().out
    assert not Counter(word for word in short if "─" not in word) - Counter(long.split())
    assert all(cell_len(line) <= WIDTH for line in long.splitlines())


def test_what_is_wider_further_down_is_folded_and_stays_inert(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[list[render.Cell]] = [["ana", "short"] for _ in range(21)]
    rows += [["a-name-of-thirty-characters-or-so", "\x1b[31mred"], ["名前" * 10, "漢字" * 60], ["bob", "word " * 60]]
    render.show_table(["who", "what"], rows)
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\\u{1b}[31mred" in out and out.count("漢") == 60 and out.count("名") == 10 and out.count("word") == 60
    assert "a-name-of-thirty-characters-or-so" in "".join(line[:8].strip() for line in out.splitlines())
    assert all(cell_len(line) <= WIDTH for line in out.splitlines())
