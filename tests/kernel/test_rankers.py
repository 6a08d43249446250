"""Rankers: the one that ships can be read, another can take its place, and what is none is refused by name."""

import json
from pathlib import Path

import pytest

from loci import MemOS
from loci.errors import Invalid
from loci.infrastructure import rankers


def test_the_one_that_ships_names_its_origin() -> None:
    told = json.loads(Path(rankers.__file__).with_name(rankers.SHIPPED).read_text("utf-8"))
    assert told["provenance"]["data"] and told["provenance"]["figures"]["left out"]
    assert rankers.load().weights.keys() == told["weights"].keys()


def test_another_takes_its_place(tmp_path: Path) -> None:
    texts = ["I like tea.", "The tea house on the corner of the long street sells tea and more tea every day of the week."]
    orders = []
    for name, slope in (("short", -1.0), ("long", 1.0)):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"name": name, "weights": {"long": {"base": slope}}}), "utf-8")
        with MemOS.open(tmp_path / name, ranker=str(path), embedder="none") as memory:
            cube = memory.cube("main")
            for text in texts:
                cube.add(text)
            orders.append([hit.memory.text for hit in cube.search("tea").hits])
    assert orders == [texts, texts[::-1]]


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "[]",
        "{}",
        '{"name": "x", "weights": {"words": {}}}',
        '{"name": "x", "weights": {"moon": {"base": 1}}}',
        '{"name": "x", "weights": {"words": {"base": 1, "moon": 2}}}',
    ],
)
def test_what_is_none_is_refused_by_name(tmp_path: Path, raw: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(raw, "utf-8")
    with pytest.raises(Invalid, match=r"mine\.json"):
        rankers.load(path)
    with pytest.raises(Invalid, match=r"(?i)leave"):
        rankers.load(tmp_path / "absent.json")
